"""Three ways to perform a launch plan (ways.c); docs/explanation/spawn.md chose by these figures."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from benchmarks.timing import Contender, Row, interleave

if TYPE_CHECKING:
    from pathlib import Path

WAYS = {"vfork": "in the parent's memory", "helper": "a helper without a C library", "resident": "a resident process"}


def measure(program: Path, helper: Path, rootfs: Path, rounds: int) -> dict[str, Row]:
    """A row for each way."""

    def contender(way: str) -> Contender:
        def batch(count: int) -> list[float]:
            command = [str(program), way, str(count), str(rootfs / "bin/busybox"), str(helper)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode:
                raise RuntimeError(done.stderr)
            return [int(line) / 1e9 for line in done.stdout.split()]

        return Contender(name=f"plan: {WAYS[way]}", kind="floor", batch=batch)

    return interleave([contender(way) for way in WAYS], rounds)
