"""Descriptors of the caller's that a program gets beside its streams: from 3 on, each under its number."""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_FIRST = 3
_BITS = 64
_MOST_HOLES = 2 * _BITS  # places that the plan has a bit for


class Preserved(NamedTuple):
    """Those to hand over, as many as were asked for, and bits of the places among them where none is open."""

    fds: tuple[int, ...] = ()
    holes: tuple[int, int] = (0, 0)


def find(count: int, stdio: Sequence[int]) -> Preserved:
    """Look which of the caller's descriptors there are; before any of ours can take the place of one that is not.

    Args:
        count: how many, from 3 on.
        stdio: what becomes 0, 1 and 2; it stands for those that are not open as well.

    Raises:
        InvalidConfig: one of these, or one far behind, is not open.
    """
    for fd in stdio:
        if not _is_open(fd):
            hint = "open /dev/null in its place: the next file that is opened here would become the program's"
            raise InvalidConfig(f"descriptor {fd} is not open", operation="option", path="stdio", hint=hint)
    if not count:
        return Preserved()
    fds, holes = [], 0
    for place in range(count):
        if _is_open(_FIRST + place):
            fds.append(_FIRST + place)
            continue
        if place >= _MOST_HOLES:
            raise InvalidConfig(f"descriptor {_FIRST + place} is not open", operation="option", path="preserve_fds")
        fds.append(stdio[0])
        holes |= 1 << place
    return Preserved(tuple(fds), (_signed(holes), _signed(holes >> _BITS)))


def _is_open(fd: int) -> bool:
    try:
        os.get_inheritable(fd)
    except OSError:
        return False
    return True


def _signed(bits: int) -> int:
    """Return 64 bits as a step's number, which is signed."""
    low = bits & (1 << _BITS) - 1
    return low - (1 << _BITS) if low >> (_BITS - 1) else low
