"""Which CPUs and memory nodes on v2 (cgroup-v2.rst, "Cpuset Interface Files"; kernel 5.0)."""

from __future__ import annotations

from pycgroups.cgroups.cpus import check_available
from pycgroups.cgroups.manager import Controller, Lack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Cpuset(Controller):
    """cpuset.cpus, cpuset.mems."""

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:
        """Refuse what the parent lacks: v2 would take it and, with none left, allow all of the parent's."""
        if resources.cpu:
            parent = parent or files
            check_available(f"{parent}/cpuset.cpus.effective", resources.cpu.cpus, "cpuset")
            check_available(f"{parent}/cpuset.mems.effective", resources.cpu.mems, "resources.cpu.mems")
        return []

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the lists."""
        if resources.cpu and resources.cpu.cpus is not None:
            directory.write("cpuset.cpus", resources.cpu.cpus)
        if resources.cpu and resources.cpu.mems is not None:
            directory.write("cpuset.mems", resources.cpu.mems)
