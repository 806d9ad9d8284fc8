"""An archive as it comes - a file, a pipe, compressed or not - into a file that can be read at any offset.

A plain tar in a regular file is that already. Anything else goes to a temporary file that has no name, so that nothing
of it stays when we die.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups.errors import Error, ImageError, ImageNotFound, InvalidConfig, invalid
from pycgroups.images.compression import expand, found_in
from pycgroups.images.files import PIECE, pieces
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Stream(Protocol):
        """What bytes are read from: a pipe, a socket's file, ``sys.stdin.buffer``."""

        def read(self, size: int, /) -> bytes: ...  # noqa: D102 (io's)

    # A path, or what is read from its current position on.
    Origin = str | os.PathLike[str] | Stream

LARGEST = 2**36
"""Bytes that a temporary file may take by default: 64 GiB."""


def plain_file(origin: Origin, *, directory: str | None = None, largest: int = LARGEST) -> tuple[int, str]:
    """Return a descriptor of a file with the uncompressed archive in it, and a name for errors.

    Args:
        origin: the archive.
        directory: where the temporary file is made, if there has to be one; by default that of `tempfile`.
        largest: bytes that the temporary file may take.

    Raises:
        ImageNotFound: there is no such file.
        ImageError: it is compressed, and broken.
        Error: it cannot be read, or the temporary file cannot be written.
    """
    fd, name = _regular(origin)
    if fd is not None and not found_in(os.pread(fd, 8, 0)):
        return fd, name
    try:
        chunks = _read(origin, name) if fd is None else pieces(fd, 0, os.fstat(fd).st_size, name)
        return spooled(_expanded(chunks, name), name, directory, largest), name
    finally:
        if fd is not None:
            os.close(fd)


def _expanded(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from expand(chunks)
    except ImageError as error:
        error.path = error.path or name
        raise


def _regular(origin: Origin) -> tuple[int | None, str]:
    """Open what is a regular file from its beginning on; None is to be read as a stream."""
    if isinstance(origin, str | os.PathLike):
        name = os.fspath(origin)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            kind = ImageNotFound if isinstance(error, FileNotFoundError) else Error
            raise kind(operation="open", path=name, errno=error.errno) from None
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd, name
        os.close(fd)
        return None, name
    if not hasattr(origin, "read"):
        raise invalid("origin", origin, "a path, or a stream of bytes")
    try:
        fd = origin.fileno()  # type: ignore[attr-defined]
        if stat.S_ISREG(os.fstat(fd).st_mode) and origin.tell() == 0:  # type: ignore[attr-defined]
            return os.dup(fd), _name_of(origin)
    except (AttributeError, OSError, ValueError):
        pass
    return None, _name_of(origin)


def _name_of(stream: Stream) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "(stream)"


def _read(origin: Origin, name: str) -> Iterator[bytes]:
    """Read a stream, or what is at a path and no regular file, to its end."""
    try:
        if isinstance(origin, str | os.PathLike):
            with open(origin, "rb", buffering=0) as file:
                yield from _read(file, name)
            return
        while piece := origin.read(PIECE):
            if not isinstance(piece, bytes):
                raise InvalidConfig("a stream of text, allowed: one of bytes", operation="read", path=name)
            yield piece
    except OSError as error:
        hint = f"pycgroups pull oci:{name}, or dir:{name}" if error.errno == errno.EISDIR else None
        raise Error(operation="read", path=name, errno=error.errno, hint=hint) from error


def spooled(chunks: Iterator[bytes], name: str, directory: str | None, largest: int) -> int:
    """Write bytes to a temporary file; return its descriptor. See `plain_file`."""
    import tempfile

    directory = directory or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            for chunk in chunks:
                largest -= len(chunk)
                if largest < 0:
                    raise ImageError("larger than is allowed when it is unpacked", operation="read", path=name)
                write_all(file.fileno(), chunk)
            return os.dup(file.fileno())
    except OSError as error:
        hint = "another directory for temporary files, with more space"
        raise Error(operation="write a temporary file in", path=directory, errno=error.errno, hint=hint) from error
