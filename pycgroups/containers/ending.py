"""The end of a container that is held: what there still is of its last start, and whose child it was."""

from __future__ import annotations

import os
import select
import threading

from pycgroups.cgroups import placed, placing
from pycgroups.containers import monitor, restarting
from pycgroups.containers.home import boot_id
from pycgroups.errors import InvalidConfig, NotFound, StateError
from pycgroups.images.users import is_id
from pycgroups.namespaces import own
from pycgroups.runtime import state
from pycgroups.runtime.signals import open_process, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.home import Home, Record, Start
    from pycgroups.containers.monitor import Command
    from pycgroups.containers.place import Place
    from pycgroups.runtime.container import Container as Runtime

_SIGKILL = 9
PATIENCE = 30.0
"""Seconds for the monitor of the last run to write down its end."""
_children: set[int] = set()
"""Pidfds of containers that this process has started: it is their parent, and reaps them."""
_reaping = threading.RLock()
"""Nobody else closes what one thread looks at: its number would be that of another container, which runs.

A signal handler of that thread is somebody else, too.
"""
os.register_at_fork(after_in_child=_reaping._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001


def end_restarts(home: Home) -> None:
    """See that a container, whose home is locked, is started by nobody but a user. If it runs, it goes on.

    Raises:
        Error: that cannot be noted.
    """
    if home.record().restart == restarting.NEVER:
        return
    try:
        home.note_stopped(stopped=True)
    finally:
        last = home.start()
        if last is None or not is_alive(last):
            monitor.finish(home.fd, PATIENCE)


def after(home: Home, record: Record, policy: str) -> Command | None:
    """Say what is to come after the end of a container that goes on, by another policy; None for nothing, as before.

    Args:
        home: its directory, locked.
        record: what was asked so far.
        policy: the other one.

    Raises:
        StateError: its monitor has no command that would start it again.
    """
    last = home.start()
    restarts = 0 if last is None else last.restarts
    before, wanted = (restarting.command(each, restarts, 0, (), {}) for each in (record.restart, policy))
    if before.again or monitor.is_changed(home.fd):
        return wanted
    if wanted.again:
        raise StateError(
            "it runs, and nothing can start it again after that: its monitor has given up the rights",
            operation="update restart",
            path=record.name,
            hint="stop it, change the policy, and start it",
        )
    return None


def end_unless(home: Home, command: Command) -> None:
    """See that a container, whose home is locked, does not go on unless by this command, if it has ended already."""
    last, end = home.start(), monitor.read_exit(home.fd)
    if last is not None and is_alive(last):  # its monitor asks when it ends
        return
    if not command.again or (command.if_failed and end is not None and end.status == 0):
        monitor.finish(home.fd, PATIENCE)


def cgroup_of(id_: str) -> str:
    """Say where the cgroup of a container is, in the words of ``linux.cgroupsPath``."""
    return f"/pycgroups/{id_}" if os.geteuid() == 0 and not own.is_nested() else f"pycgroups/{id_}"


def is_alive(start: Start) -> bool:
    """Tell whether the first process of a container runs; one that ended before its start was noted began at 0."""
    return 0 < start.began == state.start_of(start.pid) and start.boot == boot_id()


def signal(start: Start | None, number: int) -> bool:
    """Send a signal to the first process of a container; False if it has ended."""
    pidfd = -1 if start is None else open_process(start.pid)
    try:
        return start is not None and pidfd >= 0 and is_alive(start) and send_signal(pidfd, number)
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def clean(place: Place, home: Home, *, for_good: bool = False) -> None:
    """Remove what there still is of the last start of a container: it does not run any more, or never did.

    Args:
        place: where it is.
        home: its directory, locked.
        for_good: it is being removed. So what a start has left goes that was interrupted before it was noted, which
            another start would take.

    Raises:
        CgroupError: its cgroup cannot be removed.
    """
    from pycgroups import runtime

    try:
        there = runtime.get(home.id, root=place.runtime)
        known = _is_known(there)
        there.delete(force=True)
    except NotFound:
        known = not (for_good or home.was_started)
    if not known:
        _clean_unknown(home)
    reap()


def sweep(place: Place) -> None:
    """Remove what the runtime knows of containers that nobody else knows of: somebody has removed their directories.

    The directory of a container is there before its start, and until nothing of that is left.
    """
    from pycgroups import runtime

    there = filter(is_id, state.ids(place.runtime))
    for id_ in {*there} - {*place.homes.ids()}:
        try:
            runtime.get(id_, root=place.runtime).delete(force=True)
        except NotFound:  # it has just been removed
            continue
        placing.discard(placing.planned(cgroup_of(id_), id_))  # of one whose creator died before there was a record
    drop_empty(place)


def drop_empty(place: Place) -> None:
    """Remove the directory of what the runtime knows, when the last container has gone."""
    try:
        os.rmdir(place.runtime)
    except OSError:  # there are others, or there is none
        return


def _is_known(there: Runtime) -> bool:
    try:
        there.state()
    except (NotFound, InvalidConfig):
        return False
    return True


def _clean_unknown(home: Home) -> None:
    """Do so without what the runtime knew of it, which is gone: after a reboot, or by somebody else."""
    try:
        signal(home.start(), _SIGKILL)
    except InvalidConfig:  # damaged, too
        pass
    placed.remove(placing.planned(cgroup_of(home.id), home.id))


def remember(pidfd: int) -> None:
    """Note that this process is the parent of a container, and is to reap it."""
    _children.add(os.dup(pidfd))


def reap() -> None:
    """Take the exit statuses of the containers that this process has started, as far as they have ended."""
    from pycgroups._native import spawning

    if _reaping._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001
        return  # who was interrupted goes on with that
    with _reaping:
        ended = select.poll()
        for fd in tuple(_children):
            ended.register(fd, select.POLLIN)
        for fd, _ in ended.poll(0):
            spawning.reap(fd)
            _children.discard(fd)
            os.close(fd)
