"""A control group, as users hold it: one directory per hierarchy that its limits need, used as one.

How a group comes to be, beside another process that sweeps at the same time:

    creator                                     sweeper
    mkdir GROUP
    open, flock shared   <- EAGAIN, ENOENT      open, flock exclusive: had, so no creator lives
    open a file in it    <- ENOENT              rmdir
    write limits

Each of these errors means that a sweeper came between; the creator starts over with another name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import attrs

from pycgroups.cgroups import detect, names, places, sweep, tree
from pycgroups.cgroups.files import GONE
from pycgroups.cgroups.limits import Limits
from pycgroups.cgroups.manager import Sample
from pycgroups.errors import AlreadyExists, CgroupError, Unsupported, invalid

if TYPE_CHECKING:
    from types import TracebackType

    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.cgroups.scope import Scope

CgroupManager = Literal["cgroupfs", "systemd"]
_ATTEMPTS = 8
_RACES = (*GONE, errno.EAGAIN)


class Cgroup:
    """A control group of any processes, with limits that they share.

    Use it as a context manager, or call `remove()`: both kill what is still inside. When the process that made
    it dies, the next one that makes a group removes it.

    Attributes:
        name: as given to `create`, or made up.
        limits: what was asked for.
        unenforced: names of the limits that are not in force, if `require_limits` was False.

    To start a process inside, use both `clone_fd` and `join_fds`; they are close-on-exec, and valid until `remove()`.
    """

    __slots__ = ("_above", "_managers", "_scope", "limits", "name", "unenforced")

    def __init__(self, name: str, limits: Limits, unenforced: tuple[str, ...]) -> None:
        """Not for users: `create()` makes groups."""
        self.name = name
        self.limits = limits
        self.unenforced = unenforced
        self._managers: list[Manager] = []
        self._above: list[Directory] = []
        self._scope: Scope | None = None

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        memory: int | str | None = None,
        memory_swap: int | str | None = None,
        cpus: float | None = None,
        cpuset: str | None = None,
        pids: int | None = None,
        require_limits: bool = True,
        cgroup_manager: CgroupManager = "cgroupfs",
    ) -> Cgroup:
        """Make a group.

        Where a limit needs it, this process moves: out of the way, if it is alone in a cgroup delegated to it, or, as
        an ordinary user with a session of systemd's, into a scope; see `pycgroups.cgroups.session`.

        Args:
            name: "jobs/a" for a group inside "jobs", which is made if it is not there; made up if left out.
                It is relative to a directory of pycgroups' below this process's own cgroup, or above it.
            memory: see `Limits`; this and the following. None sets no limit.
            memory_swap: see `Limits`.
            cpus: see `Limits`.
            cpuset: see `Limits`.
            pids: see `Limits`.
            require_limits: raise if a limit cannot be enforced; if False, note it in `unenforced`.
            cgroup_manager: "cgroupfs" makes directories; "systemd", for root with cgroup v2, has systemd make a scope
                with the limits as its properties, and the group in it. Its `name` is "NAME" for
                system.slice/pycgroups-NAME.scope, or "SLICE:PREFIX:NAME" as runc has it.

        Raises:
            InvalidConfig: a bad name or limit.
            Unsupported: a limit cannot be enforced here, or no group can be made; with what would help.
            AlreadyExists: the group is there; nothing about it was changed.
            CgroupError: the kernel refuses something; nothing is left behind.
        """
        limits = Limits(memory=memory, memory_swap=memory_swap, cpus=cpus, cpuset=cpuset, pids=pids)
        group = cls.for_limits(limits, name=name, require_limits=require_limits, cgroup_manager=cgroup_manager)
        if not group.paths:
            raise _unsupported("make a cgroup", places.LIMITABLE)
        return group

    @classmethod
    def for_limits(
        cls,
        limits: Limits,
        *,
        name: str | None = None,
        require_limits: bool = True,
        cgroup_manager: CgroupManager = "cgroupfs",
    ) -> Cgroup:
        """Make a group as `create` does, of limits validated before.

        With `require_limits` False there may be no directory at all: then nothing can be added, and nothing is
        measured.
        """
        if cgroup_manager not in get_args(CgroupManager):
            raise invalid("cgroup_manager", cgroup_manager, " or ".join(map(repr, get_args(CgroupManager))))
        if cgroup_manager == "systemd":
            return cls._make_in_scope(limits, name, require_limits=require_limits)
        if name is not None:
            names.check(name)
        sweep.sweep()
        for _ in range(_ATTEMPTS):
            try:
                return cls._make(limits, name, require_limits=require_limits)
            except CgroupError as error:
                if error.errno not in _RACES:
                    raise
                failure = error
                places.forget()
        raise failure

    @classmethod
    def _make(cls, limits: Limits, name: str | None, *, require_limits: bool) -> Cgroup:
        found = places.places(limits.controllers)
        if not found or limits.controllers - places.offered(found):
            from pycgroups.cgroups import moving  # not needed where all is well

            found = moving.places(limits.controllers, required=require_limits)
        for place in found:
            places.prepare(place)
        group = cls(name or names.fresh(), limits, _unenforced(found, limits, require_limits=require_limits))
        try:
            group._make_in(found, group.name, marked=name is not None)
        except BaseException:
            with contextlib.suppress(CgroupError):
                group.remove()
            raise
        return group

    @classmethod
    def _make_in_scope(cls, limits: Limits, name: str | None, *, require_limits: bool) -> Cgroup:
        from pycgroups.cgroups import scope  # few ask for it

        name = name or names.fresh()
        unit = scope.Name.parse(name)
        sweep.sweep()
        group = cls(name, limits, ())
        group._scope = scope.Scope(unit, limits)
        try:
            found = (group._scope.place,)
            group.unenforced = _unenforced(found, limits, require_limits=require_limits)
            group._make_in(found, scope.GROUP, marked=True)
        except BaseException:
            with contextlib.suppress(CgroupError):
                group.remove()
            raise
        return group

    def _make_in(self, found: tuple[Place, ...], name: str, *, marked: bool) -> None:
        """Make the directories, and in each hierarchy those above that the name has; then write the limits."""
        *above, last = name.split("/")
        for place in found:
            path = place.path
            for part in above:
                path = f"{path}/{part}"
                made = places.make_directory(path)
                self._above.append(_hold(path, marked=made))
                places.hand_down(place, self._above[-1])
            self._managers.append(_new(place, f"{path}/{last}", marked=marked))
        for manager in self._managers:
            manager.apply(self.limits)

    @property
    def clone_fd(self) -> int | None:
        """Descriptor of the v2 directory, for CLONE_INTO_CGROUP (kernel 5.7); None if the group has none."""
        return next((manager.clone_fd for manager in self._managers if manager.clone_fd is not None), None)

    @property
    def join_fds(self) -> tuple[int, ...]:
        """Descriptors that a process of one thread writes "0" to, to enter the v1 directories."""
        return tuple(manager.join_fd for manager in self._managers if manager.join_fd is not None)

    @property
    def paths(self) -> tuple[str, ...]:
        """Directories of the group, one per hierarchy."""
        return tuple(manager.directory.path for manager in self._managers)

    def add(self, pid: int) -> None:
        """Move a process into the group, with all its threads. Its children are born inside.

        Raises:
            CgroupError: no such process (ESRCH), or this user may not move it (EACCES).
            Unsupported: the group has no directory: no limit could be enforced.
        """
        if not self._managers:
            raise _unsupported("add a process", places.LIMITABLE)
        for manager in self._managers:
            manager.add(pid)

    def processes(self) -> tuple[int, ...]:
        """Pids inside, subgroups included; 0 stands for one outside this process's pid namespace."""
        found = (tree.processes(manager.directory) for manager in self._managers)
        return tuple(sorted(set().union(*found)))

    def set(
        self,
        *,
        memory: int | str | None = None,
        memory_swap: int | str | None = None,
        cpus: float | None = None,
        cpuset: str | None = None,
        pids: int | None = None,
    ) -> None:
        """Change limits; those left out stay. A limit below what is in use reclaims, and may kill by OOM.

        Raises:
            InvalidConfig: a bad limit; nothing was changed.
            Unsupported: a limit of a kind that the group was not made with, where that cannot be added.
            CgroupError: the kernel refuses one; those written before it are in force.
        """
        asked = {"memory": memory, "memory_swap": memory_swap, "cpus": cpus, "cpuset": cpuset, "pids": pids}
        given: dict[str, Any] = {word: value for word, value in asked.items() if value is not None}
        limits = attrs.evolve(self.limits, **given)
        missing = (limits.controllers - self.limits.controllers).difference(
            *(each.controllers for each in self._managers)
        )
        if missing:
            raise Unsupported(
                f"the group was made without {', '.join(sorted(missing))}",
                operation="set limits",
                hint="give the group some limit of this kind when it is made",
            )
        for manager in self._managers:
            words = manager.check(os.path.dirname(manager.directory.path), manager.controllers, limits)
            if not set(words) <= set(self.unenforced):
                raise _unsupported(f"limit {', '.join(words)}", frozenset())
        if self._scope is not None:
            self._scope.change(limits)
        for manager in self._managers:
            manager.apply(limits)
        self.limits = limits

    def sample(self) -> Sample:
        """Measure what the group has used until now, in a few files.

        Raises:
            CgroupError: the group was removed by someone else.
        """
        fields: dict[str, Any] = {}
        for manager in reversed(self._managers):  # v2's, the first, wins: it counts CPU time in finer steps
            fields |= manager.sample()
        return Sample(**fields)

    def kill(self) -> None:
        """Kill every process inside, subgroups included, and wait until they are dead.

        Raises:
            CgroupError: some are not dead after 10 seconds, and are named; or this process is inside.
        """
        deadline = time.monotonic() + tree.PATIENCE
        for manager in self._managers:
            manager.kill(deadline)

    def remove(self) -> None:
        """Kill what is inside and remove the group, its subgroups first. Doing it twice is allowed.

        Raises:
            CgroupError: as for `kill`; the rest of the group is there, and `remove` may be called again.
        """
        deadline = time.monotonic() + tree.PATIENCE
        while self._managers:
            self._managers[-1].remove(deadline)
            self._managers.pop()
        while self._above:
            with self._above.pop() as above:
                if sweep.abandoned(above):
                    tree.try_rmdir(above.path)
        if self._scope is not None:
            self._scope.stop()

    def let_go(self) -> None:
        """Close the descriptors, and leave the group to the next process that makes one."""
        for manager in self._managers:
            manager.close()
        for above in self._above:
            above.close()
        self._managers, self._above = [], []
        if self._scope is not None:
            self._scope.let_go()

    def __enter__(self) -> Self:
        """Remove the group at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self.remove()

    def __repr__(self) -> str:
        """Name and limits."""
        return f"<Cgroup {self.name!r} {self.limits}>"


def _hold(path: str, *, marked: bool) -> Directory:
    """Open a directory and lock it against sweepers."""
    directory = places.opened(path)
    try:
        sweep.lock(directory)
        if marked:
            sweep.mark(directory)
    except BaseException:
        directory.close()
        raise
    return directory


def _new(place: Place, path: str, *, marked: bool) -> Manager:
    """Make the group's directory in one hierarchy, and hold it."""
    while not places.make_directory(path):
        if not sweep.reclaim(place.version, path):
            raise AlreadyExists("somebody has made it", operation="create cgroup", path=path)
    try:
        directory = _hold(path, marked=marked)
        try:
            return places.MANAGERS[place.version](directory, place.controllers)
        except BaseException:
            directory.close()
            raise
    except BaseException:
        with contextlib.suppress(CgroupError):
            tree.try_rmdir(path)
        raise


def _unenforced(found: tuple[Place, ...], limits: Limits, *, require_limits: bool) -> tuple[str, ...]:
    """Name the limits that will not be in force.

    Raises:
        Unsupported: there are some, and all are required.
    """
    words = _unenforceable(found, limits)
    if words and require_limits:
        raise _unsupported(f"limit {', '.join(words)}", limits.controllers - places.offered(found))
    return words


def _unenforceable(found: tuple[Place, ...], limits: Limits) -> tuple[str, ...]:
    """Name the limits that have no controller, or whose controller lacks what they need."""
    missing = limits.controllers - places.offered(found)
    words = [word for name in sorted(missing) for word in limits.words(name)]
    for place in found:
        words += places.MANAGERS[place.version].check(place.path, place.controllers, limits)
    return tuple(words)


def _unsupported(operation: str, missing: frozenset[str]) -> Unsupported:
    if not missing:
        hint = "boot with swapaccount=1, or without swap: swapoff -a; or allow swap: memory_swap=-1"
        return Unsupported("this kernel does not count swap", operation=operation, hint=hint)
    from pycgroups.cgroups import hints  # not needed where all is well

    found = detect.hierarchies()
    controllers = ", ".join(sorted(missing))
    hint = hints.for_missing(missing, found)
    places.forget()  # somebody may do what the hint says, and try again
    return Unsupported(
        f"this process cannot use the cgroup controllers {controllers} (hierarchy: {detect.kind(found)})",
        operation=operation,
        hint=hint,
    )
