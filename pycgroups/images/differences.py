"""What an upper directory of overlayfs has changed, as a list: `docker diff`."""

from __future__ import annotations

import os
import stat

from pycgroups.images import xattrs
from pycgroups.images.changes import told
from pycgroups.images.entries import join, names, walk
from pycgroups.images.lookup import Lookup
from pycgroups.images.resolving import is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal, NamedTuple

    from pycgroups.images.entries import Seen
else:
    from pycgroups.records import NamedTuple


class Change(NamedTuple):
    """One file that is not what it was.

    Attributes:
        kind: ``"A"``: added; ``"C"``: changed, also a directory in which something was; ``"D"``: deleted, with all that
            was in it.
        path: absolute.
    """

    kind: Literal["A", "C", "D"]
    path: str


def differences(upper: int, lowers: Sequence[int]) -> list[Change]:
    """Tell what was changed, sorted by path.

    Args:
        upper: the upper directory; a container may be changing it.
        lowers: the layers below, the topmost first, which nobody changes.

    Raises:
        ImageError: they cannot be read.
    """
    found = list(told(_differences(upper, lowers)))
    return sorted(found, key=lambda change: change.path.split("/"))


def _differences(upper: int, lowers: Sequence[int]) -> Iterator[Change]:
    lower = Lookup(lowers)
    alone: set[bytes] = set()  # directories that have nothing of those below
    for seen in walk(upper):
        path = seen.path
        if not path:
            continue
        old = lower.top(path)
        if is_whiteout(seen.stat):
            if old is not None:
                yield _change("D", path)
            continue
        yield _change("A" if old is None else "C", path)
        if old is None or not (stat.S_ISDIR(old.stat.st_mode) and stat.S_ISDIR(seen.stat.st_mode)):
            continue
        if path.rpartition(b"/")[0] in alone or xattrs.is_opaque(seen.directory, seen.name):
            alone.add(path)
            yield from _hidden(seen, lower, lowers)


def _hidden(seen: Seen, lower: Lookup, lowers: Sequence[int]) -> Iterator[Change]:
    """Tell what is not in a directory any more that has come in the place of another one."""
    there = set(names(seen.directory, seen.name))
    merged = lower.all(seen.path)
    before = {name for one in merged for name in names(lowers[one.layer], one.path)}
    for name in sorted(before - there):
        if lower.top(join(seen.path, name)) is not None:
            yield _change("D", join(seen.path, name))


def _change(kind: Literal["A", "C", "D"], path: bytes) -> Change:
    return Change(kind, "/" + os.fsdecode(path))
