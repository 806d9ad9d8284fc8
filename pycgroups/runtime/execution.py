"""`exec`: another process in a container that runs, as isolated as the container's own."""

from __future__ import annotations

import errno
import os

from pycgroups._native.calls import lib
from pycgroups.cgroups import by_path, placed
from pycgroups.cgroups.entrance import Entrance
from pycgroups.cgroups.files import read_path
from pycgroups.errors import CgroupError, Error, LaunchError, NotFound, StateError, Unsupported, own_errors
from pycgroups.namespaces import files, own
from pycgroups.runtime import confinement, entering, granting, handing, hooks, launch, terminals
from pycgroups.runtime.preserved import Preserved
from pycgroups.runtime.program import Confines
from pycgroups.runtime.signals import has_ended, open_process, send_signal
from pycgroups.runtime.state import make_state, write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups._native.spawning import Report
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.sample import Sample
    from pycgroups.cgroups.within import Inner
    from pycgroups.oci.runtime_spec import Linux, Process, Spec
    from pycgroups.oci.uncommon import Hook
    from pycgroups.runtime.program import Manner
    from pycgroups.runtime.state import Record
    from pycgroups.runtime.steps import Plan
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple


_ATTEMPTS = 8
_SIGSTOP = 19
_LISTENER: int = lib.SECCOMP_FILTER_FLAG_NEW_LISTENER


class Wishes(NamedTuple):
    """How it is started; see `Container.exec`."""

    stdio: Sequence[int] = (0, 1, 2)
    console_socket: str | None = None
    pid_file: str | None = None
    preserved: Preserved = Preserved()
    detached: bool = False
    cgroups: Sequence[str] = ()
    supervised: bool = False
    is_awaited: bool = False
    ignore_paused: bool = False
    limits: Limits | None = None
    require_limits: bool = True
    confines: Confines = Confines()
    deadline: float | None = None


class Executed:
    """A process that was started in a container.

    Attributes:
        args: the command.
        pid: its pid, as this process sees it.
        master: of its terminal, where it has one that no console socket got; else -1.
        notices: what went wrong and is no error, such as a capability that there is none of.
        ended: what is called once, when it has ended, with its wait status; None for one that nobody knows.
        sample: what all that was in its own cgroup has used, once it has ended; None if it has none.
    """

    __slots__ = (
        "_around",
        "_group",
        "_is_closed",
        "_is_left",
        "_running",
        "args",
        "ended",
        "master",
        "notices",
        "pid",
        "sample",
    )

    def __init__(  # noqa: PLR0917
        self,
        running: launch.Running,
        args: Sequence[str],
        master: int,
        notices: list[str],
        around: Sequence[str],
        group: Inner | None,
    ) -> None:
        """Take over the process, and its cgroup; `around` is the container's."""
        self._running = running
        self._around = around
        self._group = group
        self._is_closed = False
        self._is_left = False
        self.sample: Sample | None = None
        self.args = args
        self.pid = _first_child(running.pid) if running.plan.supervised else running.pid
        self.master = master
        self.notices = notices
        self.ended: Callable[[int | None], object] | None = None

    @property
    def unenforced(self) -> tuple[str, ...]:
        """Those of its own limits that are not in force."""
        return () if self._group is None else self._group.unenforced

    @property
    def status(self) -> int | None:
        """Its wait status, if it is known already that it has ended."""
        outcome = self._running.outcome
        return None if outcome is None else outcome.value

    def fileno(self) -> int:
        """A descriptor that is readable once it has ended."""
        return self._running.fileno()

    def wait(self) -> int:
        """Wait for its end; the exit status as `subprocess` has it, negative for a signal.

        Raises:
            StateError: somebody else in this process has taken the exit status.
        """
        self._running.wait()
        status, _ = self.finish()
        if status is None:
            raise StateError("somebody else has taken the exit status", operation="wait", path=str(self.pid))
        return os.waitstatus_to_exitcode(status)

    def finish(self) -> tuple[int | None, Report | None]:
        """Close what is held of one that has ended; its wait status, if that is known, and what it used.

        Of one that was abandoned nothing is known.
        """
        return (None, None) if self._is_left else self._finish()

    def _finish(self) -> tuple[int | None, Report | None]:
        self._running.hear()
        own, usage = self._running.reap()
        told = self._running.report
        status, usage = (own, usage) if told is None else (told.value, told)
        self._measure()
        self._tell(status)
        self._close()
        return status, usage

    def _tell(self, status: int | None) -> None:
        ended, self.ended = self.ended, None
        if ended is not None:
            ended(status)

    def signal(self, number: int) -> None:
        """Send it a signal; none is sent to the dead. A supervisor hands on all but what stops itself."""
        if number == _SIGSTOP and self.pid != self._running.pid:
            self._stop()
        else:
            self._running.signal(number)

    def _stop(self) -> None:
        program = open_process(self.pid)
        if program < 0:
            return
        try:
            if self.pid == _first_child(self._running.pid):  # the pid is its own still
                send_signal(program, _SIGSTOP)
        finally:
            os.close(program)

    def kill(self) -> None:
        """Kill it; one that is supervised, or has limits of its own, with all that it has started.

        That takes time: ask again after a while.
        """
        if self._group is not None and self._group.paths:
            self._group.strike()
        else:
            self._running.kill()

    def stands_still(self) -> bool:
        """Tell whether the container is paused: whatever it is sent, it ends when that goes on."""
        return by_path.is_frozen(self._around)

    def abandon(self) -> None:
        """Kill it, and do not wait for the end: its container is paused."""
        self.kill()
        self.leave()

    def leave(self) -> None:
        """Leave it to a thread to wait for its end: that of the container waits for whoever takes the exit status.

        Raises:
            RuntimeError: there cannot be one. It is killed.
        """
        from pycgroups.threads import Thread  # loads threading

        self._is_left = True
        waiting = Thread(self._end_later, "pycgroups-left")
        try:
            waiting.start()
        except BaseException:
            if waiting.cancel() and self.stands_still():
                self.let_go()
            elif waiting.cancel():
                self._close()
            raise

    def _end_later(self) -> None:
        self._running.wait()
        try:
            self._finish()
        except Error:  # the next who executes something in the container will try again
            return

    def let_go(self) -> None:
        """Close what is held; the process goes on."""
        self.ended = None
        self._close_master()
        self._running.let_go()
        if self._group is not None:
            self._group.let_go()

    def close(self) -> None:
        """Kill it, if it has not ended, and all that is in its own cgroup, and close what is held.

        Raises:
            CgroupError: not all of that dies; the next who executes something in the container will try again.
        """
        if self._is_closed or self._is_left:
            return
        if not self._running.is_reaped and self.stands_still():
            self.abandon()
            return
        self._close()

    def _close(self) -> None:
        self._close_master()
        try:
            self._running.close()
        finally:
            self._tell(None)
            if self._group is not None:
                self._group.end()
        self._is_closed = True

    def _measure(self) -> None:
        if self._group is None or not self._group.paths:
            return
        try:
            self.sample = self._group.sample()
        except CgroupError:  # it was removed with the container
            return

    def _close_master(self) -> None:
        master, self.master = self.master, -1
        if master >= 0:
            os.close(master)


def _first_child(pid: int) -> int:
    """Return the pid of a supervisor's program, or its own where that does not show: proc_tid_children(5)."""
    found = read_path(f"/proc/{pid}/task/{pid}/children").split(maxsplit=1)
    return int(found[0]) if found else pid


class _Target(NamedTuple):
    """The container: what is known of it, and a pidfd of its first process, which runs."""

    record: Record
    spec: Spec
    pidfd: int


@own_errors("exec")
def execute(
    directory: str,
    record: Record,
    spec: Spec,
    process: Process | Callable[[Process, int], Process],
    wishes: Wishes,
) -> Executed:
    """Start a process in the container that a record is of, and its state directory; see `Container.exec`."""
    pidfd = -1
    try:
        if not record.started_at:
            raise _not_running(record)
        if callable(process):
            assert spec.process is not None  # `create` has seen to that
            process = process(spec.process, record.pid)
        executed = _execute_by_init(directory, record, spec, process, wishes)
        if executed is not None:
            return executed
        pidfd = open_process(record.pid)
        # In this order: the descriptor is of no other process. The pid may be, of one that comes after its end.
        if pidfd < 0 or not record.is_alive():
            raise _not_running(record)
        return _execute_either_way(_Target(record, spec, pidfd), process, wishes)
    except (NotFound, Unsupported, CgroupError, LaunchError) as error:
        if not record.is_ending():
            raise
        raise _not_running(record) from error
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _not_running(record: Record) -> StateError:
    return StateError("container not running", operation="exec", path=record.id)


def _execute_by_init(directory: str, record: Record, spec: Spec, process: Process, wishes: Wishes) -> Executed | None:
    """Start a process by the container's own init, if that is in its power."""
    beyond = wishes.limits is not None or wishes.supervised or wishes.detached or wishes.cgroups or wishes.preserved.fds
    if beyond or wishes.ignore_paused or process.terminal or not record.forks:
        return None
    try:
        socket = os.open(f"{directory}/{record.forks}", os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it has ended
        return None
    from pycgroups.runtime import forks  # of a container that is held

    try:
        grantable, groups = _grantable(spec), _may_set_groups(record.pid, record.started_at)
        planned = forks.plan(process, spec, grantable, groups, wishes.confines)
        running = planned and forks.start(*planned, record, socket, wishes.stdio, is_awaited=wishes.is_awaited)
    finally:
        os.close(socket)
    if not running:
        return None
    try:
        return _executed(running, process, grantable, record, wishes)
    except BaseException:
        running.close()
        raise


def _execute_either_way(target: _Target, process: Process, wishes: Wishes) -> Executed:
    if wishes.limits is not None:
        supervised = not wishes.detached  # it ends with who waits for it, and with it all that it has started
        return _execute_in_group(target, process, wishes._replace(supervised=supervised), wishes.limits)
    try:
        return _execute(target, process, wishes, None)
    except LaunchError as error:
        if not (_is_unseen(error) and target.record.cgroups):
            raise
    from pycgroups.cgroups.limits import NO_LIMITS  # few come here

    return _execute_in_group(target, process, wishes._replace(supervised=False), NO_LIMITS)


def _execute_in_group(target: _Target, process: Process, wishes: Wishes, limits: Limits) -> Executed:
    """Start it in a cgroup of its own, which ends with it."""
    limited = _limit(target.record, wishes, limits)
    try:
        try:
            return _execute(target, process, wishes, limited)
        except LaunchError as error:
            if not (_is_unseen(error) and wishes.supervised):
                raise
        return _execute(target, process, wishes._replace(supervised=False), limited)
    except BaseException:
        try:
            limited.end()
        except CgroupError:  # the next who executes something in the container will try again
            limited.let_go()
        raise


def _is_unseen(error: LaunchError) -> bool:
    """Tell whether a supervisor does not see what it would have to end, by the /proc that the container has."""
    return (error.step, error.errno) == ("start of the program", errno.EXDEV)


def _execute(target: _Target, process: Process, wishes: Wishes, limited: Inner | None) -> Executed:
    record, spec = target.record, target.spec
    profile = spec.linux.seccomp
    grantable = _grantable(spec)
    manner = _manner(process, profile, wishes.confines)._replace(
        detached=wishes.detached,
        grantable=grantable,
        init=wishes.supervised,
        handed=len(wishes.preserved.fds),
        holes=wishes.preserved.holes,
    )
    console = listener = -1
    try:
        if wishes.console_socket is not None:
            console = handing.connect(wishes.console_socket)
        if profile is not None and confinement.has_listener(profile):
            listener = confinement.connect(profile)
        running = _launch(target, process, manner, wishes, limited=limited)
        try:
            if profile is not None and listener >= 0:
                handed, listener = listener, -1
                confinement.hand_on(running, handed, profile, make_state(record, "running"))
            running.until_started(wishes.deadline)
            if limited is not None:
                limited.began(supervisor=manner.init)
            master = terminals.hand_on(terminals.made(running), console)
            return _executed(running, process, grantable, record, wishes, master=master, group=limited)
        except BaseException:
            _give_up(running, record)
            raise
    finally:
        for fd in (console, listener):
            if fd >= 0:
                os.close(fd)


def _give_up(running: launch.Running, record: Record) -> None:
    """End what has not begun; what a freezer of v1 holds does not die, and a thread waits for that."""
    if not by_path.is_frozen(record.cgroups):
        running.close()
        return
    running.forsake()
    from pycgroups.threads import Thread  # loads threading

    waiting = Thread(running.close, "pycgroups-left")
    try:
        waiting.start()
    except BaseException:
        if waiting.cancel():
            running.let_go()  # it ends with its socket
        raise


def _executed(
    running: launch.Running,
    process: Process,
    grantable: int,
    record: Record,
    wishes: Wishes,
    *,
    master: int = -1,
    group: Inner | None = None,
) -> Executed:
    notices = granting.notices(process, grantable)
    executed = Executed(running, process.args, master, notices, record.cgroups, group)
    if wishes.pid_file is not None:
        write_pid(wishes.pid_file, executed.pid)
    return executed


def run_hooks(spec: Spec, record: Record) -> None:
    """Run the hooks that come before the container's program, where that will be, with its rights.

    Raises:
        LaunchError: one failed.
    """
    assert spec.process is not None
    manner = confinement.manner(spec.process, spec.linux.seccomp)
    manner = manner._replace(grantable=_grantable(spec), seccomp_flags=manner.seccomp_flags & ~_LISTENER)
    pidfd = open_process(record.pid)
    try:
        if pidfd < 0 or not record.is_alive():
            raise LaunchError("the container's process has ended", step="hooks.startContainer")
        _run_inner_hooks(spec, record, pidfd, manner)
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _run_inner_hooks(spec: Spec, record: Record, pidfd: int, manner: Manner) -> None:
    process = spec.process
    assert spec.hooks is not None
    assert process is not None
    groups, leaves_groups = own.may_set_groups_there(record.pid)

    def make(hook: Hook, kinds: Sequence[str]) -> Plan:
        return entering.make_inner_hook(
            hook,
            process,
            spec.linux,
            kinds,
            manner=manner,
            groups=groups,
            leaves_groups=leaves_groups,
            root=_root(record),
        )

    state = make_state(record, "created")
    hooks.run("startContainer", spec.hooks.start_container, state, inside=record.pid, pidfd=pidfd, make=make)


def _grantable(spec: Spec) -> int:
    return granting.grantable(userns=any(space.type == "user" for space in spec.linux.namespaces))


def _limit(record: Record, wishes: Wishes, limits: Limits) -> Inner:
    """Make a cgroup for the process alone, in that of the container."""
    from pycgroups.cgroups import within

    if not wishes.ignore_paused and by_path.is_frozen(record.cgroups):
        raise _paused(record)
    return within.Inner.make(record.cgroups, limits, require_limits=wishes.require_limits, left=wishes.detached)


def _paused(record: Record) -> StateError:
    return StateError("cannot exec in a paused container", operation="exec", path=record.id)


def _launch(
    target: _Target, process: Process, manner: Manner, wishes: Wishes, *, limited: Inner | None
) -> launch.Running:
    """Start a process in the container's namespaces and cgroup."""
    record, spec, pidfd = target
    try:
        kinds, groups = files.others(record.pid), own.may_set_groups_there(record.pid)
    except (FileNotFoundError, ProcessLookupError):
        raise _not_running(record) from None
    if has_ended(pidfd):
        raise _not_running(record)
    for attempt in range(_ATTEMPTS):
        with Entrance(_cgroups(record, wishes.cgroups, limited)) as group:
            if not wishes.ignore_paused and group.frozen:
                raise _paused(record)
            plan, encoded = _plan(process, spec.linux, kinds, len(group.join_fds), manner, *groups, _root(record))
            running = launch.Running(plan)
            try:
                launch.launch(
                    running,
                    encoded,
                    stdio=wishes.stdio,
                    cgroup=group.clone_fd,
                    given=[*group.join_fds, *([pidfd] if kinds else ()), *wishes.preserved.fds],
                    placed=_classifier(record),
                )
            except LaunchError as error:
                # Somebody has just moved the container's processes out of the way: `pycgroups.cgroups.within`.
                is_race = (error.step, error.errno) == ("clone3", errno.EBUSY) and not wishes.cgroups
                if not is_race or attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
    return running


@lru_cache(64)  # what a process has begun with stays
def _may_set_groups(pid: int, began: int) -> bool:  # noqa: ARG001 (of which process that is)
    try:
        return own.may_set_groups(pid)
    except (FileNotFoundError, ProcessLookupError):  # it has ended, which is found out when it is asked
        return False


_manner = lru_cache(64)(confinement.manner)  # a program may be executed a thousand times


@lru_cache(64)  # likewise
def _plan(  # noqa: PLR0917 (positional: keywords make a slower key)
    process: Process,
    linux: Linux,
    kinds: tuple[str, ...],
    joins: int,
    manner: Manner,
    groups: bool,
    leaves_groups: bool,
    root: str,
) -> tuple[Plan, bytes]:
    made = entering.make_exec(
        process,
        linux,
        kinds,
        joins=joins,
        manner=manner,
        terminal=terminals.wanted(process),
        groups=groups,
        leaves_groups=leaves_groups,
        root=root,
    )
    return made, made.encode()


def _root(record: Record) -> str:
    """Say where a container's root is that has no mount namespace of its own."""
    return record.mounted[0] if record.mounted else ""


def _classifier(record: Record) -> Callable[[int], None] | None:
    """Return what puts a process into the class of service of the container, if that has one."""
    if not record.resctrl:
        return None
    from pycgroups.runtime import resctrl

    return lambda pid: resctrl.enter(record.resctrl, pid)


def _cgroups(record: Record, below: Sequence[str], limited: Inner | None) -> Sequence[str]:
    """Name the directories of the cgroup that the process is to be in."""
    if limited is not None and limited.paths:
        return limited.entered(record.cgroups)
    if not below:
        return placed.beside(record.cgroups, record.pid)
    paths = record.cgroups
    for name in below:
        paths = placed.sub(paths, name)
    return paths
