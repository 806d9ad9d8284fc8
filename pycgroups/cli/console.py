"""A program's terminal, shown on ours.

Here is its master:

    our keyboard  ->  master        raw: Ctrl-C and Ctrl-Z are bytes, and signals only inside
    master        ->  our screen
    SIGWINCH      ->  the master's window size; the kernel tells the programs inside

Nothing here may block: while one side does not take what the other has, that other is not read.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from contextlib import contextmanager, suppress

from pycgroups.cli.flags import UsageError
from pycgroups.containers.streams import DEVNULL, Streams
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYBOARD, _SCREEN = 0, 1
_CHUNK = 65536
_END_OF_FILE = b"\4"  # termios(3), VEOF


def require_keyboard() -> None:
    """Refuse to type at a terminal without one of our own: the end of a file is a key there, which many never read.

    Raises:
        UsageError: stdin is something else.
    """
    if not os.isatty(_KEYBOARD):
        raise UsageError("flags '-i' and '-t': stdin is not a terminal; leave -t out, or -i if nothing is to be read")


def window_size() -> tuple[int, int]:
    """Rows and columns of our terminal; 0 where there is none."""
    for fd in (_SCREEN, _KEYBOARD):
        with suppress(OSError, termios.error):
            return termios.tcgetwinsize(fd)
    return 0, 0


@contextmanager
def raw(*, wanted: bool) -> Iterator[None]:
    """Have our terminal hand over every byte as it is; at the end, whatever happens, bring it back to what it was.

    Raises:
        Error: it cannot be changed.
    """
    if not wanted or not os.isatty(_KEYBOARD):
        yield
        return

    def enter_again(*_: object) -> None:
        with suppress(termios.error):  # EIO: it has hung up, and SIGHUP has come as well
            tty.setraw(_KEYBOARD, termios.TCSADRAIN)

    try:
        before = termios.tcgetattr(_KEYBOARD)
        # Whoever stopped us has used the terminal since.
        signal.signal(signal.SIGCONT, enter_again)
        tty.setraw(_KEYBOARD, termios.TCSADRAIN)
    except termios.error as error:
        hint = "it has hung up, or is not this session's; without -i nothing is typed, and it stays as it is"
        raise Error(operation="change terminal", path="stdin", errno=error.args[0], hint=hint) from None
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        with suppress(termios.error):  # likewise
            termios.tcsetattr(_KEYBOARD, termios.TCSADRAIN, before)


class Console(Streams):
    """Our terminal as the streams of a program."""

    def __init__(self, *, keyboard: bool) -> None:
        """Open the screen; with `keyboard`, what is typed will be read as well."""
        super().__init__(stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, data=None)
        self._master = -1
        self._screen = _open_screen()
        self._ours.append(self._screen)
        self._typed = bytearray()
        self._shown = bytearray()
        self._keyboard = keyboard
        self._wanted: dict[int, int] = {}
        self._is_lost = False

    def attach(self, poll: select.poll, *, terminal: bool) -> None:
        """Take the loop; there is nothing to wait for before the terminal comes."""
        assert terminal
        self._poll = poll

    def use_terminal(self, master: int) -> None:
        """Join it with ours."""
        self._master = master
        self.resize()
        self._want()

    def resize(self) -> None:
        """Give the program's terminal the size of ours."""
        size = window_size()
        if self._master >= 0 and any(size):
            with suppress(OSError, termios.error):
                termios.tcsetwinsize(self._master, size)

    def serve(self, fd: int) -> None:
        """Move what can be moved."""
        if fd == _KEYBOARD:
            self._read_keyboard()
        elif fd == self._screen:
            self._write_screen()
        else:
            if self._typed:
                self._write_master()
            if not self._shown:
                self._read_master()
        self._want()

    def _want(self) -> None:
        """Wait for what can be used now."""
        keyboard = self._keyboard and not self._typed and self._master >= 0
        self._wait_for(_KEYBOARD, select.POLLIN if keyboard else 0)
        self._wait_for(self._screen, select.POLLOUT if self._shown else 0)
        if self._master >= 0:
            reading = 0 if self._shown else select.POLLIN
            self._wait_for(self._master, reading | (select.POLLOUT if self._typed else 0))

    def _wait_for(self, fd: int, events: int) -> None:
        if events == self._wanted.get(fd, 0):
            return
        self._wanted[fd] = events
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def _read_keyboard(self) -> None:
        try:
            self._typed += os.read(_KEYBOARD, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone, or stdin is closed
            pass
        if not self._typed:
            self._keyboard = False
            self._typed += _END_OF_FILE

    def _write_master(self) -> None:
        try:
            del self._typed[: os.write(self._master, self._typed)]
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()

    def _read_master(self) -> bool:
        """Read once; False when there is no more."""
        try:
            chunk = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody inside has the terminal any more
            chunk = b""
        if not chunk:
            self._hang_up()
        self._shown += chunk
        return bool(chunk)

    def _hang_up(self) -> None:
        self._typed.clear()
        self._wait_for(self._master, 0)
        self._master = -1

    def _write_screen(self) -> None:
        try:
            del self._shown[: os.write(self._screen, self._shown)]
        except BlockingIOError:
            return
        except OSError:  # nobody sees it: as if our terminal were gone
            self._shown.clear()
            if not self._is_lost:
                self._is_lost = True
                signal.raise_signal(signal.SIGHUP)

    def drain(self) -> None:
        """Show what is left when every process is dead."""
        self._is_lost = True  # and nobody is there to be told
        while self._master >= 0 and self._read_master():
            pass
        os.set_blocking(self._screen, True)
        while self._shown:
            self._write_screen()


def _open_screen() -> int:
    """Our terminal in a file description that is ours alone: all who have the old one would find it non-blocking."""
    if os.isatty(_SCREEN):
        with suppress(OSError):  # it may be another user's: su(1)
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{_SCREEN}", flags)
    return os.dup(_SCREEN)
