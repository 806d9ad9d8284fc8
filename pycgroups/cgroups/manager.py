"""What v1 and v2 have in common: a manager for a directory, controllers for its files, the shape of a sample."""

from __future__ import annotations

import abc
import errno
import os

from pycgroups.cgroups import tree
from pycgroups.cgroups.files import GONE
from pycgroups.cgroups.resources import concerned
from pycgroups.cgroups.resources import given as asked
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, NamedTuple, TypeAlias

    from pycgroups.cgroups.events import PressureTrigger, Source
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources
else:
    from pycgroups.records import NamedTuple


class Lack(NamedTuple):
    """What cannot be enforced, and why.

    Attributes:
        path: what was asked for, as a path into `Resources`: "cpu.realtimeRuntime".
        why: the reason.
        hint: what would help.
    """

    path: str
    why: str
    hint: str


def missing(directory: str, witness: str, *names: str) -> bool:
    """Tell whether a cgroup lacks all of some files.

    Args:
        directory: its own, or another that has the same files.
        witness: a file that is there whenever the controller is.
        names: the files.

    Raises:
        CgroupError: ENOENT; somebody has just removed it, or made it anew without the controller.
    """
    if any(os.path.exists(f"{directory}/{name}") for name in names):
        return False
    try:
        there = os.listdir(directory)
    except FileNotFoundError:
        there = []
    if witness not in there:
        raise CgroupError(operation="open", path=f"{directory}/{witness}", errno=errno.ENOENT)
    return not set(names) & set(there)


Counts: TypeAlias = "dict[str, dict[Any, Any]]"
"""What is counted, by the fields of `stats.Stats`: each has a dict of the fields of its own class, or of these by
device or page size."""


class Controller:
    """The files of one controller of `v1` or `v2`, and what they mean. Each overrides what it has.

    Attributes:
        witness: a file that is there whenever the controller is.
        needs: what not every kernel can, by its path into `Resources`: the file for it (or several of which one is
            enough, or none if this version has no such file at all), and what would help.
    """

    witness: ClassVar[str]
    needs: ClassVar[Mapping[str, tuple[tuple[str, ...], str]]] = {}

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:  # noqa: ARG002
        """Tell what cannot be enforced in a group, which may not be there yet.

        Args:
            files: a directory that has the files of the group: itself, or before it is made the one above it.
            resources: what is asked for.
            parent: the directory above the group, where `files` is not that.

        Raises:
            InvalidConfig: a value that no group below `parent` can have.
            CgroupError: ENOENT; `files` has just been removed.
        """
        given = asked(resources)
        return [
            Lack(path, f"this kernel has no {' or '.join(names)}" if names else "this version of cgroups cannot", hint)
            for path, (names, hint) in self.needs.items()
            if path in given and missing(files, self.witness, *names)
        ]

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write what is given of this controller's part; leave out what `check` complained of.

        Raises:
            CgroupError: the kernel refuses one.
        """


class Modules:
    """Controllers by name; the module of one is loaded when it is first asked for.

    Attributes:
        names: of those there are.
    """

    __slots__ = ("_homes", "_loaded", "names")

    def __init__(self, package: str, homes: Mapping[str, str | None]) -> None:
        """Note where each is: "memory.Memory" in the package, or None for one that has no limits."""
        self._homes = {name: home and f"{package}.{home}" for name, home in homes.items()}
        self._loaded: dict[str, Controller] = {}
        self.names = frozenset(homes)

    def __getitem__(self, name: str) -> Controller:
        """Get one, loaded."""
        if name not in self._loaded:
            home = self._homes[name]
            self._loaded[name] = _controller(home) if home else Controller()
        return self._loaded[name]


def _controller(home: str) -> Controller:
    module, _, name = home.rpartition(".")
    made: Controller = getattr(__import__(module, fromlist=[name]), name)()
    return made


_OF_DEVICES = frozenset({"io", "net_prio", "rdma"})


def _explained(error: CgroupError, controller: str) -> CgroupError:
    """Add to an error what has become of its file, if that is gone."""
    if error.errno in GONE:
        error.hint = f"the cgroup was removed, or {controller} was taken away from it (cgroup.subtree_control)"
        if error.errno == errno.ENODEV and controller in _OF_DEVICES:
            error.hint = f"there is no such device; or {error.hint}"
    return error


class Manager(abc.ABC):
    """One directory in one hierarchy: the whole of a group on v2, one of several parts of it on v1.

    Attributes:
        directory: the open directory of the cgroup.
        controllers: names of the controllers that it has.
        clone_fd: descriptor for CLONE_INTO_CGROUP (v2), or None.
        join_fd: descriptor of a file that a thread writes "0" to, to enter (v1), or None, as where nobody is to enter.
    """

    __slots__ = ("clone_fd", "controllers", "directory", "join_fd")

    modules: ClassVar[Modules]
    """The controllers of this version that we know."""

    def __init__(self, directory: Directory, controllers: frozenset[str], *, to_enter: bool = True) -> None:  # noqa: ARG002
        """Take over an open directory, `to_enter` it or only to look at it and to change it."""
        self.directory = directory
        self.controllers = controllers & self.modules.names
        self.clone_fd: int | None = None
        self.join_fd: int | None = None

    @classmethod
    def check(
        cls, files: str, controllers: frozenset[str], resources: Resources, parent: str | None = None
    ) -> list[Lack]:
        """Tell what some controllers cannot enforce in a group; see `Controller`."""
        lacks: list[Lack] = []
        for name in concerned(controllers & cls.modules.names, resources):
            try:
                lacks += cls.modules[name].check(files, resources, parent)
            except CgroupError as error:
                raise _explained(error, name) from None
        return lacks

    def apply(self, resources: Resources) -> None:
        """Write the limits that this directory's controllers enforce."""
        for name in concerned(self.controllers, resources):
            try:
                self.modules[name].apply(self.directory, resources)
            except CgroupError as error:
                raise _explained(error, name) from None

    @abc.abstractmethod
    def count(self, *, whole: bool) -> Counts:
        """Read what this directory counts; without `whole` only what `Sample` tells."""

    def add(self, pid: int) -> None:
        """Move a process here, with all its threads."""
        self.directory.write("cgroup.procs", str(pid))

    @abc.abstractmethod
    def add_thread(self, tid: int) -> None:
        """Move one thread here."""

    @abc.abstractmethod
    def threads(self) -> list[int]:
        """Ids of the threads in this very directory."""

    @abc.abstractmethod
    def make_threaded(self) -> None:
        """Have this directory take single threads of the processes above it."""

    @abc.abstractmethod
    def move_threads_up(self) -> None:
        """Move the threads to the directory above; new ones may appear meanwhile."""

    @abc.abstractmethod
    def frozen(self) -> bool | None:
        """Whether every process here and below stands still; None if this directory has no freezer."""

    @abc.abstractmethod
    def set_frozen(self, wanted: bool, deadline: float) -> None:
        """Stop or continue every process here and below, and wait until it is done.

        Raises:
            CgroupError: it is not done at `deadline`.
        """

    @abc.abstractmethod
    def sources(self, directory: Directory, kinds: frozenset[str]) -> Iterator[Source]:
        """Open what tells of some kinds of events, as far as this version does; `directory` is this one, held anew."""

    @abc.abstractmethod
    def pressure_source(self, directory: Directory, wanted: PressureTrigger | str) -> Source | None:
        """Open what tells of pressure; None if this version or hierarchy does not."""

    @staticmethod
    @abc.abstractmethod
    def kill_all(directory: Directory) -> None:
        """Send SIGKILL to every process in a directory of this version and below; some may be missed."""

    def kill(self, deadline: float) -> None:
        """Kill every process here and below, and wait until none is left; see `tree.kill`."""
        tree.kill(self.directory, self.kill_all, deadline)

    def remove(self, deadline: float) -> None:
        """Kill, remove all here and below, and close; see `tree.remove`. It may be tried again."""
        if self.directory.fd >= 0:
            tree.remove(self.directory, self.kill_all, deadline)
        self.close()

    def close(self) -> None:
        """Close the descriptors; the cgroup stays."""
        join_fd, self.clone_fd, self.join_fd = self.join_fd, None, None
        if join_fd is not None:
            os.close(join_fd)
        self.directory.close()
