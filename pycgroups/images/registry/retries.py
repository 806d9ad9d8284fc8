"""How long to wait before a request is sent again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.25
"""Seconds."""
LONGEST = 10.0
"""Seconds, of what nobody asked for."""
LONGEST_ASKED = 30.0
"""Seconds: who asks for more with ``Retry-After`` is not waited for."""


def pause(failures: int, asked: float | None, random: Callable[[], float]) -> float | None:
    """Return the seconds to wait, or None when that is too long.

    Args:
        failures: how many there were in a row, from 1 on; each doubles the time.
        asked: what the answer's ``Retry-After`` says.
        random: from 0 to 1; clients that failed at one time do not come back at one time.
    """
    if asked is not None:
        return asked if asked <= LONGEST_ASKED else None
    longest = min(LONGEST, FIRST * 2.0 ** min(failures, 10))
    return longest / 2 + random() * longest / 2


def retry_after(header: str | None, now: Callable[[], float]) -> float | None:
    """Read ``Retry-After``, seconds or a date; RFC 9110, 10.2.3.

    Args:
        header: its value, if there is one; None when that says nothing.
        now: the time of the day, in seconds since 1970.
    """
    text = (header or "").strip()[:64]
    if text.isascii() and text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (TypeError, ValueError, OverflowError):
        return None
