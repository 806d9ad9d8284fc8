"""Bytes through ``cat``: in at its stdin, out at its stdout, through pycgroups and through two plain pipes."""

from __future__ import annotations

import os
import statistics
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.rootfs import busybox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK = 1 << 20


def write_all(fd: int, data: bytes) -> None:
    """Write it and close the pipe."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest[:CHUNK]) :]
    os.close(fd)


def read_all(fd: int) -> int:
    """Read until the end and close the pipe; how much came."""
    total = 0
    while chunk := os.read(fd, CHUNK):
        total += len(chunk)
    os.close(fd)
    return total


def plain_pipe(data: bytes) -> int:
    """Through busybox's cat on the host, with a writing thread: nothing is kept of what comes back."""
    (child_in, to_child), (from_child, child_out) = os.pipe(), os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, child_in, 0), (os.POSIX_SPAWN_DUP2, child_out, 1)]
    pid = os.posix_spawn(busybox(), ["cat"], os.environ, file_actions=actions)
    os.close(child_in)
    os.close(child_out)
    writer = threading.Thread(target=write_all, args=(to_child, data))
    writer.start()
    total = read_all(from_child)
    writer.join()
    os.waitpid(pid, 0)
    return total


def through_ours(rootfs: Path, data: bytes) -> int:
    """Through pc.run, which keeps it."""
    import pycgroups as pc

    return len(pc.run(["/bin/cat"], rootfs=rootfs, userns="host", input=data, check=True).stdout)


def rate(size: int, carry: Callable[[], int]) -> float:
    """Bytes per second; all of them have to arrive."""
    begin = time.perf_counter()
    arrived = carry()
    seconds = time.perf_counter() - begin
    if arrived != size:
        raise RuntimeError(f"{arrived} of {size} bytes arrived")
    return size / seconds


def measure(rootfs: Path, size: int, rounds: int) -> tuple[float, float]:
    """(pycgroups, plain pipe): medians of bytes per second, measured in turns."""
    data = os.urandom(CHUNK) * (size // CHUNK)
    pairs = [
        (rate(size, lambda: through_ours(rootfs, data)), rate(size, lambda: plain_pipe(data))) for _ in range(rounds)
    ]
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs)
