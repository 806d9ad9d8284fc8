"""The standard streams of a run: what the program gets, and what is read and written meanwhile.

A pipe has a lock that a program can hold as long as it likes: splice(2) from a terminal where nobody types, say, takes
it and waits. Whoever reads the pipe then, writes to it or closes it, waits too, and not even SIGKILL ends that. So as
long as a container lives, the thread that watches over it touches no pipe of it: it asks poll(2), which takes no lock.
What a short program writes waits in the pipes for its end; for others there is a thread of its own, `Streams.move`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from io import BytesIO

from pycgroups.errors import Error, invalid, own_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from pycgroups.threads import Thread

    Stream = int | IO[bytes] | IO[str] | None

PIPE, STDOUT, DEVNULL = -1, -2, -3  # subprocess's, which is slow to import

_LARGEST = 2**31 - 1  # int of C
_EOF, _NEWLINE = b"\4", 10
_CHUNK = 65536
_ROOMY = 1 << 18  # what a short program may write without waiting for us
_LARGE = 1 << 20  # what an ordinary user's pipe may hold: pipe(7), /proc/sys/fs/pipe-max-size
# What is read at once: from 128 KiB on malloc(3) maps each piece anew, which halves the rate (M_MMAP_THRESHOLD).
_PIECE = 31 * 4096
# Seconds from the first output to the thread that takes it: most programs end before.
_SHORT = 0.001
_PATIENCE = 10.0


def inherited(number: int) -> int:
    """Return a standard stream of this process, or `DEVNULL` if it has none, be it that another file has its number.

    That one is closed at an exec: `subprocess` hands on what is not.
    """
    try:
        return number if os.get_inheritable(number) else DEVNULL
    except OSError:
        return DEVNULL


class Streams:
    """Descriptors for a program, and our ends of its pipes.

    Attributes:
        child: what becomes 0, 1 and 2.
        feed: where to write the input to, or -1.
        sources: the descriptors to read, each with what was read.
        captured: of them, those of standard output and error, or None.
        due: when `move` is to be called, as `time.monotonic` tells it, or None.
    """

    @own_errors("open the streams")
    def __init__(self, *, stdin: Stream, stdout: Stream, stderr: Stream, data: bytes | memoryview | None) -> None:
        """Make the pipes.

        Raises:
            InvalidConfig: a stream is none of those of subprocess.
        """
        self.child: list[int] = []
        self.feed = -1
        # Grows in place (mremap(2)): pieces in a list would all be there twice while they are joined.
        self.sources: dict[int, BytesIO] = {}
        self.captured: list[BytesIO | None] = [None, None]
        self.due: float | None = None
        self._pipes: set[int] = set()  # our ends
        self._mover: Thread | None = None
        self._moved = self._stop = -1  # eventfd(2): the thread has nothing more to do; it is to end
        self._error: BaseException | None = None
        self._data = memoryview(data if data is not None else b"").cast("B")
        self._poll = self._watching = select.poll()  # of whoever calls `serve`, and of that loop
        self._ours: list[int] = []
        self._size: dict[int, int] = {}  # to read at once, of each source that has not ended
        self._watched: set[int] = set()  # by the loop that waits for the program, until nobody has the other end
        _open.add(self)
        try:
            self.child.append(self._input(stdin, data))
            self.child.append(self._output(stdout, 0))
            self.child.append(self._output(stderr, 1))
        except BaseException:
            self.close()
            raise

    def _input(self, stdin: Stream, data: object) -> int:
        if data is None and stdin != PIPE:
            return self._given(stdin, 0, "stdin")
        if data is not None and stdin not in (None, DEVNULL, PIPE):
            raise invalid("stdin", stdin, "stdin or input, not both")
        read, self.feed = self._pipe()
        self._pipes.add(self.feed)
        os.set_blocking(self.feed, False)
        return read

    def _output(self, stream: Stream, number: int) -> int:
        if stream == STDOUT and number == 1:
            return self.child[1]
        if stream != PIPE:
            return self._given(stream, number + 1, ("stdout", "stderr")[number])
        read, write = self._pipe()
        self._pipes.add(read)
        self._enlarge(read, _ROOMY)
        self.captured[number] = self.read_from(read)
        return write

    def read_from(self, fd: int) -> BytesIO:
        """Read this descriptor, too; the answer is what will have been read."""
        self.sources[fd] = BytesIO()
        self._size[fd] = _CHUNK
        return self.sources[fd]

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        self._ours += ends
        os.fchmod(ends[0], 0o666)  # else /dev/stdout would not open for whom we are no user of theirs: proc_pid_fd(5)
        return ends

    def _given(self, stream: Stream, number: int, name: str) -> int:
        if stream is None:
            stream = inherited(number)
        if stream == DEVNULL:
            fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            self._ours.append(fd)
            return fd
        if isinstance(stream, int):
            if isinstance(stream, bool) or not 0 <= stream <= _LARGEST:
                raise invalid(name, stream, "PIPE, DEVNULL, None, a file or a descriptor")
            self._check_open(stream)
            return stream
        try:
            return stream.fileno()
        except (AttributeError, OSError, ValueError):
            raise invalid(name, stream, "PIPE, DEVNULL, None, a file or a descriptor") from None

    def _check_open(self, fd: int) -> None:
        """Refuse a descriptor that is closed: its number is that of our next pipe, or of the last."""
        if fd in self._ours:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.fstat(fd)

    def use_terminal(self, master: int) -> None:
        """Take the terminal's master for input and output; the pipes, if any, are for nothing then."""
        output = self.read_from(master)
        if self.captured[0] is not None:
            self.captured[0] = output
        if self._data:
            self.feed = master
            # A terminal has no end of file but what is typed: at the start of a line once, elsewhere twice; termios(3).
            self._data = memoryview(bytes(self._data) + (_EOF if self._data[-1] == _NEWLINE else 2 * _EOF))
        self._poll.register(master, select.POLLIN | (select.POLLOUT if self._data else 0))
        self._watched.add(master)

    @property
    def highest(self) -> int:
        """The highest of our descriptors, or -1."""
        return max(self._ours, default=-1)

    def begin(self, *, terminal: bool) -> None:
        """Write what the pipe takes of the input, while nobody else has the pipe. A terminal to come gets it all."""
        if self.feed >= 0 and not terminal:
            self.write()

    def attach(self, poll: select.poll, *, terminal: bool) -> None:
        """Have the loop that waits for the program wait for our descriptors, too; it calls `ready` for them.

        With a terminal still to come (`use_terminal`) the input is kept for it.
        """
        self._poll = self._watching = poll
        for fd in self.sources:
            poll.register(fd, select.POLLIN)
        self._watched.update(self.sources)
        if self.feed >= 0 and not terminal:
            poll.register(self.feed, select.POLLOUT)
            self._watched.add(self.feed)

    def ready(self, fd: int, events: int) -> None:
        """Take note of what poll(2) says of a descriptor; a terminal is served, a pipe is left alone."""
        if fd == self._moved or (fd in self._pipes and events & (select.POLLHUP | select.POLLERR)):
            self._watching.unregister(fd)
            self._watched.discard(fd)
        elif fd not in self._pipes:
            self.serve(fd)
        else:
            self._watching.modify(fd, 0)
            if self.due is None:
                self.due = time.monotonic() + _SHORT

    def move(self) -> None:
        """Start the thread that reads and writes the pipes from now on.

        Raises:
            Error: it cannot be started.
            OSError: the same.
        """
        from pycgroups.threads import Thread  # most programs end before

        self.due = None
        self._moved = self._event()
        self._stop = self._event()
        self._poll = select.poll()
        self._poll.register(self._stop, select.POLLIN)
        for fd in self._size:
            self._poll.register(fd, select.POLLIN)
        if self.feed >= 0:
            self._poll.register(self.feed, select.POLLOUT)
        for fd in self._watched:
            self._watching.unregister(fd)
        self._watching.register(self._moved, select.POLLIN)
        self._watched = {self._moved}
        self._mover = Thread(self._move, "pycgroups-streams")
        try:
            self._mover.start()
        except RuntimeError as error:
            message = f"no thread could be started to read its output: {error}"
            raise Error(
                message, operation="start thread", hint="RLIMIT_NPROC, pids.max and memory limit them"
            ) from error

    def _event(self) -> int:
        self._ours.append(os.eventfd(0, os.EFD_CLOEXEC))
        return self._ours[-1]

    def _move(self) -> None:
        try:
            for fd in self._size:
                os.set_blocking(fd, False)  # who has the other end may read from it, too
            while self._size or self.feed >= 0:
                for fd, _ in self._poll.poll():
                    if fd == self._stop:
                        return
                    self.serve(fd)
        except BaseException as error:  # noqa: BLE001 (raised by `stop`)
            self._error = error
        finally:
            os.eventfd_write(self._moved, 1)

    def stop(self) -> None:
        """End the thread, when every process of the container is dead.

        Raises:
            Error: somebody else holds a pipe.
            BaseException: what went wrong in it.
        """
        mover, self._mover = self._mover, None
        if mover is None:
            return
        os.eventfd_write(self._stop, 1)
        if not mover.join(_PATIENCE):  # it has our descriptors
            self._ours.clear()
            raise Error(
                "somebody outside of the container holds a pipe of its streams",
                operation="read output",
                hint="a process that has got it from inside; do not share sockets with programs that are not trusted",
            )
        if self._error is not None:
            raise self._error

    def serve(self, fd: int) -> None:
        """Read or write what can be on a descriptor that is ready."""
        fed = fd == self.feed and not self.write()
        ended = fd not in self._size or not self.read(fd)
        if fed and not ended:
            self._poll.modify(fd, select.POLLIN)
        elif fed or (ended and fd != self.feed):
            self._poll.unregister(fd)
            self._watched.discard(fd)

    @property
    def ended(self) -> bool:
        """Whether nobody has the other ends any more, or all is read."""
        return not self._watched

    def started(self) -> None:
        """Close the program's ends: it has them now."""
        for fd in {fd for fd in self.child if fd in self._ours}:
            self._close(fd)

    def write(self) -> bool:
        """Write input as far as it goes; False when there is no more to write."""
        try:
            written = os.write(self.feed, self._data[:_LARGE])
        except BlockingIOError:
            return True
        except OSError:  # EPIPE: the program does not want it
            written = len(self._data)
        self._data = self._data[written:]
        if self._data:
            if written >= _CHUNK:
                self._enlarge(self.feed)
            return True
        if self.feed in self._ours:
            self._close(self.feed)
        self.feed = -1
        return False

    def read(self, fd: int) -> bool:
        """Read what is there; False at the end."""
        try:
            chunk = os.read(fd, self._size[fd])
        except BlockingIOError:
            return True
        except OSError:  # EIO: the other side of a terminal is gone
            chunk = b""
        if not chunk:
            del self._size[fd]
            return False
        self.sources[fd].write(chunk)
        if len(chunk) == _CHUNK == self._size[fd]:
            self._enlarge(fd)
            self._size[fd] = _PIECE
        return True

    def drain(self) -> None:
        """Read what is left when every process is dead. Somebody else's copy of a pipe does not hold us up."""
        for fd in tuple(self._size):
            os.set_blocking(fd, False)
            before = -1
            while self.sources[fd].tell() != before:
                before = self.sources[fd].tell()
                self.read(fd)

    def _enlarge(self, fd: int, size: int = _LARGE) -> None:
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            pass  # over the user's share of pipe memory: it works as it is

    def _close(self, fd: int) -> None:
        self._ours.remove(fd)
        os.close(fd)

    def close(self) -> None:
        """Close all our descriptors; with a container, after its end.

        Raises:
            Error: somebody else holds a pipe, which stays open then.
        """
        try:
            self.stop()
        finally:
            while self._ours:
                os.close(self._ours.pop())
            _open.discard(self)


_open: set[Streams] = set()


def _close_in_child() -> None:
    """After a fork in another thread: a copy of ours would keep a program from seeing the end of its input."""
    for streams in tuple(_open):
        streams._mover = None  # noqa: SLF001 (it is not in the child)
        streams.close()


os.register_at_fork(after_in_child=_close_in_child)
