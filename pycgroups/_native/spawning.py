"""Typed functions over spawn.h, forks.h and monitor.h: processes that are made, by the names of these.

They return what the kernel returned, a negative errno included; `pycgroups.runtime.launch` turns failures into
exceptions.
"""

from __future__ import annotations

import os
from _thread import RLock

from pycgroups._native.calls import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NamedTuple
else:
    from pycgroups.records import NamedTuple


class Spawned:
    """A helper, as far as it came to be: `child` fills it in, so that no signal handler's exception comes between.

    Attributes:
        pid: process id, or -1.
        pidfd: descriptor of the process, or -1.
        control: the control socket, or -1.
        ended: of a fork, the socket by which its init tells of its end, or -1.
    """

    __slots__ = ("_plan", "out")

    def __init__(self) -> None:
        """Hold nothing yet."""
        names = ("pid", "pidfd", "control", "peer", "creator", "ended", "userns")
        self.out = ffi.new("struct spawned *", dict.fromkeys(names, -1))
        self._plan: Any = None

    def keep(self, plan: bytes) -> Any:
        """Keep the plan where it is as long as this object; its address."""
        self._plan = ffi.from_buffer(plan)
        return self._plan

    @property
    def pid(self) -> int:
        return int(self.out.pid)

    @property
    def pidfd(self) -> int:
        return int(self.out.pidfd)

    @property
    def control(self) -> int:
        return int(self.out.control)

    @property
    def ended(self) -> int:
        return int(self.out.ended)

    def replace(self, pid: int, pidfd: int) -> int:
        """Hold another process instead; the pidfd of the former one, to be closed, or -1."""
        former = self.pidfd
        self.out.pid, self.out.pidfd = pid, pidfd
        return former

    def close(self) -> None:
        """Close all descriptors; twice is allowed."""
        with _forking:
            lib.spawn_close(self.out)
            _beginning.discard(self)
            _forks.discard(self)


# Its end of the socket is open in this process until the helper has it, and the hang-up tells that the program runs. So
# a child that another thread forks meanwhile closes its copy. Whom C code forks without Python's hooks keeps one.
_beginning: set[Spawned] = set()
_forking = RLock()  # of who opens or closes such an end, or forks; a signal handler may fork in between


# By a copy of the socket of a fork that would outlive this process; the child has nothing of it to wait for.
_forks: set[Spawned] = set()


def _close_in_child() -> None:
    for spawned in _beginning:
        lib.spawn_part(spawned.out)
    for spawned in _forks:
        lib.spawn_close(spawned.out)
    _beginning.clear()
    _forks.clear()
    _forking.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_close_in_child)


class Report(NamedTuple):
    """One record from the helper (plan.h, struct report); ``fd`` is -1 when none came with it."""

    kind: int
    step: int
    error: int
    value: int
    user_usec: int
    system_usec: int
    maxrss_kib: int
    inblock: int
    oublock: int
    fd: int


def helper() -> int:
    """Make a sealed copy of the helper's executable in memory; a descriptor, or -errno."""
    return int(lib.spawn_helper())


def begin(spawned: Spawned, plan: bytes | None, above: int = -1) -> int:
    """Make the control socket, and send as much of the plan, if there is one, as it takes; 0 or -errno.

    The socket's number will be higher than ``above``, if that can be.
    """
    kept = ffi.NULL if plan is None else spawned.keep(plan)
    with _forking:
        _beginning.add(spawned)
        return int(lib.spawn_begin(spawned.out, kept, len(plan or b""), above))


def give(spawned: Spawned, fds: Sequence[int]) -> int:
    """Fill the plan's first slots; 0 or -errno."""
    return int(lib.spawn_give(spawned.out, fds, len(fds)))


def prepare(spawned: Spawned, *, idmapped: bool) -> tuple[int, int]:
    """Perform the plan's first part here, idmapped mounts or the others; 0 or -errno, and the step that failed."""
    step = ffi.new("int *")
    result = lib.spawn_prepare(spawned.out, idmapped, step)
    return result, step[0]


def open_userns(spawned: Spawned, slot: int) -> int:
    """Open the child's user namespace into a slot (-1: none); 0 or -errno."""
    return int(lib.spawn_open_userns(spawned.out, slot))


def slot(spawned: Spawned, number: int) -> int:
    """Return the descriptor in a slot, as long as it has not been handed over; or -1."""
    return int(lib.spawn_slot(spawned.out, number))


def go_early(spawned: Spawned) -> int:
    """Let the helper begin before there is one; 1, or 0 if the socket does not take all that, or -errno."""
    return int(lib.spawn_go_early(spawned.out))


def go(spawned: Spawned) -> tuple[int, int]:
    """Let the helper begin; 0 or -errno, and the step that failed, or -1."""
    step = ffi.new("int *")
    result = lib.spawn_go(spawned.out, step)
    return result, step[0]


def child(  # noqa: PLR0917 (those of the C function)
    spawned: Spawned, namespaces: int, cgroup: int, stdio: Sequence[int], keep_caps: int, executable: int
) -> tuple[int, int]:
    """Clone the helper into new namespaces; 0 or -errno, and the call that failed (SPAWN_*)."""
    request = ffi.new(
        "struct spawn_request *",
        {"clone_flags": namespaces, "cgroup": cgroup, "stdio": stdio, "keep_caps": keep_caps},
    )
    result = lib.spawn_child(request, executable, spawned.out)
    _part(spawned)
    return result, spawned.out.failed


def fork_listen(path: str) -> int:
    """Make the socket at which an init is asked for forks; a descriptor or -errno."""
    return int(lib.forks_listen(os.fsencode(path)))


def fork_ask(spawned: Spawned, path: str, stdio: Sequence[int]) -> int:
    """Ask an init for a fork, the helper of a plan; 0 or -errno."""
    with _forking:
        _forks.add(spawned)
        result = int(lib.forks_ask(os.fsencode(path), stdio, spawned.out))
    _part(spawned)
    return result


def _part(spawned: Spawned) -> None:
    with _forking:
        lib.spawn_part(spawned.out)
        _beginning.discard(spawned)


def monitor_plan(numbers: dict[str, int], members: bytes, words: Sequence[bytes]) -> bytes:
    """Write what a monitor is to do: monitor.h, with the fields that are no offsets in `numbers`."""
    head = ffi.sizeof("struct monitor_plan")
    strings = b"".join(word + b"\0" for word in words)
    offsets = {"members": head, "members_size": len(members), "words": head + len(members)}
    size = head + len(members) + len(strings)
    plan = ffi.new("struct monitor_plan *", {"magic": lib.MONITOR_MAGIC, "size": size, **offsets, **numbers})
    return bytes(ffi.buffer(plan)) + members + strings


def monitor(spawned: Spawned, plan: bytes, fds: Sequence[int]) -> int:
    """Start a monitor with its descriptors, -1 where there is none; 0 or -errno."""
    return int(lib.spawn_monitor(plan, len(plan), fds, spawned.out))


def write_proc(spawned: Spawned, name: str, text: str) -> int:
    """Write ``/proc/PID/name`` of the helper (``uid_map`` and its like); 0 or -errno."""
    data = text.encode()
    return int(lib.spawn_write(spawned.out, name.encode(), data, len(data)))


def report(control: int) -> tuple[int, Report | None]:
    """Receive one record without waiting: (1, record), (0, None) at the end of file, or (-errno, None)."""
    record = ffi.new("struct report *")
    fd = ffi.new("int *")
    result = lib.spawn_report(control, record, fd)
    return (result, _report(record, fd[0])) if result == 1 else (result, None)


def reap(pidfd: int, *, group: int = 0) -> tuple[int | None, Report | None]:
    """Wait for a child's end: its wait status, and a record with its usage.

    No usage when somebody else in this process has reaped it, and before Linux 6.15 no status either.

    Args:
        pidfd: the child's.
        group: its pid, if it has ended and may lead a process group: all children in that are killed and reaped.
    """
    record = ffi.new("struct report *")
    result = lib.spawn_reap_group(pidfd, group, record) if group else lib.spawn_reap(pidfd, record)
    return (None if result < 0 else record.value), (_report(record, -1) if result == 1 else None)


def _report(record: Any, fd: int) -> Report:
    return Report(
        record.kind,
        record.step,
        record.error,
        record.value,
        record.user_usec,
        record.system_usec,
        record.maxrss_kib,
        record.inblock,
        record.oublock,
        fd,
    )
