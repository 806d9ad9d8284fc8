"""From the call to the reaped process: /bin/true of a busybox rootfs, by everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import floor, ours, peers
from benchmarks.timing import Row, interleave

if TYPE_CHECKING:
    from pathlib import Path


def measure(floor_program: Path, rootfs: Path, rounds: int) -> dict[str, Row]:
    """Rows of all floors, of pycgroups and of the peers."""
    floors = [floor.contender(name, floor_program, rootfs) for name in floor.FLOORS]
    with peers.contenders(rootfs) as others:
        return interleave([*floors, *ours.all_starts(rootfs), *others], rounds)
