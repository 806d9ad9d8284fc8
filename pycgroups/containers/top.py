"""The processes of a container, as ps(1) tells of them: proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.containers.identity import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
_LONGEST = 4096  # bytes of a command; the kernel has megabytes, if the process wants it so
_STATE, _PARENT, _USER, _SYSTEM, _BEGAN = 0, 1, 11, 12, 19  # behind the command: proc_pid_stat(5)


class ProcessInfo(NamedTuple):
    """A process of a container.

    Attributes:
        pid: as this process sees it.
        inner_pid: as the container does.
        parent: the pid of its parent, as this process sees it.
        uid: its effective user id, as the container sees it.
        user: the name of that in the container's /etc/passwd; or the number.
        state: a letter: "R" runs, "S" sleeps, "D" waits for a device, "T" is stopped, "Z" has ended, ...
        started: when, in seconds since 1970.
        cpu_time: seconds, user and system.
        cpu_percent: `cpu_time` in percent of the time since its start, as ps(1) has it; 100 is one CPU.
        rss: bytes of memory that it has at hand, shared ones included.
        threads: how many.
        command: its arguments, up to 4 KiB of them; "[name]" where it has none. Anything may be in it.
    """

    pid: int
    inner_pid: int
    parent: int
    uid: int
    user: str
    state: str
    started: float
    cpu_time: float
    cpu_percent: float
    rss: int
    threads: int
    command: str


def processes(pids: Iterable[int], first: int) -> tuple[ProcessInfo, ...]:
    """Tell of some processes; those that have ended meanwhile are left out.

    Args:
        pids: of the processes, as this process sees them.
        first: that of the container's first one.
    """
    depth, ids, names = _depth(first), _ids(first), dict[int, str]()
    found = []
    for pid in pids:
        try:
            known = _read(pid, depth, ids)
        except (OSError, LookupError, ValueError):
            continue
        if known.uid not in names:
            names[known.uid] = name_of(known.uid, f"/proc/{first}/root") or str(known.uid)
        found.append(known._replace(user=names[known.uid]))
    return tuple(found)


def _read(pid: int, depth: int, ids: list[tuple[int, int, int]]) -> ProcessInfo:
    name, fields = _stat(pid)
    status = _status(pid)
    used = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_BEGAN]) / _TICKS
    inner = status.get("NSpid", "").split()
    uid = int(status["Uid"].split()[1])
    return ProcessInfo(
        pid=pid,
        inner_pid=int(inner[depth]) if depth < len(inner) else pid,
        parent=int(fields[_PARENT]),
        uid=next((uid - outside + inside for inside, outside, count in ids if 0 <= uid - outside < count), uid),
        user="",
        state=fields[_STATE],
        started=time.time() - age,
        cpu_time=used,
        cpu_percent=100 * used / age if age > 0 else 0.0,
        rss=int(status.get("VmRSS", "0").split()[0]) * _KIB,
        threads=int(status["Threads"]),
        command=_command(pid) or f"[{name}]",
    )


def _stat(pid: int) -> tuple[str, list[str]]:
    """Return the name of a process, which may have any characters, and what comes after it."""
    before, _, after = _text(f"/proc/{pid}/stat").rpartition(") ")
    return before.partition(" (")[2], after.split()


def _status(pid: int) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(f"/proc/{pid}/status").splitlines())
    return {key: value.strip() for key, _, value in lines}


def _command(pid: int) -> str:
    try:
        return " ".join(_text(f"/proc/{pid}/cmdline", _LONGEST).rstrip("\0").split("\0"))
    except OSError:
        return ""


def _text(path: str, most: int = -1) -> str:
    with open(path, "rb") as file:
        return file.read(most).decode(errors="replace")


def _depth(first: int) -> int:
    """Return how many pid namespaces there are between this process and a container."""
    try:
        return max(0, len(_status(first).get("NSpid", "").split()) - 1)
    except OSError:
        return 0


def _ids(first: int) -> list[tuple[int, int, int]]:
    """Return which user ids of a container are which here: user_namespaces(7). Those of its first process hold."""
    try:
        lines = _text(f"/proc/{first}/uid_map").splitlines()
    except OSError:
        return []
    return [(int(inside), int(outside), int(count)) for inside, outside, count in (line.split() for line in lines)]
