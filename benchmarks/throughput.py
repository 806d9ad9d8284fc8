"""Many short containers by two threads: starts per second, with limits."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks import floor, ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THREADS = 2
OPTIONS = {"userns": "host", **ours.LIMITS}


def rate(count: int, work: Callable[[], object]) -> float:
    """How many of `count` a second, when `work` does them all."""
    begin = time.perf_counter()
    work()
    return count / (time.perf_counter() - begin)


def floor_rate(program: Path, rootfs: Path, count: int) -> float:
    """Starts per second of the floor, in two threads."""
    share = ["--threads", str(THREADS), "--count", str(count // THREADS)]
    return rate(count, lambda: floor.run(program, rootfs, *floor.FLOORS["floor+OCI+limits"], *share))


def our_rate(rootfs: Path, count: int) -> float:
    """Starts per second of pc.run, in two threads."""
    start = ours.starter(rootfs, **OPTIONS)
    start()
    with ThreadPoolExecutor(THREADS) as pool:
        return rate(count, lambda: [future.result() for future in [pool.submit(start) for _ in range(count)]])


def measure(floor_program: Path, rootfs: Path, count: int, rounds: int) -> tuple[float, float]:
    """(pycgroups, floor): medians of starts per second, measured in turns."""
    pairs = [(our_rate(rootfs, count), floor_rate(floor_program, rootfs, count)) for _ in range(rounds)]
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs)
