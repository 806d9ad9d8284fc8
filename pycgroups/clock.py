"""Waiting until a deadline with poll(2), which takes milliseconds as an int of C: 24 days at most."""

from __future__ import annotations

import time

_LONGEST = 86_400.0


def seconds_until(deadline: float | None) -> float | None:
    """How long to wait before the next look at the clock, at least 0 and at most a day; None for ever.

    Args:
        deadline: by `time.monotonic`; None for never.
    """
    return None if deadline is None else min(max(0.0, deadline - time.monotonic()), _LONGEST)


def milliseconds(seconds: float | None) -> float | None:
    """So long as `select.poll` takes it, which rounds up; None for ever."""
    return None if seconds is None else seconds * 1000
