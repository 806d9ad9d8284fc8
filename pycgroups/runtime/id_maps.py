"""The id maps of a new user namespace, written from outside of it; user_namespaces(7)."""

from __future__ import annotations

import errno
import os
import time
from _functools import partial  # type: ignore[import-not-found]  # that of functools, without its imports

from pycgroups._native import calls, spawning
from pycgroups.errors import LaunchError
from pycgroups.runtime import hints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import IdMapping

_PATIENCE = 10.0
"""Seconds for an exec to be over."""


def map_ids(spawned: spawning.Spawned, uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> None:
    """Write the id maps of the helper's user namespace; user_namespaces(7).

    The caller's own id needs no right, with setgroups(2) denied first (CVE-2014-8989). Subordinate ids are written
    by newuidmap(1) and newgidmap(1), and any ids by root itself.
    """
    _wait_for_exec(spawned.pid)
    if os.geteuid() == 0:
        _write_map(spawned, "uid_map", uids)
        _write_map(spawned, "gid_map", gids)
    elif _is_own(uids, os.geteuid()) and _is_own(gids, os.getegid()):
        _check_write("setgroups", spawning.write_proc(spawned, "setgroups", "deny"))
        _write_map(spawned, "uid_map", uids)
        _write_map(spawned, "gid_map", gids)
    else:
        _run_map_tool("newuidmap", spawned.pid, uids)
        _run_map_tool("newgidmap", spawned.pid, gids)


def _wait_for_exec(pid: int) -> None:
    """Wait until the helper's files of /proc are ours.

    We went on when its exec had left our memory. Its own is as undumpable as ours until the exec is over, and the files
    are root's: proc(5).
    """
    if calls.process_control(calls.lib.PR_GET_DUMPABLE, 0) == 1:
        return
    deadline = time.monotonic() + _PATIENCE
    try:
        while os.stat(f"/proc/{pid}/uid_map").st_uid != os.geteuid() and time.monotonic() < deadline:
            time.sleep(0.0005)
    except OSError:  # it has ended, which what follows finds out
        return


def _is_own(mappings: tuple[IdMapping, ...], own: int) -> bool:
    return len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == own


def _write_map(spawned: spawning.Spawned, name: str, mappings: tuple[IdMapping, ...]) -> None:
    lines = "".join(f"{mapping.container_id} {mapping.host_id} {mapping.size}\n" for mapping in mappings)
    _check_write(name, spawning.write_proc(spawned, name, lines))


def _check_write(name: str, result: int) -> None:
    if result < 0:
        raise LaunchError(step=f"write {name}", errno=-result, hint=hints.for_call(name, -result))


def _run_map_tool(tool: str, pid: int, mappings: tuple[IdMapping, ...]) -> None:
    numbers = [str(n) for mapping in mappings for n in (mapping.container_id, mapping.host_id, mapping.size)]
    read, write = os.pipe2(os.O_CLOEXEC)
    children: list[int] = []
    start = partial(os.posix_spawnp, file_actions=[(os.POSIX_SPAWN_DUP2, write, 2)])
    try:
        try:
            # No line of Python's: no exception of a signal handler can come between the start and the list.
            children.extend(map(start, [tool], [[tool, str(pid), *numbers]], [os.environ]))
        except OSError as error:
            raise LaunchError(step=tool, errno=error.errno, hint=hints.for_call(tool, error.errno or 0)) from None
        finally:
            os.close(write)
        failed = _wait(children)
        said = _said(read)
        if failed or said:
            raise LaunchError(said or "failed", step=tool, hint=hints.for_call(tool, errno.EPERM))
    finally:
        os.close(read)
        _wait(children)


def _wait(children: list[int]) -> bool:
    """Wait for all; tell whether one failed."""
    failed = False
    while children:
        try:
            failed = os.waitpid(children[-1], 0)[1] != 0
        except ChildProcessError:  # reaped by somebody else: what it said must tell
            pass
        children.pop()
    return failed


def _said(read: int) -> str:
    os.set_blocking(read, False)  # a child that another thread forked meanwhile may hold the other end open
    try:
        return os.read(read, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
