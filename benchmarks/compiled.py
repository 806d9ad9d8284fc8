"""The C parts, compiled when they are needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread")


def build(source: str, output: Path, *flags: str) -> Path:
    """Compile `source` of this directory to `output`."""
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, *FLAGS, *flags, "-o", output, HERE / source], check=True)
    return output


def floor(directory: Path) -> Path:
    """The program floor.c."""
    return build("floor.c", directory / "floor")


def stall(directory: Path) -> Path:
    """The library stall.c."""
    return build("stall.c", directory / "stall.so", "-shared", "-fPIC")


def replay(directory: Path) -> Path:
    """The program replay.c."""
    return build("replay.c", directory / "replay")


def peak(directory: Path) -> Path:
    """The program peak.c."""
    return build("peak.c", directory / "peak")


def ways(directory: Path) -> tuple[Path, Path]:
    """The program ways.c, and its helper."""
    return build("ways.c", directory / "ways"), _bare("ways_helper.c", directory / "ways-helper")


def floor_watch(directory: Path) -> Path:
    """The program floor_watch.c."""
    return _bare("floor_watch.c", directory / "floor-watch")


def _bare(source: str, output: Path) -> Path:
    """Compile without a C library, as the library's own helpers are."""
    bare = ("-Os", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-fno-stack-protector")
    link = ("-fno-asynchronous-unwind-tables", "-Wl,-z,noseparate-code,--build-id=none", "-s")
    return build(source, output, *bare, *link, f"-I{HERE.parent / 'pycgroups/_native'}")
