"""The bytes of an answer as they come in, with measures against a server that never ends.

A timeout of the socket is for one read, so one byte a second passes it. Here the time that reads wait is added up: in
each window of that time so many bytes have to come. A consumer that is slow does not count, for the bytes are there
when it asks. And there is a bound on what an answer may have in all, headers, chunk sizes and trailers included.
"""

from __future__ import annotations

import io
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SLOWEST = 1024
"""Bytes a second, over a window."""
HEADERS = 2**20
"""Bytes that an answer may have besides its body."""


class TooSlow(OSError):
    """Bytes come, but too few."""


class TooMuch(OSError):
    """More bytes come than an answer of this kind has."""


class Pace(io.RawIOBase):
    """A raw stream around that of a socket."""

    def __init__(self, raw: io.RawIOBase, window: float) -> None:
        """Take the stream over.

        Args:
            raw: of `socket.socket.makefile`.
            window: seconds of waiting, in each of which `SLOWEST` bytes a second have to come.
        """
        super().__init__()
        self._raw = raw
        self._window = window
        self._waited = 0.0
        self._came = 0
        self._begun = False
        self._allowed = HEADERS

    def allow(self, size: int) -> None:
        """Let so many bytes of a body come. Chunked, it may take twice as many on the wire."""
        self._allowed += 2 * size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read what is there, or wait for it."""
        begun = time.monotonic()
        count = self._raw.readinto(buffer)
        if self._begun:  # how long it thinks before its first byte is its business, and the timeout's
            self._waited += time.monotonic() - begun
        self._begun = True
        self._came += count or 0
        self._allowed -= count or 0
        if self._allowed < 0:
            raise TooMuch("the answer does not end")
        if self._waited >= self._window:
            if self._came < self._window * SLOWEST and count:
                raise TooSlow(f"{self._came} bytes in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        """Close the one below, too."""
        try:
            self._raw.close()
        finally:
            super().close()
