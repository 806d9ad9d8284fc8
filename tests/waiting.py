"""Wait in a test for what others do, however busy the machine is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from pycgroups import Cgroup
    from pycgroups.containers.collection import Containers

Found = TypeVar("Found")

PATIENCE = 120.0
"Seconds after which a test fails that waits in vain."


def wait_for(true: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Ask until it is true; fail when the time (seconds) is over."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def is_inside(group: Cgroup, pid: int) -> bool:
    """Whether a process has come to all directories of a group: it enters them one by one."""
    return all(str(pid) in Path(path, "cgroup.procs").read_text().split() for path in group.paths)


def in_time(attempt: Callable[[float], Found], enough: Callable[[Found], object], seconds: float = 0.5) -> Found:
    """Attempt something with a time of its own, which grows until what came of it is enough to judge it by.

    For what is stopped at some time after its start, and must have come to a certain point by then.
    """
    while not enough(found := attempt(seconds)) and seconds < PATIENCE:
        seconds *= 4
    return found


def one_is(measure: Callable[[], Found], right: Callable[[Found], bool], attempts: int = 5) -> Found:
    """Measure again until it is right: what else the machine does spoils some measurements, a mistake of ours all.

    Fails, showing them, when none is.
    """
    found = []
    for _ in range(attempts):
        found.append(measure())
        if right(found[-1]):
            return found[-1]
    raise AssertionError(f"none of these is right: {found}")


def wait_until_gone(containers: Containers) -> None:
    """Wait until the last one was removed by what comes after its end: its files, and then the word of it."""
    wait_for(lambda: containers.list(all=True) == [])
    wait_for(lambda: [*containers.events.read()][-1].action == "remove")
