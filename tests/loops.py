"""Which files are loop devices."""

from __future__ import annotations

from pathlib import Path


def files(below: Path) -> list[str]:
    """Name the files in a directory that are, those that were removed since too."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(path.read_text().rstrip("\n"))
        except OSError:  # it has just let go of it
            continue
    return [name for name in found if name.startswith(f"{below}/")]
