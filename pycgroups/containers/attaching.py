"""`Attachment`: being joined to a container that runs; its output by its log, its input by its monitor."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

from pycgroups.containers import lending, logs, monitor
from pycgroups.containers.config_json import from_json
from pycgroups.containers.options import terminal_size
from pycgroups.errors import Error, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn, Self

    from pycgroups.containers.home import Home
    from pycgroups.containers.logs import Spot

_END_OF_FILE = b"\4"  # termios(3), VEOF
_HINT = "it is to be made with stdin_open=True, or create --interactive"


class Attachment:
    r"""A container that this process is attached to; made by `Container.attach`. A context manager, and an iterable.

    ::

        with container.attach() as joined:
            joined.write(b"6 * 7\n")
            for stream, data in joined:         # ("stdout", b"42\n")
                ...

    Attributes:
        tty: whether it has a terminal: its output is one stream then, and `resize` tells it another size.
        interactive: whether it reads what is written here.
        exit_code: how it ended, once that was read to the end, as `Container.exit_code`.
    """

    def __init__(self, home: Home, spot: Spot) -> None:
        """Not for users. Takes over the home of a container, of whose log it wants what is behind the spot."""
        self._home, self._spot = home, spot
        self._input = -1
        self.exit_code: int | None = None
        record = home.record()
        self.interactive = record.stdin
        self.tty = from_json(record.config).tty

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Return lines of its output, and pieces of long ones or of those that have no end yet, until it has ended.

        Each with its stream, ``"stdout"`` or ``"stderr"``. Bytes that are not UTF-8 have become U+FFFD, unless its log
        has the form "plain". If it writes more at once than its log can hold, what is missing was too much for that.

        Raises:
            Error: the log cannot be read.
        """
        for record in logs.read(self._home.fd, after=self._spot, follow=True):
            yield record.stream, record.data
        end = monitor.read_exit(self._home.fd)
        self.exit_code = None if end is None else end.returncode

    def write(self, data: bytes) -> None:
        """Write what it reads, all of it: this waits for as long as it does not read.

        Raises:
            StateError: it was made without stdin, or its stdin was closed, or it has ended.
            Error: it has ended meanwhile, or nobody in it reads any more: EPIPE, EIO.
        """
        if not self.interactive:
            raise StateError("it reads nothing", operation="write to the container", hint=_HINT)
        fd, rest = self._borrowed(), memoryview(data)
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as error:
            raise Error(operation="write to the container", errno=error.errno) from None

    def end_input(self) -> None:
        """Have it read the end of its input; nobody can write any more then.

        A terminal gets Ctrl-D instead. Programs that edit lines, like shells, know that only when they are waiting for
        one: not what is typed ahead.

        Raises:
            StateError: it was made without stdin, or has ended.
        """
        if self.tty:
            self.write(_END_OF_FILE)
            return
        if not self.interactive:
            raise StateError("it reads nothing", operation="end its input", hint=_HINT)
        # First, so that ours is not the last: to close that takes the pipe's lock, which may be the program's for ever.
        self._give_back()
        lending.shut(self._home.fd)

    def resize(self, rows: int, cols: int) -> None:
        """Tell its terminal, and it, another size: TIOCSWINSZ(2const).

        Raises:
            InvalidConfig: there is no such size.
            StateError: it has no terminal, or has ended.
        """
        size = terminal_size((rows, cols), "size")
        if not self.tty:
            raise StateError("it has no terminal", operation="resize the terminal", hint="tty=True, or create --tty")
        try:
            termios.tcsetwinsize(self._borrowed(), size)
        except termios.error as error:
            raise Error(operation="resize the terminal", errno=error.args[0]) from None

    def _borrowed(self) -> int:
        if self._input < 0:
            self._input = lending.borrow(self._home.fd)
        return self._input

    def _give_back(self) -> None:
        fd, self._input = self._input, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Leave it; it goes on."""
        self._give_back()
        self._home.close()

    def __repr__(self) -> str:
        """Name the container, and tell whether it reads."""
        return f"<Attachment {self._home.id[:12]}{', interactive' if self.interactive else ''}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: descriptors are one object's, which closes them."""
        raise TypeError(f"cannot pickle or copy {self!r}, which holds descriptors")

    def __enter__(self) -> Self:
        """Leave it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do so."""
        self.close()
