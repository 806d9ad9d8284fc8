"""Which CPUs and memory nodes on v1 (cgroup-v1/cpusets.rst). A new cpuset has none of either, and admits nobody."""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups.cpus import check_available
from pycgroups.cgroups.files import Directory, read_path
from pycgroups.cgroups.manager import Controller, Lack
from pycgroups.cgroups.v1.manager import CLONE_CHILDREN
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources


class Cpuset(Controller):
    """cpuset.cpus, cpuset.mems."""

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:
        """Refuse what the parent lacks."""
        if resources.cpu:
            parent = parent or files
            check_available(f"{parent}/cpuset.effective_cpus", resources.cpu.cpus, "cpuset")
            check_available(f"{parent}/cpuset.effective_mems", resources.cpu.mems, "resources.cpu.mems")
        return []

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the lists; what is not given is the parent's, unless the group has some."""
        cpu = resources.cpu
        if cpu is None or (cpu.cpus is None and cpu.mems is None):
            return
        for name, value in (("cpuset.mems", cpu.mems), ("cpuset.cpus", cpu.cpus)):
            if value is None:
                _inherit(directory, name)
            else:
                _write(directory, name, value)


def _write(directory: Directory, name: str, value: str) -> None:
    try:
        directory.write(name, value)
    except CgroupError as error:
        if error.errno == errno.EBUSY:
            error.hint = "on v1 a group keeps what the groups inside have, as that of a program executed in a container"
        raise


def inherit(directory: Directory) -> None:
    """Give a cpuset without CPUs all that its parent has, of what it has none; and the kernel does so with its own."""
    _inherit(directory, "cpuset.mems")
    _take(directory, "cpuset.cpus")
    try:
        directory.write(CLONE_CHILDREN, "1")
    except CgroupError:  # where others have made it for this user: then each is given its own
        return


def _inherit(directory: Directory, name: str) -> None:
    if not directory.read(name).strip():
        _take(directory, name)


def _take(directory: Directory, name: str) -> None:
    directory.write(name, read_path(f"{os.path.dirname(directory.path)}/{name}").strip())
