"""A control group, as users hold it: one directory per hierarchy that its limits need, used as one."""

from __future__ import annotations

import errno
import os
import time

from pycgroups.cgroups import places, resources, tree, unenforced
from pycgroups.cgroups.files import GONE
from pycgroups.cgroups.held import Held
from pycgroups.errors import CgroupError, NotFound, Unsupported, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any, Literal, Self, TypeAlias

    from typing_extensions import Unpack

    from pycgroups.cgroups.events import PressureTrigger
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Counts
    from pycgroups.cgroups.peak import MemoryPeak
    from pycgroups.cgroups.places import Place
    from pycgroups.cgroups.pressure import Pressure
    from pycgroups.cgroups.sample import Sample
    from pycgroups.cgroups.scope import Scope
    from pycgroups.cgroups.stats import Stats
    from pycgroups.cgroups.unit import Unit
    from pycgroups.cgroups.watch import Watch
    from pycgroups.cgroups.words import Words
    from pycgroups.oci.resources import DeviceRule, Resources

CgroupManager: TypeAlias = "Literal['cgroupfs', 'systemd']"
_CGROUP_MANAGERS = ("cgroupfs", "systemd")
_ATTEMPTS = 8
_RACES = (*GONE, errno.EAGAIN)


class Cgroup(Held):
    """A control group of any processes, with limits that they share.

    Use it as a context manager, or call `remove()`: both kill what is still inside. When the process that made
    it dies, the next one that makes a group removes it.

    Attributes:
        name: as given to `create`, or made up.
        unenforced: names of the limits that are not in force: with `require_limits` False those that cannot be, and
            in any case those that mean nothing to any kernel of today (`resources.memory.kernel`).
        threaded: whether it is one of single threads.

    To start a process inside, see `pycgroups.in_cgroup`; or use both `clone_fd` and `join_fds`: they are close-on-exec,
    and valid until `remove()`.
    """

    __slots__ = ("_above", "_created", "_limits", "_over", "_scope", "threaded")

    def __init__(self, name: str, limits: Limits | None = None, unenforced_limits: tuple[str, ...] = ()) -> None:
        """Not for users: `create()` makes groups."""
        super().__init__(name, unenforced_limits)
        self._limits = limits
        self._above: list[Directory] = []
        self._created = True
        self._over = False
        self.threaded = False
        self._scope: Scope | Unit | None = None

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        devices: Sequence[DeviceRule] = (),
        resources: Resources | None = None,
        require_limits: bool = True,
        threaded: bool = False,
        cgroup_manager: CgroupManager = "cgroupfs",
        **words: Unpack[Words],
    ) -> Cgroup:
        """Make a group.

        Where a limit needs it, this process moves: out of the way, if it is alone in a cgroup delegated to it, or, as
        an ordinary user with a session of systemd's, into a scope; see `pycgroups.cgroups.session`.

        Args:
            name: "jobs/a" for a group inside "jobs", which is made if it is not there; made up if left out.
                It is relative to a directory of pycgroups' below this process's own cgroup, or above it.
            devices: see `set_devices`; none restricts nothing.
            resources: all of this in the words of the OCI runtime specification, `linux.resources`, instead of these.
            require_limits: raise if a limit cannot be enforced; if False, note it in `unenforced`. Device rules are
                no limit but protection: they are in force, or it is an error.
            threaded: a group "a/b" of single threads, see `add_thread`, of processes that are in the group "a". Limits
                of cpus, cpuset and pids only: memory belongs to the process. "a" may not have groups of processes
                below it as well (cgroup-v2.rst, "Threads"; kernel 4.14).
            cgroup_manager: "cgroupfs" makes directories; "systemd", for root with cgroup v2, has systemd make a scope
                with the limits as its properties, and the group in it. Its `name` is "NAME" for
                system.slice/pycgroups-NAME.scope, or "SLICE:PREFIX:NAME" as runc has it.
            **words: limits, see `Limits`: `memory="1G"`, `cpus=2`, `pids=64` and the others. None sets no limit.

        Raises:
            InvalidConfig: a bad name or limit, or limits by words and by `resources`.
            Unsupported: a limit cannot be enforced here, or no group can be made; with what would help.
            AlreadyExists: the group is there; nothing about it was changed.
            CgroupError: the kernel refuses something; nothing is left behind.
        """
        from pycgroups.cgroups.limits import WORDS, Limits
        from pycgroups.misnamed import check_options

        check_options(Cgroup.create, words, WORDS)
        group = cls.for_limits(
            Limits(**words),
            devices=devices,
            resources=resources,
            name=name,
            require_limits=require_limits,
            threaded=threaded,
            cgroup_manager=cgroup_manager,
        )
        if not group.paths:
            raise unenforced.without(places.LIMITABLE, operation="make a cgroup")
        return group

    @classmethod
    def for_limits(
        cls,
        limits: Limits | None = None,
        *,
        devices: Sequence[DeviceRule] = (),
        resources: Resources | None = None,
        name: str | None = None,
        require_limits: bool = True,
        threaded: bool = False,
        cgroup_manager: CgroupManager = "cgroupfs",
    ) -> Cgroup:
        """Make a group as `create` does, of limits validated before.

        With `require_limits` False there may be no directory at all: then nothing can be added, and nothing is
        measured.
        """
        from pycgroups.cgroups import making, names, sweep
        from pycgroups.cgroups.limits import NO_LIMITS

        limits = limits or NO_LIMITS
        if cgroup_manager not in _CGROUP_MANAGERS:
            raise invalid("cgroup_manager", cgroup_manager, " or ".join(map(repr, _CGROUP_MANAGERS)))
        if name is not None and cgroup_manager == "cgroupfs":
            names.check(name)
        asked = making.asked(limits, devices, resources)
        if devices:
            unenforced.check_devices()
        if threaded:
            making.check_threaded(name, limits, asked)
        if cgroup_manager == "systemd":
            return cls._make_in_scope(limits, asked, name, require_limits=require_limits)
        sweep.sweep()
        for _ in range(_ATTEMPTS):
            try:
                return cls._make(limits, asked, name, require_limits=require_limits, threaded=threaded)
            except CgroupError as error:
                if error.errno not in _RACES:
                    raise
                failure = error
                places.forget()
        raise failure

    @classmethod
    def _make(
        cls, limits: Limits, asked: Resources, name: str | None, *, require_limits: bool, threaded: bool
    ) -> Cgroup:
        from pycgroups.cgroups import names

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
        group.threaded = threaded
        if threaded:
            from pycgroups.cgroups.v2.manager import THREADED

            found = tuple(place._replace(controllers=place.controllers & THREADED) for place in found)
        try:
            group._make_in(found, group.name, asked, marked=name is not None)
        except BaseException:
            group._abandon()
            raise
        return group

    @classmethod
    def _make_in_scope(cls, limits: Limits, asked: Resources, name: str | None, *, require_limits: bool) -> Cgroup:
        from pycgroups.cgroups import names, scope, sweep  # few ask for it

        name = name or names.fresh()
        unit = scope.Name.parse(name)
        sweep.sweep()
        group = cls(name, limits, ())
        group._scope = scope.Scope(unit, asked)
        try:
            # On v2 device rules are a program, which needs no controller of systemd's.
            extra = places.offered(places.places(resources.controllers(asked))) & {places.DEVICES}
            place = group._scope.place
            found = (place._replace(controllers=place.controllers | extra),)
            group.unenforced = unenforced.check(found, limits, asked, require_limits=require_limits)
            group._make_in(found, scope.GROUP, asked, marked=True)
        except BaseException:
            group._abandon()
            raise
        return group

    def _make_in(self, found: tuple[Place, ...], name: str, asked: Resources, *, marked: bool) -> None:
        """Make the directories, and in each hierarchy those above that the name has; then write the limits."""
        from pycgroups.cgroups import making

        for place in found:
            making.make(place, name, self._managers, self._above, marked=marked)
        for manager in self._managers:
            if self.threaded:
                manager.make_threaded()
            manager.apply(asked)

    @classmethod
    def open(cls, name: str) -> Cgroup:
        """Take hold of a group that exists, to look at it or to change it.

        As a context manager it lets go of the group at the end of the block; `remove()` removes it all the same. It
        does not keep a group from being swept when its creator dies.

        Args:
            name: of a group that pycgroups made, as for `create`; or the path of any cgroup's directory, which stands
                for the group of that name in all hierarchies.

        Raises:
            NotFound: there is none.
            InvalidConfig: neither a name nor a directory of a cgroup.
            CgroupError: it cannot be opened.
        """
        from pycgroups.cgroups import existing  # not needed to make one

        if not isinstance(name, str) or "\0" in name:
            raise invalid("name", name, "the name of a group, or the path of a cgroup")
        return cls._of(name, existing.by_path(name) if name.startswith("/") else existing.by_name(name))

    @classmethod
    def current(cls) -> Cgroup:
        """Take hold of the cgroup that this process is in now, as `open` does.

        Raises:
            NotFound: it sees none.
        """
        from pycgroups.cgroups import existing

        found = existing.current()
        return cls._of(found[0].path, found)

    @classmethod
    def _of(cls, name: str, found: list[Place]) -> Cgroup:
        group = cls(name)
        group._created = False
        try:
            for place in found:
                group._managers.append(places.held(place))
        except BaseException as error:
            group.let_go()
            if isinstance(error, CgroupError) and error.errno in GONE:
                raise NotFound("removed meanwhile", operation="open cgroup", path=error.path) from None
            raise
        return group

    @property
    def limits(self) -> Limits:
        """What was asked for by words."""
        if self._limits is None:
            from pycgroups.cgroups.limits import NO_LIMITS

            return NO_LIMITS
        return self._limits

    def add(self, pid: int) -> None:
        """Move a process into the group, with all its threads. Its children are born inside.

        Raises:
            InvalidConfig: not a process id.
            CgroupError: no such process (ESRCH), or this user may not move it (EACCES).
            Unsupported: the group has no directory: no limit could be enforced.
        """
        _check_pid(pid)
        self.check()
        if not self._managers:
            raise unenforced.without(places.LIMITABLE, operation="add a process")
        for manager in self._managers:
            manager.add(pid)

    def add_thread(self, tid: int) -> None:
        """Move one thread into the group; on v2 into a `threaded` one, while its process is in the group above.

        Args:
            tid: as `threading.get_native_id()` tells it.

        Raises:
            InvalidConfig: not an id of a thread.
            CgroupError: no such thread (ESRCH), it may not enter (EOPNOTSUPP), or not be moved by this user (EACCES).
        """
        _check_pid(tid)
        self.check()
        if not self._managers:
            raise unenforced.without(places.LIMITABLE, operation="add a thread")
        for manager in self._managers:
            manager.add_thread(tid)

    def threads(self) -> tuple[int, ...]:
        """Ids of the threads inside, those of subgroups not included."""
        return tuple(sorted(set().union(*(manager.threads() for manager in self._managers))))

    def move_to(self, other: Cgroup, *, timeout: float = tree.PATIENCE) -> None:
        """Move every process inside, subgroups included, into another group, until none is left.

        Args:
            other: where to.
            timeout: seconds for new processes to stop appearing; the kernel moves them one at a time.

        Raises:
            InvalidConfig: `other` is no group.
            CgroupError: some are left after `timeout`, or may not be moved (EACCES); those moved before stay moved.
        """
        if not isinstance(other, Cgroup):
            raise invalid("other", other, "a Cgroup: Cgroup.create or Cgroup.open makes one")
        tree.move(self.processes, other.add, self.name, _deadline(timeout))

    def processes(self) -> tuple[int, ...]:
        """Pids inside, subgroups included; 0 stands for one outside this process's pid namespace.

        Subgroups that other users have closed, as root can, are left out.
        """
        found = (tree.processes(manager.directory, open_ones=True) for manager in self._managers)
        return tuple(sorted(set().union(*found)))

    def set(self, *, resources: Resources | None = None, **words: Unpack[Words]) -> None:
        """Change limits; those left out stay. A limit below what is in use reclaims, and may kill by OOM.

        Args:
            resources: in the words of the OCI runtime specification, instead of the others.
            **words: see `Limits`.

        Raises:
            InvalidConfig: a bad limit, or limits by words and by `resources`; nothing was changed.
            Unsupported: a limit of a kind that the group was not made with, where that cannot be added.
            CgroupError: the kernel refuses one; what was written before it is set back. Of a group of its own systemd
                keeps what it was told.
        """
        from pycgroups.cgroups import making
        from pycgroups.cgroups.limits import WORDS
        from pycgroups.frozen import evolve
        from pycgroups.misnamed import check_options

        check_options(Cgroup.set, words, WORDS)
        given: dict[str, Any] = {word: value for word, value in words.items() if value is not None}
        limits = evolve(self.limits, **given)
        changes = limits.only(given)
        self._change(changes, making.asked(changes, (), resources))
        self._limits = limits

    def _change(self, limits: Limits | None, asked: Resources) -> None:
        """Write limits, after a look at all of them."""
        self.check()
        unenforced.check_change(self._managers, limits, asked, known=self.unenforced)
        if self._scope is not None:
            self._scope.change(asked)
        try:
            for manager in self._managers:
                manager.directory.before = {}
                manager.apply(asked)
        except BaseException:
            from pycgroups.cgroups import setback

            for manager in reversed(self._managers):
                setback.set_back(manager.directory)
            raise
        finally:
            for manager in self._managers:
                manager.directory.before = None

    def set_devices(self, rules: Sequence[DeviceRule]) -> None:
        """Say which device nodes may be read, written and made; what a process has open stays open.

        Args:
            rules: at least one; the last that matches decides, and what none matches is denied. So a list of what
                is allowed is enough, and `[DeviceRule(allow=True), DeviceRule(allow=False, type="b")]` takes away
                the block devices alone. The groups above may allow less, which then holds.

        The old rules hold until the new ones do: what both allow never fails, what both deny never succeeds. Only
        where v1 changes from "all devices but some" to "none but some" all are denied for a moment.

        Raises:
            InvalidConfig: a bad rule, or none; nothing was changed.
            Unsupported: the group was made without device rules, or v1 cannot express these.
            CgroupError: the kernel refuses them; on v1, a group above does not allow what these do (EPERM), and what
                was written before that is in force.

        Sources: "Device controller" in cgroup-v2.rst; cgroup-v1/devices.rst.
        """
        if not rules:
            raise invalid("devices", rules, "at least one rule; [DeviceRule(allow=True)] allows everything")
        self.check()
        if not any(places.DEVICES in each.controllers for each in self._managers):
            raise Unsupported(
                "the group was made without device rules",
                operation="limit devices",
                path=self.paths[0] if self.paths else None,
                hint="give it some when it is made: devices=[DeviceRule(allow=True)]",
            )
        from pycgroups.cgroups import making
        from pycgroups.cgroups.limits import NO_LIMITS

        self._change(NO_LIMITS, making.asked(NO_LIMITS, rules, None))

    def sample(self) -> Sample:
        """Measure what the group has used until now, in a few files.

        Raises:
            CgroupError: the group was removed by someone else.
        """
        from pycgroups.cgroups.sample import Sample

        return Sample.of(self._count(whole=False))

    def stats(self) -> Stats:
        """Measure all that the group uses and has used.

        Raises:
            CgroupError: the group was removed by someone else.
        """
        from pycgroups.cgroups import pressure, stats  # classes that take time to make, and that a run does without

        waited = pressure.read(self._unified)
        return stats.make(self._count(whole=True), waited)

    def pressure(self) -> Pressure:
        """Measure the time that the group's processes have lost by waiting for CPU, memory and disks.

        Raises:
            Unsupported: nobody counts it: there is no cgroup v2 directory, or the kernel was booted without psi=1.
            CgroupError: the group was removed by someone else.
        """
        from pycgroups.cgroups import pressure

        unified = self._unified
        if waited := pressure.read(unified):
            return waited
        if unified is not None:
            unified.check()
        raise pressure.unsupported(unified)

    def memory_peak(self) -> MemoryPeak:
        """Watch the most memory that is in use at once, from now on: beside `stats().memory.peak`, which never falls.

        Each reader has a peak of its own; close it, or use it as a context manager:

            with group.memory_peak() as peak:
                ...
                peak.read()    # bytes
                peak.reset()   # and anew

        Raises:
            Unsupported: this needs the memory controller of cgroup v2, and Linux 6.12.
            CgroupError: the group was removed by someone else.
        """
        from pycgroups.cgroups.peak import MemoryPeak

        return MemoryPeak(self._unified)

    @property
    def _unified(self) -> Directory | None:
        """The v2 directory, if the group has one."""
        self.check()
        return next((each.directory for each in self._managers if each.clone_fd is not None), None)

    def _count(self, *, whole: bool) -> Counts:
        """Put together what the directories count. v2's, the first, wins: it counts CPU time in finer steps."""
        self.check()
        counts: Counts = {}
        asked = []
        for manager in reversed(self._managers):
            found = manager.count(whole=whole)
            for section, fields in found.items():
                counts[section] = counts.get(section, {}) | fields
            if found:
                asked.append(manager)
        for manager in asked or self._managers:
            manager.directory.check()
        return counts

    @property
    def frozen(self) -> bool:
        """Whether every process inside stands still, because this group or one above it is frozen."""
        return any(manager.frozen() for manager in self._managers)

    def freeze(self, timeout: float = tree.PATIENCE) -> None:
        """Stop every process inside, subgroups included, and wait until all stand still.

        They notice nothing, use no CPU time, and can be killed. On v2 this is cgroup.freeze (kernel 5.2), which hybrid
        hosts have too; on v1 the freezer, where killing means to let the dying go on.

        Args:
            timeout: seconds.

        Raises:
            CgroupError: some go on after `timeout`, and are named; the group is thawed again.
            Unsupported: the group has no freezer.
        """
        deadline = _deadline(timeout)
        self.check()
        freezer = next((manager for manager in self._managers if manager.frozen() is not None), None)
        if freezer is None:
            for manager in self._managers:
                manager.directory.check()
            raise unenforced.no_freezer(self._managers)
        try:
            freezer.set_frozen(True, deadline)
        except BaseException:
            try:
                freezer.set_frozen(False, time.monotonic())
            except CgroupError:
                pass  # what went wrong before is what matters
            raise

    def thaw(self, timeout: float = tree.PATIENCE) -> None:
        """Let all go on that `freeze`, or somebody else, stopped in this group. What goes on already is left alone.

        Args:
            timeout: seconds.

        Raises:
            CgroupError: they do not go on within `timeout`: a group above is frozen.
        """
        deadline = _deadline(timeout)
        for manager in self._managers:
            if manager.frozen() is not None:
                manager.set_frozen(False, deadline)

    def watch(
        self,
        *kinds: str,
        pressure: PressureTrigger | str | Sequence[PressureTrigger | str] | None = None,
    ) -> Watch:
        """Watch what happens in the group from now on, without polling.

            with group.watch("oom_kill") as watch:
                for event in watch: ...                 # until the group is removed
                watch.read(timeout=5)                   # or for a time
                async for event in watch: ...           # or in asyncio
                watch.in_thread(print)                  # or by a callback

        Args:
            kinds: any of these; all that the group can tell if nothing is asked for.
                "oom": memory ran out, nothing could be reclaimed.
                "oom_kill": a process was killed for it.
                "high": `memory_high` was passed (v2).
                "pids": a fork was refused (v1: before kernel 6.11 only).
                "populated", "empty": the first process came, the last one went, subgroups included (v2 and hybrid).
                "frozen", "thawed": all processes stand still, or go on (v2 and hybrid).
                A state that came and went between two looks is not seen; of counts every one is.
            pressure: a `PressureTrigger`, or several (v2 and hybrid); on v1 "low", "medium" or "critical", a level of
                memory pressure.

        Raises:
            InvalidConfig: no such kind.
            Unsupported: nothing tells of it here; with the reason.
            CgroupError: the group was removed, or the kernel refuses something.
        """
        from pycgroups.cgroups import watch  # needs the C shim

        self.check()
        return watch.Watch(self._managers, kinds, watch.check_pressure(pressure))

    def kill(self) -> None:
        """Kill every process inside, subgroups included, and wait until they are dead.

        Raises:
            CgroupError: some are not dead after 10 seconds, and are named; or this process is inside.
            Unsupported: it is a group of threads, which do not die alone.
        """
        if self.threaded:
            raise Unsupported("a thread does not die alone", operation="kill", hint="kill the group above")
        deadline = time.monotonic() + tree.PATIENCE
        self._unfreeze_dead()
        for manager in self._managers:
            manager.kill(deadline)

    def remove(self) -> None:
        """Kill what is inside and remove the group, its subgroups first. Doing it twice is allowed.

        The threads of a `threaded` group are not killed: they go back to the group above.

        Raises:
            CgroupError: as for `kill`; the rest of the group is there, and `remove` may be called again.
        """
        deadline = time.monotonic() + tree.PATIENCE
        for manager in self._managers if self.threaded else ():
            while manager.threads() and time.monotonic() < deadline:
                manager.move_threads_up()
        self._unfreeze_dead()
        while self._managers:
            self._managers[-1].remove(deadline)
            self._managers.pop()
            self._over = True
        if self._above:
            from pycgroups.cgroups import sweep
        while self._above:
            with self._above.pop() as above:
                if sweep.abandoned(above):
                    tree.try_rmdir(above.path)
        if self._scope is not None:
            self._scope.stop()

    def check(self) -> None:
        """Do nothing while this is a group.

        Raises:
            CgroupError: it was removed, or let go, by this object.
        """
        if self._over:
            raise CgroupError("was removed, or let go", operation="use cgroup", path=self.name, errno=errno.ENOENT)

    def _abandon(self) -> None:
        """Remove the group after something went wrong, which is what the caller is told, and not what may fail here."""
        try:
            self.remove()
        except CgroupError:
            self.let_go()

    def _unfreeze_dead(self) -> None:
        """Kill what v1's freezer stops: elsewhere one would wait in vain for it to die."""
        for manager in self._managers:
            stopped = "freezer" in manager.controllers and tree.processes(manager.directory)
            if stopped and os.getpid() not in self.processes():
                manager.kill_all(manager.directory)

    def let_go(self) -> None:
        """Close the descriptors, and leave the group to the next process that makes one."""
        self._over = self._over or bool(self._managers)
        super().let_go()
        for above in self._above:
            above.close()
        self._above = []
        if self._scope is not None:
            self._scope.let_go()

    def __enter__(self) -> Self:
        """Remove the group at the end of the block; one that was opened is let go."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it, or let go."""
        if self._created:
            self.remove()
        else:
            self.let_go()

    def __reduce__(self) -> str:
        """Refuse to be pickled: descriptors are this process's."""
        raise TypeError("a Cgroup cannot be pickled; another process takes hold of it with Cgroup.open(path)")

    def __repr__(self) -> str:
        """Name and limits."""
        return f"<Cgroup {self.name!r} {self.limits!r}>"


def _check_pid(pid: object) -> None:
    """Refuse what the kernel would read as something else: 0 is the writer itself."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        raise invalid("pid", pid, "a process id: an int above 0")


def _deadline(timeout: object) -> float:
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
        raise invalid("timeout", timeout, "seconds, at least 0")
    return time.monotonic() + timeout
