"""Contenders, measured in turns.

The machine is never quiet: another program, a clock that changes its pace, a kernel thread that still takes the last
network namespace down. So every round measures every contender once, in an order of its own, for about as long as the
others; a row is the median of all rounds, and only rows of one run are compared.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SLICE = 0.02
"""How long one contender is measured in one round, in seconds, at least one start and at most `MOST`."""
MOST = 10


@attrs.frozen(kw_only=True)
class Contender:
    """Something whose time is taken.

    Attributes:
        name: what the row is called.
        kind: "floor", "ours" or "peer": what the chart colours it by.
        batch: does it so many times, and returns the time of each in seconds.
        note: what has to be known to compare it with others.
    """

    name: str
    kind: str
    batch: Callable[[int], list[float]]
    note: str = ""


@attrs.frozen(kw_only=True)
class Row:
    """What was measured of one contender, in seconds; or why it wasn't."""

    name: str
    kind: str
    note: str = ""
    median: float | None = None
    p10: float | None = None
    samples: int = 0
    skipped: str = ""


def each(action: Callable[[], object]) -> Callable[[int], list[float]]:
    """Make a batch of a function that does it once."""

    def batch(count: int) -> list[float]:
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            action()
            times.append(time.perf_counter() - begin)
        return times

    return batch


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that this share of the samples doesn't exceed."""
    return sorted(samples)[int(share * (len(samples) - 1))]


def interleave(contenders: Sequence[Contender], rounds: int) -> dict[str, Row]:
    """Measure all, in shuffled turns; who fails is left out, with the reason."""
    sizes: dict[Contender, int] = {}
    samples: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    failed: dict[Contender, str] = {}
    for _ in range(rounds + 1):
        running = [contender for contender in contenders if contender not in failed]
        for contender in random.sample(running, len(running)):
            try:
                if contender in sizes:
                    samples[contender] += contender.batch(sizes[contender])
                else:
                    sizes[contender] = batch_size(contender)
            except Exception as error:  # noqa: BLE001  whatever it is, the others are measured
                failed[contender] = reason(error)
    return {c.name: summary(c, samples[c], failed.get(c, "")) for c in contenders}


def batch_size(contender: Contender) -> int:
    """How many fit into a slice; the first, cold start isn't looked at."""
    contender.batch(1)
    return max(1, min(MOST, int(SLICE / contender.batch(1)[0])))


def reason(error: Exception) -> str:
    """One line that says why it can't be measured here."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def summary(contender: Contender, times: Sequence[float], skipped: str) -> Row:
    """The row of one contender."""
    row = Row(name=contender.name, kind=contender.kind, note=contender.note, skipped=skipped)
    if skipped:
        return row
    return attrs.evolve(row, median=statistics.median(times), p10=percentile(times, 0.1), samples=len(times))
