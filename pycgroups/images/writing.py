"""Files that are there whole or not at all: written beside, synced, renamed; and what was begun, found again."""

from __future__ import annotations

import errno
import os
import stat

from pycgroups.errors import Error
from pycgroups.images.files import open_with_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Buffer

_MOST_LINKS = 40


def write_all(fd: int, data: Buffer) -> None:
    """Write all of it: write(2) may take a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def is_special(path: str) -> bool:
    """Tell whether what a path leads to is written to, and not replaced: a device, a FIFO, or somebody's descriptor."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _descriptor(path) is not None


def open_special(path: str) -> int:
    """Open what is special for writing; a descriptor.

    One of ours is used itself, as after ``>>``: what is opened by its path begins at the beginning of a file.
    """
    of, number = _descriptor(path) or (-1, -1)
    if of == os.getpid():
        return os.dup(number)
    return os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if os.path.isfile(path) else 0))


def _descriptor(path: str) -> tuple[int, int] | None:
    """Return the process and the number of a descriptor that a path is of, as /dev/stdout is."""
    for _ in range(_MOST_LINKS):
        directory, name = os.path.split(path)
        directory = os.path.realpath(directory)
        process = directory.removeprefix("/proc/").partition("/")[0]
        if directory.endswith("/fd") and process.isdecimal() and name.isdecimal():  # its threads' are its own
            return int(process), int(name)
        try:
            path = os.path.join(directory, os.readlink(os.path.join(directory, name)))
        except OSError:
            return None
    return None


def written_at(target: str | os.PathLike[str]) -> str:
    """Return the path of what is written when somebody names a target.

    Links stay, and what they lead to is replaced; but what is special may have no other path, as /dev/stdout.

    Raises:
        Error: it is a directory.
    """
    path = os.fspath(target)
    if os.path.isdir(path):
        raise Error(operation="write", path=path, errno=errno.EISDIR)
    return path if is_special(path) else os.path.realpath(path)


def replace(name: str, data: bytes, *, dir_fd: int, mode: int = 0o600) -> None:
    """Put a small file in place of what has its name, so that readers see the old one or the new one.

    The caller has a lock that keeps others from the same. Beside it is ``NAME.new``, also after a crash.
    """
    beside = f"{name}.new"
    try:
        os.unlink(beside, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(beside, flags, mode, dir_fd=dir_fd)
    try:
        os.fchmod(fd, mode)
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(beside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    os.fsync(dir_fd)


def read_file(name: str, *, dir_fd: int, most: int) -> bytes | None:
    """Return what is in a small regular file, or None when there is none.

    Args:
        name: of the file.
        dir_fd: the directory it is in.
        most: bytes; what is larger is cut after one more than that, so that the caller sees it.

    Raises:
        OSError: it cannot be read, is no regular file, or a symlink.
    """
    try:
        fd, size = open_with_size(name, dir_fd)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, min(size, most) + 1)  # Python's own files take four times as long
    finally:
        os.close(fd)
