"""Starts from a process with 2 GiB of touched memory and 8 threads, beside one with neither.

Both are interpreters of their own that live through the whole measurement; they are asked over a pipe, in turns. The
big one also tells how long another of its threads stood still meanwhile, and what a start by fork would have cost.

    python -m benchmarks.bigprocess MEGABYTES THREADS ROOTFS STALL_LIBRARY
        reads lines "starts N", "forks N", "stall starts N", "stall forks N", "stall sleep N"; answers each with JSON
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import ours
from benchmarks.rootfs import busybox
from benchmarks.timing import Contender, Row, each, interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEGABYTES = 2048
THREADS = 8
PAGE = 4096
STALL_STARTS = 100


@attrs.frozen(kw_only=True)
class Findings:
    """Rows of the starts, and the longest time that another thread stood still, in seconds; None: not measured."""

    rows: dict[str, Row]
    stall: float | None
    stall_idle: float
    stall_fork: float


def measure(rootfs: Path, stall_library: Path, rounds: int) -> Findings:
    """Compare the small process with the big one."""
    with child(0, 1, rootfs, stall_library) as small, child(MEGABYTES, THREADS, rootfs, stall_library) as big:
        rows = interleave(
            [
                Contender(name="pc.run, small process", kind="ours", batch=lambda n: small("starts", n)),
                Contender(name="pc.run, big process", kind="ours", batch=lambda n: big("starts", n)),
                Contender(name="subprocess with preexec_fn, big process", kind="peer", batch=lambda n: big("forks", n)),
            ],
            rounds,
        )
        works = not rows["pc.run, big process"].skipped
        return Findings(
            rows=rows,
            stall=max(big("stall starts", STALL_STARTS)) if works else None,
            stall_idle=max(big("stall sleep", STALL_STARTS)),
            stall_fork=max(big("stall forks", STALL_STARTS // 10)),
        )


@contextmanager
def child(
    megabytes: int, threads: int, rootfs: Path, stall_library: Path
) -> Iterator[Callable[[str, int], list[float]]]:
    """Start such a process; what it gives is a function that asks it."""
    argv = [
        sys.executable,
        "-m",
        "benchmarks.bigprocess",
        str(megabytes),
        str(threads),
        str(rootfs),
        str(stall_library),
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(what: str, count: int) -> list[float]:
            stdin.write(f"{what} {count}\n")
            stdin.flush()
            answer: list[float] | str = json.loads(stdout.readline())
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004  it is the other process's error
            return answer

        yield ask


def serve(megabytes: int, threads: int, rootfs: Path, stall_library: Path) -> None:
    """Be such a process: answer until stdin ends."""
    ballast = bytearray(megabytes << 20)
    ballast[::PAGE] = b"\1" * len(ballast[::PAGE])
    end = threading.Event()
    for _ in range(threads - 1):
        threading.Thread(target=end.wait).start()
    for line in sys.stdin:
        words = line.split()
        try:
            answer: object = perform(words[:-1], int(words[-1]), rootfs, stall_library)
        except Exception as error:  # noqa: BLE001  whatever it is, the asker reports it
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)
    end.set()


def perform(words: list[str], count: int, rootfs: Path, stall_library: Path) -> list[float]:
    """Do what a line asks for."""
    if words[0] == "stall":
        return [longest_stall(lambda: perform(words[1:], count, rootfs, stall_library), stall_library)]
    actions = {"starts": start_ours, "forks": start_by_fork, "sleep": idle}
    return each(lambda: actions[words[0]](rootfs))(count)


def start_ours(rootfs: Path) -> None:
    """Start a container."""
    ours.starter(rootfs, userns="host")()


def start_by_fork(_: Path) -> None:
    """Start a program the way that has to copy the page tables: a function between fork and exec rules vfork out."""
    subprocess.run([busybox(), "true"], preexec_fn=lambda: None, check=True)


def idle(_: Path) -> None:
    """Do nothing for about as long as a start takes: what the machine itself adds to the stalls."""
    time.sleep(0.002)


def longest_stall(work: Callable[[], object], stall_library: Path) -> float:
    """Do the work while another thread watches; how long that one stood still at most, in seconds."""
    library = ctypes.CDLL(os.fspath(stall_library))
    library.watch.restype = ctypes.c_int64
    stop = ctypes.c_int(0)
    with ThreadPoolExecutor(1, initializer=come_first) as pool:
        future = pool.submit(library.watch, ctypes.byref(stop))
        try:
            work()
        finally:
            stop.value = 1
        return int(future.result()) / 1e9


def come_first() -> None:
    """Never wait for a processor, so that only locks are left to wait for. Needs CAP_SYS_NICE."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print("no real-time priority: stalls include waiting for a processor", file=sys.stderr)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
