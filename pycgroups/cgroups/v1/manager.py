"""One directory in one v1 hierarchy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from pycgroups.cgroups import manager, tree
from pycgroups.cgroups.v1 import cpuset, unified
from pycgroups.cgroups.v1.cpu import Cpu
from pycgroups.cgroups.v1.cpuacct import Cpuacct
from pycgroups.cgroups.v1.cpuset import Cpuset
from pycgroups.cgroups.v1.hugetlb import Hugetlb
from pycgroups.cgroups.v1.io import Io
from pycgroups.cgroups.v1.memory import Memory
from pycgroups.cgroups.v1.net_cls import NetCls
from pycgroups.cgroups.v1.net_prio import NetPrio
from pycgroups.cgroups.v1.pids import Pids
from pycgroups.cgroups.v1.rdma import Rdma

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Controller, Lack
    from pycgroups.oci.resources import Resources


def find(hierarchy: Hierarchy, name: str) -> str | None:
    """Path of the directory `name` that is to hold the groups: below this process's own cgroup.

    None if this process may make groups neither there nor in its own cgroup.
    """
    path = f"{hierarchy.own}/{name}"
    # The directory comes and goes with other processes: that it is not there now says nothing.
    writable = any(os.access(each, os.W_OK | os.X_OK, effective_ids=True) for each in (path, hierarchy.own))
    return path if writable else None


def prepare(directory: Directory, controllers: frozenset[str]) -> None:
    """Make a directory fit to have groups below it."""
    if "cpuset" in controllers and not directory.read("cpuset.cpus").strip():
        cpuset.inherit(directory)


class Manager(manager.Manager):
    """A directory that a thread enters through its "tasks" file."""

    __slots__ = ()

    modules: ClassVar[Mapping[str, Controller]] = {
        "memory": Memory(),
        "cpu": Cpu(),
        "cpuacct": Cpuacct(),
        "cpuset": Cpuset(),
        "pids": Pids(),
        "io": Io(),
        "hugetlb": Hugetlb(),
        "net_cls": NetCls(),
        "net_prio": NetPrio(),
        "rdma": Rdma(),
    }

    def __init__(self, directory: Directory, controllers: frozenset[str]) -> None:
        """Take over an open directory.

        Raises:
            CgroupError: it was removed meanwhile.
        """
        super().__init__(directory, controllers)
        # "tasks" moves one thread, which needs a lock less than cgroup.procs: a child that enters has just one.
        self.join_fd = directory.open("tasks", os.O_WRONLY)

    @classmethod
    def check(cls, parent: str, controllers: frozenset[str], resources: Resources) -> list[Lack]:
        """Ask each controller, and refuse files of v2."""
        return super().check(parent, controllers, resources) + unified.check(controllers, resources)

    @staticmethod
    def kill_all(directory: Directory) -> None:
        """Signal each process: v1 has nothing that kills all at once."""
        tree.kill_each(directory)
