"""Unpack one layer into a directory, in the form that overlayfs mounts.

Source: https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md and
https://docs.kernel.org/filesystems/overlayfs.html, "Whiteouts and opaque directories".

The layer's tar is hostile until the contrary is shown. No name leaves the directory: those with ".." are refused, and
symlinks on the way are resolved as if the directory were "/". What the layer alone cannot tell, since it depends on
the layers below, is left to `pycgroups.images.settle`.

- ``.wh.NAME`` becomes a character device 0:0, ``.wh..wh..opq`` the attribute ``overlay.opaque``. Both hide what is
  below this layer, never what this layer has itself, in whatever order they come. Other names that begin with
  ``.wh..wh.`` are AUFS's own, and left out.
- The layer cannot speak to overlayfs itself: a device 0:0 is refused, attributes of overlayfs's are left out.
- Devices are made as they are where that is allowed, which it is to root outside of user namespaces; elsewhere they
  are left out. Nothing opens them here, and the store lets nobody else in; mount layers with ``nodev`` all the same.
- Extended attributes: ``user.*``, ``trusted.*``, ``security.capability`` and POSIX ACLs are kept where the kernel takes
  them. Others, as labels of security modules, are the host's to give.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native import tree
from pycgroups.errors import ImageError, Unsupported
from pycgroups.images.removing import remove_tree
from pycgroups.images.resolving import is_whiteout, resolve
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
from pycgroups.images.xattrs import are_kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal, NamedTuple

    Owner = Literal["kept", "caller"]
else:
    from pycgroups.records import NamedTuple

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
_IMPLIED = tree.Attributes(0o755, 0, 0, 0, b"")
_LONGEST = 4096  # bytes, and so names, of a path
_MISSING = 1  # what a hard link is to
_NO_PARENT = (-errno.ENOENT, -errno.ENOTDIR)  # nothing; or a whiteout, that of the directory below
_HINT_OWNER = (
    "who is not root can give files away only in a user namespace with subordinate ids, see subuid(5); "
    'owner="caller" keeps them'
)
_TYPES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}


class LayerLimits(NamedTuple):
    """What one layer may hold, against archives that were made to fill a disk.

    Attributes:
        entries: files, directories and others. By default 1,000,000; a large distribution has 500,000.
        size: bytes of all files, holes included, and of what follows the archive's end. By default 64 GiB.
        depth: names in one path. By default 2,048; the kernel takes no path of more than 4,095 bytes in any case.
    """

    entries: int = 1_000_000
    size: int = 64 * 2**30
    depth: int = 2048


DEFAULT_LIMITS = LayerLimits()


class Unpacked(NamedTuple):
    """What a layer was.

    Attributes:
        entries: how many it has.
        size: bytes of its files.
        implied: its directories that it has no entry of its own for, ``b""`` for the root; parents come first.
        missing_links: path and target of hard links whose target it does not have; something else may have the path.
        opaque_root: it hides all that is below it.
    """

    entries: int
    size: int
    implied: tuple[bytes, ...]
    missing_links: tuple[tuple[bytes, bytes], ...]
    opaque_root: bool = False


def unpack(
    chunks: Iterator[bytes], directory_fd: int, *, limits: LayerLimits = DEFAULT_LIMITS, owner: Owner = "kept"
) -> Unpacked:
    """Unpack a layer.

    Args:
        chunks: its tar, not compressed, in pieces of any size; read to its end.
        directory_fd: where to, an empty directory that nobody else changes meanwhile.
        limits: what it may hold.
        owner: ``"kept"``: files belong to whom the layer says, ids being those of the caller's user namespace.
            ``"caller"``: all belong to the caller, who may not give them away; files lose their set-user-id and
            set-group-id bits then, which would be of another user, and only attributes ``user.*`` are kept.

    Raises:
        ImageError: the layer is malformed, exceeds a limit, or means what cannot be made; some of it is
            in the directory.
        Unsupported: this file system, or this user, cannot have what every layer may need.
    """
    with tree.Tree(directory_fd) as made:
        return _Unpacking(chunks, directory_fd, made, limits, owner).run()


class _Unpacking:
    def __init__(self, chunks: Iterator[bytes], root: int, made: tree.Tree, limits: LayerLimits, owner: Owner) -> None:
        self._chunks = iter(chunks)
        self._root = root
        self._tree = made
        self._reader = Reader(self._chunks)
        self._limits = limits
        self._kept = owner == "kept"
        self._entries = self._size = 0
        self._directories: dict[bytes, tree.Attributes] = {}
        self._implied: dict[bytes, None] = {}
        self._links: dict[bytes, bytes] = {}
        self._left_out: set[bytes] = set()
        self._opaque_root = False
        self._make: dict[bytes, Callable[[bytes, Entry], None]] = {
            FILE: self._file,
            LINK: self._link,
            SYMLINK: self._symlink,
            CHARACTER: self._node,
            BLOCK_DEVICE: self._node,
            DIRECTORY: self._directory,
            FIFO: self._node,
        }

    def run(self) -> Unpacked:
        self._reader.pass_on(self._files)
        for entry in self._reader:
            self._count(1, entry.size)
            try:
                self._apply(entry)
            except ImageError as error:
                error.path = error.path or os.fsdecode(entry.name)
                raise
            self._reader.pass_on(self._files)
        self._drain()
        self._finish_directories()
        return Unpacked(self._entries, self._size, self._all_implied(), self._missing_links(), self._opaque_root)

    def _count(self, entries: int, size: int) -> None:
        self._entries += entries
        self._size += size
        if self._entries > self._limits.entries:
            raise _exceeded("entries", self._limits.entries)
        if self._size > self._limits.size:
            raise _exceeded("size", self._limits.size)

    def _files(self, chunk: bytes, at: int) -> int:
        """Make the ordinary files that come next, many at a time; where in the chunk they end."""
        depth = max(0, min(self._limits.depth, _LONGEST))
        made = self._tree.files(chunk, at, depth, owner=self._kept)
        self._count(made.entries, made.size)
        return made.at

    def _apply(self, entry: Entry) -> None:
        """Make what one entry is."""
        if entry.kind == OTHER:
            return
        names = names_of(entry.name)
        if len(names) > self._limits.depth:
            raise _exceeded("depth", self._limits.depth)
        if b".." in names:
            raise ImageError("a name with '..'", operation="unpack")
        path = b"/".join(names)
        if WHITEOUT in path and any(name.startswith(WHITEOUT) for name in names):
            self._whiteout(names)
        elif names or entry.kind == DIRECTORY:
            self._make[entry.kind](path, entry)
        else:
            raise ImageError("the root of a layer is a directory", operation="unpack")

    def _drain(self) -> None:
        """Read what follows the archive's end: the digest is of that, too."""
        most = self._limits.size
        for chunk in self._chunks:
            most -= len(chunk)
            if most < 0:
                raise _exceeded("size", self._limits.size)

    # -- one of a kind ------------------------------------------------------------------------------------------

    def _attributes(self, entry: Entry) -> tree.Attributes:
        _, kind, mode, uid, gid, mtime, _, _, _, xattrs, _ = entry
        packed = tree.packed({name: xattrs[name] for name in xattrs if self._keeps(name)}) if xattrs else b""
        if self._kept:
            return tree.Attributes(mode, uid, gid, mtime, packed)
        if kind == FILE:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        return tree.Attributes(mode, tree.NOBODY, tree.NOBODY, mtime, packed)

    def _keeps(self, name: bytes) -> bool:
        return are_kept(name) and (self._kept or name.startswith(b"user."))

    def _file(self, path: bytes, entry: Entry) -> None:
        of = self._attributes(entry)
        whole = self._reader.whole() if entry.extents is None else None
        if whole is None:
            self._large_file(path, entry, of)
        elif result := self._tree.file(path, of, *whole):
            self._again(result, path, lambda: self._tree.file(path, of, *whole))

    def _large_file(self, path: bytes, entry: Entry, of: tree.Attributes) -> None:
        fd = self._made(path, lambda: self._tree.create(path))
        try:
            if result := write_data(self._tree, fd, self._reader, entry) or self._tree.finish(fd, of):
                raise self._error(-result, path)
        finally:
            os.close(fd)

    def _directory(self, path: bytes, entry: Entry) -> None:
        if path:
            self._made(path, lambda: self._tree.directory(path))
        self._implied.pop(path, None)
        self._directories[path] = self._attributes(entry)

    def _symlink(self, path: bytes, entry: Entry) -> None:
        if not entry.target:
            raise ImageError("a symlink whose target is empty", operation="unpack")
        of = self._attributes(entry)
        self._made(path, lambda: self._tree.symlink(path, of, entry.target))

    def _node(self, path: bytes, entry: Entry) -> None:
        if entry.kind == CHARACTER and entry.device == (0, 0):
            raise ImageError(
                "a device 0:0, which would hide what is below; a layer says .wh. for that", operation="unpack"
            )
        of = self._attributes(entry)
        of = of._replace(mode=of.mode | _TYPES[entry.kind])
        try:
            self._made(path, lambda: self._tree.node(path, of, os.makedev(*entry.device)))
        except ImageError as error:
            if error.errno != errno.EPERM or entry.kind == FIFO or self._tree.failed != tree.OF_MAKING:
                raise
            self._left_out.add(path)

    def _link(self, path: bytes, entry: Entry) -> None:
        """Link to what this layer has, or remember what it does not have."""
        names = names_of(entry.target)
        if b".." in names or not names:
            raise ImageError(f"a hard link to {entry.target!r}", operation="unpack")
        target = b"/".join(names)
        if target in self._left_out:
            self._left_out.add(path)
            self._made(path, lambda: self._tree.remove(path))
        elif self._made(path, lambda: self._tree.link(path, target)) == _MISSING:
            self._made(path, lambda: self._tree.remove(path))
            self._links[path] = target

    def _whiteout(self, names: list[bytes]) -> None:
        """Hide what is below this layer."""
        *parents, last = names
        if last != OPAQUE and any(name.startswith(_AUFS) for name in names):
            return
        path, hidden = b"/".join(names), b"/".join([*parents, last.removeprefix(WHITEOUT)])
        if last == OPAQUE and not any(name.startswith(WHITEOUT) for name in parents):
            self._opaque_root = self._opaque_root or not parents
            self._made(path, lambda: self._tree.opaque(path))
        elif any(name.startswith(WHITEOUT) for name in parents) or last in {b".wh.", b".wh..", b".wh..."}:
            raise ImageError("no proper whiteout", operation="unpack")
        else:
            self._implied.pop(hidden, None)
            self._made(hidden, lambda: self._tree.whiteout(hidden))

    # -- what is in the way, and what is not there --------------------------------------------------------------

    def _made(self, path: bytes, make: Callable[[], int]) -> int:
        """Make something, and return what comes of it: a descriptor, or `_MISSING`."""
        result = make()
        return self._again(result, path, make) if result < 0 else result

    def _again(self, result: int, path: bytes, make: Callable[[], int]) -> int:
        """Make the directory that it is to be in, and take away the one that is in the way."""
        if result in _NO_PARENT and self._tree.failed == tree.OF_PARENT:
            self._make_parents(path)
            result = make()
        if result == -errno.EISDIR and self._tree.failed == tree.OF_MAKING:
            remove_tree(self._root, self._real(path))
            result = make()
        if result == -errno.ENOENT and self._tree.failed == tree.OF_TARGET:
            return _MISSING
        if result < 0:
            raise self._error(-result, path)
        return result

    def _make_parents(self, path: bytes) -> None:
        """Make the directory that a path is in; where a symlink leads nowhere, what it should lead to."""
        real = self._real(path).split(b"/")[:-1]
        for depth in range(1, len(real) + 1):
            parent = b"/".join(real[:depth])
            found = self._facts(parent)
            if found is not None and stat.S_ISDIR(found.st_mode):
                continue
            if found is not None and not is_whiteout(found):
                raise ImageError(f"it is below {os.fsdecode(parent)!r}, which is no directory", operation="unpack")
            if result := self._tree.directory(parent):
                raise self._error(-result, parent)
            if found is None:
                self._implied[parent] = None
            self._directories[parent] = _IMPLIED if self._kept else _IMPLIED._replace(uid=tree.NOBODY, gid=tree.NOBODY)

    def _real(self, path: bytes) -> bytes:
        return resolve(path, self._facts, lambda link: os.readlink(link, dir_fd=self._root), follow=False)

    def _facts(self, path: bytes) -> os.stat_result | None:
        try:
            return os.stat(path, dir_fd=self._root, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ImageError(operation="unpack", path=path, errno=error.errno) from error

    # -- the end ------------------------------------------------------------------------------------------------

    def _finish_directories(self) -> None:
        """Set their attributes: what was made in them has changed their times, and could not be made in some modes."""
        for path in sorted(self._directories, reverse=True):  # what is in a directory comes before it
            result = self._tree.directory_finish(path, self._directories[path])
            gone = self._tree.failed == tree.OF_MAKING and -result in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
            if result < 0 and not gone:
                raise self._error(-result, path)

    def _all_implied(self) -> tuple[bytes, ...]:
        root = () if b"" in self._directories else (b"",)
        there = [path for path in self._implied if (found := self._facts(path)) and stat.S_ISDIR(found.st_mode)]
        return (*root, *there)

    def _missing_links(self) -> tuple[tuple[bytes, bytes], ...]:
        missing = []
        for path, target in self._links.items():
            if (found := self._facts(self._real(target))) and not is_whiteout(found):
                raise ImageError(f"a hard link to {target!r}, which comes later", operation="unpack", path=path)
            missing.append((self._real(path), target))
        return tuple(missing)

    def _error(self, number: int, path: bytes) -> Exception:
        step = f"unpack: {tree.STEPS[self._tree.failed]}"
        if self._tree.failed == tree.OF_OWNER:
            return Unsupported(operation=step, path=path, errno=number, hint=_HINT_OWNER)
        return ImageError(operation=step, path=path, errno=number)


def write_data(made: tree.Tree, fd: int, reader: Reader, entry: Entry) -> int:
    """Write the data of the entry that was just read to an empty file; 0 or -errno.

    Raises:
        ImageError: it is cut off.
    """
    if entry.extents is not None:
        return _write_sparse(made, fd, reader, entry)
    for chunk, at, size in reader.pieces():
        if result := made.write(fd, chunk, at, size):
            return result
    return 0


def _write_sparse(made: tree.Tree, fd: int, reader: Reader, entry: Entry) -> int:
    """Write the parts that have data, where they belong."""
    pieces = reader.pieces()
    chunk, at, size = b"", 0, 0
    try:
        os.ftruncate(fd, entry.size)
        for offset, length in entry.extents or ():
            os.lseek(fd, offset, os.SEEK_SET)
            while length:
                if not size:
                    chunk, at, size = next(pieces)
                part = min(size, length)
                if result := made.write(fd, chunk, at, part):
                    return result
                at, size, length = at + part, size - part, length - part  # noqa: PLW2901
    except OSError as error:
        return -(error.errno or errno.EIO)
    return 0


def names_of(path: bytes) -> list[bytes]:
    """Return the names in the path of an entry, without those that mean nothing; ".." stays."""
    names = path.removeprefix(b"./").rstrip(b"/").split(b"/")
    return [name for name in names if name not in {b"", b"."}] if b"" in names or b"." in names else names


def _exceeded(what: str, limit: int) -> ImageError:
    return ImageError(f"more than {limit}", operation=f"unpack: limit of {what}", hint=f"LayerLimits({what}=…) sets it")
