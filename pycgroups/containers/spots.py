"""Where a path in a root leads: the directory that something is in, opened, and its name there.

Everything is looked for as if the root were "/", by openat2(2): no symlink, no ".." and nothing that is changed
meanwhile leads out of it. What is found is used by descriptor and by that one name, never by the path again.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

from pycgroups._native import vfs
from pycgroups.errors import AlreadyExists, Error, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_LINKS = 40
"As many as the kernel follows."
_NO_SUCH_OWNER = "an owner that the container's user namespace does not have"
_HINTS = {
    errno.EXDEV: "a path through /proc/PID/fd and the like leads nowhere here",
    errno.EAGAIN: "directories on the way were renamed all the time; try again",
    errno.EBUSY: "something is mounted there",
    errno.ENXIO: "a device, a FIFO or a socket, which is never opened here",
    errno.EOVERFLOW: _NO_SUCH_OWNER,
}


class OwnerError(OSError):
    """A file could not be given to somebody."""


class Spot(NamedTuple):
    """A place in a root.

    Attributes:
        directory: a descriptor of the directory.
        name: of what is in it, or may be; ``b"."`` for the directory itself.
        path: the path that leads there; its directory's symlinks are not resolved.
    """

    directory: int
    name: bytes
    path: bytes

    def stat(self) -> os.stat_result | None:
        """Tell what is there, a symlink itself; None when nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


def refused(operation: str, path: bytes, number: int | None, *, giving: bool = False) -> Error:
    """Make the error for what the kernel refused, when a file was to be given to somebody or otherwise."""
    hint = _NO_SUCH_OWNER if giving and number == errno.EINVAL else _HINTS.get(number or 0)
    kind = {errno.ENOENT: NotFound, errno.ENOTDIR: NotFound, errno.EEXIST: AlreadyExists}.get(number or 0, Error)
    return kind(operation=operation, path=path, errno=number, hint=hint)


@contextmanager
def told(operation: str, path: bytes) -> Iterator[None]:
    """Let an `OSError` be an `Error` of ours."""
    try:
        yield
    except Error:
        raise
    except OSError as error:
        raise refused(operation, path, error.errno, giving=isinstance(error, OwnerError)) from error


def open_directory(root: int, path: bytes) -> int:
    """Open a directory of a root for its name's sake (O_PATH).

    Raises:
        OSError: there is none, or none that can be opened.
    """
    fd = vfs.open_in_root(root, path or b"/", os.O_PATH | os.O_DIRECTORY)
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd), path)
    return fd


@contextmanager
def spot(root: int, path: bytes, *, follow: bool = True) -> Iterator[Spot]:
    """Find a place.

    Args:
        root: the directory of the root.
        path: absolute or not, it begins at the root.
        follow: whether a symlink at its end is followed, also one that leads to nothing; with a slash after it it is.

    Raises:
        OSError: the directory that it is to be in is not there, or there is a loop of symlinks.
    """
    found = _find(root, path, follow=follow)
    try:
        yield found
    finally:
        os.close(found.directory)


def _find(root: int, path: bytes, *, follow: bool) -> Spot:
    if b"\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    for _ in range(_LINKS):
        stripped = path.rstrip(b"/")
        above, _, name = stripped.rpartition(b"/")
        if name in {b"", b".", b".."}:
            return Spot(open_directory(root, path), b".", path)
        directory = open_directory(root, above)
        target = _target(directory, name) if follow or path != stripped else None
        if target is None:
            return Spot(directory, name, stripped)
        os.close(directory)
        path = target if target.startswith(b"/") else above + b"/" + target
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _target(directory: int, name: bytes) -> bytes | None:
    """Return where a symlink leads; None where there is no symlink."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT, errno.ENAMETOOLONG}:
            return None
        raise
