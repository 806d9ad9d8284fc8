"""Which processes are a container's: those in its cgroup.

Where it has none, those in the pid namespace of its first process, and all below them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pycgroups.cgroups import Cgroup

_PARENT = 1  # the place of the parent's pid behind the command: proc_pid_stat(5)


def members(group: Cgroup, first: int) -> tuple[int, ...]:
    """Return the pids of a container's processes, as this process sees them.

    Args:
        group: its cgroup, or one without directories.
        first: its first process, which runs. If it has neither a cgroup nor a pid namespace of its own, processes whose
            parents have ended are not found.
    """
    return group.processes() if group.paths else _in_namespace(first)


def _in_namespace(first: int) -> tuple[int, ...]:
    parents = {int(name): _parent(name) for name in os.listdir("/proc") if name.isdigit()}
    space = _space(first)
    is_own = space not in {None, _space(os.getpid())}
    inside = {pid for pid in parents if pid == first or (is_own and _space(pid) == space)}
    return tuple(sorted(pid for pid in parents if _is_below(pid, inside, parents)))


def _is_below(pid: int, inside: set[int], parents: Mapping[int, int]) -> bool:
    """Tell whether a process, or one above it, is among some."""
    seen: set[int] = set()
    while pid not in inside:
        seen.add(pid)
        pid = parents.get(pid, 0)
        if not pid or pid in seen:  # pids were reused while we looked
            return False
    return True


def _parent(name: str) -> int:
    """Return the parent of a process; 0 if it has ended."""
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[_PARENT])
    except (OSError, IndexError):
        return 0


def _space(pid: int) -> tuple[int, int] | None:
    """Return which pid namespace a process is in; None if it has ended, or may not be looked at."""
    try:
        found = os.stat(f"/proc/{pid}/ns/pid")
    except OSError:
        return None
    return found.st_dev, found.st_ino
