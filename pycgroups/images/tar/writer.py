"""Write an archive that is the same bytes whenever its entries are; image-spec, layer.md, "Change Types".

Everything is ustar, with a pax header before it where that does not do: long names, large numbers, times with a
fraction, extended attributes. Sparse files are of GNU tar's format 1.0. Names need not be UTF-8; they are written as
they are.
"""

from __future__ import annotations

import struct

from pycgroups.images.tar.entry import BLOCK, BLOCK_DEVICE, CHARACTER, Entry
from pycgroups.images.tar.pax import XATTR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

END = bytes(2 * BLOCK)
_HEADER = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 32s 32s 8s 8s 155s 12x")
_SPACES = b" " * 8
_NAME = 100
_SMALL, _LARGE = 8**7, 8**11
"What numbers of 8 and 12 bytes are less than."
_SECOND = 10**9
_PAX_NAME = b"././@PaxHeader"


def archive(entries: Iterable[tuple[Entry, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield an archive, in pieces.

    Args:
        entries: what is in it, in that order, each with the pieces of its data: `Entry.size` bytes of a file, of a
            sparse one what its extents have, nothing of others.
    """
    for entry, data in entries:
        yield header(entry)
        yield from data
        if padding := bytes(-_data(entry) % BLOCK):
            yield padding
    yield END


def _data(entry: Entry) -> int:
    """Return how many bytes the data of an entry has."""
    return entry.size if entry.extents is None else sum(size for _, size in entry.extents)


def _map(extents: tuple[tuple[int, int], ...] | None) -> bytes:
    """Write where the parts of a sparse file are, as it comes before them."""
    if extents is None:
        return b""
    numbers = (len(extents), *(number for extent in extents for number in extent))
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK)


def header(entry: Entry) -> bytes:
    """Write what comes before the data of an entry."""
    parts = _map(entry.extents)
    stored = len(parts) + _data(entry)
    seconds, fraction = divmod(entry.mtime, _SECOND)
    records = {XATTR + name: value for name, value in entry.xattrs.items()}
    if fraction or not 0 <= seconds < _LARGE:
        records[b"mtime"] = _time(entry.mtime)
    texts = {b"path": entry.name, b"linkpath": entry.target}
    records |= {key: text for key, text in texts.items() if len(text) > _NAME or not text.isascii()}
    numbers = {b"uid": (entry.uid, _SMALL), b"gid": (entry.gid, _SMALL), b"size": (stored, _LARGE)}
    records |= {key: b"%d" % number for key, (number, bound) in numbers.items() if number >= bound}
    if entry.extents is not None:
        records |= {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"}
        records |= {b"GNU.sparse.name": entry.name, b"GNU.sparse.realsize": b"%d" % entry.size}
    plain = _block(
        entry.name,
        entry.mode,
        entry.uid if entry.uid < _SMALL else 0,
        entry.gid if entry.gid < _SMALL else 0,
        stored if stored < _LARGE else 0,
        seconds if 0 <= seconds < _LARGE else 0,
        entry.kind,
        entry.target,
        entry.device if entry.kind in {CHARACTER, BLOCK_DEVICE} else (0, 0),
    )
    return (_extended(records) + plain if records else plain) + parts


def _extended(records: dict[bytes, bytes]) -> bytes:
    data = b"".join(_record(key, value) for key, value in sorted(records.items()))
    return _block(_PAX_NAME, 0o644, 0, 0, len(data), 0, b"x", b"", (0, 0)) + data + bytes(-len(data) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """Write a record; its length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(rest) + len(str(length)) != length:
        length += 1
    return b"%d" % length + rest


def _time(nanoseconds: int) -> bytes:
    sign, absolute = (b"-", -nanoseconds) if nanoseconds < 0 else (b"", nanoseconds)
    seconds, fraction = divmod(absolute, _SECOND)
    digits = b".%09d" % fraction if fraction else b""
    return sign + b"%d" % seconds + digits.rstrip(b"0")


def _block(  # noqa: PLR0917 (those of a header)
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    kind: bytes,
    target: bytes,
    device: tuple[int, int],
) -> bytes:
    fields = [
        name[:_NAME],
        b"%07o\0" % mode,
        b"%07o\0" % uid,
        b"%07o\0" % gid,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        _SPACES,
        kind,
        target[:_NAME],
        b"ustar\x0000",
        b"",
        b"",
        b"%07o\0" % device[0],
        b"%07o\0" % device[1],
        b"",
    ]
    fields[6] = b"%06o\0 " % sum(_HEADER.pack(*fields))
    return _HEADER.pack(*fields)
