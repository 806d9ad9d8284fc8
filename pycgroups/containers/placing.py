"""Files of a tar put into a root, which others may change meanwhile.

A file is written beside its place, and takes it when it is whole. A directory that is there stays what it is; nothing
takes the place of one, and it takes the place of nothing. Nor does anything take that of a device, a FIFO or a socket,
but one of its kind. Paths are resolved in the root for each entry anew (tree.h), so that no symlink, there before or
put there meanwhile, leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native import tree, vfs
from pycgroups.containers.destinations import Goal, check_replaced, is_at
from pycgroups.containers.roots import Layers, written
from pycgroups.containers.small_files import make_directories, temporary
from pycgroups.containers.spots import refused, spot, told
from pycgroups.errors import Error
from pycgroups.images.entries import reopen
from pycgroups.images.tar.entry import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    OTHER,
    SYMLINK,
    Entry,
)
from pycgroups.images.tar.reader import Reader
from pycgroups.images.unpack import names_of, write_data
from pycgroups.images.xattrs import are_kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_PIECE = 2**18
_TYPES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_NO_PARENT = (-errno.ENOENT, -errno.ENOTDIR)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_COPY = "copy"


class Owners(NamedTuple):
    """Who gets what is copied, and how much of it is kept.

    Attributes:
        owner: user and group id, or None: with `preserve` those of the source, otherwise who copies.
        preserve: keep set-user-id bits, all extended attributes that layers have, and devices; otherwise only
            attributes ``user.*``. Modes and times are kept in any case.
    """

    owner: tuple[int, int] | None = None
    preserve: bool = False


class Copied(NamedTuple):
    """What was copied.

    Attributes:
        entries: files, directories and others.
        size: bytes of the files, holes included.
        left_out: the names of devices in the source that were not made.
    """

    entries: int
    size: int
    left_out: tuple[str, ...] = ()


def place(root: int, layers: Layers | None, goal: Goal, owners: Owners, chunks: Iterator[bytes]) -> Copied:
    """Put what is in a tar where it is to go.

    Args:
        root: as for `pycgroups.containers.roots.written`.
        layers: likewise.
        goal: where to.
        owners: whose it is then.
        chunks: the tar, in pieces of any size.

    Raises:
        NotFound: the destination, or the directory that it is to be in, is not there.
        ImageError: the tar is malformed, or cut off.
        Error: a directory is in the way of something else, or the other way round; or it cannot be written. What was
            placed before stays, and nothing has half its content.
    """
    with told(_COPY, goal.path), written(root, layers) as top, tree.Tree(top) as made:
        return _Placing(top, made, goal, owners, Reader(chunks)).run()


def place_from(root: int, layers: Layers | None, goal: Goal, owners: Owners, source: int) -> Copied:
    """Do the same with a tar that comes from a descriptor."""
    return place(root, layers, goal, owners, iter(lambda: os.read(source, _PIECE), b""))


class _Placing:
    def __init__(self, top: int, made: tree.Tree, goal: Goal, owners: Owners, reader: Reader) -> None:
        self._top = top
        self._tree = made
        self._goal = goal
        self._owners = owners
        self._reader = reader
        self._base = b""
        self._directories: dict[bytes, tree.Attributes] = {}
        self._left_out: dict[bytes, None] = {}
        self._make: dict[bytes, Callable[[bytes, Entry, int], None]] = {
            FILE: self._file,
            LINK: self._link,
            SYMLINK: self._symlink,
            CHARACTER: self._node,
            BLOCK_DEVICE: self._node,
            FIFO: self._node,
            DIRECTORY: self._directory,
        }

    def run(self) -> Copied:
        count = size = 0
        for entry in self._reader:
            if count == 0:
                self._base = self._begin(entry)
            count += 1
            size += entry.size
            if entry.kind != OTHER:
                self._apply(entry)
        if count == 0 and self._goal.archive:
            self._begin(None)
        self._finish_directories()
        return Copied(count, size, tuple(os.fsdecode(path) for path in self._left_out))

    def _begin(self, first: Entry | None) -> bytes:
        """Decide where the paths of the archive begin, now that it is known what comes."""
        with spot(self._top, self._goal.path) as at:
            there, path = at.stat(), at.path.strip(b"/")
        if self._goal.archive:
            if there is None or not stat.S_ISDIR(there.st_mode):
                raise refused(_COPY, self._goal.path, errno.ENOENT if there is None else errno.ENOTDIR)
        elif first is not None:
            by = _TYPES.get(first.kind)
            if not is_at(self._goal, directory=first.kind == DIRECTORY, there=there, by=by):
                path += b"/" + self._goal.name
        return b"" if path == b"." else path.removeprefix(b"./").lstrip(b"/")

    def _apply(self, entry: Entry) -> None:
        path = self._path(entry.name)
        there = self._look(path)
        try:
            self._check(entry, path, there)
            self._make[entry.kind](path, entry, there)
        finally:
            if there >= 0:
                os.close(there)

    def _path(self, name: bytes) -> bytes:
        names = names_of(name)
        if b".." in names:
            raise Error("a name with '..'", operation=_COPY, path=name)
        return b"/".join([self._base, *names] if self._base else names)

    def _look(self, path: bytes) -> int:
        """Open what is at a path for its name's sake; -1 where nothing is."""
        fd = vfs.open_in_root(self._top, path, os.O_PATH | os.O_NOFOLLOW)
        if fd < 0 and -fd not in {errno.ENOENT, errno.ENOTDIR}:
            raise refused(_COPY, path, -fd)
        return max(fd, -1)

    @staticmethod
    def _check(entry: Entry, path: bytes, there: int) -> None:
        """Refuse to have a directory and something else in one place, or to replace what is mounted, or special."""
        if there < 0:
            return
        mode = os.fstat(there).st_mode
        is_directory = stat.S_ISDIR(mode)
        if is_directory != (entry.kind == DIRECTORY):
            number = errno.EISDIR if is_directory else errno.ENOTDIR
            raise Error("a directory and something else", operation=_COPY, path=path, errno=number)
        if not is_directory and entry.kind != FILE and vfs.is_mounted(there):
            raise refused(_COPY, path, errno.EBUSY)
        check_replaced(path, mode, _TYPES.get(entry.kind))

    # -- one of a kind ------------------------------------------------------------------------------------------

    def _attributes(self, entry: Entry) -> tree.Attributes:
        owner, preserve = self._owners
        uid, gid = owner or ((entry.uid, entry.gid) if preserve else (tree.NOBODY, tree.NOBODY))
        mode = entry.mode
        if entry.kind == FILE and not preserve:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        kept = {
            name: value
            for name, value in entry.xattrs.items()
            if are_kept(name) and (preserve or name.startswith(b"user."))
        }
        return tree.Attributes(mode, uid, gid, entry.mtime, tree.packed(kept) if kept else b"")

    def _file(self, path: bytes, entry: Entry, there: int) -> None:
        if there >= 0 and vfs.is_mounted(there):
            self._overwrite(path, entry, there)
            return
        directory, slash, name = path.rpartition(b"/")
        beside = directory + slash + temporary(name)
        try:
            self._write(beside, entry)
            self._done(path, self._tree.rename(beside, path))
        except BaseException:
            self._tree.remove(beside)
            raise

    def _write(self, beside: bytes, entry: Entry) -> None:
        of = self._attributes(entry)
        whole = self._reader.whole() if entry.extents is None else None
        if whole is not None:
            self._made(beside, lambda: self._tree.file(beside, of, *whole))
            return
        fd = self._made(beside, lambda: self._tree.create(beside))
        try:
            self._done(beside, write_data(self._tree, fd, self._reader, entry) or self._tree.finish(fd, of))
        finally:
            os.close(fd)

    def _overwrite(self, path: bytes, entry: Entry, there: int) -> None:
        """Write to what is mounted in the place of a file."""
        fd = reopen(there, path, os.O_WRONLY | os.O_TRUNC)
        try:
            self._done(path, write_data(self._tree, fd, self._reader, entry))
        finally:
            os.close(fd)

    def _directory(self, path: bytes, entry: Entry, there: int) -> None:
        if there < 0:
            self._made(path, lambda: self._tree.directory(path))
            self._directories[path] = self._attributes(entry)

    def _symlink(self, path: bytes, entry: Entry, _: int) -> None:
        of = self._attributes(entry)
        self._made(path, lambda: self._tree.symlink(path, of, entry.target))

    def _node(self, path: bytes, entry: Entry, _: int) -> None:
        if entry.kind != FIFO and not self._owners.preserve:
            self._left_out[path] = None
            return
        of = self._attributes(entry)
        of = of._replace(mode=of.mode | _TYPES[entry.kind])
        self._made(path, lambda: self._tree.node(path, of, os.makedev(*entry.device)))

    def _link(self, path: bytes, entry: Entry, _: int) -> None:
        target = self._path(entry.target)
        if target in self._left_out:
            self._left_out[path] = None
        else:
            self._made(path, lambda: self._tree.link(path, target))

    # -- what comes of it ---------------------------------------------------------------------------------------

    def _made(self, path: bytes, make: Callable[[], int]) -> int:
        """Make something, and the directory that it is to be in, if an archive has no entry for that."""
        result = make()
        if result in _NO_PARENT and self._tree.failed == tree.OF_PARENT and self._goal.archive:
            make_directories(self._top, path.rpartition(b"/")[0], self._owners.owner)
            result = make()
        return self._done(path, result)

    def _done(self, path: bytes, result: int) -> int:
        if result >= 0:
            return result
        step = self._tree.failed
        raise refused(f"{_COPY}: {tree.STEPS.get(step, 'write')}", path, -result, giving=step == tree.OF_OWNER)

    def _finish_directories(self) -> None:
        """Set their attributes: what was made in them has changed their times, and could not be made in some modes."""
        for path in sorted(self._directories, reverse=True):  # what is in a directory comes before it
            result = self._tree.directory_finish(path, self._directories[path])
            if result < 0 and -result not in _GONE:
                self._done(path, result)
