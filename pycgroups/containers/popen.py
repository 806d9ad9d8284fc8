"""`Popen`: a program that runs beside a container's own, in the shape of `subprocess.Popen`."""

from __future__ import annotations

import errno
import io
import os
import select
import termios
import threading
import time
from typing import IO, TYPE_CHECKING, Any, AnyStr, Generic

from pycgroups.clock import milliseconds, seconds_until
from pycgroups.containers.inner import returncode_of
from pycgroups.containers.options import signal_number, terminal_size
from pycgroups.containers.result import TimeoutExpired
from pycgroups.containers.run import encoded
from pycgroups.containers.streams import DEVNULL, PIPE, STDOUT, inherited
from pycgroups.containers.verdict import Hits, make_hits, make_reason
from pycgroups.errors import InvalidConfig, invalid, own_errors
from pycgroups.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Self

    from pycgroups.containers.streams import Stream
    from pycgroups.containers.verdict import Reason
    from pycgroups.runtime.execution import Executed

_SIGTERM, _SIGKILL = 15, 9
_CHUNK = 65536
_SMALLEST_TTY_BUFFER = 256  # MIN_TTYB_SIZE of drivers/tty/tty_buffer.c, and less than a pipe's PIPE_BUF
_AFTER_CTRL_C = 0.25  # seconds, as subprocess has it
_CLOSED = "DEVNULL, PIPE, or a descriptor that is open"


class Ends:
    """The descriptors that a program gets, and our ends of the pipes among them.

    Attributes:
        child: what becomes 0, 1 and 2.
        ours: for each, our end of a pipe, or -1.
    """

    @own_errors("open the streams")
    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        """Make the pipes.

        Raises:
            InvalidConfig: a stream is none of those of subprocess.
            LaunchError: there are no descriptors left for them.
        """
        self.child: list[int] = []
        self.ours: list[int] = []
        self._theirs: list[int] = []
        try:
            for number, (name, stream) in enumerate((("stdin", stdin), ("stdout", stdout), ("stderr", stderr))):
                self._add(number, name, stream)
        except BaseException:
            self.close()
            raise

    def _add(self, number: int, name: str, stream: Stream) -> None:
        stream = inherited(number) if stream is None else stream
        if stream == PIPE:
            read, write = os.pipe2(os.O_CLOEXEC)
            os.fchmod(read, 0o666)  # else /dev/stdout would not open for other users inside: proc_pid_fd(5)
            theirs, ours = (read, write) if number == 0 else (write, read)
            self._theirs.append(theirs)
            self.child.append(theirs)
            self.ours.append(ours)
            return
        self.ours.append(-1)
        if stream == STDOUT and name == "stderr":
            self.child.append(self.child[1])
        elif stream == DEVNULL:
            self._theirs.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            self.child.append(self._theirs[-1])
        else:
            self.child.append(_given(stream, name))

    def started(self) -> None:
        """Close the program's ends: it has them now."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close all that was made here."""
        self.started()
        for fd in self.ours:
            if fd >= 0:
                os.close(fd)
        self.ours = []


def _given(stream: Stream, name: str) -> int:
    fd: Any = stream
    try:
        fd = fd if isinstance(fd, int) and not isinstance(fd, bool) else fd.fileno()
    except (AttributeError, OSError, ValueError):
        raise invalid(name, stream, "PIPE, DEVNULL, None, a file or a descriptor") from None
    try:
        os.fstat(fd)
    except OSError:
        raise InvalidConfig("the descriptor is closed", operation="option", path=name, hint=_CLOSED) from None
    except (OverflowError, TypeError):
        raise invalid(name, stream, "PIPE, DEVNULL, None, a file or a descriptor") from None
    return int(fd)


class _Raw(io.FileIO):
    """A stream that can say that nothing comes, for who wants no more than what a reader of it has in its buffer.

    To make the descriptor non-blocking for that would do so for all who have the same open file: fcntl(2).
    """

    _quiet_for = 0  # the thread that is told so: another one may wait for more meanwhile

    def readinto(self, buffer: Any) -> int | None:
        """Read, unless nothing is to come."""
        return None if self._quiet_for == threading.get_ident() else super().readinto(buffer)

    def read_ahead(self, reader: io.BufferedReader) -> bytes:
        """Take what a reader of this has read that nobody has got."""
        self._quiet_for = threading.get_ident()
        try:
            return reader.read1() or b""
        finally:
            self._quiet_for = 0


class _Master(_Raw):
    """The master of a terminal: at its end, a read gives EIO; pty(7)."""

    def readinto(self, buffer: Any) -> int | None:
        """Read, and take that for the end of the file."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return 0

    def readall(self) -> bytes:
        """Read up to there; without this, what came before the end would be lost with the error."""
        found, buffer = bytearray(), bytearray(io.DEFAULT_BUFFER_SIZE)
        while count := self.readinto(buffer):
            found += memoryview(buffer)[:count]
        return bytes(found)


class Popen(Generic[AnyStr]):
    """A program in a container; made by `Container.popen`. Named and behaving as in `subprocess.Popen`.

    Attributes:
        args: the command.
        pid: its pid, as this process sees it.
        returncode: its exit status, once that was asked for; negative for a signal.
        hits: how often it has hit each of its own limits, as in `pycgroups.Result`; known once it has ended.
        unenforced: names of its own limits that are not in force (only with ``require_limits=False``).
        stdin: where to write its input to, if it was a `PIPE` or is a terminal; else None.
        stdout: where its output is read; likewise.
        stderr: likewise; of a terminal it is None.
    """

    args: list[str]
    pid: int
    returncode: int | None
    hits: Hits
    unenforced: tuple[str, ...]
    stdin: IO[AnyStr] | None
    stdout: IO[AnyStr] | None
    stderr: IO[AnyStr] | None
    _executed: Executed
    _ended: threading.Event
    _lock: threading.Lock
    _master: int
    _is_terminal: bool
    _is_begun: bool  # communicate

    def __init__(self, executed: Executed, ends: Ends, wrap: Callable[[IO[bytes]], IO[Any]] | None) -> None:
        """Not for users."""
        self.args = list(executed.args)
        self.pid = executed.pid
        self.returncode = None
        self.hits = Hits()
        self.unenforced = executed.unenforced
        self._executed = executed
        self._ended = threading.Event()
        self._lock = threading.Lock()  # of what is held of it until it has ended
        self._failure: BaseException | None = None
        self._master = executed.master
        self._is_terminal = executed.master >= 0
        self._is_begun = False
        self._answer: tuple[Any, Any] | None = None
        self._read: dict[IO[Any], bytearray] = {}
        self._rest: memoryview | None = None
        if self._is_terminal:
            ends.ours = [os.dup(executed.master), os.dup(executed.master), -1]
        else:
            ends.ours = ends.ours or [-1, -1, -1]
        write, *reads = ends.ours
        raw = _Master if self._is_terminal else _Raw
        self.stdin = None if write < 0 else _file(io.BufferedWriter(raw(write, "wb")), wrap)
        self.stdout, self.stderr = (None if fd < 0 else _file(io.BufferedReader(raw(fd, "rb")), wrap) for fd in reads)
        ends.ours = []
        # The container's end waits for the exit status to be taken: pid_namespaces(7). Nobody knows when we are asked.
        reaper = Thread(self._reap, "pycgroups-popen")
        try:
            reaper.start()
        except BaseException:
            executed.signal(_SIGKILL)
            reaper.join()
            raise

    def _reap(self) -> None:
        ended = select.poll()
        ended.register(self._executed.fileno(), select.POLLIN)
        ended.poll()
        with self._lock:
            self._master = -1
            try:
                status, _ = self._executed.finish()
                self.hits = make_hits(self._executed.sample, disk=False)
                self.returncode = returncode_of(status)
            except BaseException as error:  # noqa: BLE001 (who waits gets it)
                self._failure = error
            self._ended.set()

    @property
    def reason(self) -> Reason | None:
        """Why it ended, as in `pycgroups.Result`; None as long as there is no exit status."""
        return None if self.returncode is None else make_reason(self.returncode, self.hits, timed_out=False)

    def poll(self) -> int | None:
        """Return the exit status if it has ended, else None.

        Raises:
            Error: as `wait`.
        """
        if self._failure is not None:
            raise self._failure
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit status.

        Args:
            timeout: seconds.

        Raises:
            TimeoutExpired: it goes on.
            StateError: somebody else in this process has taken the exit status.
            CgroupError: what it has started, in a cgroup with limits of its own, does not die.
        """
        if not self._ended.wait(timeout):
            raise self._expired(timeout)
        if self._failure is not None:
            raise self._failure
        assert self.returncode is not None
        return self.returncode

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        out, err = (self._so_far(file) for file in (self.stdout, self.stderr))
        return TimeoutExpired(self.args, timeout or 0, out, err)

    def communicate(self, input: AnyStr | None = None, timeout: float | None = None) -> tuple[AnyStr, AnyStr]:  # noqa: A002
        """Write its input, read what there is until the end, and wait for it; (stdout, stderr).

        Args:
            input: bytes, or str with text.
            timeout: seconds. After one that has passed this can be called again, without input, and nothing is lost;
                after the end as well, with the same result.

        Raises:
            TimeoutExpired: it goes on. What it has written up to then is in ``output`` and ``stderr``, as bytes.
            InvalidConfig: the input is bytes with text, or str without; or this was called before.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        was_begun = self._is_begun
        self._begin(input)
        if self._answer is None:
            self._answer = self._transferred(timeout, deadline, was_begun=was_begun)
            self._read.clear()
        return self._answer

    def _transferred(self, timeout: float | None, deadline: float | None, *, was_begun: bool) -> tuple[Any, Any]:
        files = [file for file in (self.stdout, self.stderr) if file is not None and not file.closed]
        if deadline is None and len(files) == 1 and not (self._is_terminal or self._rest or was_begun):
            return self._read_alone()
        self._take_what_was_read_ahead(files)
        self._transfer({file.fileno(): file for file in files}, timeout, deadline)
        if not self._ended.wait(seconds_until(deadline)):
            raise self._expired(timeout)
        self.wait()
        try:
            return self._text(self.stdout), self._text(self.stderr)
        finally:
            for file in files:
                file.close()

    def _read_alone(self) -> tuple[Any, Any]:
        """Read the one stream that there is to its end, with what it has read ahead: of text only it knows that."""
        found = [None if file is None or file.closed else file.read() for file in (self.stdout, self.stderr)]
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait()
        return found[0], found[1]

    def _take_what_was_read_ahead(self, files: list[IO[Any]]) -> None:
        """Begin with what streams of bytes have read that nobody has got; subprocess loses it."""
        for file in files:
            found = self._read.setdefault(file, bytearray())
            if isinstance(file, io.BufferedReader):
                assert isinstance(file.raw, _Raw)
                found += file.raw.read_ahead(file)

    def _transfer(self, files: dict[int, IO[Any]], timeout: float | None, deadline: float | None) -> None:
        """Write the input and read the output, until there is no more of either."""
        poll = select.poll()
        for fd in files:
            poll.register(fd, select.POLLIN)
        if self._rest is not None and self.stdin is not None:
            poll.register(self.stdin.fileno(), select.POLLOUT)
        while files or self._rest is not None:
            for fd, events in poll.poll(milliseconds(seconds_until(deadline))):
                if fd in files and not self._take(files[fd]):
                    poll.unregister(fd)
                    del files[fd]
                elif fd not in files and not self._feed(is_over=bool(events & select.POLLHUP)):
                    poll.unregister(fd)
            is_done = not files and self._rest is None
            if not is_done and deadline is not None and time.monotonic() >= deadline:  # however much comes
                raise self._expired(timeout)

    def _begin(self, given: Any) -> None:
        """Have the input written by what follows; with none, the program reads the end of it."""
        if self._is_begun and given:
            raise invalid("input", given, "none: communicate() has begun, and goes on with what it was given first")
        if self.stdin is None or self.stdin.closed:
            self._rest = None
        elif not self._is_begun:
            data = _encoded(self.stdin, given) if given else b""
            try:
                self.stdin.flush()
            except OSError as error:
                _pass_if_nobody_reads(error)
                data = b""
            if data:
                self._rest = memoryview(data)
            elif not self._is_terminal:
                self._close_input()
        self._is_begun = True

    def _feed(self, *, is_over: bool) -> bool:
        """Write some input, unless nobody has the other end of the terminal any more; False when that was the last."""
        assert self.stdin is not None
        assert self._rest is not None
        rest = self._rest[:0]
        if not is_over:
            try:
                rest = self._rest[os.write(self.stdin.fileno(), self._rest[: self._room]) :]
            except BlockingIOError:
                return True
            except OSError as error:
                _pass_if_nobody_reads(error)
        self._rest = rest or None
        if rest:
            return True
        if not self._is_terminal:
            self._close_input()
        return False

    @property
    def _room(self) -> int:
        """How much can be written at least, without waiting, once poll(2) tells that there is room.

        For a terminal that is the smallest buffer that the kernel makes for one.
        """
        return _SMALLEST_TTY_BUFFER if self._is_terminal else select.PIPE_BUF

    def _close_input(self) -> None:
        assert self.stdin is not None
        try:
            self.stdin.close()
        except OSError as error:
            _pass_if_nobody_reads(error)

    def _take(self, file: IO[Any]) -> bool:
        """Read some output; False at the end."""
        try:
            chunk = os.read(file.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            chunk = b""
        self._read[file] += chunk
        return bool(chunk)

    def _so_far(self, file: IO[Any] | None) -> bytes | None:
        """Return what was read of a stream; None for nothing, as subprocess does."""
        return None if file is None else bytes(self._read.get(file, b"")) or None

    def _text(self, file: IO[Any] | None) -> Any:
        """Return what was read of a stream, as it gives it."""
        if file is None or file not in self._read:
            return None
        data = bytes(self._read[file])
        if not isinstance(file, io.TextIOWrapper):
            return data
        return io.TextIOWrapper(io.BytesIO(data), encoding=file.encoding, errors=file.errors).read()

    def send_signal(self, sig: int | str) -> None:
        """Send it a signal, unless it has ended.

        Args:
            sig: a number or a name, such as ``"TERM"``; 0 is none, and nothing is sent.

        Raises:
            InvalidConfig: there is no such signal.
        """
        if isinstance(sig, int) and not isinstance(sig, bool) and sig == 0:
            return
        number = signal_number(sig, "sig")
        with self._lock:
            if not self._ended.is_set():
                self._executed.signal(number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(_SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(_SIGKILL)

    def resize(self, rows: int, cols: int) -> None:
        """Tell its terminal, and it, another size, unless it has ended: TIOCSWINSZ(2const).

        Raises:
            InvalidConfig: it has no terminal, or there is no such size.
        """
        size = terminal_size((rows, cols), "size")
        if not self._is_terminal:
            raise invalid("tty", False, "True, for a program that has a terminal")
        with self._lock:
            if self._master >= 0:
                termios.tcsetwinsize(self._master, size)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: descriptors are one object's, which closes them."""
        raise TypeError(f"cannot pickle or copy {self!r}, which holds descriptors")

    def __enter__(self) -> Self:
        """Close its streams and wait for it at the end of the block, as subprocess does: a moment only by Ctrl-C."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Do so."""
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        if self.stdin is not None:
            self._close_input()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._ended.wait(_AFTER_CTRL_C)
            return
        self.wait()

    def __repr__(self) -> str:
        """Name it."""
        return f"<Popen: returncode: {self.returncode} args: {self.args!r}>"


def _encoded(file: IO[Any], given: Any) -> bytes | memoryview:
    if isinstance(file, io.TextIOWrapper):
        return encoded(given, file.encoding, file.errors, is_text=True) or b""
    return encoded(given, None, None, is_text=False) or b""


def _pass_if_nobody_reads(error: OSError) -> None:
    """Go on after a write to a pipe, or a terminal, whose other end is closed; raise any other error."""
    if error.errno not in {errno.EPIPE, errno.EIO}:
        raise error


def _file(raw: Any, wrap: Callable[[IO[bytes]], IO[Any]] | None) -> IO[Any]:
    return raw if wrap is None else wrap(raw)
