"""Signals to processes that are held by a pidfd; pidfd_send_signal(2)."""

from __future__ import annotations

# signal itself makes enums of all numbers, which takes a millisecond.
from _signal import pidfd_send_signal  # type: ignore[import-not-found]


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal to a process; False if it has ended."""
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True
