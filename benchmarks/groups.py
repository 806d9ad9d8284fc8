"""Cgroups alone: made, limited and removed; measured. Against C that does the same to the same files (replay.c)."""

from __future__ import annotations

import os
import statistics
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Contender, Row, each, interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pycgroups.cgroups.files import Directory

WINDOW = 100
LIMITS: dict[str, Any] = {"memory": "64M", "cpus": 1, "pids": 64}
LIFE, FLOOR_OF_LIFE = "Cgroup.create with three limits, remove", "floor: mkdir, write, rmdir"
STATS, FLOOR_OF_STATS = "Cgroup.stats", "floor: cat of the same files"


def measure(replay: Path, rounds: int) -> dict[str, Row]:
    """Rows of one group made, limited and removed, and of one sample of it; ours, and the floor of each."""
    from pycgroups.cgroups import Cgroup

    with recorded("write") as writes, Cgroup.create(**LIMITS) as group, recorded("read") as reads:
        group.stats()
        # Beside it, so that the directory above stays; by a name that no process takes for an orphan of pycgroups'.
        paths = {path: f"{os.path.dirname(path)}/floor.{os.getpid()}" for path in group.paths}
        made = [word for path in paths.values() for word in ("mkdir", path)]
        limited = [
            word for path, name, text in writes if path in paths for word in ("write", f"{paths[path]}/{name}", text)
        ]
        removed = [word for path in paths.values() for word in ("rmdir", path)]
        sampled = [word for path, name in reads for word in ("read", f"{path}/{name}")]
        return interleave(
            [
                floor(FLOOR_OF_LIFE, replay, *made, *limited, *removed),
                Contender(name=LIFE, kind="ours", batch=each(make_and_remove)),
                floor(FLOOR_OF_STATS, replay, *sampled),
                Contender(name=STATS, kind="ours", batch=each(group.stats)),
                Contender(name="Cgroup.sample", kind="ours", batch=each(group.sample)),
            ],
            rounds,
        )


def steady(count: int) -> tuple[float, float]:
    """(last, first): the median of the last hundred and of the first hundred of so many in a row, in seconds."""
    make_and_remove()
    times = each(make_and_remove)(count)
    return statistics.median(times[-WINDOW:]), statistics.median(times[:WINDOW])


def make_and_remove() -> None:
    """Do what is measured."""
    from pycgroups.cgroups import Cgroup

    Cgroup.create(**LIMITS).remove()


def floor(name: str, replay: Path, *operations: str) -> Contender:
    """The operations, by C; the first round is not counted, since the process around it is new."""

    def batch(count: int) -> list[float]:
        command = [str(replay), str(count + 1), *operations]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [int(line) / 1e9 for line in done.stdout.split()[1:]]

    return Contender(name=name, kind="floor", batch=batch)


@contextmanager
def recorded(method: str) -> Iterator[list[tuple[str, ...]]]:
    """Note the directory and arguments of each call of a method of `Directory` that did not fail."""
    from pycgroups.cgroups.files import Directory

    original: Callable[..., Any] = getattr(Directory, method)
    calls: list[tuple[str, ...]] = []

    def noting(directory: Directory, *arguments: str) -> Any:
        answer = original(directory, *arguments)
        calls.append((directory.path, *arguments))
        return answer

    setattr(Directory, method, noting)
    try:
        yield calls
    finally:
        setattr(Directory, method, original)
