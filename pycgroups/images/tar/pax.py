"""Extended headers: the records of pax(1), "pax Extended Header", and the maps of sparse files in GNU tar's manual."""

from __future__ import annotations

from pycgroups.errors import ImageError
from pycgroups.images.tar.numbers import decimal, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Extents = tuple[tuple[int, int], ...]

_LENGTH_DIGITS = 8
XATTR = b"SCHILY.xattr."
"Begins the key of an extended attribute; image-spec, layer.md. Others' keys for the same are passed over."


class Records(dict[bytes, bytes]):
    """The records of an extended header; an empty value takes a global one back.

    Attributes:
        map: of GNU's format 0.0 for sparse files, the offsets and sizes in turn, whose keys come again and again.
    """

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.map: list[int] = []

    def read(self, data: bytes) -> None:
        """Add the records of one extended header.

        Raises:
            ImageError: they are malformed.
        """
        at = 0
        while at < len(data):
            space = data.find(b" ", at, at + _LENGTH_DIGITS + 1)
            length = data[at : max(space, at)]
            end = at + int(length) if length.isdigit() else 0
            if not at < space < end <= len(data) or data[end - 1] != ord("\n"):
                raise ImageError("malformed pax record", operation="read tar")
            key, equals, value = data[space + 1 : end - 1].partition(b"=")
            if not equals or not key:
                raise ImageError("pax record without a key", operation="read tar")
            if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
                self.map.append(decimal(value))
            else:
                self[key] = value
            at = end

    def xattrs(self) -> dict[bytes, bytes]:
        """Return the extended attributes."""
        found = {key[len(XATTR) :]: value for key, value in self.items() if key.startswith(XATTR)}
        if any(not name or b"\0" in name for name in found):
            raise ImageError("extended attribute without a proper name", operation="read tar")
        return found

    def extents(self) -> Extents | None:
        """Return the parts of a sparse file that have data, as the formats 0.0 and 0.1 tell them."""
        if text := self.get(b"GNU.sparse.map"):
            return paired([decimal(part) for part in text.split(b",")])
        return paired(self.map) if self.map or b"GNU.sparse.numblocks" in self else None


def paired(numbers: list[int]) -> Extents:
    """Take offsets and sizes in turn."""
    if len(numbers) % 2:
        raise ImageError("malformed map of a sparse file", operation="read tar")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def checked(extents: Extents, size: int, stored: int) -> Extents:
    """Return what has data of a sparse file.

    Raises:
        ImageError: the parts overlap, are not in order, not inside the file, or not all the data that is stored.
    """
    end = data = 0
    for offset, length in extents:
        if offset < end or length < 0:
            raise ImageError("the parts of a sparse file overlap", operation="read tar")
        end = offset + length
        data += length
    if end > size or data != stored:
        raise ImageError(
            f"a sparse file of {size} bytes has parts up to {end}, and {data} bytes of data where {stored} are stored",
            operation="read tar",
        )
    return tuple([extent for extent in extents if extent[1]])


def old_gnu(fields: bytes) -> list[int]:
    """Read the map in a header of the old GNU format: offsets and sizes of 12 bytes each, up to an empty one."""
    numbers: list[int] = []
    for at in range(0, len(fields) - 23, 24):
        if not fields[at + 12 : at + 24].strip(b"\0"):
            break
        numbers += [number(fields[at : at + 12]), number(fields[at + 12 : at + 24])]
    return numbers


def in_data(line: Callable[[], bytes]) -> Iterator[int]:
    """Read the map that the format 1.0 has before the data: how many parts, then offsets and sizes, one a line."""
    for _ in range(2 * decimal(line())):
        yield decimal(line())
