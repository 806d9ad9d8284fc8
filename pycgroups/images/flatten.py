"""Copy layers into one directory, as overlayfs would show them: for a host that has no overlayfs for them.

Files that the file system can share are not copied: copy_file_range(2) makes reflinks on btrfs, XFS and their like.
Holes stay holes, and hard links are hard links.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native import tree
from pycgroups.errors import Error
from pycgroups.images import xattrs
from pycgroups.images.lookup import Lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pycgroups.images.lookup import Found
    from pycgroups.images.unpack import Owner

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_BLOCK = 512  # of st_blocks, whatever the file system's are: stat(3type)
_NO_RANGES = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}


def flatten(layers: Sequence[str], place: str, owner: Owner) -> None:
    """Copy layers into a new directory.

    Args:
        layers: their directories, in overlayfs's form, the topmost first, that nobody changes meanwhile.
        place: of the new directory.
        owner: whether files keep their owners, or are the caller's; then those that are setuid are so no more.

    Raises:
        ImageError: a layer cannot be read.
        Error: the copy cannot be made.
    """
    os.mkdir(place, 0o700)
    fds: list[int] = []
    try:
        fds.extend(os.open(path, _DIRECTORY) for path in (place, *layers))
        with tree.Tree(fds[0]) as made:
            _Copying(fds[1:], made, kept=owner == "kept").run()
    finally:
        for fd in fds:
            os.close(fd)


class _Copying:
    def __init__(self, layers: Sequence[int], made: tree.Tree, *, kept: bool) -> None:
        self._layers = layers
        self._lookup = Lookup(layers)
        self._made = made
        self._kept = kept
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self) -> None:
        done: list[tuple[bytes, Found]] = []
        todo = [(b"", self._lookup.all(b""))]
        while todo:
            path, merged = todo.pop()
            done.append((path, merged[0]))
            for name, there in self._inside(merged):
                inner = path + b"/" + name if path else name
                found = self._lookup.below(there, inner)
                if found and stat.S_ISDIR(found[0].stat.st_mode):
                    self._check(self._made.directory(inner), inner)
                    todo.append((inner, found))
                elif found:
                    self._copy(inner, found[0])
        for path, top in reversed(done):  # what is in a directory comes before it, and changes its time
            self._check(self._made.directory_finish(path, self._attributes(top)), path)

    def _inside(self, merged: list[Found]) -> Iterable[tuple[bytes, list[Found]]]:
        """Return the names in directories that are merged, each with those that have it."""
        inside: dict[bytes, list[Found]] = {}
        for one in merged:
            fd = os.open(one.path or b".", _DIRECTORY, dir_fd=self._layers[one.layer])
            try:
                for name in os.listdir(fd):
                    inside.setdefault(os.fsencode(name), []).append(one)
            finally:
                os.close(fd)
        return inside.items()

    def _copy(self, path: bytes, found: Found) -> None:
        of = found.stat
        if of.st_nlink > 1:
            first = self._first.setdefault((found.layer, of.st_ino), path)
            if first != path:
                self._check(self._made.link(path, first), path)
                return
        if stat.S_ISREG(of.st_mode):
            self._file(path, found)
        elif stat.S_ISLNK(of.st_mode):
            target = os.readlink(path, dir_fd=self._layers[found.layer])
            self._check(self._made.symlink(path, self._attributes(found), target), path)
        else:
            attributes = self._attributes(found)._replace(mode=of.st_mode)
            self._check(self._made.node(path, attributes, of.st_rdev), path)

    def _file(self, path: bytes, found: Found) -> None:
        source = os.open(path, _FILE, dir_fd=self._layers[found.layer])
        try:
            target = self._check(self._made.create(path), path)
            try:
                copy_data(source, target, found.stat)
                self._check(self._made.finish(target, self._attributes(found)), path)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _attributes(self, found: Found) -> tree.Attributes:
        of = found.stat
        packed = tree.packed(xattrs.read(self._layers[found.layer], found.path))
        mode = stat.S_IMODE(of.st_mode)
        if self._kept:
            return tree.Attributes(mode, of.st_uid, of.st_gid, of.st_mtime_ns, packed)
        if stat.S_ISREG(of.st_mode):
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        return tree.Attributes(mode, tree.NOBODY, tree.NOBODY, of.st_mtime_ns, packed)

    def _check(self, result: int, path: bytes) -> int:
        if result < 0:
            raise Error(operation=f"copy layers: {tree.STEPS[self._made.failed]}", path=path, errno=-result)
        return result


def copy_data(source: int, target: int, of: os.stat_result, *, shrinks: bool = False) -> None:
    """Copy what is in a file, but for its holes.

    Args:
        source: the file.
        target: an empty one.
        of: what it is.
        shrinks: it may become shorter meanwhile, and what there is of it is copied.

    Raises:
        Error: it has become so, and may not.
    """
    if of.st_blocks * _BLOCK >= of.st_size:
        whole = _copy_range(source, target, 0, of.st_size)
    else:
        whole = _copy_parts(source, target, of.st_size)
    if not whole and not shrinks:
        raise Error("a file of a layer has become shorter while it was copied", operation="copy layers")


def _copy_parts(source: int, target: int, size: int) -> bool:
    os.ftruncate(target, size)
    end = 0
    while (start := _next_data(source, end)) is not None:
        end = os.lseek(source, start, os.SEEK_HOLE)
        if not _copy_range(source, target, start, end - start):
            return False
    return True


def _next_data(fd: int, at: int) -> int | None:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is none
            return None
        raise


def _copy_range(source: int, target: int, at: int, length: int) -> bool:
    """Copy a part; tell whether all of it was there."""
    while length > 0:
        try:
            done = os.copy_file_range(source, target, length, at, at)
        except OSError as error:
            if error.errno not in _NO_RANGES:
                raise
            os.lseek(target, at, os.SEEK_SET)
            done = os.sendfile(target, source, at, length)
        if not done:
            return False
        at, length = at + done, length - done
    return True
