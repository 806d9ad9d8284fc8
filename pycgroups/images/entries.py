"""Make entries of an archive from files: of a tree that others may change meanwhile, and with no symlink out of it.

What file systems like procfs and sysfs say of a size is not so: of a file that is small and has no blocks, which is
what they all seem to be, it is as much as can be read.

A directory is opened from the tree's own, through no symlink, and what is in it by its name there. Only what is known
to be a regular file is opened for reading: a device or a FIFO may have an effect, or keep us waiting.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice

from pycgroups._native import vfs
from pycgroups.errors import Error, ImageError
from pycgroups.images import xattrs
from pycgroups.images.tar.entry import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, LINK, SYMLINK, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import NamedTuple

    Data = Iterator[bytes]
    Extents = tuple[tuple[int, int], ...]
else:
    from pycgroups.records import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_PIECE = 2**18
_MOST_EXTENTS = 10_000
"Parts of a sparse file: their map is read as a whole. What follows them is one part, zeros and all."
_SECTOR = 512
_PAGE = os.sysconf("SC_PAGE_SIZE")
"What files of sysfs say that their size is."
_MOST_UNKNOWN = 2**26
"Bytes of a file that does not tell how many it has: they are held in memory. /proc/PID/pagemap has terabytes."
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
}
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_CHANGED = _GONE | {errno.EISDIR, errno.ENXIO, errno.EINVAL}
"""What says that a file is there no more, or another one: `open_file`, readlink(2)."""


class _UnreadableError(OSError):
    """A file is there, and cannot be read."""


class Seen(NamedTuple):
    """A file of a tree.

    Attributes:
        directory: a descriptor of the directory that it is in, open until the next one is asked for.
        name: its name there; ``b"."`` of the tree itself.
        path: its path in the tree, ``b""`` of the tree itself.
        stat: its facts.
    """

    directory: int
    name: bytes
    path: bytes
    stat: os.stat_result


def walk(root: int, *, most: int | None = None, enters: Callable[[Seen], bool] | None = None) -> Generator[Seen]:
    """Yield all of a tree, names sorted, a directory before what is in it. What vanishes meanwhile is left out.

    Who may not come to its end closes it, and with it the directory of what was yielded last.

    Args:
        root: its directory.
        most: how many names there may be.
        enters: tells whether to go into a directory; by default all.

    Raises:
        ImageError: there are more names.
        OSError: something cannot be read.
    """
    count = 0
    todo = [b""]
    opened, directory = b"", root
    try:
        while todo:
            path = todo.pop()
            above, _, name = path.rpartition(b"/")
            if above != opened:
                if directory != root:
                    os.close(directory)
                opened, directory = b"", root
                found = vfs.open_in_root(root, above, os.O_PATH | os.O_DIRECTORY, links=False) if above else root
                if found < 0:
                    _check_gone(-found, path)
                    continue
                opened, directory = above, found
            try:
                seen = Seen(directory, name or b".", path, _stat(name or b".", directory))
            except OSError as error:
                _check_gone(error.errno, path)
                continue
            yield seen
            if not stat.S_ISDIR(seen.stat.st_mode) or (enters is not None and not enters(seen)):
                continue
            inside = names(directory, seen.name, None if most is None else most - count)
            count += len(inside)
            todo += [join(path, one) for one in reversed(inside)]
    finally:
        if directory != root:
            os.close(directory)


def _check_gone(number: int | None, path: bytes) -> None:
    if number not in _GONE or not path:
        raise OSError(number, os.strerror(number or 0), path)


def _stat(name: bytes, directory: int) -> os.stat_result:
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def names(directory: int, name: bytes, most: int | None = None) -> list[bytes]:
    """Return the names in a directory, sorted; none when it is gone.

    Raises:
        ImageError: there are more than allowed.
        OSError: it cannot be read.
    """
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise
    try:
        with os.scandir(fd) as found:
            read = [os.fsencode(one.name) for one in islice(found, None if most is None else most + 1)]
    finally:
        os.close(fd)
    if most is not None and len(read) > most:
        raise ImageError("too many files", operation="limit of entries", path=name)
    return sorted(read)


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of what is in a directory."""
    return directory + b"/" + name if directory else name


class Entries:
    """Makes entries of files; those with one inode are hard links."""

    def __init__(self, *, sparse: bool = False, padded: bool = False) -> None:
        """Begin.

        Args:
            sparse: leave the holes of files out. What it is made of then depends on how the file was written.
            padded: a file that becomes shorter while it is read has zeros at its end, as with tar(1).
        """
        self._sparse = sparse
        self._padded = padded
        self._first: dict[tuple[int, int], bytes] = {}

    def entry(self, seen: Seen, called: bytes | None = None) -> tuple[Entry, Data] | None:
        """Make the entry of a file, and what yields its data; None of a socket, and of what is something else by now.

        Args:
            seen: the file.
            called: its name in the archive, by default its path.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return self._entry(seen, called)
        except OSError as error:
            if error.errno not in _CHANGED or isinstance(error, _UnreadableError):
                raise
            found = seen.stat
            if self._first.get((found.st_dev, found.st_ino)) == (seen.path if called is None else called):
                del self._first[found.st_dev, found.st_ino]
            return None

    def _entry(self, seen: Seen, called: bytes | None) -> tuple[Entry, Data] | None:
        directory, own_name, path, found = seen
        kind = _KINDS.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            return None
        path = path if called is None else called
        name = (path or b".") + b"/" if kind == DIRECTORY else path
        if found.st_nlink > 1 and kind != DIRECTORY:
            first = self._first.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                mode = stat.S_IMODE(found.st_mode)  # some readers set it again
                link = Entry(name, LINK, mode, found.st_uid, found.st_gid, found.st_mtime_ns, target=first)
                return link, iter(())
        size, extents, data = self._opened(seen) if kind == FILE else (0, None, iter(()))
        entry = Entry(
            name,
            kind,
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
            found.st_mtime_ns,
            size,
            os.readlink(own_name, dir_fd=directory) if kind == SYMLINK else b"",
            (os.major(found.st_rdev), os.minor(found.st_rdev)),
            xattrs.read(directory, own_name),
            extents,
        )
        return entry, data

    def _opened(self, seen: Seen) -> tuple[int, Extents | None, Data]:
        """Open a file, as one that has vanished is to have no entry; its size, the parts that have data, and these."""
        directory, name, _, found = seen
        if not found.st_blocks and found.st_size <= _PAGE and (whole := _whole(seen)) is not None:
            return len(whole), None, iter((whole,))
        extents = None
        if self._sparse and found.st_blocks * _SECTOR < found.st_size:
            extents = _extents(seen)
        parts = ((0, found.st_size),) if extents is None else extents
        data = content(directory, name, parts, padded=self._padded)
        next(data)
        return found.st_size, extents, data


def _whole(seen: Seen) -> bytes | None:
    """Read a file that may have another size than it says; None of one that is being written meanwhile."""
    fd = open_file(seen.directory, seen.name)
    read = bytearray()
    try:
        while len(read) <= _MOST_UNKNOWN and (piece := os.read(fd, _PIECE)):
            read += piece
            if os.fstat(fd).st_size != seen.stat.st_size:
                return None
    except OSError as error:
        raise _UnreadableError(error.errno, error.strerror, seen.path or seen.name) from error
    finally:
        os.close(fd)
    if len(read) > _MOST_UNKNOWN:
        raise Error(
            f"tells no size, and has more than {_MOST_UNKNOWN} bytes", operation="read", path=seen.path or seen.name
        )
    return bytes(read)


def open_file(directory: int, name: bytes) -> int:
    """Open a file for reading: a regular one, and nothing else, whatever comes in its place meanwhile.

    Raises:
        OSError: it cannot be opened; EISDIR, ELOOP or ENXIO where it is something else.
    """
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return reopen(found, name)
    finally:
        os.close(found)


def reopen(found: int, name: bytes, flags: int = os.O_RDONLY) -> int:
    """Open a file that a path descriptor (O_PATH) is of, if it is a regular one."""
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ELOOP if stat.S_ISLNK(mode) else errno.ENXIO
        raise OSError(number, os.strerror(number), name)
    return os.open(f"/proc/self/fd/{found}", flags | os.O_NONBLOCK | os.O_CLOEXEC)


def content(directory: int, name: bytes, extents: Extents, *, padded: bool = False) -> Generator[bytes]:
    """Open a file, and yield nothing for that; then parts of it, exactly as many bytes as they say.

    The directory is used when the first is asked for.

    Args:
        directory: that it is in.
        name: of the file there.
        extents: the parts.
        padded: have zeros for what is there no more.

    Raises:
        ImageError: it has become shorter, and is not padded.
        OSError: it cannot be read.
    """
    fd = open_file(directory, name)
    try:
        yield b""
        for at, size in extents:
            yield from _part(fd, at, at + size, name, padded=padded)
    finally:
        os.close(fd)


def _part(fd: int, at: int, end: int, name: bytes, *, padded: bool) -> Iterator[bytes]:
    while at < end:
        most = min(_PIECE, end - at)
        piece = os.pread(fd, most, at)
        if not piece:
            if not padded:
                raise ImageError("has become shorter while it was read", operation="pack layer", path=name)
            piece = bytes(most)
        at += len(piece)
        yield piece


def _extents(seen: Seen) -> Extents:
    """Return the parts of a file that have data; lseek(2), SEEK_DATA."""
    fd = open_file(seen.directory, seen.name)
    try:
        return tuple(_parts(fd, seen.stat.st_size))
    finally:
        os.close(fd)


def _parts(fd: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    for count in range(_MOST_EXTENTS):
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # none is left
                return
            raise
        end = min(size, os.lseek(fd, begin, os.SEEK_HOLE) if count + 1 < _MOST_EXTENTS else size)
        if begin >= end:
            return
        yield begin, end - begin
