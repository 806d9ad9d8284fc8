"""Archives for tests, built field by field, so that they can be as wrong as the test wants."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from typing import Any

BLOCK = 512
END = bytes(2 * BLOCK)
DATA = b"content\n"

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", b""


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def binary(value: int, width: int) -> bytes:
    """GNU's numbers that octal digits have no room for, negative ones too."""
    return bytes([0xFF if value < 0 else 0x80]) + value.to_bytes(width - 1, "big", signed=True)


def block(  # noqa: PLR0917
    name: bytes,
    kind: bytes = b"0",
    size: int | bytes = 0,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 1_000_000_000,
    target: bytes = b"",
    magic: bytes = USTAR,
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    checksum: bytes | None = None,
    rest: bytes | None = None,
) -> bytes:
    """One header; `rest` replaces what follows the names of owner and group."""

    def field(value: int | bytes, width: int) -> bytes:
        return value if isinstance(value, bytes) else octal(value, width)

    fields = [
        name,
        field(mode, 8),
        field(uid, 8),
        field(gid, 8),
        field(size, 12),
        field(mtime, 12),
        b" " * 8,
        kind,
        target,
        magic,
        b"",
        b"",
        octal(device[0], 8),
        octal(device[1], 8),
        prefix,
        b"",
    ]
    made = _HEADER.pack(*fields)
    if rest is not None:
        made = made[:345] + rest.ljust(167, b"\0")
    return made[:148] + (b"%06o\0 " % sum(made) if checksum is None else checksum) + made[156:]


def entry(name: bytes, kind: bytes = b"0", data: bytes = b"", **fields: Any) -> bytes:
    """A header with its data."""
    return block(name, kind, fields.pop("size", len(data)), **fields) + padded(data)


def file(name: bytes, data: bytes = DATA, **fields: Any) -> bytes:
    return entry(name, b"0", data, **fields)


def directory(name: bytes, mode: int = 0o755, **fields: Any) -> bytes:
    return entry(name, b"5", mode=mode, **fields)


def symlink(name: bytes, target: bytes, **fields: Any) -> bytes:
    return entry(name, b"2", target=target, mode=0o777, **fields)


def link(name: bytes, target: bytes, **fields: Any) -> bytes:
    return entry(name, b"1", target=target, **fields)


def whiteout(name: bytes) -> bytes:
    head, slash, last = name.rpartition(b"/")
    return file(head + slash + b".wh." + last, b"")


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(records: dict[bytes, bytes] | bytes, kind: bytes = b"x") -> bytes:
    """An extended header."""
    data = records if isinstance(records, bytes) else b"".join(record(*pair) for pair in records.items())
    return entry(b"PaxHeader", kind, data)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return entry(b"././@LongLink", kind, name + b"\0", magic=GNU)


def chunked(data: bytes, size: int = 2**18) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def roots(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make it root's: for `tarfile.TarFile.add`."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
