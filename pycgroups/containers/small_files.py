"""Files in a container's root, one at a time: read, write, look at, list, make, remove.

Each function takes what `pycgroups.containers.roots.opened` does, and is called where the container's ids are.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat

from pycgroups._native import vfs
from pycgroups.containers.roots import Layers, opened, written
from pycgroups.containers.spots import OwnerError, Spot, open_directory, refused, spot, told
from pycgroups.errors import Error
from pycgroups.images.entries import open_file, reopen
from pycgroups.images.removing import remove_tree
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 2**20
_MODE = 0o644
_DIRECTORY_MODE = 0o755


def read(root: int, layers: Layers | None, path: bytes, limit: int) -> bytes:
    """Return what is in a regular file."""
    with told("read", path), opened(root, layers) as top, spot(top, path) as at:
        fd = open_file(at.directory, at.name)
        try:
            data = b"".join(_pieces(fd, limit + 1))
        finally:
            os.close(fd)
    if len(data) > limit:
        raise Error(f"more than {limit} bytes", operation="read", path=path, hint="limit= says how many there may be")
    return data


def _pieces(fd: int, most: int) -> Iterator[bytes]:
    """Read to the end: a file of procfs does not say how long it is."""
    while most and (piece := os.read(fd, min(most, _PIECE))):
        most -= len(piece)
        yield piece


def write(  # noqa: PLR0917 (called by position)
    root: int,
    layers: Layers | None,
    path: bytes,
    data: bytes,
    mode: int | None,
    owner: tuple[int, int] | None,
    parents: bool,
) -> None:
    """Put a file at a path, whole or not at all; a symlink there leads on to its place.

    What is mounted at the path itself is written to: it cannot be replaced.
    """
    with told("write", path), written(root, layers) as top:
        if parents:
            make_directories(top, path.rstrip(b"/").rpartition(b"/")[0], owner)
        with spot(top, path) as at:
            found = at.stat()
            if found is not None and not stat.S_ISREG(found.st_mode):
                raise refused("write", path, errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENXIO)
            if path.endswith(b"/"):
                raise refused("write", path, errno.EISDIR)
            if found is not None:
                mode = stat.S_IMODE(found.st_mode) if mode is None else mode
                owner = (found.st_uid, found.st_gid) if owner is None else owner
            if found is not None and vfs.is_mounted(at.directory, at.name):
                _overwrite(at, data)
            else:
                _replace(at, data, _MODE if mode is None else mode, owner or (0, 0))


def _replace(at: Spot, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    beside = temporary(at.name)
    fd = os.open(beside, _NEW, 0o600, dir_fd=at.directory)
    try:
        try:
            write_all(fd, data)
            _give(fd, owner)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        os.rename(beside, at.name, src_dir_fd=at.directory, dst_dir_fd=at.directory)
    except BaseException:
        unlink(at.directory, beside)
        raise


def _give(fd: int, owner: tuple[int, int]) -> None:
    try:
        os.fchown(fd, *owner)
    except OSError as error:
        raise OwnerError(error.errno, error.strerror) from error


def _overwrite(at: Spot, data: bytes) -> None:
    found = os.open(at.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at.directory)
    try:
        fd = reopen(found, at.name, os.O_WRONLY | os.O_TRUNC)
    finally:
        os.close(found)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def temporary(name: bytes) -> bytes:
    """Return a name beside another one that nothing has."""
    return b".%s.%s" % (name[:200], secrets.token_hex(8).encode())


def unlink(directory: int, name: bytes) -> None:
    """Remove a file, if it is there."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


def make_directory(  # noqa: PLR0917 (called by position)
    root: int, layers: Layers | None, path: bytes, mode: int, owner: tuple[int, int] | None, parents: bool
) -> None:
    """Make a directory; with parents, those on the way too, and it may be there."""
    with told("make directory", path), written(root, layers) as top:
        if parents:
            make_directories(top, path.rstrip(b"/").rpartition(b"/")[0], owner)
        with spot(top, path, follow=False) as at:
            if parents and (found := at.stat()) is not None and stat.S_ISDIR(found.st_mode):
                return
            _make(at.directory, at.name, mode, owner)


def make_directories(top: int, path: bytes, owner: tuple[int, int] | None) -> None:
    """Make what is missing of a path to a directory. Each part is looked for from the root, as symlinks mean it."""
    names = [name for name in path.split(b"/") if name]
    directory = open_directory(top, b"/")
    try:
        for depth in range(1, len(names) + 1):
            here = b"/".join(names[:depth])
            try:
                inner = open_directory(top, here)
            except FileNotFoundError:
                _make(directory, names[depth - 1], _DIRECTORY_MODE, owner)
                inner = open_directory(top, here)
            os.close(directory)
            directory = inner
    finally:
        os.close(directory)


def _make(directory: int, name: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    os.mkdir(name, 0o700, dir_fd=directory)
    fd = os.open(name, _LIST, dir_fd=directory)
    try:
        if owner is not None:
            _give(fd, owner)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def look(root: int, layers: Layers | None, path: bytes, follow: bool) -> os.stat_result:
    """Return the facts of a file."""
    with told("stat", path), opened(root, layers) as top, spot(top, path, follow=follow) as at:
        return os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)


def names(root: int, layers: Layers | None, path: bytes) -> list[str]:
    """Return the names in a directory, sorted."""
    with told("list", path), opened(root, layers) as top, spot(top, path) as at:
        fd = os.open(at.name, _LIST, dir_fd=at.directory)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)


def remove(root: int, layers: Layers | None, path: bytes, recursive: bool) -> None:
    """Remove a file, a symlink itself, or a directory."""
    with told("remove", path), written(root, layers) as top, spot(top, path.rstrip(b"/"), follow=False) as at:
        if at.name == b"." or vfs.is_mounted(at.directory, at.name):  # it would go in other namespaces
            raise refused("remove", path, errno.EBUSY)
        found = os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(at.name, dir_fd=at.directory)
        elif recursive:
            remove_tree(at.directory, at.name)
        else:
            os.rmdir(at.name, dir_fd=at.directory)
