"""The monitor of a container: the small process that outlives its creator, and what it leaves behind.

It moves the output into the log, waits for the end, and writes down how that was; ``_native/monitor.c`` tells how. In
the container's directory there are

    log, log.1 ...  what the container wrote, the newest first (`pycgroups.containers.logs` reads them)
    monitor         locked (flock(2), exclusively) as long as the monitor lives
    exit            the end, once it is there: lines ``key value``. Only then is the log complete
    stopped         somebody has stopped it: what would start it again does not. Not the monitor's own
    restart         somebody has changed whether it is started again: `change`. Likewise
    kept            locked as long as somebody stops it to start it anew: what would remove it does not. Likewise
    members         somebody has renamed it: what its events have instead. Likewise

where ``exit`` stays locked as long as the command that comes after the end is to come, or runs;

and it appends to the store's events (`pycgroups.containers.events`) ``oom`` when that happens, and ``die`` right before
``exit`` is there, with the attributes ``exit_code`` (as `Exit.returncode`) and ``reason`` (as `Container.reason`),
which are missing when they are unknown, and ``oom`` (``true``, ``false``).

Whoever starts one has launched the container and heard that it runs, and then closes its own copies of the read ends,
of the write ends, and of the control socket: a pipe that anybody has open for writing has no end. An init lives as
long as somebody has its control socket, so a monitor that is killed takes the container with it. Without an init the
container goes on, and who writes gets SIGPIPE. How it ended is unknown then: `ending` says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from contextlib import contextmanager, suppress

from pycgroups._native import spawning
from pycgroups._native.calls import lib
from pycgroups.containers.verdict import Hits, make_reason
from pycgroups.errors import Error, LaunchError, StateError, invalid
from pycgroups.images.files import io_errors
from pycgroups.images.locks import Lock
from pycgroups.images.writing import read_file, replace
from pycgroups.oci.json_text import dumps
from pycgroups.runtime.signals import open_process, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal, NamedTuple, Self, TypeVar

    from attrs import frozen

    from pycgroups.containers.verdict import Reason

    T = TypeVar("T")
else:
    from pycgroups.frozen import frozen
    from pycgroups.records import NamedTuple

STATE, EXIT = "monitor", "exit"
_CHANGED, _KEPT, _MEMBERS = "restart", "kept", "members"
_NEW = "monitor.new"
_RESERVED = b" " * 512  # more than an exit has: on a disk that is full meanwhile there is space for it
_LARGEST_MEMBERS = 2000  # bytes; an event is written in one piece
MOST_FILES = 999
MOST_HELD: int = lib.MONITOR_HELD_LAST - lib.MONITOR_HELD + 1
_SIGKILL = 9
# Seconds between looks. Most wait for the end who know that the first process has ended: it comes within milliseconds,
# while it takes the kernel ten to stop watching. Then it is watched for.
_SHORTEST, _LONGEST = 1e-4, 0.01
_ENDING_MSEC = 1000
_START = "start of the monitor"
_FORMS = {"json": lib.MONITOR_JSON, "plain": lib.MONITOR_PLAIN}


class Command(NamedTuple):
    """What comes after the end, executed by the monitor, which it replaces.

    It has /dev/null, the descriptor `lib.COMMAND_LOCK`, and, if the task has a keeper, `lib.COMMAND_KEEPER` and
    `lib.COMMAND_CREATOR`.

    Attributes:
        words: the program's absolute path, and its arguments.
        environment: all that it has.
        delay: seconds after the end.
        settled: seconds; 0 for never. After a container that has run for so long the delay is
        first: this one.
        again: the container goes on by it. It does not come if there is the file ``stopped``, or the keeper is gone;
            another one does not as long as somebody has locked the file ``kept``.
        if_failed: it does not come if the program has exited 0.
    """

    words: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    delay: float = 0
    settled: float = 0
    first: float = 0
    again: bool = False
    if_failed: bool = False


NO_COMMAND = Command()


class Check(NamedTuple):
    """What the monitor executes now and then as long as the container runs, one at a time; it has /dev/null.

    Attributes:
        words: the program's absolute path, and its arguments.
        environment: all that it has.
        interval: seconds from the end of one to the next, whatever came of it.
        early: seconds from the start to the first one, and after one that exits with `lib.MONITOR_EARLY`.
    """

    words: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    interval: float = 0
    early: float = 0


NO_CHECK = Check()


@frozen(kw_only=True)
class Task:
    """What a monitor is to do. All descriptors stay the caller's.

    Attributes:
        directory: of the container; opened, but not with O_PATH.
        pidfd: of its first process: the init, or the program.
        control: the library's end of the init's control socket; None without an init.
        stdout: the read end of its pipe, or the pty's master; None for no log of it.
        stderr: likewise.
        memory: ``memory.events`` (cgroup v2) or ``memory.oom_control`` (v1), opened for reading.
        group: with the former, the directory that it is in: what is killed in the group of an `exec`, for the limits of
            that alone, does not count then.
        pids: ``pids.events.local`` (cgroup v2) or ``pids.events`` (v1), opened likewise.
        events: the directory with the file ``events``, opened likewise.
        keeper: a stream socket. When its other end is closed, or its creator ends, the container is killed. A byte
            that is sent before lets the container go, and it stays.
        lender: a datagram socket, at which others ask for the input (`pycgroups.containers.lending`).
        input: the write end of the program's stdin, or its terminal's master; open until somebody asks to shut it.
        disk: in the file system that takes what the container writes, if that has a limit.
        procs: of one that is supervised, a directory of its group, opened likewise.
        creator: with a keeper, the pidfd of that process; by default this one's.
        held: files whose locks are held as long as the container runs, `MOST_HELD` at most.
        status: the program's wait status, if its end has been heard of already (`Running.status`).
        supervised: the init kills all others of the container, which has no pid namespace (`Plan.supervised`).
        form: of the log: ``"json"``, Docker's json-file, in which bytes that are not UTF-8 become U+FFFD; or
            ``"plain"``, the CRI's, which has all bytes as they are.
        max_bytes: the size of a file of the log, from which on it is rotated; None for no limit.
        max_files: so many of them there are at most, 1 to 999.
        grace: seconds that others get, who have the pipes open, to go on writing after the end of the first process.
        members: of its events: ``id`` and ``name``.
        attributes: of its events, beside their own.
        command: what comes after the end.
        check: what is executed until then.
    """

    directory: int
    pidfd: int
    control: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    memory: int | None = None
    group: int | None = None
    pids: int | None = None
    events: int | None = None
    keeper: int | None = None
    lender: int | None = None
    input: int | None = None
    disk: int | None = None
    procs: int | None = None
    creator: int | None = None
    held: Sequence[int] = ()
    status: int | None = None
    supervised: bool = False
    form: Literal["json", "plain"] = "json"
    max_bytes: int | None = None
    max_files: int = 1
    grace: float = 1.0
    members: Mapping[str, str] = {}
    attributes: Mapping[str, str] = {}
    command: Command = NO_COMMAND
    check: Check = NO_CHECK


class Monitor(NamedTuple):
    """A monitor that runs.

    Attributes:
        pid: for show.
        pidfd: readable when it has ended; to be closed.
    """

    pid: int
    pidfd: int


class Exit(NamedTuple):
    """How a container ended.

    Attributes:
        status: the program's wait status (waitpid(2)); None when nobody knows.
        finished: nanoseconds since the epoch; None when nobody knows.
        oom: whether the kernel killed a process of it, since its memory was at the limit; one that was executed with a
            limit of its own, and was over that, is none.
        pids: how often the limit of its processes has refused a fork; that of an `exec` alone is none.
        disk: whether what it may write to was full: ten times a second, and at the end.
        user_usec: processor time of all its processes, if there was an init; likewise the others.
        system_usec: the same for the kernel's part.
        maxrss_kib: the largest of its processes, KiB.
        inblock: blocks of 512 bytes read from disks.
        oublock: and written.
        next_pid: of the process by which it goes on, if it still does: `ending`; else 0.
        next_msec: how long after the end that begins.
    """

    status: int | None
    finished: int | None
    oom: bool = False
    pids: int = 0
    disk: int = 0
    user_usec: int = 0
    system_usec: int = 0
    maxrss_kib: int = 0
    inblock: int = 0
    oublock: int = 0
    next_pid: int = 0
    next_msec: int = 0

    @property
    def returncode(self) -> int | None:
        """As `subprocess` has it: the negative number of the signal that ended the program."""
        return None if self.status is None else os.waitstatus_to_exitcode(self.status)

    @property
    def hits(self) -> Hits:
        """How often it has hit its limits."""
        return Hits(oom=int(self.oom), pids=self.pids, disk=self.disk)

    @property
    def reason(self) -> Reason | None:
        """What ended it; None when nobody knows."""
        code = self.returncode
        return None if code is None else make_reason(code, self.hits, timed_out=False)


LOST = Exit(status=None, finished=None)
"""The end of a container whose monitor was killed, or went down with the machine."""


def start(task: Task) -> Monitor:
    """Start a monitor; nobody's child, in a session of its own. What an earlier run left as its exit is removed.

    In threaded processes, too: nothing is forked. The caller holds the container's lock.

    Raises:
        StateError: the container has a monitor.
        InvalidConfig: a number is out of range.
        LaunchError: there is none now.
        Error: the directory cannot be written to.

    Linux 5.9.
    """
    with prepare(task) as waiting:
        waiting.go()
        return Monitor(waiting.pid, os.dup(waiting.pidfd))


class Waiting:
    """A monitor that has all it needs, and does nothing before `go`.

    Closed without that, or when its creator dies, it ends, and is as if it had never been.

    Attributes:
        pid: for show.
        pidfd: readable when it has ended.
    """

    __slots__ = ("_directory", "_gate", "pid", "pidfd")

    def __init__(self, directory: int, gate: int, pid: int, pidfd: int) -> None:
        """Not for others: `prepare` makes it. The directory stays the caller's, the rest becomes ours."""
        self._directory = directory
        self._gate = gate
        self.pid = pid
        self.pidfd = pidfd
        _waiting.add(self)

    def go(self) -> None:
        """Let it begin. What an earlier run left as its exit is removed.

        Raises:
            Error: the directory cannot be written to.
        """
        with io_errors(_START):
            for name in (_CHANGED, _MEMBERS):
                _remove(name, self._directory)
            os.rename(_NEW, STATE, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            _remove(EXIT, self._directory)
            os.write(self._gate, b"\0")
        self._shut()

    def _shut(self) -> bool:
        _waiting.discard(self)
        gate, self._gate = self._gate, -1
        if gate >= 0:
            os.close(gate)
        return gate >= 0

    def close(self) -> None:
        """Let go of it; have it end, if it still waits."""
        if self._shut():
            with suppress(Error):  # it ends by itself
                send_signal(self.pidfd, _SIGKILL)
            gone = select.poll()
            gone.register(self.pidfd, select.POLLIN)
            gone.poll(_ENDING_MSEC)
            with suppress(OSError):  # the next one replaces it
                _remove(_NEW, self._directory)
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


# A monitor waits as long as somebody has the other end of its gate: a child that another thread forks closes its copy.
_waiting: set[Waiting] = set()


def _close_in_child() -> None:
    for each in tuple(_waiting):
        each._shut()  # noqa: SLF001


os.register_at_fork(after_in_child=_close_in_child)


def prepare(task: Task) -> Waiting:
    """Start a monitor that waits: as `start`, and with its errors.

    Raises:
        StateError, InvalidConfig, LaunchError, Error: as those.
    """
    plan = _encode(task)
    state = _open_state(task.directory)
    spawned = spawning.Spawned()
    ours = [state]
    try:
        theirs, gate = _pipe()
        ours += [theirs, gate]
        creator = -1
        if task.keeper is not None:
            creator = os.pidfd_open(os.getpid()) if task.creator is None else os.dup(task.creator)
            ours.append(creator)
        _spawn(spawned, plan, _descriptors(task, state, theirs, creator))
        waiting = Waiting(task.directory, gate, spawned.pid, os.dup(spawned.pidfd))
        ours.remove(gate)
    except BaseException:
        _remove(_NEW, task.directory)
        raise
    finally:
        spawned.close()
        for fd in ours:
            os.close(fd)
    return waiting


def _spawn(spawned: spawning.Spawned, plan: bytes, fds: list[int]) -> None:
    result = spawning.monitor(spawned, plan, fds)
    if result < 0:
        raise LaunchError(step=_START, errno=-result)


def _pipe() -> tuple[int, int]:
    try:
        return os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise LaunchError(step=_START, errno=error.errno) from None


def _descriptors(task: Task, state: int, gate: int, creator: int) -> list[int]:
    """Sort them as monitor.h has them."""
    fds = [-1] * lib.MONITOR_FDS
    fds[lib.MONITOR_DIRECTORY], fds[lib.MONITOR_STATE], fds[lib.MONITOR_PIDFD] = task.directory, state, task.pidfd
    fds[lib.MONITOR_GATE], fds[lib.MONITOR_CREATOR] = gate, creator
    for number, fd in (
        (lib.MONITOR_CONTROL, task.control),
        (lib.MONITOR_STDOUT, task.stdout),
        (lib.MONITOR_STDERR, task.stderr),
        (lib.MONITOR_MEMORY, task.memory),
        (lib.MONITOR_GROUP, task.group),
        (lib.MONITOR_PIDS, task.pids),
        (lib.MONITOR_EVENTS, task.events),
        (lib.MONITOR_KEEPER, task.keeper),
        (lib.MONITOR_LENDER, task.lender),
        (lib.MONITOR_INPUT, task.input),
        (lib.MONITOR_DISK, task.disk),
        (lib.MONITOR_PROCS, task.procs),
    ):
        fds[number] = -1 if fd is None else fd
    fds[lib.MONITOR_HELD : lib.MONITOR_HELD + len(task.held)] = task.held
    return fds


def _encode(task: Task) -> bytes:
    if not 1 <= task.max_files <= MOST_FILES:
        raise invalid("max_files", task.max_files, f"1 to {MOST_FILES}")
    creator = -1 if task.keeper is None else 0
    given = sum(1 << number for number, fd in enumerate(_descriptors(task, 0, 0, creator)) if fd >= 0)
    # The monitor adds attributes, and the end.
    members = _of_events(task.members, task.attributes)
    after = task.command
    words = [word for each in (after, task.check) for word in (*each.words, *_variables(each.environment))]
    numbers = {
        "given": given,
        "form": _FORMS[task.form],
        "file_bytes": task.max_bytes or 0,
        "files": task.max_files,
        "grace_msec": round(task.grace * 1000),
        "end_signal": lib.PLAN_END_SIGNAL if task.supervised else _SIGKILL,
        "status": -1 if task.status is None else task.status,
        "argc": len(after.words),
        "envc": len(after.environment),
        "command": _asked(after),
        "delay_msec": round(after.delay * 1000),
        "settled_msec": round(after.settled * 1000),
        "first_msec": round(after.first * 1000),
        "check_argc": len(task.check.words),
        "check_envc": len(task.check.environment),
        "check_msec": round(task.check.interval * 1000),
        "early_msec": round(task.check.early * 1000),
    }
    return spawning.monitor_plan(numbers, members, [os.fsencode(word) for word in words])


def _of_events(members: Mapping[str, str], attributes: Mapping[str, str]) -> bytes:
    """Return what all events have behind their action, up to the first of their attributes' own."""
    found = dumps({**members, "attributes": dict(attributes)}).encode()[1:-2]
    if len(found) > _LARGEST_MEMBERS:
        raise Error(f"{len(found)} bytes, at most {_LARGEST_MEMBERS}", operation="members of an event")
    return found


def rename(directory: int, members: Mapping[str, str]) -> None:
    """Have the events of a container that has a monitor other members, until the next start. The caller has its lock.

    Raises:
        Error: it cannot be written.
    """
    if is_alive(directory):
        with io_errors("rename in events"):
            replace(_MEMBERS, _of_events(members, {}), dir_fd=directory)


def _asked(command: Command) -> int:
    return int(command.again * lib.MONITOR_AGAIN | command.if_failed * lib.MONITOR_IF_FAILED)


def change(directory: int, command: Command) -> None:
    """Change when the command comes by which a container goes on, if that is what comes after its end.

    The monitor has the words of the command; of this one it takes whether there is any, and ``if_failed``. That holds
    until the container is started anew. The caller holds its lock.

    Raises:
        Error: it cannot be written.
    """
    with io_errors("change what comes after the end"):
        replace(_CHANGED, str(_asked(command)).encode(), dir_fd=directory)


@contextmanager
def kept(directory: int) -> Iterator[None]:
    """See that a container that ends in this block is still there, whatever comes after its end, and is started in it.

    If this process dies over that, what comes after its end does come; if the block fails, it does not. Several may do
    so at once. So the mark stays after it, for the others, and for what comes after a run that has begun in the block.

    Raises:
        Error: that cannot be noted.
    """
    lock = Lock(_KEPT, shared=True, dir_fd=directory)
    with io_errors("keep the container"):
        lock.take()
    try:
        yield
    except BaseException:
        if not _is_shared(lock.fd):
            _remove(_KEPT, directory)
        raise
    finally:
        lock.release()


@io_errors("ask who keeps the container")
def is_kept(directory: int) -> bool:
    """Tell whether somebody stops the container to start it anew.

    Raises:
        Error: that cannot be told.
    """
    try:
        fd = os.open(_KEPT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return False
    try:
        return _is_shared(fd)
    finally:
        os.close(fd)


@io_errors("wait for who keeps the container")
def is_kept_in_vain(directory: int) -> bool:
    """Wait for those who stop the container to start it anew; False when they have failed, and it is to stay.

    Else it has been started, or they have died over that. The caller has no lock on the container.

    Raises:
        Error: that cannot be told.
    """
    try:
        fd = os.open(_KEPT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return False
    return _KEPT in os.listdir(directory)


def _is_shared(fd: int) -> bool:
    """Tell whether others have a lock on a file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno == errno.EWOULDBLOCK
    return False


def is_changed(directory: int) -> bool:
    """Tell whether somebody has done so since the last start."""
    return _CHANGED in os.listdir(directory)


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def _open_state(directory: int) -> int:
    """Make the file that is locked as long as the monitor lives; it gets its name when that may begin."""
    if is_alive(directory):
        raise StateError("it has one", operation=_START)
    fd = -1
    try:
        fd = os.open(_NEW, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, _RESERVED)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise Error(operation=_START, path=error.filename or _NEW, errno=error.errno) from None
    return fd


def _remove(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


def is_alive(directory: int) -> bool:
    """Tell whether a container's monitor lives, and its end is not written down."""
    return _is_locked(STATE, directory)


def is_next(directory: int) -> bool:
    """Tell whether a command is to come after the end that is written down, or runs."""
    return _is_locked(EXIT, directory)


def _is_locked(name: str, directory: int) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno == errno.EWOULDBLOCK
    finally:
        os.close(fd)
    return False


def read_exit(directory: int) -> Exit | None:
    """Read how a container ended; None when that is not written down."""
    try:
        text = read_file(EXIT, dir_fd=directory, most=len(_RESERVED))
    except OSError:
        return None
    return None if text is None else parse_exit(text)


def parse_exit(text: bytes) -> Exit | None:
    """Understand an exit; None when it is damaged."""
    try:
        facts = {key.decode(): int(value) for key, value in (line.split(b" ") for line in text.splitlines())}
        status, finished, oom = facts.pop("status"), facts.pop("finished"), facts.pop("oom")
        return Exit(None if status < 0 else status, finished, bool(oom), **facts)
    except (KeyError, TypeError, ValueError):
        return None


def ending(directory: int) -> Exit | None:
    """Tell how a container ended; None as long as it goes on, and `LOST` when its monitor is gone without a word.

    Args:
        directory: the container's, opened; of one that has been started.
    """
    found = read_exit(directory) or (None if is_alive(directory) else read_exit(directory) or LOST)
    if found is None or not found.next_pid:
        return found
    if is_next(directory) or read_exit(directory) != found:  # or it has gone on already
        return None
    return found


def finish(directory: int, timeout: float) -> None:
    """Wait until the end of a container that does not run is written down, and see that it does not go on.

    Raises:
        Error: the directory cannot be watched.
    """
    if is_alive(directory):
        _wait(directory, lambda: None if is_alive(directory) else True, timeout)
    found = read_exit(directory)
    if found is None or found.next_pid in {0, os.getpid()}:
        return
    pidfd = open_process(found.next_pid)
    if pidfd < 0:
        return
    try:
        if is_next(directory):  # and so the pid was still its
            send_signal(pidfd, _SIGKILL)
            gone = select.poll()
            gone.register(pidfd, select.POLLIN)
            gone.poll()
    finally:
        os.close(pidfd)


def wait(directory: int, timeout: float | None = None) -> Exit | None:
    """Wait for the end of a container, in any process; None when the time (seconds) is over.

    Raises:
        Error: the directory cannot be watched.
    """
    return _wait(directory, lambda: ending(directory), timeout)


def _wait(directory: int, ask: Callable[[], T | None], timeout: float | None) -> T | None:
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _SHORTEST
    while (found := ask()) is None and (deadline is None or time.monotonic() < deadline):
        if pause > _LONGEST:
            return _watch(directory, ask, deadline)
        time.sleep(pause)
        pause *= 2
    return found


def _watch(directory: int, ask: Callable[[], T | None], deadline: float | None) -> T | None:
    from pycgroups.containers.changes import Changes

    with Changes(directory) as changes:
        while (found := ask()) is None and (deadline is None or time.monotonic() < deadline):
            changes.wait(deadline)
        return found
