"""Numbers of headers, of bounded length and nothing but digits: int() and float() take much that is none."""

from __future__ import annotations

from pycgroups._native import tar
from pycgroups.errors import ImageError

_LARGEST = 2**63 - 1
_DIGITS = 19
"Of the largest number in decimal."
_SECOND = 10**9
_SHOWN = 40


def number(field: bytes) -> int:
    """Return the number of a header's field: octal digits, or binary when the first bit is set; tar(5).

    Raises:
        ImageError: it is none, or does not fit 64 bits.
    """
    found = tar.number(field)
    if found == tar.NONE:
        raise _none(field)
    return found


def decimal(text: bytes) -> int:
    """Return the number of a pax record.

    Raises:
        ImageError: it is none, or does not fit 64 bits.
    """
    if not 0 < len(text) <= _DIGITS or not text.isdigit():
        raise _none(text)
    value = int(text)
    if value > _LARGEST:
        raise _none(text)
    return value


def time(text: bytes) -> int:
    """Return the time of a pax record, "1700000000.5": the nearest in 64 bits of nanoseconds; finer digits are cut off.

    Raises:
        ImageError: it is none.
    """
    sign, digits = (-1, text[1:]) if text[:1] == b"-" else (1, text)
    seconds, point, fraction = digits.partition(b".")
    if point and not fraction.isdigit():
        raise _none(text)
    nanoseconds = sign * (decimal(seconds) * _SECOND + int(fraction[:9].ljust(9, b"0")))
    return max(-_LARGEST, min(nanoseconds, _LARGEST))


def _none(text: bytes) -> ImageError:
    return ImageError(f"{text[:_SHOWN]!r} is no number that a tar header can have", operation="read tar")
