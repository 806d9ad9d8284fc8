"""Read an archive entry by entry, from a stream.

Python's own `tarfile` ends without an error at a broken header, recurses once per extended header, and has no bounds.
Here whatever is malformed is an `ImageError`, and all that one entry can make us hold is a few times `SPECIAL`
bytes.

What is read: the formats v7, ustar, pax and GNU, of the latter long names, binary numbers and sparse files; the formats
of sparse files in pax headers too. Where readers differ, this one does as Go's archive/tar, which Docker, podman and
containerd have: only regular files have data, whatever the size of others says. The archive ends with a block of zeros;
what follows is not looked at, what lacks it is cut off.
"""

from __future__ import annotations

from pycgroups._native import tar
from pycgroups.errors import ImageError
from pycgroups.images.tar import pax
from pycgroups.images.tar.entry import (
    BLOCK,
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
from pycgroups.images.tar.numbers import decimal, number, time
from pycgroups.images.tar.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPECIAL = 2**20
"Bytes of one extended header, or of one map of a sparse file; Go's bound too."
_SPECIALS = 8
"Extended headers before one entry."
_NOBODY = 2**32 - 1
_MAJORS, _MINORS = 2**12, 2**20

_DEVICES = frozenset({CHARACTER, BLOCK_DEVICE})
_TYPE, _FILES = 156, frozenset({FILE, b"\0"})
_EXTENDED = frozenset({b"x", b"g", b"L", b"K"})
_SPARSE = b"S"
_SPARSE_MAP, _SPARSE_MORE, _SPARSE_SIZE = slice(386, 482), 482, slice(483, 495)  # in a header of the old GNU format
_MORE_MAP, _MORE_MORE = slice(0, 504), 504  # in the blocks that follow it
_KINDS = {
    b"\0": FILE,
    FILE: FILE,
    LINK: LINK,
    SYMLINK: SYMLINK,
    CHARACTER: CHARACTER,
    BLOCK_DEVICE: BLOCK_DEVICE,
    DIRECTORY: DIRECTORY,
    FIFO: FIFO,
    _SPARSE: FILE,
    # Capital letters are vendors': labels of volumes, dumps of directories. All the rest is to be taken for a regular
    # file by those who do not know it: pax(1), "typeflag".
    **{bytes([letter]): OTHER for letter in b"ABCDEFGHIJKLMNOPQRTUVWXYZ"},
}


class _Extended:
    """What extended headers say of the next entry."""

    __slots__ = ("count", "name", "records", "target")

    def __init__(self) -> None:
        self.count = 0
        self.name: bytes | None = None
        self.target: bytes | None = None
        self.records = pax.Records()


class Reader:
    """Iterates over the entries of an archive; data that was not read is skipped."""

    def __init__(self, chunks: Iterator[bytes] | Stream) -> None:
        """Take the bytes of an archive, in pieces of any size."""
        self._stream = chunks if isinstance(chunks, Stream) else Stream(chunks)
        self._stored = 0  # bytes of data of the current entry that were not read
        self._padding = 0
        self._global = pax.Records()

    @property
    def offset(self) -> int:
        """How many bytes of the archive were read."""
        return self._stream.offset

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Entry:
        """Go on to the next entry.

        Raises:
            ImageError: the archive is malformed, or cut off.
        """
        stream = self._stream
        stream.skip(self._stored + self._padding)
        self._stored = self._padding = 0
        begin = stream.offset
        try:
            return self._entry()
        except ImageError as error:
            if error.path is None:
                error.path = f"entry at byte {begin}"
            if begin == 0:
                error.hint = error.hint or "it may be no tar: file(1) tells what it is"
            raise

    def pass_on(self, take: Callable[[bytes, int], int]) -> None:
        """Let somebody else read the next entries, if they begin with a file that no extended header says anything of.

        Args:
            take: is given the chunk and where in it a header may be; returns where the first is that it did not read.

        Raises:
            ImageError: the data of the current entry is cut off.
        """
        stream = self._stream
        stream.skip(self._stored + self._padding)
        self._stored = self._padding = 0
        if not self._global and stream.more() and stream.chunk[stream.at + _TYPE : stream.at + _TYPE + 1] in _FILES:
            stream.at = take(stream.chunk, stream.at)

    # -- data ---------------------------------------------------------------------------------------------------

    def whole(self) -> tuple[bytes, int, int] | None:
        """Read all data of the entry if it is in one chunk: that chunk, and where in it the data is, and its size."""
        stream, size = self._stream, self._stored
        at = stream.at
        if at + size > len(stream.chunk):
            if at < len(stream.chunk) or not stream.more() or size > len(stream.chunk):
                return None
            at = 0
        stream.at = at + size
        self._stored = 0
        return stream.chunk, at, size

    def pieces(self) -> Iterator[tuple[bytes, int, int]]:
        """Read all data of the entry: yield chunks, and where in each some of it is, and how much.

        Raises:
            ImageError: it is cut off.
        """
        size, self._stored = self._stored, 0
        return self._stream.pieces(size)

    # -- headers ------------------------------------------------------------------------------------------------

    def _block(self) -> tuple[bytes, int]:
        """Read a block: what it is in, and where."""
        stream = self._stream
        at = stream.at
        if at + BLOCK <= len(stream.chunk):
            stream.at = at + BLOCK
            return stream.chunk, at
        return stream.take(BLOCK), 0

    def _entry(self) -> Entry:
        extended = _Extended() if self._global else None
        while True:
            chunk, at = self._block()
            header = _header(chunk, at)
            if header is None:
                if extended is not None and extended.count:
                    raise ImageError("ends after an extended header", operation="read tar")
                raise StopIteration
            if header.type not in _EXTENDED:
                break
            extended = extended or _Extended()
            self._extend(extended, header.type, _number(header.size, "size"))
        kind = _KINDS.get(header.type, FILE)
        if extended is not None or header.type == _SPARSE:
            return self._uncommon(extended or _Extended(), kind, header, chunk[at : at + BLOCK])
        name, size = tar.name(header), 0
        if kind in {FILE, OTHER}:
            size = _number(header.size, "size")
            if header.type == b"\0" and name.endswith(b"/"):  # v7 had no type for it
                kind, size = DIRECTORY, 0
            self._has(size)
        return _made(
            name,
            kind,
            _number(header.mode, "mode") & 0o7777,
            _number(header.uid, "uid"),
            _number(header.gid, "gid"),
            _number(header.mtime, "mtime"),
            size,
            tar.target(header),
            _device(header) if kind in _DEVICES else (0, 0),
        )

    def _has(self, stored: int) -> None:
        """Remember how much data the entry has."""
        if stored < 0:
            raise ImageError(f"a size of {stored}", operation="read tar")
        self._stored = stored
        self._padding = -stored % BLOCK

    def _extend(self, extended: _Extended, kind: bytes, size: int) -> None:
        """Read an extended header."""
        extended.count += 1
        if extended.count > _SPECIALS:
            raise ImageError(f"more than {_SPECIALS} extended headers in a row", operation="read tar")
        if not 0 <= size <= SPECIAL:
            raise ImageError(f"an extended header of {size} bytes, allowed: {SPECIAL}", operation="read tar")
        data = self._stream.take(size)
        self._stream.skip(-size % BLOCK)
        if kind == b"L":
            extended.name = data.partition(b"\0")[0]
        elif kind == b"K":
            extended.target = data.partition(b"\0")[0]
        elif kind == b"x":
            extended.records.read(data)
        else:
            self._extend_all(data)

    def _extend_all(self, data: bytes) -> None:
        """Read a header for all entries that follow: what makes sense for them all."""
        self._global.read(data)
        if bad := [key for key in self._global if key in {b"path", b"linkpath", b"size"} or key.startswith(b"GNU.")]:
            raise ImageError(f"a global pax header with {bad[0]!r}", operation="read tar")
        if self._global.map or sum(len(key) + len(value) for key, value in self._global.items()) > SPECIAL:
            raise ImageError(f"global pax headers of more than {SPECIAL} bytes", operation="read tar")

    # -- what extended headers say ------------------------------------------------------------------------------

    def _uncommon(self, extended: _Extended, kind: bytes, header: tar.Header, block: bytes) -> Entry:
        records = extended.records
        records.update({**self._global, **records})
        name = records.get(b"path") or extended.name or tar.name(header)
        if header.type == b"\0" and name.endswith(b"/"):
            kind = DIRECTORY
        size, extents = 0, None
        if kind in {FILE, OTHER}:
            size = _of(records, b"size", header.size)
            self._has(size)
            size, extents = self._sparse(records, header.type, block, size)
            name = records.get(b"GNU.sparse.name") or name
        mtime = records.get(b"mtime")
        return _made(
            name,
            kind,
            _number(header.mode, "mode") & 0o7777,
            _of(records, b"uid", header.uid),
            _of(records, b"gid", header.gid),
            time(mtime) if mtime else _number(header.mtime, "mtime"),
            size,
            records.get(b"linkpath") or extended.target or tar.target(header),
            _device(header) if kind in _DEVICES else (0, 0),
            records.xattrs(),
            extents,
        )

    def _sparse(
        self, records: pax.Records, flag: bytes, block: bytes, stored: int
    ) -> tuple[int, tuple[tuple[int, int], ...] | None]:
        """Return the size of a file and what has data of it, in any of four formats; GNU tar's manual."""
        if flag == _SPARSE:
            size, extents = number(block[_SPARSE_SIZE]), self._old_map(block)
        elif records.get(b"GNU.sparse.major"):
            if (records[b"GNU.sparse.major"], records.get(b"GNU.sparse.minor")) != (b"1", b"0"):
                raise ImageError("a sparse file of an unknown format", operation="read tar")
            size, extents = decimal(records.get(b"GNU.sparse.realsize", b"")), self._map_in_data()
            stored = self._stored
        else:
            found = records.extents()
            if found is None:
                return stored, None
            size, extents = decimal(records.get(b"GNU.sparse.size", b"")), found
        if size < 0:
            raise ImageError(f"a size of {size}", operation="read tar")
        return size, pax.checked(extents, size, stored)

    def _old_map(self, block: bytes) -> tuple[tuple[int, int], ...]:
        """Read the map of the old GNU format; it goes on in blocks of its own, before the data."""
        numbers = pax.old_gnu(block[_SPARSE_MAP])
        more, read = block[_SPARSE_MORE], 0
        while more:
            read += BLOCK
            if read > SPECIAL:
                raise ImageError(f"a map of a sparse file of more than {SPECIAL} bytes", operation="read tar")
            block = self._stream.take(BLOCK)
            numbers += pax.old_gnu(block[_MORE_MAP])
            more = block[_MORE_MORE]
        return pax.paired(numbers)

    def _map_in_data(self) -> tuple[tuple[int, int], ...]:
        """Read the map of the format 1.0: lines in whole blocks at the beginning of the data."""
        text, at, read = b"", 0, 0

        def line() -> bytes:
            nonlocal text, at, read
            while (end := text.find(b"\n", at)) < 0:
                read += BLOCK
                if read > min(SPECIAL, self._stored):
                    raise ImageError("a map of a sparse file without an end", operation="read tar")
                text, at = text[at:] + self._stream.take(BLOCK), 0
            found, at = text[at:end], end + 1
            return found

        extents = pax.paired(list(pax.in_data(line)))
        self._stored -= read
        return extents


def _header(chunk: bytes, at: int) -> tar.Header | None:
    """Read a header; None for the block of zeros at the end."""
    header = tar.header(chunk, at)
    if not isinstance(header, int):
        return header
    if header < 0:
        raise ImageError("this is no header of a tar archive: wrong checksum", operation="read tar")
    return None


def _number(value: int, field: str) -> int:
    """Check a number of a header that its entry cannot do without."""
    if value == tar.NONE:
        raise ImageError(f"a header whose {field} is no number that it can have", operation="read tar")
    return value


def _device(header: tar.Header) -> tuple[int, int]:
    major, minor = _number(header.major, "major"), _number(header.minor, "minor")
    if not (0 <= major < _MAJORS and 0 <= minor < _MINORS):
        raise ImageError(f"no device has the number {major}:{minor}", operation="read tar")
    return major, minor


def _of(records: pax.Records, key: bytes, value: int) -> int:
    """Return a number of an extended header, or of the header."""
    record = records.get(key)
    return decimal(record) if record else _number(value, key.decode())


def _made(  # noqa: PLR0917 (those of an entry)
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    mtime: int,
    size: int,
    target: bytes,
    device: tuple[int, int],
    xattrs: dict[bytes, bytes] | None = None,
    extents: tuple[tuple[int, int], ...] | None = None,
) -> Entry:
    """Make an entry, and check what all have in common."""
    if not name and kind != OTHER:
        raise ImageError("an entry without a name", operation="read tar")
    if b"\0" in name or b"\0" in target:
        raise ImageError("a name with a zero byte", operation="read tar", path=name.replace(b"\0", b"\\0"))
    if not (0 <= uid < _NOBODY and 0 <= gid < _NOBODY):
        raise ImageError(f"no file has the owner {uid}:{gid}", operation="read tar", path=name)
    return Entry(name, kind, mode, uid, gid, mtime, size, target, device, xattrs or {}, extents)
