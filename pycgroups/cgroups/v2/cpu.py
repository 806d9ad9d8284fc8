"""CPU time on v2 (cgroup-v2.rst, "CPU Interface Files")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.limits import CPU_PERIOD
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits


class Cpu(Controller):
    """cpu.max."""

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write quota and period."""
        if limits.cpu_quota is not None:
            directory.write("cpu.max", f"{limits.cpu_quota} {CPU_PERIOD}")
