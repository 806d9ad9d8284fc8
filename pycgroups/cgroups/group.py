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
import time
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import attrs

from pycgroups.cgroups import names, places, resources, sweep, tree, unenforced
from pycgroups.cgroups.files import GONE
from pycgroups.cgroups.limits import NO_LIMITS, Limits
from pycgroups.cgroups.manager import Sample
from pycgroups.errors import AlreadyExists, CgroupError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import SomeHugepages, SomeIoLimits
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.cgroups.scope import Scope
    from pycgroups.oci.resources import Resources

CgroupManager = Literal["cgroupfs", "systemd"]
_ATTEMPTS = 8
_RACES = (*GONE, errno.EAGAIN)


class Cgroup:
    """A control group of any processes, with limits that they share.

    Use it as a context manager, or call `remove()`: both kill what is still inside. When the process that made
    it dies, the next one that makes a group removes it.

    Attributes:
        name: as given to `create`, or made up.
        limits: what was asked for by words.
        unenforced: names of the limits that are not in force: with `require_limits` False those that cannot be, and
            in any case those that mean nothing to any kernel of today (`resources.memory.kernel`).

    To start a process inside, use both `clone_fd` and `join_fds`; they are close-on-exec, and valid until `remove()`.
    """

    __slots__ = ("_above", "_managers", "_scope", "limits", "name", "unenforced")

    def __init__(self, name: str, limits: Limits, unenforced_limits: tuple[str, ...]) -> None:
        """Not for users: `create()` makes groups."""
        self.name = name
        self.limits = limits
        self.unenforced = unenforced_limits
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
        memory_low: int | str | None = None,
        memory_high: int | str | None = None,
        cpus: float | None = None,
        cpu_weight: int | None = None,
        cpuset: str | None = None,
        pids: int | None = None,
        io_weight: int | None = None,
        io_limits: SomeIoLimits = None,
        hugepages: SomeHugepages = None,
        resources: Resources | None = None,
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
            memory_low: see `Limits`.
            memory_high: see `Limits`.
            cpus: see `Limits`.
            cpu_weight: see `Limits`.
            cpuset: see `Limits`.
            pids: see `Limits`.
            io_weight: see `Limits`.
            io_limits: see `Limits`.
            hugepages: see `Limits`.
            resources: the limits in the words of the OCI runtime specification, `linux.resources`, instead of these.
            require_limits: raise if a limit cannot be enforced; if False, note it in `unenforced`.
            cgroup_manager: "cgroupfs" makes directories; "systemd", for root with cgroup v2, has systemd make a scope
                with the limits as its properties, and the group in it. Its `name` is "NAME" for
                system.slice/pycgroups-NAME.scope, or "SLICE:PREFIX:NAME" as runc has it.

        Raises:
            InvalidConfig: a bad name or limit, or limits by words and by `resources`.
            Unsupported: a limit cannot be enforced here, or no group can be made; with what would help.
            AlreadyExists: the group is there; nothing about it was changed.
            CgroupError: the kernel refuses something; nothing is left behind.
        """
        limits = Limits(
            memory=memory,
            memory_swap=memory_swap,
            memory_low=memory_low,
            memory_high=memory_high,
            cpus=cpus,
            cpu_weight=cpu_weight,
            cpuset=cpuset,
            pids=pids,
            io_weight=io_weight,
            io_limits=io_limits,
            hugepages=hugepages,
        )
        group = cls.for_limits(
            limits, resources=resources, name=name, require_limits=require_limits, cgroup_manager=cgroup_manager
        )
        if not group.paths:
            raise unenforced.without(places.LIMITABLE, operation="make a cgroup")
        return group

    @classmethod
    def for_limits(
        cls,
        limits: Limits = NO_LIMITS,
        *,
        resources: Resources | None = None,
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
        if name is not None and cgroup_manager == "cgroupfs":
            names.check(name)
        asked = _asked(limits, resources)
        if cgroup_manager == "systemd":
            return cls._make_in_scope(limits, asked, name, require_limits=require_limits)
        sweep.sweep()
        for _ in range(_ATTEMPTS):
            try:
                return cls._make(limits, asked, name, require_limits=require_limits)
            except CgroupError as error:
                if error.errno not in _RACES:
                    raise
                failure = error
                places.forget()
        raise failure

    @classmethod
    def _make(cls, limits: Limits, asked: Resources, name: str | None, *, require_limits: bool) -> Cgroup:
        needed = resources.controllers(asked)
        found = places.places(needed)
        if not found or needed - places.offered(found):
            from pycgroups.cgroups import moving  # not needed where all is well

            found = moving.places(needed, required=require_limits)
        for place in found:
            places.prepare(place)
        group = cls(
            name or names.fresh(), limits, unenforced.check(found, limits, asked, require_limits=require_limits)
        )
        try:
            group._make_in(found, group.name, asked, marked=name is not None)
        except BaseException:
            with contextlib.suppress(CgroupError):
                group.remove()
            raise
        return group

    @classmethod
    def _make_in_scope(cls, limits: Limits, asked: Resources, name: str | None, *, require_limits: bool) -> Cgroup:
        from pycgroups.cgroups import scope  # few ask for it

        name = name or names.fresh()
        unit = scope.Name.parse(name)
        sweep.sweep()
        group = cls(name, limits, ())
        group._scope = scope.Scope(unit, asked)
        try:
            found = (group._scope.place,)
            group.unenforced = unenforced.check(found, limits, asked, require_limits=require_limits)
            group._make_in(found, scope.GROUP, asked, marked=True)
        except BaseException:
            with contextlib.suppress(CgroupError):
                group.remove()
            raise
        return group

    def _make_in(self, found: tuple[Place, ...], name: str, asked: Resources, *, marked: bool) -> None:
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
            manager.apply(asked)

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
            raise unenforced.without(places.LIMITABLE, operation="add a process")
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
        memory_low: int | str | None = None,
        memory_high: int | str | None = None,
        cpus: float | None = None,
        cpu_weight: int | None = None,
        cpuset: str | None = None,
        pids: int | None = None,
        io_weight: int | None = None,
        io_limits: SomeIoLimits = None,
        hugepages: SomeHugepages = None,
        resources: Resources | None = None,
    ) -> None:
        """Change limits; those left out stay. A limit below what is in use reclaims, and may kill by OOM.

        Raises:
            InvalidConfig: a bad limit, or limits by words and by `resources`; nothing was changed.
            Unsupported: a limit of a kind that the group was not made with, where that cannot be added.
            CgroupError: the kernel refuses one; those written before it are in force.
        """
        asked = {
            "memory": memory,
            "memory_swap": memory_swap,
            "memory_low": memory_low,
            "memory_high": memory_high,
            "cpus": cpus,
            "cpu_weight": cpu_weight,
            "cpuset": cpuset,
            "pids": pids,
            "io_weight": io_weight,
            "io_limits": io_limits,
            "hugepages": hugepages,
        }
        given: dict[str, Any] = {word: value for word, value in asked.items() if value is not None}
        limits = attrs.evolve(self.limits, **given)
        changes = _only(limits, given.keys())
        self._change(changes, _asked(changes, resources))
        self.limits = limits

    def _change(self, limits: Limits, asked: Resources) -> None:
        """Write limits, after a look at all of them."""
        unenforced.check_change(self._managers, limits, asked, known=self.unenforced)
        if self._scope is not None:
            self._scope.change(asked)
        for manager in self._managers:
            manager.apply(asked)

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


def _asked(limits: Limits, given: Resources | None) -> Resources:
    """Take what is asked for, by words or in OCI's: both would leave open which wins."""
    if given is None and not limits.io_limits:
        return resources.of_limits(limits)
    from pycgroups.cgroups import disks, ranges  # words have been checked, and most name no disk

    if given is None:
        return resources.of_limits(limits, disks.numbers(limits))
    if limits != NO_LIMITS:
        raise invalid("resources", given, "limits by words or by resources, not both")
    ranges.check(given)
    disks.check(given)
    return given


def _only(limits: Limits, words: Iterable[str]) -> Limits:
    """Keep some words, and what these need: one file of swap has two of them in it."""
    kept = {*words}
    if kept & {"memory", "memory_swap"}:
        kept |= {"memory", "memory_swap"}
    return Limits(**{word: getattr(limits, word) for word in kept})
