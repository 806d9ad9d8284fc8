"""floor.c as a contender."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from benchmarks.timing import Contender

if TYPE_CHECKING:
    from pathlib import Path

FLOORS = {
    "floor": ("--net",),
    "floor+OCI": ("--oci",),
    "floor+OCI+overlay": ("--oci", "--overlay"),
    "floor+OCI+limits": ("--oci", "--limits"),
    "floor+OCI+userns": ("--oci", "--userns"),
    "floor+OCI+limits+userns": ("--oci", "--limits", "--userns"),
}


def run(program: Path, rootfs: Path, *flags: str) -> list[float]:
    """Run the floor and return how long each start took, in seconds."""
    done = subprocess.run([program, *flags, rootfs], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [int(line) / 1e9 for line in done.stdout.split()]


def contender(name: str, program: Path, rootfs: Path) -> Contender:
    """The floor of that name; its first start is not counted, since the process around it is new."""

    def batch(count: int) -> list[float]:
        return run(program, rootfs, *FLOORS[name], "--count", str(count + 1))[1:]

    return Contender(name=name, kind="floor", batch=batch)
