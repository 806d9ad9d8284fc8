"""`Volume`: one volume of a store, to look at."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from pycgroups.images.files import io_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NamedTuple

    from pycgroups.containers.volumes.collection import Volumes
else:
    from pycgroups.records import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512  # stat(2), st_blocks


class Volume:
    """A directory with a name. Two are equal when they are in the same place.

    Attributes:
        name: what it is called.
        path: the directory with its files.
        labels: text by name.
    """

    def __init__(self, volumes: Volumes, name: str, path: str, *, labels: dict[str, str], created: int) -> None:
        """Made by `pycgroups.volumes.create` and its like."""
        self.name = name
        self.path = path
        self.labels = labels
        self._created = created
        self._volumes = volumes

    @property
    def created(self) -> datetime:
        """When it was made."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self._created // 10**9, UTC)

    def size(self) -> int:
        """Return how many bytes its files take on the disk, as du(1) counts. It looks at each of them.

        To an ordinary user without subordinate ids a directory may be closed that the same user's container has closed:
        what is in it is not counted.

        Raises:
            Error: they cannot be read.
        """
        return self._volumes.inside(measure, self.path)

    def inspect(self) -> dict[str, Any]:
        """Return all that is known of it as plain data, its size in bytes included."""
        return {
            "name": self.name,
            "path": self.path,
            "created": self.created.isoformat(),
            "labels": dict(self.labels),
            "size": self.size(),
        }

    def remove(self, *, force: bool = False) -> None:
        """Remove it with its files; see `pycgroups.volumes.remove`."""
        self._volumes.remove(self.name, force=force)

    def __eq__(self, other: object) -> bool:
        """Compare where they are."""
        return isinstance(other, Volume) and other.path == self.path

    def __hash__(self) -> int:
        """Go with `__eq__`."""
        return hash(self.path)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<Volume {self.name}>"


@io_errors("measure")
def measure(path: str) -> int:
    """Add up what the files in a directory take on the disk, each once, whatever its names; 0 of one that is gone.

    Depth has no bound: it goes down and up again by one descriptor. What a container removes, moves or closes meanwhile
    is not counted.
    """
    sizes: dict[tuple[int, int], int] = {}
    try:
        here = os.open(path, _DIRECTORY)
    except (FileNotFoundError, PermissionError):
        return 0
    levels: list[_Level] = []
    try:
        rest = _count(here, sizes)
        while rest or levels:
            down = bool(rest)
            found = _open(here, rest.pop() if down else "..")
            if found < 0 and down:
                continue
            if found < 0:
                break
            own = _identity(os.fstat(here))
            os.close(here)
            here = found
            if down:
                levels.append(_Level(own, rest))
                rest = _count(here, sizes)
            else:
                above, rest = levels.pop()
                if _identity(os.fstat(here)) != above:
                    break
    finally:
        os.close(here)
    return sum(sizes.values())


class _Level(NamedTuple):
    """A directory on the way down: which it is, and those in it that were not yet looked into."""

    above: tuple[int, int]
    rest: list[str]


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _count(directory: int, sizes: dict[tuple[int, int], int]) -> list[str]:
    """Note what all in a directory take, and it itself; return the directories among them."""
    directories = []
    for name in [".", *os.listdir(directory)]:
        with suppress(FileNotFoundError, PermissionError):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            sizes[_identity(found)] = found.st_blocks * _BLOCK
            if stat.S_ISDIR(found.st_mode) and name != ".":
                directories.append(name)
    return directories


def _open(directory: int, name: str) -> int:
    """Open a directory that there is a way out of again; -1 when there is none."""
    try:
        found = os.open(name, _DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1
    try:
        os.stat("..", dir_fd=found)
    except PermissionError:
        os.close(found)
        return -1
    return found
