"""The bytes of an archive, which come in chunks of any size; what is large is never joined or copied."""

from __future__ import annotations

import os

from pycgroups.errors import ImageError
from pycgroups.images.files import pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Stream:
    """Chunks, and how far they are read.

    Attributes:
        chunk: the current one.
        at: where in it the next byte is.
    """

    __slots__ = ("_before", "_chunks", "at", "chunk")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Take the chunks; none is fetched before it is needed."""
        self._chunks = chunks
        self._before = 0
        self.chunk = b""
        self.at = 0

    @property
    def offset(self) -> int:
        """How many bytes were read."""
        return self._before + self.at

    def more(self) -> bool:
        """Go on to the next chunk with something in it when this one is read; False at the end."""
        while self.at == len(self.chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._before += self.at
            self.chunk, self.at = chunk, 0
        return True

    def pieces(self, size: int) -> Iterator[tuple[bytes, int, int]]:
        """Read so many bytes: yield chunks, and where in each how many of them are.

        Raises:
            ImageError: there are fewer.
        """
        while size:
            if not self.more():
                raise ImageError(f"cut off after {self.offset} bytes, {size} are missing", operation="read tar")
            chunk, at = self.chunk, self.at
            length = min(size, len(chunk) - at)
            self.at += length
            size -= length
            yield chunk, at, length

    def take(self, size: int) -> bytes:
        """Read so many bytes, which are few.

        Raises:
            ImageError: there are fewer.
        """
        return b"".join([chunk[at : at + length] for chunk, at, length in self.pieces(size)])

    def skip(self, size: int) -> None:
        """Read so many bytes, and forget them.

        Raises:
            ImageError: there are fewer.
        """
        if self.at + size <= len(self.chunk):
            self.at += size
            return
        for _ in self.pieces(size):
            continue


class FileStream(Stream):
    """An archive in a file: what is skipped is not read."""

    __slots__ = ("_end", "_fd", "_name")

    def __init__(self, fd: int, name: str) -> None:
        """Begin at the first byte; the file's own offset is left alone.

        Args:
            fd: of the file.
            name: of the file, for errors.
        """
        self._fd = fd
        self._name = name
        self._end = os.fstat(fd).st_size
        super().__init__(pieces(fd, 0, self._end, name))

    def skip(self, size: int) -> None:
        """Go on so many bytes.

        Raises:
            ImageError: there are fewer.
        """
        if self.at + size <= len(self.chunk):
            self.at += size
            return
        offset = self.offset + size
        if offset > self._end:
            missing = offset - self._end
            raise ImageError(f"cut off after {self._end} bytes, {missing} are missing", operation="read tar")
        self._before, self.chunk, self.at = offset, b"", 0
        self._chunks = pieces(self._fd, offset, self._end, self._name)
