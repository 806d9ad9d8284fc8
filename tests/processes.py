"""Processes, as a test sees them from outside."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Name the children of a process's first thread, and theirs; one that has ended meanwhile has none."""
    try:
        children = list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [*children, *(below for child in children for below in descendants(child))]
