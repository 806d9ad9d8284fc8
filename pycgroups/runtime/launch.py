"""Launch plan -> running process.

The conversation with the helper is drawn in ``_native/helper.c``. Here: clone it, map its user namespace, send it
the plan, and turn what it reports into facts or into one exception.
"""

from __future__ import annotations

import errno
import os
import select
import time

from pycgroups._native import spawning
from pycgroups._native.calls import lib
from pycgroups.clock import milliseconds, seconds_until
from pycgroups.errors import CommandNotExecutable, CommandNotFound, Error, LaunchError
from pycgroups.runtime import rlimits
from pycgroups.runtime.signals import send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pycgroups._native.spawning import Report
    from pycgroups.oci.runtime_spec import IdMapping
    from pycgroups.runtime.steps import Plan

END: int = lib.PLAN_END_SIGNAL
"""The signal by which an init kills all others, and tells what they used; helper.c. It gets some time: `GRACE`."""
GRACE = 2.0

_SIGCONT, _SIGKILL = 18, 9
# A supervisor that does not answer, since somebody stops it again and again, is killed itself: after so many times.
_ATTEMPTS = 10
_START = "start of the program"
_CALLS = {lib.SPAWN_SOCKET: "socketpair", lib.SPAWN_CLONE: "clone3", lib.SPAWN_CHILD: "exec of the helper"}
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_TOO_LONG = (errno.E2BIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


class LateError(Exception):
    """The time is over, and the program has not begun: its container is paused, or its start takes longer."""


class Running:
    """A launched container process: its pidfd, its control socket, and what the helper has told so far.

    Attributes:
        pid: the helper's pid, PID 1 of the container; only for show, signals go through the pidfd.
        pidfd: readable when the process has ended.
        control: readable when the helper has something to say.
        started: the program is running.
        status: the wait status of the program, once it has ended.
        report: the helper's last report, with usage, once the program has ended.
        failure: what went wrong before the program ran.
        descriptors: what the helper handed over, by the step's operation (``OP_CONSOLE``, ``OP_SEND``).
        has_forked: it went on in a child of its own, which is what pid and pidfd are of by now.
        outcome: how it has ended, if that is known before it is reaped.
        told: the helper has all that it needs, and does not wait for us any more.
        maps: user namespaces by which it has us map ids (``OP_MAP``), by their slots.
        waiting: the operation that waits for us or for others (``OP_WAIT``, ``OP_START``), while it does.
    """

    def __init__(self, plan: Plan) -> None:
        """Hold nothing yet: `launch` brings it to life, `close` ends it however far it came."""
        self.spawned = spawning.Spawned()
        self.plan = plan
        self.started = False
        self.status: int | None = None
        self.report: Report | None = None
        self.failure: LaunchError | None = None
        self.descriptors: dict[int, int] = {}
        self.has_forked = False
        self.outcome: Report | None = None
        self.waiting: int | None = None
        self.told = False
        self.maps: dict[int, int] = {}
        self._is_over = False  # the conversation: nothing more is to come
        self._reaped = False
        self._ends = 0

    @property
    def pid(self) -> int:
        """The helper's pid; -1 before the launch."""
        return self.spawned.pid

    @property
    def pidfd(self) -> int:
        """Its pidfd."""
        return self.spawned.pidfd

    @property
    def is_reaped(self) -> bool:
        """Whether nothing is left of it to end."""
        return self._reaped

    @property
    def control(self) -> int:
        """Our end of the control socket."""
        return self.spawned.control

    def fileno(self) -> int:
        """A descriptor that is readable once it has ended."""
        return self.pidfd

    def hear(self, *, most: int = -1) -> bool:
        """Take in all that the helper has said, or so many records; False when there is nothing more to come."""
        while self.report is None and not self._is_over:
            if most == 0:
                return True
            most -= 1
            result, report = spawning.report(self.control)
            if report is None:
                # An end of file without init is the close-on-exec of a program that now runs.
                self._is_over = result == 0 and self.waiting is None
                ended = self._is_over and self.failure is None
                self.started = self.started or (ended and not self.plan.init)
                return result == -errno.EAGAIN
            self._take(report)
        return False

    def _take(self, report: Report) -> None:
        if report.kind == lib.REPORT_STARTED:
            self.started = True
        elif report.kind == lib.REPORT_EXITED:
            self.status, self.report = report.value, report
        elif report.kind == lib.REPORT_FD and self.plan.steps[report.step].op == lib.OP_MAP:
            self._map(report)
        elif report.kind == lib.REPORT_FD:
            self.descriptors[self.plan.steps[report.step].op] = report.fd
        elif report.kind == lib.REPORT_FORKED:
            self._go_on_with(report.value, report.fd)
        elif report.kind == lib.REPORT_WAITING:
            self.waiting = self.plan.steps[report.step].op
        elif self.failure is None:
            self.failure = step_error(self.plan, report.step, report.error)

    def hold_maps(self, handed: Sequence[int]) -> None:
        """Keep the user namespaces by which ids are mapped later; -1 is the container's own."""
        for slot in self.plan.mapped_later:
            self.maps[slot] = os.dup(handed[slot] if handed[slot] >= 0 else self.spawned.out.userns)

    def _map(self, report: Report) -> None:
        """Map the ids of a tree of the helper's, by rights which that does not have; next comes where to answer."""
        if lib.OP_MAP not in self.descriptors:
            self.descriptors[lib.OP_MAP] = report.fd
            return
        from pycgroups._native import vfs  # few ask for it

        tree, (_, slot, below) = self.descriptors.pop(lib.OP_MAP), self.plan.steps[report.step].args
        try:
            result = vfs.map_ids(tree, self.maps[slot], recursive=bool(below))
            if result < 0:
                self.failure = self.failure or step_error(self.plan, report.step, -result)
            os.write(report.fd, b"\1" if result < 0 else b"\0")  # else a supervisor would wait, and not end
        except ConnectionError:  # it has been killed, which is heard next
            return
        finally:
            os.close(tree)
            os.close(report.fd)

    def _go_on_with(self, pid: int, pidfd: int) -> None:
        """The helper has forked, and ends: what it was to be is its child's now, who is ours."""
        former = self.spawned.replace(pid, pidfd)  # first: Ctrl-C may end the wait for the helper
        self.has_forked = True
        try:
            spawning.reap(former)
        finally:
            os.close(former)

    def until(self, done: Callable[[Running], object]) -> None:
        """Listen until something is so, or nothing more is to come.

        Raises:
            LaunchError: a step failed.
        """
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while self.hear() and self.failure is None and not done(self):
            poll.poll()
        if self.failure is not None:
            raise self.failure

    def until_started(self, deadline: float | None = None) -> None:
        """Listen until the program runs, and no further: who takes over from us hears how it ends.

        Args:
            deadline: a time of the monotonic clock.

        Raises:
            LaunchError: it does not run.
            LateError: it does not run yet at the deadline.
        """
        self.waiting = None
        poll = select.poll()
        # Without an init an exec, or a failure, ends the conversation: what comes before can wait, and wakes nobody up.
        poll.register(self.control, select.POLLIN if self.plan.init or self.maps else 0)
        more = True
        while more and not self.started and self.failure is None:
            ready = poll.poll(milliseconds(seconds_until(deadline)))
            if not ready and deadline is not None and time.monotonic() >= deadline:
                raise LateError
            more = self.hear(most=1)
        if self.failure is not None:
            raise self.failure
        if not self.started:
            raise LaunchError("the container's process was killed", step=_START)

    def go_on(self) -> None:
        """Let it go on that waits for us (``OP_WAIT``)."""
        self.waiting = None
        os.write(self.control, b"\0")

    def signal(self, number: int) -> None:
        """Send a signal to PID 1; the init passes it on to the program. None is sent to the dead."""
        if not self._reaped:
            send_signal(self.pidfd, number)

    def kill(self) -> None:
        """Kill PID 1, and with it every process of its pid namespace; pid_namespaces(7).

        Where there is none, it is the supervisor who kills all others, and that takes time: ask again after `GRACE`.
        """
        self._ends += 1
        if self.plan.supervised and self.told and self._ends < _ATTEMPTS:
            self.signal(_SIGCONT)
            self.signal(END)
        else:
            self.signal(_SIGKILL)

    def wait(self, patience: int | None = None) -> bool:
        """Wait until it ends, or for some milliseconds; whether it has.

        A signal handler runs meanwhile, and its exception ends the wait, as that of Ctrl-C.
        """
        gone = select.poll()
        gone.register(self.fileno(), select.POLLIN)
        return bool(gone.poll(patience))

    def reap(self) -> tuple[int | None, Report | None]:
        """Wait for PID 1, which has ended or will at once; its wait status, and a record with its usage.

        Somebody else in this process may have reaped it: a SIGCHLD handler that waits for any child, or SIGCHLD
        ignored. There is no usage then, and before Linux 6.15 no status. The helper's report has the facts.
        """
        self._hear_of_child()
        answer = self._reap()
        self._reaped = True
        return answer

    def _hear_of_child(self) -> None:
        """If it forks: wait for the helper, which has ended or will at once, and hear whether it has forked."""
        if self.plan.forks and not self.has_forked:
            self.wait()
            self.hear()

    def _reap(self) -> tuple[int | None, Report | None]:
        """Reap it, and if it has died between its fork and its report, its child as well.

        That is our child, and the end of the pid namespace that it is in would wait for us to reap it.
        """
        unheard = self.plan.forks and not self.has_forked
        return spawning.reap(self.pidfd, group=self.pid if unheard else 0)

    def forsake(self) -> None:
        """Have it end before its program begins, whenever it goes on: it looks for us then (``OP_DEATH``)."""
        from socket import SHUT_RDWR, socket  # few come here

        end = socket(fileno=self.control)
        try:
            end.shutdown(SHUT_RDWR)
        except OSError:
            pass  # it has ended
        finally:
            end.detach()

    def let_go(self) -> None:
        """Close all descriptors, and leave the process to itself; it must outlive us by its plan."""
        self._reaped = True
        self.close()

    def close(self) -> None:
        """Kill what has not ended, and close all descriptors. May be called again when an exception came between.

        Raises:
            Error: it may not be killed. All is closed, and it ends with this process by its plan: PR_SET_PDEATHSIG.
        """
        if not self._reaped:
            try:
                self._end()
            except Error:
                self.let_go()
                raise
            self._reaped = True
        for held in self.descriptors, self.maps:
            while held:
                os.close(held.popitem()[1])
        self.spawned.close()

    def _end(self) -> None:
        """Kill and reap it, and who goes on for it: it may have forked, and we have not heard of that."""
        if self.pidfd < 0:
            return
        if self.plan.supervised:
            self._end_fork()
            self._end_supervised()
        self.signal(_SIGKILL)
        self._hear_of_child()
        if self.has_forked:
            self.signal(_SIGKILL)
        self._reap()

    def _end_fork(self) -> None:
        """Kill the helper before it has forked; then it is the supervisor, and to kill that would leave the others."""
        if self.plan.forks and not self.has_forked:
            self.signal(_SIGKILL)
            self._hear_of_child()

    def _end_supervised(self) -> None:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        self.kill()
        while not poll.poll(GRACE * 1000):
            self.kill()


def launch(
    running: Running,
    encoded: bytes,
    *,
    stdio: Sequence[int],
    above: int = -1,
    cgroup: int = -1,
    given: Sequence[int] = (),
    uid_mappings: tuple[IdMapping, ...] = (),
    gid_mappings: tuple[IdMapping, ...] = (),
    placed: Callable[[int], None] | None = None,
) -> None:
    """Start the process of a plan. It has been given all it needs; `Running.hear` tells how it goes.

    Args:
        running: what to do, and what holds the process.
        encoded: ``plan.encode()``, which a caller may keep.
        stdio: descriptors that become 0, 1 and 2.
        above: the highest descriptor of a pipe that the program has the other end of. By the control socket an init
            learns that the caller ends, and of the descriptors of a process that ends the highest is closed first: to
            close a pipe may have to wait for the program, which holds its lock.
        cgroup: a cgroup v2 directory to be born in (clone3(2), CLONE_INTO_CGROUP; Linux 5.7).
        given: the descriptors of the plan's first slots, without the user namespace.
        uid_mappings: the map of the new user namespace.
        gid_mappings: the same for groups.
        placed: called with the helper's pid before it does anything.

    Raises:
        LaunchError: a step that the caller itself performs failed. Nothing is left.
    """
    spawned, plan = running.spawned, running.plan
    namespaces: list[int] = []
    try:
        _check_spawn(spawning.begin(spawned, encoded, above), lib.SPAWN_SOCKET)
        for maps in plan.idmaps:
            namespaces.append(-1 if maps is None else make_userns(*maps))  # noqa: PERF401 (to be closed if the next fails)
        _check_step(running, spawning.give(spawned, [*given, *namespaces]))
        _check_step(running, *spawning.prepare(spawned, idmapped=False))
        idmapped, limits = plan.has_idmapped_trees, rlimits.beyond(plan)
        early = 0 if uid_mappings or placed or idmapped or limits else spawning.go_early(spawned)
        _check_step(running, early)
        running.told = bool(early)
        _spawn(spawned, plan.namespaces, cgroup, stdio, plan.keep_caps if uid_mappings else 0)
        if uid_mappings:
            _map_ids(spawned, uid_mappings, gid_mappings)
        rlimits.allow(spawned.pid, limits)
        if placed:
            placed(spawned.pid)
        if None in plan.idmaps:
            _check_step(running, spawning.open_userns(spawned, len(given) + plan.idmaps.index(None)))
        if idmapped:
            _check_step(running, *spawning.prepare(spawned, idmapped=True))
        running.hold_maps([*given, *namespaces])
        if not early:
            running.told = True
            _check_step(running, *spawning.go(spawned))
    except BaseException:
        running.close()
        raise
    finally:
        for fd in namespaces:
            if fd >= 0:
                os.close(fd)


def _spawn(spawned: spawning.Spawned, namespaces: int, cgroup: int, stdio: Sequence[int], keep_caps: int) -> None:
    executable = spawning.helper()
    if executable < 0:
        raise _refused("memfd_create", -executable)
    try:
        result, failed = spawning.child(spawned, namespaces, cgroup, stdio, keep_caps, executable)
    finally:
        os.close(executable)
    _check_spawn(result, failed)


def _check_spawn(result: int, failed: int) -> None:
    if result < 0:
        raise _refused(_CALLS[failed], -result)


def _refused(call: str, number: int) -> LaunchError:
    from pycgroups.runtime import hints

    return LaunchError(step=call, errno=number, hint=hints.for_call(call, number))


def _check_step(running: Running, result: int, step: int = -1) -> None:
    if result < 0:
        running.hear()  # a helper that is gone has perhaps said why
        raise running.failure or step_error(running.plan, step, -result)


def _map_ids(spawned: spawning.Spawned, uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> None:
    from pycgroups.runtime.id_maps import map_ids  # many have no user namespace

    map_ids(spawned, uids, gids)


def make_userns(uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> int:
    """Make a user namespace with these maps, held by the descriptor alone; for idmapped mounts."""
    spawned = spawning.Spawned()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        _check_spawn(spawning.begin(spawned, None), lib.SPAWN_SOCKET)
        _spawn(spawned, lib.CLONE_NEWUSER, -1, (null, null, null), 0)
        _map_ids(spawned, uids, gids)
        _check_spawn(spawning.open_userns(spawned, -1), lib.SPAWN_CLONE)
        return os.dup(spawned.out.userns)
    finally:
        os.close(null)
        end(spawned)
        spawned.close()


def end(spawned: spawning.Spawned) -> None:
    """Kill and reap a helper, as far as it came to be."""
    if spawned.pidfd < 0:
        return
    send_signal(spawned.pidfd, _SIGKILL)
    spawning.reap(spawned.pidfd)


def step_error(plan: Plan, index: int, number: int) -> LaunchError:
    """Name the step that failed, the path, the reason and what would mend it; without a step, its index is -1."""
    if index < 0:
        return _refused(_START, number)
    from pycgroups.runtime import hints

    step = plan.steps[index]
    if step.op in (lib.OP_TREE, lib.OP_MAP):
        destination = plan.destination(index)
        what = f"mount at {destination}: source" if destination else "source of a mount"
        hint = hints.for_step(step, number)
        return LaunchError(step=step.name, operation=what, path=step.path, errno=number, hint=hint)
    if step.op not in (lib.OP_EXEC, lib.OP_FIND):
        return LaunchError(step=step.name, path=step.path, errno=number, hint=hints.for_step(step, number))
    program = step.path
    if number in _MISSING:
        hint, where = hints.for_missing(step), "" if plan.supervised else " in the container"
        return CommandNotFound(f"not found{where}", step="exec", path=program, errno=number, hint=hint)
    if number in _TOO_LONG:
        return LaunchError(step="exec", path=program, errno=number, hint=hints.for_step(step, number))
    return CommandNotExecutable(step="exec", path=program, errno=number, hint=hints.for_step(step, number))
