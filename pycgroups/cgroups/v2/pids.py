"""Numbers of processes on v2 (cgroup-v2.rst, "PID Interface Files")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits


class Pids(Controller):
    """pids.max. The kernel counts threads too."""

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write the limit."""
        if limits.pids is not None:
            directory.write("pids.max", str(limits.pids))
