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


def state(pid: int) -> str:
    """Return the letter that proc_pid_stat(5) has for a process: "S" asleep, "Z" a zombie; "X" for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may end between open(2) and read(2)
        return "X"


def is_alive(pid: int) -> bool:
    """Tell whether a process is there, and is no zombie."""
    return state(pid) not in "ZX"
