"""An archive's table of contents: the tar around an image, in a file.

Names are words to look up, and never paths of this machine's: what else an archive holds is left alone. A file that is
there twice is refused when it is asked for, since readers disagree on which of them counts.
"""

from __future__ import annotations

import os

from pycgroups.errors import ImageError, ImageNotFound
from pycgroups.images.files import pieces
from pycgroups.images.tar.entry import FILE, LINK, SYMLINK
from pycgroups.images.tar.reader import Reader
from pycgroups.images.tar.stream import FileStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from pycgroups.images.tar.entry import Entry
else:
    from pycgroups.records import NamedTuple

_MOST_ENTRIES = 100_000
_MOST_LINKS = 8


class Placed(NamedTuple):
    """A file of an archive, and the offset of its data."""

    entry: Entry
    offset: int


def entries(fd: int, name: str) -> Iterator[Placed]:
    """Yield what is in a tar in a file, without reading the data: only that it is there.

    Args:
        fd: of the file, uncompressed.
        name: of the file, for errors.

    Raises:
        ImageError: it is no tar, or a broken one; see `pycgroups.images.tar.reader`.
    """
    reader = Reader(FileStream(fd, name))
    try:
        for entry in reader:
            yield Placed(entry, reader.offset)
    except ImageError as error:
        error.path = f"{name}, {error.path}" if error.path else name
        raise


class TarFiles:
    """The files in a tar, by their names without ``./`` in front."""

    def __init__(self, fd: int, name: str) -> None:
        """Read the table of contents.

        Args:
            fd: of the tar, uncompressed, in a file; it is this object's from now on.
            name: what it is, for errors.

        Raises:
            ImageError: it is no tar, or a broken one.
        """
        self.name = name
        self._fd = fd
        self._entries: dict[str, Placed] = {}
        self._twice: set[str] = set()
        try:
            for placed in entries(fd, name):
                self._add(placed)
        except BaseException:
            os.close(fd)
            raise

    def _add(self, placed: Placed) -> None:
        path = plain(os.fsdecode(placed.entry.name))
        if path is not None and placed.entry.kind in {FILE, LINK, SYMLINK}:
            if path in self._entries:
                self._twice.add(path)
            self._entries[path] = placed
        if len(self._entries) > _MOST_ENTRIES:
            raise ImageError(f"more than {_MOST_ENTRIES} files", operation="read", path=self.name)

    def __contains__(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return path in self._entries

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        return self._find(path).entry.size

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from an offset on."""
        entry, offset = self._find(path)
        yield from pieces(self._fd, offset + start, offset + entry.size, f"{self.name}/{path}")

    def close(self) -> None:
        """Let go of it; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _find(self, path: str) -> Placed:
        """Return a file, at the end of links: `docker save` makes some of layers that are there already."""
        shown, place = f"{self.name}/{path}", plain(path)
        for _ in range(_MOST_LINKS):
            placed = None if place is None else self._entries.get(place)
            if place is None or placed is None:
                raise ImageNotFound("no such file in the archive", operation="read", path=shown)
            if place in self._twice:
                raise ImageError("twice in the archive", operation="read", path=shown)
            if placed.entry.extents is not None:
                raise ImageError("a sparse file, which archives of images have not", operation="read", path=shown)
            if placed.entry.kind == FILE:
                return placed
            place = _led(place, placed.entry)
        raise ImageError("too many links", operation="read", path=shown)


def _led(place: str, link: Entry) -> str | None:
    """Return where a link leads: a symbolic one from where it is, a hard one from the top of the archive."""
    target, directory = os.fsdecode(link.target), place.rpartition("/")[0]
    if link.kind == SYMLINK and directory and not target.startswith("/"):
        target = f"{directory}/{target}"
    return plain(target)


def plain(name: str) -> str | None:
    """Return a name without ``.`` and ``..``; None where it leads out of the archive, or is absolute."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return None if name.startswith("/") else "/".join(parts)
