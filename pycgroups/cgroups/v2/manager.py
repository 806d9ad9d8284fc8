"""One directory in the v2 hierarchy, and where it may be."""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups import manager, tree
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v2 import freezer, unified
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

ACCOUNTING = frozenset({"memory", "pids", "io"})
"""Controllers that without any limit count what is used."""
_MOST_WANTED = frozenset({"memory", "pids"})
_PROGRAMS = frozenset({"devices"})  # what is no controller to the kernel, but a program attached to the group
_THREADS = "cgroup.threads"
THREADED = frozenset({"cpu", "cpuset", "perf_event", "pids"})
"""Controllers that single threads can have (cgroup-v2.rst, "Threads")."""

_WRITTEN = ("", "/cgroup.procs", "/cgroup.subtree_control")  # what whoever makes groups below writes to


def find(hierarchy: Hierarchy, needed: frozenset[str]) -> tuple[str, frozenset[str]] | None:
    """Directory to make groups below, and the controllers that they can have; None if there is no such directory.

    It is this process's own cgroup or one above it: a process may only be moved by who may write to the
    cgroup.procs of the common ancestor (cgroup-v2.rst, "Delegation Containment"). A cgroup with processes
    cannot hand controllers down ("No Internal Process Constraint"). The deepest of those that offer most of
    what is needed is taken, so that limits set above this process hold for the groups too.
    """
    candidates = [(path, offer) for path in upwards(hierarchy) if (offer := _offer(path)) is not None]
    if not candidates:
        return None
    path, offer = max(candidates, key=lambda each: (len(each[1] & needed), len(each[1] & _MOST_WANTED)))
    return path, offer & (needed | ACCOUNTING)


def prepare(directory: Directory, controllers: frozenset[str]) -> None:
    """Hand controllers down to the groups below a directory, as far as it has them.

    Raises:
        CgroupError: the kernel refuses one.
    """
    missing = controllers - _PROGRAMS - set(directory.read("cgroup.subtree_control").split())
    for name in sorted(missing):
        try:
            directory.write("cgroup.subtree_control", f"+{name}")
        except CgroupError as error:
            error.hint = (
                "EBUSY: a process is in this cgroup itself; EINVAL with cpu: a realtime process (chrt -p PID)"
                " is below it; EOPNOTSUPP: it is threaded"
            )
            raise


def hand_down_all(directory: Directory) -> None:
    """Hand all controllers that a directory has down to the groups below it, as far as the kernel and its owner let."""
    have = set(directory.read_if_there("cgroup.controllers").split())
    missing = sorted(have - set(directory.read_if_there("cgroup.subtree_control").split()))
    try:
        if missing:
            directory.write("cgroup.subtree_control", " ".join(f"+{name}" for name in missing))
    except CgroupError:
        for name in missing:  # one that cannot be had keeps the others back
            try:
                directory.write("cgroup.subtree_control", f"+{name}")
            except CgroupError:
                continue


def upwards(hierarchy: Hierarchy) -> Iterator[str]:
    """Give this process's own cgroup, the one above it, and so on to the mount."""
    path = hierarchy.own
    yield path
    while path != hierarchy.mount:
        path = os.path.dirname(path)
        yield path


def writable(path: str) -> bool:
    """Tell whether this process may make groups in a cgroup, enter them, and hand controllers down to them."""
    return all(os.access(path + name, os.W_OK, effective_ids=True) for name in _WRITTEN)


def _offer(path: str) -> frozenset[str] | None:
    """Name the controllers that a cgroup can hand down; None if this process cannot make groups there."""
    if not writable(path):
        return None
    type_ = read_path(f"{path}/cgroup.type").strip()
    if type_ not in ("", "domain"):
        return None  # threaded: the groups would be part of a domain that is not ours
    # Only the real root has no cgroup.type; it alone may have both processes and controllers below.
    if type_ and read_path(f"{path}/cgroup.procs"):
        return frozenset()
    return frozenset(read_path(f"{path}/cgroup.controllers").split())


def _write_explained(directory: Directory, name: str, value: str, hint: str) -> None:
    """Write, and say what the rule is that the kernel enforces by EOPNOTSUPP, or EBUSY."""
    try:
        directory.write(name, value)
    except CgroupError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EBUSY):
            error.hint = hint
        raise


class Manager(manager.Manager):
    """A directory that a process is started in, by CLONE_INTO_CGROUP."""

    __slots__ = ()

    modules: ClassVar = manager.Modules(
        "pycgroups.cgroups.v2",
        {
            "memory": "memory.Memory",
            "cpu": "cpu.Cpu",
            "cpuset": "cpuset.Cpuset",
            "pids": "pids.Pids",
            "io": "io.Io",
            "hugetlb": "hugetlb.Hugetlb",
            "rdma": "rdma.Rdma",
            "misc": None,  # these are written by `unified` alone
            "dmem": None,
            "devices": "devices.Devices",
        },
    )

    def __init__(self, directory: Directory, controllers: frozenset[str], *, to_enter: bool = True) -> None:  # noqa: ARG002
        """Take over an open directory.

        Raises:
            CgroupError: it was removed meanwhile.
        """
        super().__init__(directory, controllers)
        self.clone_fd = directory.fd
        directory.check()

    @classmethod
    def check(
        cls, files: str, controllers: frozenset[str], resources: Resources, parent: str | None = None
    ) -> list[Lack]:
        """Ask each controller, and for the files that are named as such."""
        return super().check(files, controllers, resources, parent) + unified.check(files, controllers, resources)

    def apply(self, resources: Resources) -> None:
        """Write the limits; files that are named as such come last, and win."""
        super().apply(resources)
        unified.apply(self.directory, self.controllers, resources)

    def count(self, *, whole: bool) -> Counts:
        """Read its files."""
        from pycgroups.cgroups.v2 import stats

        return stats.read(self.directory, self.controllers, whole=whole)

    def add_thread(self, tid: int) -> None:
        """Move one thread here (cgroup-v2.rst, "Threads"; kernel 4.14)."""
        hint = (
            "on v2 a thread may only enter a group made with threaded=True, and only while its process is in the group"
            " above: above.add(pid)"
        )
        _write_explained(self.directory, _THREADS, str(tid), hint)

    def threads(self) -> list[int]:
        """Ids of the threads in this very directory."""
        return [int(tid) for tid in self.directory.read_if_there(_THREADS).split()]

    def make_threaded(self) -> None:
        """Make it part of the domain above, for ever."""
        hint = (
            "the group above must neither have groups beside this one that have processes and are not threaded, nor"
            " hand down memory or io to them"
        )
        _write_explained(self.directory, "cgroup.type", "threaded", hint)

    def move_threads_up(self) -> None:
        """Move the threads to the directory above; new ones may appear meanwhile."""
        tree.move_threads(self.directory, _THREADS)

    def frozen(self) -> bool | None:
        """See `v2.freezer`."""
        return freezer.frozen(self.directory)

    def set_frozen(self, wanted: bool, deadline: float) -> None:
        """See `v2.freezer`."""
        freezer.set_frozen(self.directory, wanted, deadline)

    def sources(self, directory: Directory, kinds: frozenset[str]) -> Iterator[Source]:
        """See `v2.events`."""
        from pycgroups.cgroups.v2 import events  # who watches pays for it

        return events.sources(directory, kinds)

    def pressure_source(self, directory: Directory, wanted: PressureTrigger | str) -> Source | None:
        """Tell of a trigger; levels are v1's."""
        from pycgroups.cgroups.v2 import events

        return None if isinstance(wanted, str) else events.Pressure(directory, wanted)

    @staticmethod
    def kill_all(directory: Directory) -> None:
        """Write cgroup.kill (kernel 5.14), which frozen processes obey too and no fork escapes."""
        if not directory.write_if_there("cgroup.kill", "1"):
            tree.kill_each(directory)
