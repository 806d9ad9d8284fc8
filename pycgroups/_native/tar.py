"""Typed functions over tar.h: read headers of archives."""

from __future__ import annotations

from pycgroups._native.calls import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Header(Protocol):
        """What a header says; a number may be `NONE`: the field holds none, or one that 64 bits have no room for.

        Attributes:
            type: the type flag, one byte.
            mode: permissions, and whatever else is there.
            uid: owner.
            gid: group.
            size: bytes.
            mtime: nanoseconds since 1970, the nearest that 64 bits hold.
            major: number of a device.
            minor: likewise.
        """

        type: bytes
        mode: int
        uid: int
        gid: int
        size: int
        mtime: int
        major: int
        minor: int


_BLOCK: int = lib.TAR_BLOCK
NONE: int = lib.TAR_NONE
_HEADER = ffi.typeof("struct tar_header *")


def header(chunk: bytes, at: int) -> Header | int:
    """Read a header; 0 where a block of zeros ends the archive, -EBADMSG where the checksum is wrong."""
    if not 0 <= at <= len(chunk) - _BLOCK:
        raise ValueError("beyond the end of the chunk")
    read = ffi.new(_HEADER)
    result: int = lib.tar_header(chunk, at, read)
    return read if result > 0 else result


def name(header: Header) -> bytes:
    """Return the path, up to 256 bytes."""
    return ffi.string(header.name)  # type: ignore[no-any-return,attr-defined]


def target(header: Header) -> bytes:
    """Return the linked name, up to 100 bytes."""
    return ffi.string(header.target)  # type: ignore[no-any-return,attr-defined]


def number(field: bytes) -> int:
    """Read a number: octal digits, or binary when the first bit is set; or `NONE`."""
    return int(lib.tar_number(field, len(field)))
