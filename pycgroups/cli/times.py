"""Times as they are written on a command line: durations, and moments."""

from __future__ import annotations

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration(text: str, *, zero: bool = False) -> float:
    """Read a duration in seconds as Go writes it: "5s", "1m30s", "500ms"; with `zero`, also "0s".

    Raises:
        ValueError: it is none, or not above 0.
    """
    total, number, unit = 0.0, "", ""
    for char in f"{text}0":
        if char in "0123456789.":
            if unit:
                if unit not in _UNITS or not number.strip("."):
                    break
                total += float(number) * _UNITS[unit]
                number = unit = ""
            number += char
        else:
            unit += char
    if number != "0" or unit or (total <= 0 and not (zero and text.strip("0"))):
        raise ValueError("a duration, as 5s, 1m30s or 500ms")
    return total


def moment(text: str) -> float:
    """Read a moment, in seconds since 1970: that number, a date as ISO 8601 has it, or how long ago it was, "10m".

    Raises:
        ValueError: it is none.
    """
    import time
    from datetime import datetime

    for read in (
        float,
        lambda words: datetime.fromisoformat(words).timestamp(),  # local time, where no zone is named
        lambda words: time.time() - duration(words, zero=True),
    ):
        try:
            found = read(text)
        except ValueError:
            continue
        if 0 <= found < float("inf"):
            return found
    raise ValueError("seconds since 1970, 2026-01-31T12:00:00Z, or 10m for that long ago")
