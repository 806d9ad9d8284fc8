"""Which CPUs on v1 (cgroup-v1/cpusets.rst). A new cpuset has no CPU and no memory node, and admits nobody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.cgroups.cpus import check_available
from pycgroups.cgroups.files import Directory, read_path
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits


class Cpuset(Controller):
    """cpuset.cpus, cpuset.mems."""

    def check(self, parent: str, limits: Limits) -> tuple[str, ...]:
        """Refuse CPUs that the parent lacks."""
        check_available(f"{parent}/cpuset.effective_cpus", limits)
        return ()

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write the CPUs, and the parent's memory nodes."""
        if limits.cpuset is not None:
            inherit(directory)
            directory.write("cpuset.cpus", limits.cpuset)


def inherit(directory: Directory) -> None:
    """Give a cpuset all that its parent has."""
    parent = os.path.dirname(directory.path)
    for name in ("cpuset.mems", "cpuset.cpus"):
        directory.write(name, read_path(f"{parent}/{name}").strip())
