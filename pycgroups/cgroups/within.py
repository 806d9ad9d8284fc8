"""A group inside a container's, for one program that is executed there: its limits come on top of the container's.

::

    pycgroups/ID/                   the container's, with its limits
        pycgroups.own/              v2: where its processes are since something was executed with limits of its own
        pycgroups.exec.PID.HEX/     a program's; that process holds a lock on it for as long as it waits for the program
        pycgroups.left.PID.HEX/     likewise, of one that was left to itself: it is there as long as somebody is in it

On v1 it has a directory in each hierarchy that its limits need, and in the others is in the container's.

On v2 what hands controllers down may have no processes (cgroup-v2.rst, "No Internal Process Constraint"). So the
container's move into a leaf when they first stand in the way, and stay there. Nobody has to be frozen for that: what a
process starts after its move is in the leaf as well. Where the container has made groups of its own, and hands
controllers down to them, as systemd does, nothing moves.

Who is killed leaves a group behind. The next who makes one in the same container removes it, with what is in it, unless
that was left to itself; and it goes with the container's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from pycgroups.cgroups import by_path, detect, making, names, places, resources, sweep, tree, unenforced
from pycgroups.cgroups.files import GONE, Directory
from pycgroups.cgroups.group import Cgroup
from pycgroups.cgroups.limits import MOST_PIDS
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import CgroupError
from pycgroups.oci.resources import Pids, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from attrs import evolve

    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.places import Place
else:
    from pycgroups.frozen import evolve

_OWN = "pycgroups.own"
_EXECUTED = "pycgroups.exec."
_LEFT = "pycgroups.left."
_ATTEMPTS = 8
_PAUSE = 0.001
_PROTECTION = ("memory.min", "memory.low")
# Tasks, beside the program: who forked it counts until we reap him, and a listener of seccomp's is sent by a thread.
_STARTING = 2


class Inner(Cgroup):
    """Such a group."""

    __slots__ = ()

    @classmethod
    def make(cls, paths: Sequence[str], limits: Limits, *, require_limits: bool, left: bool) -> Self:
        """Make one.

        Args:
            paths: of the container's, as `Placing.paths` had them.
            limits: what they are.
            require_limits: raise if one cannot be enforced; if False, note it in `unenforced`. There may be no
                directory at all then.
            left: it is for a program that is left to itself.

        Raises:
            InvalidConfig: a limit that no group in the container's can have.
            Unsupported: one cannot be enforced.
            CgroupError: the kernel refuses something; nothing is left behind.
        """
        asked = making.asked(limits, (), None)
        around = [by_path.place_of(path) for path in paths if os.path.isdir(path)]
        found = _places(around, resources.controllers(asked))
        lacking = unenforced.check(found, limits, asked, require_limits=require_limits)
        _sweep(around)
        for attempt in range(_ATTEMPTS):
            name = names.fresh().removeprefix(names.MADE_UP)
            group = cls((_LEFT if left else _EXECUTED) + name, limits, lacking)
            try:
                for place in found:
                    _make_room(place)
                group._make_in(found, group.name, _roomy(_fitting(found, asked)), marked=not left)
            except BaseException as error:
                group._abandon()
                # Another who executes something has swept it away.
                is_race = isinstance(error, CgroupError) and error.errno in {*GONE, errno.EAGAIN}
                if not is_race or attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
        return group

    def entered(self, paths: Iterable[str]) -> list[str]:
        """Name the directories that a process in it is in, given those of the container."""
        own = {os.path.dirname(path): path for path in self.paths}
        return [own.get(path, path) for path in paths]

    def began(self, *, supervisor: bool) -> None:
        """Note that the program runs: from now on `pids` is what was asked for.

        Args:
            supervisor: one more stays beside it, which is ours.

        Raises:
            CgroupError: the kernel refuses it; not where the group was removed with the container.
        """
        if self._limits is None or self._limits.pids is None:
            return
        asked = Resources(pids=Pids(limit=min(self._limits.pids + supervisor, MOST_PIDS)))
        for manager in self._managers:
            try:
                manager.apply(asked)
            except CgroupError as error:
                if error.errno not in GONE:
                    raise

    def end(self) -> None:
        """Remove it, and kill what is in it; one that was left to itself only when nobody is in it any more.

        Raises:
            CgroupError: not all of it dies. The next who makes one in the same container will try again.
        """
        if self.name.startswith(_LEFT):
            for manager in self._managers:
                _drop_empty(manager.kill_all, manager.directory)
            self.let_go()
            return
        try:
            self._unlimit()
            self.remove()
        except BaseException:
            self.let_go()
            raise

    def _unlimit(self) -> None:
        """Give up CPU time on v1, which counts a group for some time after it was removed: `update` would fail."""
        for manager in self._managers:
            if manager.join_fd is not None and "cpu" in manager.controllers:
                manager.directory.write_if_there("cpu.cfs_quota_us", "-1")

    def strike(self) -> None:
        """Send SIGKILL to every process inside, and do not wait: a frozen one may die later."""
        for manager in self._managers:
            try:
                manager.kill_all(manager.directory)
            except CgroupError as error:
                if error.errno not in GONE:
                    raise


def _places(around: Sequence[Place], needed: frozenset[str]) -> tuple[Place, ...]:
    """Say in which of the container's directories it has one, as `places.places` does."""
    wanted = needed if any(place.version == detect.V2 for place in around) else needed | places.OF_V1_ALONE
    return tuple(
        place._replace(controllers=place.controllers & (needed | v2.ACCOUNTING))
        if place.version == detect.V2
        else place
        for place in around
        if place.version == detect.V2 or place.controllers & wanted
    )


def _make_room(place: Place) -> None:
    """See that the container's group hands down what is needed.

    Raises:
        CgroupError: its processes do not get out of the way, or the kernel refuses.
    """
    if place.version == detect.V1:
        return
    with places.opened(place.path) as directory:
        if place.controllers <= {*directory.read("cgroup.subtree_control").split()}:
            return
        deadline = time.monotonic() + tree.PATIENCE
        while True:
            _move_down(directory, deadline)
            try:
                v2.prepare(directory, place.controllers)
            except CgroupError as error:
                # Meanwhile somebody was born here, by an exec, or the container itself has moved one.
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                break
        _protect(directory)


def _move_down(directory: Directory, deadline: float) -> None:
    """Move the processes of a group, but not of those below, into the leaf."""
    if not tree.processes_of(directory):
        return
    places.make_directory(f"{directory.path}/{_OWN}")
    with places.opened(f"{directory.path}/{_OWN}") as leaf:
        tree.move(
            # 0 is one that this process does not see, and to write that would move this process.
            lambda: [pid for pid in tree.processes_of(directory) if pid],
            lambda pid: leaf.write("cgroup.procs", str(pid)),
            directory.path,
            deadline,
        )


def _protect(directory: Directory) -> None:
    """Have the leaf share in the protection of the container's memory.

    Unless the tree is mounted with memory_recursiveprot, a group has none that asks for none; more than that of the
    groups above it never gets.
    """
    try:
        with Directory(f"{directory.path}/{_OWN}") as leaf:
            for name in _PROTECTION:
                leaf.write_if_there(name, "max")
    except FileNotFoundError:  # nobody had to move
        return


def _fitting(found: Iterable[Place], asked: Resources) -> Resources:
    """Ask on v1 for no more CPU time than the container has: v2 takes the lesser by itself, v1 refuses (EINVAL)."""
    cpu = asked.cpu
    above = next((each.path for each in found if each.version == detect.V1 and "cpu" in each.controllers), None)
    if above is None or cpu is None or cpu.quota is None or cpu.period is None:
        return asked
    with places.opened(above) as directory:
        quota, period = (int(directory.read(f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    if quota < 0 or cpu.quota * period <= quota * cpu.period:
        return asked
    return evolve(asked, cpu=evolve(cpu, quota=quota * cpu.period // period))


def _roomy(asked: Resources) -> Resources:
    """Ask for as many processes more as the start of the program takes."""
    if asked.pids is None:
        return asked
    return evolve(asked, pids=Pids(limit=min(asked.pids.limit + _STARTING, MOST_PIDS)))


def _sweep(around: Iterable[Place]) -> None:
    """Remove the groups of those who were killed, and what is empty of what was left to itself."""
    for place in around:
        with places.opened(place.path) as directory:
            for child in directory.subgroups(open_ones=True):
                name = os.path.basename(child.path)
                gone = name.startswith(_EXECUTED) and sweep.reclaim(place.version, child.path)
                if not gone and name.startswith((_EXECUTED, _LEFT)):  # one that nobody has come to mark, too
                    _drop_empty(places.MANAGERS[place.version].kill_all, child)


def _drop_empty(kill_all: Callable[[Directory], None], group: Directory) -> None:
    try:
        fcntl.flock(group.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not tree.processes(group):
            tree.remove(group, kill_all, time.monotonic())
    except (OSError, CgroupError):  # its program is about to start; or the next one will see
        return
