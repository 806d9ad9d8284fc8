"""Files by their names, in a directory or in an archive that others made: read, and never more than that.

Nothing on the way to a file is followed out of where it was looked for, only regular files are opened, and what is read
is bounded.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from pycgroups.errors import Error, ImageError, ImageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol
else:
    Protocol = object

PIECE = 2**18
"""Bytes that are read at a time."""
ANOTHER_STORE = "another place: $PYCGROUPS_STORE, or Store(root=...)"
"""What to do where the store's directory is refused."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def io_errors(operation: str, path: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn what the kernel refuses into an error of ours; also a decorator of functions.

    Args:
        operation: what is being done.
        path: on what; by default what the kernel's error names.
        hint: what to do.
    """
    try:
        yield
    except Error:
        raise
    except OSError as error:
        where = error.filename if isinstance(error.filename, str | bytes) else None  # open() of a descriptor
        raise Error(operation=operation, path=path or where, errno=error.errno, hint=hint) from error


@contextmanager
def directory(path: str) -> Iterator[int]:
    """Open a directory."""
    fd = os.open(path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


class Files(Protocol):
    """Where files are. Methods may be called by several threads at once."""

    name: str
    """What it is, for errors."""

    def size(self, path: str) -> int:
        """Return how many bytes a file has.

        Raises:
            ImageNotFound: there is no such file.
            ImageError: it is no regular file.
        """

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from an offset on; raises what `size` does, when the first is asked for."""

    def close(self) -> None:
        """Let go of it."""


def read(files: Files, path: str, most: int) -> bytes:
    """Return what is in a file.

    Raises:
        ImageNotFound: there is no such file.
        ImageError: it is larger than ``most`` bytes, or no regular file.
    """
    size = files.size(path)
    if size > most:
        raise ImageError(f"{size} bytes, allowed: up to {most}", operation="read", path=f"{files.name}/{path}")
    return b"".join(files.chunks(path))


class Directory:
    """The files below a directory, whose own path may lead through symbolic links."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            ImageNotFound: there is none.
        """
        self.name = path
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            kind = ImageNotFound if error.errno in {errno.ENOENT, errno.ENOTDIR} else Error
            raise kind(operation="open", path=path, errno=error.errno) from None

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        fd = self._open(path)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from an offset on."""
        fd = self._open(path)
        try:
            yield from pieces(fd, start, os.fstat(fd).st_size, f"{self.name}/{path}")
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of it; may be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _open(self, path: str) -> int:
        try:
            return open_below(self.fd, path)
        except OSError as error:
            kind = ImageNotFound if error.errno == errno.ENOENT else ImageError
            reason = "no regular file, or a symbolic link on the way to it" if error.errno in NO_FILE else ""
            raise kind(reason, operation="read", path=f"{self.name}/{path}", errno=error.errno) from None


NO_FILE = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})
"""What it is called by the kernel that something is no file."""


def open_below(directory: int, path: str) -> int:
    """Open a regular file below a directory for reading, through no symbolic link.

    Raises:
        OSError: it cannot be opened; EISDIR where it is something else.
    """
    *parents, name = path.split("/")
    opened: list[int] = []
    try:
        for parent in parents:
            opened.append(os.open(parent, _DIRECTORY, dir_fd=opened[-1] if opened else directory))
        return open_file(name, opened[-1] if opened else directory)
    finally:
        for each in opened:
            os.close(each)


def open_file(name: str, directory: int | None = None) -> int:
    """Open a regular file for reading.

    Raises:
        OSError: it cannot be opened; EISDIR where it is something else.
    """
    return open_with_size(name, directory)[0]


def open_with_size(name: str, directory: int | None = None) -> tuple[int, int]:
    """Do so; the descriptor, and how many bytes it has."""
    fd = os.open(name, _FILE, dir_fd=directory)
    seen = os.fstat(fd)
    if not stat.S_ISREG(seen.st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    return fd, seen.st_size


def pieces(fd: int, start: int, end: int, name: str) -> Iterator[bytes]:
    """Yield what is in a file between two offsets.

    Args:
        fd: of the file; its own offset is left alone.
        start: the offset of the first byte.
        end: the offset after the last one.
        name: of the file, for errors.

    Raises:
        ImageError: the file ends before, or cannot be read.
    """
    while start < end:
        try:
            piece = os.pread(fd, min(PIECE, end - start), start)
        except OSError as error:
            raise ImageError(operation="read", path=name, errno=error.errno) from error
        if not piece:
            raise ImageError(f"{end - start} bytes are missing at the end", operation="read", path=name)
        yield piece
        start += len(piece)
