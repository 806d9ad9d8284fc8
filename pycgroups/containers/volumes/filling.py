"""The first content of a volume: what a root file system has at the place that the volume is mounted on.

Docker's rule: only an empty volume gets it, and only once. It is copied beside, and takes the place of the empty
directory in one rename(2), which fails if that has got a file meanwhile: nothing is ever overwritten.

Files keep owners, modes, times, extended attributes and hard links among each other. Sockets and device nodes are left
out: no volume's devices can be opened. A root file system that is a directory of the host may be changed by a container
meanwhile, so every directory is opened in it as if it were "/", and what is in that by descriptors.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native import tree, vfs
from pycgroups.errors import Error
from pycgroups.images import xattrs
from pycgroups.images.files import io_errors
from pycgroups.images.lookup import Lookup
from pycgroups.images.removing import remove
from pycgroups.images.resolving import is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Merged = Sequence[tuple[int, bytes]]
    "Where a directory is: in which layers, and its path in each; the topmost first."

FILLING = "filling"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@io_errors("fill volume")
def fill(volume: str, layers: Sequence[str], at: str, alone: bool) -> None:
    """Give an empty volume its first content; nothing happens when there is no directory at that place.

    Args:
        volume: its directory, with the empty ``data``.
        layers: the directories that the root file system is made of, the topmost first, in overlayfs's form.
        at: the place.
        alone: the caller has no ids but the own ones, which own all files then.

    Raises:
        ImageError: the place is in a loop of symlinks.
        Error: something cannot be read or written. ``filling`` is left.
    """
    new = f"{volume}/{FILLING}"
    remove(new)
    opened: list[int] = []
    try:
        opened += [os.open(layer, _DIRECTORY) for layer in layers]
        union = Lookup(opened)
        found = union.all(union.real(at))
        if not found or not stat.S_ISDIR(found[0].stat.st_mode):
            return
        os.mkdir(new, 0o700)
        opened.append(os.open(new, _DIRECTORY))
        with tree.Tree(opened[-1]) as made:
            _Copying(opened, made, alone=alone).run([(each.layer, each.path) for each in found])
        vfs.sync_file_system(opened[-1])
        os.rename(new, f"{volume}/data")
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        remove(new)
    finally:
        for fd in opened:
            os.close(fd)


class _Copying:
    def __init__(self, layers: Sequence[int], made: tree.Tree, *, alone: bool) -> None:
        self._layers = layers
        self._tree = made
        self._alone = alone
        self._directories: list[tuple[bytes, tree.Attributes]] = []
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, top: Merged) -> None:
        todo = [(b"", top)]
        while todo:
            todo += self._directory(*todo.pop())
        for path, of in reversed(self._directories):  # what is in one is complete before it gets its mode and time
            self._check(self._tree.directory_finish(path, of), path)

    def _directory(self, path: bytes, merged: Merged) -> list[tuple[bytes, Merged]]:
        """Copy what is in a directory; return the directories in it."""
        opened: list[int] = []
        try:
            opened += [self._open(layer, inside) for layer, inside in merged]
            self._directories.append((path, self._attributes(opened[0], b".", os.fstat(opened[0]))))
            inner: list[tuple[bytes, Merged]] = []
            for name in sorted({os.fsencode(name) for fd in opened for name in os.listdir(fd)}):
                found = _found(opened, name)
                here = path + b"/" + name if path else name
                if not found:
                    continue
                if stat.S_ISDIR(found[0][1].st_mode):
                    self._check(self._tree.directory(here), here)
                    inner.append((here, [_below(merged[index], name) for index, _ in found]))
                else:
                    self._copy(opened[found[0][0]], name, found[0][1], here)
            return inner
        finally:
            for fd in opened:
                os.close(fd)

    def _open(self, layer: int, path: bytes) -> int:
        return self._check(vfs.open_inside(b"/proc/self/fd/%d" % self._layers[layer], path or b"."), path)

    def _copy(self, directory: int, name: bytes, found: os.stat_result, path: bytes) -> None:
        if found.st_nlink > 1:
            first = self._first.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                self._check(self._tree.link(path, first), path)
                return
        of = self._attributes(directory, name, found)
        if stat.S_ISREG(found.st_mode):
            self._copy_file(directory, name, of, path)
        elif stat.S_ISLNK(found.st_mode):
            self._check(self._tree.symlink(path, of, os.readlink(name, dir_fd=directory)), path)
        elif stat.S_ISFIFO(found.st_mode):
            self._check(self._tree.node(path, of, 0), path)

    def _copy_file(self, directory: int, name: bytes, of: tree.Attributes, path: bytes) -> None:
        with (
            open(os.open(name, _FILE, dir_fd=directory), "rb", buffering=0) as source,
            open(self._check(self._tree.create(path), path), "wb", buffering=0) as to,
        ):
            _copy_data(source.fileno(), to.fileno())
            self._check(self._tree.finish(to.fileno(), of), path)

    def _attributes(self, directory: int, name: bytes, found: os.stat_result) -> tree.Attributes:
        owner = (tree.NOBODY, tree.NOBODY) if self._alone else (found.st_uid, found.st_gid)
        return tree.Attributes(found.st_mode, *owner, found.st_mtime_ns, tree.packed(xattrs.read(directory, name)))

    def _check(self, result: int, path: bytes) -> int:
        if result < 0:
            step = tree.STEPS.get(self._tree.failed, "read")
            raise Error(operation=f"fill volume: {step}", path=path, errno=-result)
        return result


def _found(directories: Sequence[int], name: bytes) -> list[tuple[int, os.stat_result]]:
    """Return where a name of directories that are merged is found: their indices; more than one of directories."""
    found: list[tuple[int, os.stat_result]] = []
    for index, fd in enumerate(directories):
        try:
            facts = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if is_whiteout(facts) or (found and not stat.S_ISDIR(facts.st_mode)):
            break
        found.append((index, facts))
        if not stat.S_ISDIR(facts.st_mode) or xattrs.is_opaque(fd, name):
            break
    return found


def _below(place: tuple[int, bytes], name: bytes) -> tuple[int, bytes]:
    layer, path = place
    return layer, path + b"/" + name if path else name


def _copy_data(source: int, to: int) -> None:
    """Copy what is in a file, but for its holes."""
    size, at = os.fstat(source).st_size, 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # the rest is a hole
                raise
            break
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(to, at, os.SEEK_SET)
        while at < end and (count := os.sendfile(to, source, at, end - at)):
            at += count
    os.ftruncate(to, size)
