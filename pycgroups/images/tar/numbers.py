"""Numbers of headers, of bounded length and nothing but digits: int() and float() take much that is none."""

from __future__ import annotations

from pycgroups.caches import lru_cache
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
    if field[0] & 0x80:
        return _binary(field)
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit():
        raise _none(field)
    try:
        return int(text, 8)
    except ValueError:
        raise _none(field) from None


def _binary(field: bytes) -> int:
    """All bits but the first, in two's complement."""
    value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    if field[0] & 0x40:
        value -= 1 << (8 * len(field) - 1)
    if abs(value) > _LARGEST:
        raise _none(field)
    return value


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
    """Return the time of a pax record, "1700000000.5", in nanoseconds; finer digits are cut off.

    Raises:
        ImageError: it is none.
    """
    sign, digits = (-1, text[1:]) if text[:1] == b"-" else (1, text)
    seconds, point, fraction = digits.partition(b".")
    if point and not fraction.isdigit():
        raise _none(text)
    return clamped(sign * (decimal(seconds) * _SECOND + int(fraction[:9].ljust(9, b"0"))))


def clamped(nanoseconds: int) -> int:
    """Return the nearest time that 64 bits of nanoseconds hold: the years 1677 to 2262."""
    return max(-_LARGEST, min(nanoseconds, _LARGEST))


def seconds(field: bytes) -> int:
    """Return the time of a header's field: the nearest in nanoseconds.

    Raises:
        ImageError: as `number`.
    """
    return clamped(number(field) * _SECOND)


# Most files of an archive have the same owner, few different modes, and times that others have.
cached_number = lru_cache(1024)(number)
cached_seconds = lru_cache(1024)(seconds)


def _none(text: bytes) -> ImageError:
    return ImageError(f"{text[:_SHOWN]!r} is no number that a tar header can have", operation="read tar")
