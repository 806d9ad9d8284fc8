"""Which CPUs on v2 (cgroup-v2.rst, "Cpuset Interface Files"; kernel 5.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.cpus import check_available
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits


class Cpuset(Controller):
    """cpuset.cpus."""

    def check(self, parent: str, limits: Limits) -> tuple[str, ...]:
        """Refuse CPUs that the parent lacks: v2 would take them and, with none left, allow all of the parent's."""
        check_available(f"{parent}/cpuset.cpus.effective", limits)
        return ()

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write the list."""
        if limits.cpuset is not None:
            directory.write("cpuset.cpus", limits.cpuset)
