"""Remove a tree of any depth, of any modes, that others have made."""

from __future__ import annotations

import errno
import os
import stat

from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 10
_BLIND = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level(NamedTuple):
    """A directory on the way down: its name in the one above, which that one is, and its own that are not yet empty."""

    name: str | bytes
    above: tuple[int, int]
    rest: list[str]


def remove(path: str) -> None:
    """Remove a tree by its path, if it is there."""
    parent, name = os.path.split(path)
    if os.path.lexists(path):
        fd = os.open(parent, _DIRECTORY)
        try:
            remove_tree(fd, name)
        finally:
            os.close(fd)


def remove_all(paths: Sequence[str]) -> None:
    """Remove several."""
    for path in paths:
        remove(path)


def remove_tree(parent_fd: int, name: str | bytes) -> None:
    """Remove a file, or a directory with all that is in it; nothing happens when there is none.

    It goes down and up again by descriptors, of which it has one at a time, and holds one list of names a level: depth
    and length of paths have no bound. Symlinks are removed, never followed. Directories get the mode that it takes.

    Args:
        parent_fd: the directory it is in.
        name: of what is removed; what it leads through is followed by the kernel.

    Raises:
        Error: something cannot be removed; what was removed before is gone.
    """
    left = _ATTEMPTS
    while not _unlinked(parent_fd, name):
        try:
            _remove(parent_fd, name)
        except FileNotFoundError:  # another process removes the same, and has been quicker: what is left is begun anew
            continue
        except OSError as error:
            left -= 1
            if error.errno != errno.ENOTEMPTY or not left:
                raise _refused(name, error) from error
            # A file has come since the directory was emptied: as the last words of a monitor.


def _refused(name: str | bytes, error: OSError) -> Error:
    path = os.fsdecode(name)
    if isinstance(error.filename, str | bytes) and error.filename != name:  # not of a descriptor
        path = f"{path} (at {os.fsdecode(error.filename)})"
    hint = "something is mounted in it" if error.errno == errno.EBUSY else None
    return Error(operation="remove", path=path, errno=error.errno, hint=hint)


def _remove(parent_fd: int, name: str | bytes) -> None:
    here = _open(name, parent_fd)
    try:
        levels = [_Level(name, _identity(parent_fd), _emptied(here))]
        while True:
            if levels[-1].rest:
                inner = levels[-1].rest.pop()
                below = _open(inner, here)
                above = _identity(here)
                os.close(here)
                here = below
                levels.append(_Level(inner, above, _emptied(here)))
                continue
            done = levels.pop()
            if not levels:
                os.rmdir(done.name, dir_fd=parent_fd)
                return
            up = os.open("..", _DIRECTORY, dir_fd=here)
            os.close(here)
            here = up
            if _identity(here) != done.above:
                raise Error("was moved while it was removed", operation="remove", path=done.name)
            os.rmdir(done.name, dir_fd=here)
    finally:
        os.close(here)


def _emptied(directory: int) -> list[str]:
    """Remove what can be at once; return the directories that are left."""
    return [name for name in os.listdir(directory) if not _unlinked(directory, name)]


def _unlinked(directory: int, name: str | bytes) -> bool:
    """Remove what is no directory; tell whether it is gone."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


def _open(name: str | bytes, parent: int) -> int:
    """Open a directory, so that what is in it can be removed."""
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _allow(name, parent)
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    mode = os.fstat(fd).st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        try:
            os.fchmod(fd, stat.S_IRWXU)
        except OSError:
            os.close(fd)
            raise
    return fd


def _allow(name: str | bytes, parent: int) -> None:
    fd = os.open(name, _BLIND, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IRWXU)
    finally:
        os.close(fd)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
