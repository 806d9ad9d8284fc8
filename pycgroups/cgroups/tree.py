"""Everything at and below one cgroup directory: list its processes, kill them, remove the directories."""

from __future__ import annotations

import errno
import os
import time

from pycgroups.cgroups.files import GONE, Directory, read_path
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 10.0
"""Seconds that killing and removing wait for processes to die before they give up."""

_SIGKILL = 9  # the module signal takes milliseconds to make enums of all numbers
_FIRST_PAUSE = 0.000_2
_LONGEST_PAUSE = 0.02
_BATCH = 200  # descriptors held at once: the usual limit is 1024
_SHOWN = 20  # pids in a message


def processes(directory: Directory, *, open_ones: bool = False) -> list[int]:
    """Pids of the processes here and below; 0 stands for one outside this process's pid namespace.

    Args:
        directory: where.
        open_ones: leave out what is below groups that others have closed to this user.

    Raises:
        CgroupError: a group may not be looked into.
    """
    found = processes_of(directory)
    for child in directory.subgroups(open_ones=open_ones):
        found += processes(child, open_ones=open_ones)
    return found


def kill_each(directory: Directory) -> None:
    """Send SIGKILL once to every process here and below; new ones may appear meanwhile."""
    pids = processes_of(directory)
    for start in range(0, len(pids), _BATCH):
        _kill_batch(directory, pids[start : start + _BATCH])
    for child in directory.subgroups():
        kill_each(child)


def kill(directory: Directory, kill_all: Callable[[Directory], None], deadline: float) -> None:
    """Call `kill_all(directory)` until no process is left here and below.

    Raises:
        CgroupError: some are left at `deadline` (`time.monotonic()`), and are named; or the caller is inside.
    """
    pause = _FIRST_PAUSE
    while pids := processes(directory):
        if os.getpid() in pids:
            raise CgroupError("this process is inside itself", operation="kill cgroup", path=directory.path)
        if time.monotonic() > deadline:
            raise _undying(directory, pids)
        kill_all(directory)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def move(processes: Callable[[], Sequence[int]], add: Callable[[int], None], name: str, deadline: float) -> None:
    """Call `add(pid)` for all processes, again until there are none.

    Raises:
        CgroupError: some are left at `deadline`, or one may not be moved.
    """
    while pids := processes():
        if time.monotonic() > deadline:
            raise CgroupError(f"still has processes: {_listed([*pids])}", operation="empty cgroup", path=name)
        for pid in pids:
            try:
                add(pid)
            except CgroupError as error:
                if error.errno != errno.ESRCH:  # it ended meanwhile
                    raise


def move_threads(directory: Directory, name: str) -> None:
    """Move the threads in a directory to the one above it, once; `name` is the file that lists and takes them."""
    tids = directory.read_if_there(name).split()
    if not tids:
        return
    with Directory(os.path.dirname(directory.path)) as above:
        for tid in tids:
            try:
                above.write(name, tid)
            except CgroupError as error:
                if error.errno != errno.ESRCH:  # it ended meanwhile
                    raise


def remove_subgroups(directory: Directory) -> None:
    """Remove the cgroups below, children first; what is busy stays for the next try."""
    for child in directory.subgroups():
        remove_subgroups(child)
        try_rmdir(child.path)


def try_rmdir(path: str) -> bool:
    """Remove a cgroup; False if it has processes or children.

    Raises:
        CgroupError: any other reason.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True  # by someone else: gone is what was wanted
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise CgroupError(operation="remove", path=path, errno=error.errno) from None
    return True


def remove(directory: Directory, kill_all: Callable[[Directory], None], deadline: float) -> None:
    """Remove a cgroup and all below, and kill what is in it.

    Raises:
        CgroupError: it is not gone at `deadline`; names the processes.
    """
    pause = _FIRST_PAUSE
    while not try_rmdir(directory.path):
        kill(directory, kill_all, deadline)
        remove_subgroups(directory)
        if try_rmdir(directory.path):
            return
        if time.monotonic() > deadline:
            raise _undying(directory, processes(directory))
        time.sleep(pause)  # the last process has left the list but not yet the cgroup
        pause = min(pause * 2, _LONGEST_PAUSE)


def restless(directory: Directory, wanted: bool) -> CgroupError:
    """Make the error for a cgroup that does not freeze, or thaw, in time."""
    if not wanted:
        return CgroupError(
            "still frozen",
            operation="thaw",
            path=directory.path,
            errno=errno.ETIMEDOUT,
            hint="thaw the cgroups above it",
        )
    busy = [pid for pid in processes(directory) if _uninterruptible(pid)]
    return CgroupError(
        f"in an uninterruptible system call: {_listed(busy)}" if busy else "some processes go on",
        operation="freeze",
        path=directory.path,
        errno=errno.ETIMEDOUT,
        hint="a process in state D (ps), or frozen by another freezer, stops only when it goes on; then try again",
    )


def _uninterruptible(pid: int) -> bool:
    """Tell from the state in /proc/PID/stat (`proc_pid_stat(5)`), which follows the name in parentheses."""
    return read_path(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["D"]


def _listed(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:_SHOWN])) + (", ..." if len(pids) > _SHOWN else "")


def processes_of(directory: Directory) -> list[int]:
    """Pids of the processes in this very directory; 0 as above."""
    try:
        return [int(pid) for pid in directory.read("cgroup.procs").split()]
    except CgroupError as error:
        # A threaded cgroup (v2) does not list processes: its domain, at or above it, does.
        if error.errno in (*GONE, errno.EOPNOTSUPP):
            return []
        raise


def _kill_batch(directory: Directory, pids: list[int]) -> None:
    """Kill by pidfd what is still listed after the pidfd was opened: a reused pid is never hit."""
    from _signal import pidfd_send_signal  # type: ignore[import-not-found]

    handles: dict[int, int] = {}
    try:
        for pid in pids:
            try:
                handles[pid] = os.pidfd_open(pid)
            except OSError:
                continue  # dead already, or 0: not of this pid namespace
        for pid in handles.keys() & processes_of(directory):
            try:
                pidfd_send_signal(handles[pid], _SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # who may not be killed is named when time is up
    finally:
        for handle in handles.values():
            os.close(handle)


def _undying(directory: Directory, pids: list[int]) -> CgroupError:
    return CgroupError(
        f"still has processes: {_listed(pids)}" if pids else "still busy",
        operation="empty cgroup",
        path=directory.path,
        errno=errno.EBUSY,
        hint="a frozen process (freezer), or one in an uninterruptible system call (state D in ps), dies when it"
        " goes on; then try again",
    )
