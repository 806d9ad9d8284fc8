"""Does the thousandth start take as long as the first?  What is left behind makes the next one slower."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks import ours
from benchmarks.timing import each

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = 100


def measure(rootfs: Path, count: int) -> tuple[float, float]:
    """(last, first): the median of the last hundred and of the first hundred, in seconds."""
    start = ours.starter(rootfs, userns="host", **ours.LIMITS)
    start()
    times = each(start)(count)
    return statistics.median(times[-WINDOW:]), statistics.median(times[:WINDOW])
