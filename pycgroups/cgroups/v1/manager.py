"""One directory in one v1 hierarchy."""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups import manager, tree
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v1 import unified
from pycgroups.cgroups.v1.freezer import Freezer
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.events import PressureTrigger, Source
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Counts, Lack
    from pycgroups.oci.resources import Resources


_FREEZER = Freezer()
THREADS = "tasks"
"""Where one thread enters, which needs a lock less than cgroup.procs does: a child that is about to has just one."""
CLONE_CHILDREN = "cgroup.clone_children"
NOT_OURS = (errno.EACCES, errno.EROFS)
"""What the kernel says of it to whom may only look at the group."""


def find(hierarchy: Hierarchy, name: str) -> str | None:
    """Path of the directory `name` that is to hold the groups: below this process's own cgroup.

    None if this process may make groups neither there nor in its own cgroup.
    """
    path = f"{hierarchy.own}/{name}"
    # The directory comes and goes with other processes: that it is not there now says nothing.
    writable = any(os.access(each, os.W_OK | os.X_OK, effective_ids=True) for each in (path, hierarchy.own))
    return path if writable else None


def prepare(directory: Directory, controllers: frozenset[str]) -> None:
    """Make a directory fit to have processes, and groups below it."""
    if "cpuset" in controllers and not directory.read("cpuset.cpus").strip():
        from pycgroups.cgroups.v1 import cpuset

        cpuset.inherit(directory)


def is_fit(above: str, controllers: frozenset[str]) -> bool:
    """Tell whether a directory needs no `prepare`, and those that are made in it seldom do."""
    return "cpuset" not in controllers or read_path(f"{above}/{CLONE_CHILDREN}").strip() == "1"


class Manager(manager.Manager):
    """A directory that a thread enters through its "tasks" file."""

    __slots__ = ()

    modules: ClassVar = manager.Modules(
        "pycgroups.cgroups",
        {
            "memory": "v1.memory.Memory",
            "cpu": "v1.cpu.Cpu",
            "cpuacct": None,  # counts, and limits nothing
            "cpuset": "v1.cpuset.Cpuset",
            "pids": "v2.pids.Pids",
            "io": "v1.io.Io",
            "hugetlb": "v1.hugetlb.Hugetlb",
            "net_cls": "v1.net_cls.NetCls",
            "net_prio": "v1.net_prio.NetPrio",
            "rdma": "v2.rdma.Rdma",
            "devices": "v1.devices.Devices",
            "freezer": "v1.freezer.Freezer",
        },
    )

    def __init__(self, directory: Directory, controllers: frozenset[str], *, to_enter: bool = True) -> None:
        """Take over an open directory.

        Raises:
            CgroupError: it was removed meanwhile.
        """
        super().__init__(directory, controllers)
        if not to_enter:
            return
        try:
            self.join_fd = directory.open(THREADS, os.O_WRONLY)
        except CgroupError as error:
            if error.errno not in NOT_OURS:
                raise

    def add_thread(self, tid: int) -> None:
        """Move one thread here, whatever the rest of its process does."""
        self.directory.write(THREADS, str(tid))

    def threads(self) -> list[int]:
        """Ids of the threads in this very directory."""
        return [int(tid) for tid in self.directory.read_if_there(THREADS).split()]

    def make_threaded(self) -> None:
        """Nothing to do: every v1 cgroup takes single threads."""

    def move_threads_up(self) -> None:
        """Move the threads to the directory above; new ones may appear meanwhile."""
        tree.move_threads(self.directory, THREADS)

    def frozen(self) -> bool | None:
        """Ask the freezer, if this is its hierarchy."""
        return _FREEZER.frozen(self.directory) if "freezer" in self.controllers else None

    def set_frozen(self, wanted: bool, deadline: float) -> None:
        """See `Freezer.set_frozen`."""
        _FREEZER.set_frozen(self.directory, wanted, deadline)

    def sources(self, directory: Directory, kinds: frozenset[str]) -> Iterator[Source]:
        """See `v1.events`."""
        from pycgroups.cgroups.v1 import events  # who watches pays for it

        return events.sources(directory, self.controllers, kinds)

    def pressure_source(self, directory: Directory, wanted: PressureTrigger | str) -> Source | None:
        """Tell of a level of memory pressure; triggers are v2's."""
        from pycgroups.cgroups.v1 import events

        if isinstance(wanted, str) and "memory" in self.controllers:
            return events.Notice(directory, "memory.pressure_level", "memory.pressure_level", wanted)
        return None

    @classmethod
    def check(
        cls, files: str, controllers: frozenset[str], resources: Resources, parent: str | None = None
    ) -> list[Lack]:
        """Ask each controller, and refuse files of v2."""
        return super().check(files, controllers, resources, parent) + unified.check(controllers, resources)

    def count(self, *, whole: bool) -> Counts:
        """Read its files."""
        from pycgroups.cgroups.v1 import stats

        return stats.read(self.directory, self.controllers, whole=whole)

    @staticmethod
    def kill_all(directory: Directory) -> None:
        """Signal each process: v1 has nothing that kills all at once. What is frozen dies when it goes on."""
        tree.kill_each(directory)
        _FREEZER.thaw_all(directory)
