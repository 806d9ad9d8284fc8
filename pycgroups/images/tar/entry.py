"""One file of an archive."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

BLOCK = 512

# The type flags of pax(1); `OTHER` are those of vendors that mean no file.
FILE = b"0"
LINK = b"1"
SYMLINK = b"2"
CHARACTER = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
OTHER = b"?"


class Entry(NamedTuple):
    """One file of an archive; its data is read from the `pycgroups.images.tar.reader.Reader` that gave it.

    Attributes:
        name: its path as the archive has it, never empty.
        kind: one of the constants above.
        mode: permissions, with set-user-id and the like.
        uid: owner.
        gid: group.
        mtime: nanoseconds since 1970, at most what 64 bits hold.
        size: bytes of a file, holes included; 0 for others.
        target: where a symlink or hard link leads.
        device: major and minor of a device.
        xattrs: extended attributes.
        extents: offset and size of the parts of a sparse file that have data, in order; None for an ordinary file.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = {}  # noqa: RUF012 (never changed)
    extents: tuple[tuple[int, int], ...] | None = None
