"""Launch plan -> running process.

The conversation with the helper is drawn in ``_native/helper.c``. Here: clone it, map its user namespace, send it
the plan, and turn what it reports into facts or into one exception.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.errors import CommandNotExecutable, CommandNotFound, LaunchError
from pycgroups.runtime import hints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups._native.calls import Report
    from pycgroups.oci.runtime_spec import IdMapping
    from pycgroups.runtime.plan import Plan, Step

_SIGKILL = 9
_CALLS = {lib.SPAWN_SOCKET: "socketpair", lib.SPAWN_CLONE: "clone3", lib.SPAWN_CHILD: "exec of the helper"}
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_TOO_LONG = (errno.E2BIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


class Running:
    """A launched container process: its pidfd, its control socket, and what the helper has told so far.

    Attributes:
        pid: the helper's pid, PID 1 of the container; only for show, signals go through the pidfd.
        pidfd: readable when the process has ended.
        control: readable when the helper has something to say.
        started: the program is running.
        status: the wait status of the program, once it has ended.
        report: the helper's last report, with usage, once the program has ended.
        failure: what went wrong before the program ran.
        descriptors: what the helper handed over, by the step's operation (``OP_CONSOLE``, ``OP_SEND``).
    """

    def __init__(self, plan: Plan, spawned: calls.Spawned) -> None:
        """Hold a helper that has its plan."""
        self.pid, self.pidfd, self.control = spawned
        self.started = False
        self.status: int | None = None
        self.report: Report | None = None
        self.failure: LaunchError | None = None
        self.descriptors: dict[int, int] = {}
        self._plan = plan
        self._reaped = False

    def hear(self) -> bool:
        """Take in all that the helper has said; False when there is nothing more to come."""
        while True:
            result, report = calls.report(self.control)
            if report is None:
                # An end of file without init is the close-on-exec of a program that now runs.
                self.started = self.started or (result == 0 and self.failure is None and not self._plan.init)
                return result == -errno.EAGAIN
            self._take(report)

    def _take(self, report: Report) -> None:
        if report.kind == lib.REPORT_STARTED:
            self.started = True
        elif report.kind == lib.REPORT_EXITED:
            self.status, self.report = report.value, report
        elif report.kind == lib.REPORT_FD:
            self.descriptors[self._plan.steps[report.step].op] = report.fd
        elif self.failure is None:
            step = self._plan.steps[report.step] if report.step >= 0 else None
            self.failure = step_error(step, report.error)

    def signal(self, number: int) -> None:
        """Send a signal to PID 1; the init passes it on to the program. None is sent to the dead."""
        with suppress(ProcessLookupError):
            _pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """Kill PID 1, and with it every process of its pid namespace; pid_namespaces(7)."""
        self.signal(_SIGKILL)

    def reap(self) -> tuple[int | None, os.struct_rusage | None]:
        """Wait for PID 1, which has ended or will at once; its wait status and usage.

        Both are None when somebody else in this process has reaped it: a SIGCHLD handler that waits for any
        child, or SIGCHLD ignored. The helper's report has the facts then.
        """
        self._reaped = True
        with suppress(ChildProcessError):
            # By number: the child cannot be anybody else before it is reaped, and waitid(2) gives no usage.
            pid, status, usage = os.wait4(self.pid, 0)
            return status, usage
        return None, None

    def close(self) -> None:
        """Kill what has not ended, and close all descriptors."""
        if self.pidfd >= 0 and not self._reaped:
            self.kill()
            self.reap()
        for fd in (self.pidfd, self.control, *self.descriptors.values()):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.control = -1
        self.descriptors = {}


def _pidfd_send_signal(pidfd: int, number: int) -> None:
    from signal import pidfd_send_signal  # noqa: PLC0415 (its enums take a millisecond to make)

    pidfd_send_signal(pidfd, number)


def launch(
    plan: Plan,
    encoded: bytes,
    *,
    stdio: Sequence[int],
    cgroup: int = -1,
    given: Sequence[int] = (),
    uid_mappings: tuple[IdMapping, ...] = (),
    gid_mappings: tuple[IdMapping, ...] = (),
) -> Running:
    """Start the process of a plan. It has been given all it needs; `Running.hear` tells how it goes.

    Args:
        plan: what to do.
        encoded: ``plan.encode()``, which a caller may keep.
        stdio: descriptors that become 0, 1 and 2.
        cgroup: a cgroup v2 directory to be born in (clone3(2), CLONE_INTO_CGROUP; Linux 5.7).
        given: the descriptors of the plan's first slots, without the user namespace.
        uid_mappings: the map of the new user namespace.
        gid_mappings: the same for groups.

    Raises:
        LaunchError: a step that the caller itself performs failed. Nothing is left.
    """
    spawned = _spawn(plan.namespaces, cgroup, stdio, plan.keep_caps if uid_mappings else 0)
    running = Running(plan, spawned)
    try:
        if uid_mappings:
            map_ids(spawned, uid_mappings, gid_mappings)
        _go(running, plan, encoded, given)
    except BaseException:
        running.close()
        raise
    return running


def _spawn(namespaces: int, cgroup: int, stdio: Sequence[int], keep_caps: int) -> calls.Spawned:
    executable = calls.helper()
    if executable < 0:
        raise LaunchError(step="memfd_create", errno=-executable, hint=hints.for_call("memfd_create", -executable))
    try:
        result, failed, spawned = calls.child(namespaces, cgroup, stdio, keep_caps, executable)
    finally:
        os.close(executable)
    if result < 0:
        end(spawned)
        call = _CALLS[failed]
        raise LaunchError(step=call, errno=-result, hint=hints.for_call(call, -result))
    return spawned


def _go(running: Running, plan: Plan, encoded: bytes, given: Sequence[int]) -> None:
    namespaces: list[int] = []
    try:
        for maps in plan.idmaps:
            namespaces.append(_open_userns(running.pid) if maps is None else make_userns(*maps))
        result, step = calls.go(running.control, encoded, [*given, *namespaces])
    finally:
        for fd in namespaces:
            os.close(fd)
    if result < 0:
        running.hear()  # a helper that is gone has perhaps said why
        raise running.failure or step_error(plan.steps[step] if step >= 0 else None, -result)


def _open_userns(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LaunchError(step="open the user namespace", path=error.filename, errno=error.errno) from None


def make_userns(uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> int:
    """Make a user namespace with these maps, held by the descriptor alone; for idmapped mounts."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        spawned = _spawn(lib.CLONE_NEWUSER, -1, (null, null, null), 0)
    finally:
        os.close(null)
    try:
        map_ids(spawned, uids, gids)
        return _open_userns(spawned.pid)
    finally:
        end(spawned)


def end(spawned: calls.Spawned) -> None:
    """End a helper that has no plan, as far as it came to be."""
    for fd in (spawned.control, spawned.pidfd):  # without its control socket it leaves
        if fd >= 0:
            os.close(fd)
    if spawned.pid >= 0:
        with suppress(ChildProcessError):
            os.waitpid(spawned.pid, 0)


def step_error(step: Step | None, number: int) -> LaunchError:
    """Name the step that failed, the path, the reason and what would mend it."""
    if step is None:
        return LaunchError(step="start of the program", errno=number)
    if step.op != lib.OP_EXEC:
        return LaunchError(step=step.name, path=step.path, errno=number, hint=hints.for_step(step, number))
    program = os.fsdecode(step.texts[0].split(b"\0", 1)[0])
    if number in _MISSING:
        return CommandNotFound("not found in the container", step="exec", path=program, errno=number)
    if number in _TOO_LONG:
        return LaunchError(step="exec", path=program, errno=number, hint=hints.for_step(step, number))
    return CommandNotExecutable(step="exec", path=program, errno=number, hint=hints.for_step(step, number))


# -- ids ----------------------------------------------------------------------------------------------------------


def map_ids(spawned: calls.Spawned, uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> None:
    """Write the id maps of the helper's user namespace; user_namespaces(7).

    The caller's own id needs no right, with setgroups(2) denied first (CVE-2014-8989). Subordinate ids are written
    by newuidmap(1) and newgidmap(1), and any ids by root itself.
    """
    if os.geteuid() == 0:
        _write_map(spawned, "uid_map", uids)
        _write_map(spawned, "gid_map", gids)
    elif _is_own(uids, os.geteuid()) and _is_own(gids, os.getegid()):
        _check_write("setgroups", calls.write_proc(spawned, "setgroups", "deny"))
        _write_map(spawned, "uid_map", uids)
        _write_map(spawned, "gid_map", gids)
    else:
        _run_map_tool("newuidmap", spawned.pid, uids)
        _run_map_tool("newgidmap", spawned.pid, gids)


def _is_own(mappings: tuple[IdMapping, ...], own: int) -> bool:
    return len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == own


def _write_map(spawned: calls.Spawned, name: str, mappings: tuple[IdMapping, ...]) -> None:
    lines = "".join(f"{mapping.container_id} {mapping.host_id} {mapping.size}\n" for mapping in mappings)
    _check_write(name, calls.write_proc(spawned, name, lines))


def _check_write(name: str, result: int) -> None:
    if result < 0:
        raise LaunchError(step=f"write {name}", errno=-result, hint=hints.for_call(name, -result))


def _run_map_tool(tool: str, pid: int, mappings: tuple[IdMapping, ...]) -> None:
    numbers = [str(n) for mapping in mappings for n in (mapping.container_id, mapping.host_id, mapping.size)]
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write, 2)]
        try:
            child = os.posix_spawnp(tool, [tool, str(pid), *numbers], os.environ, file_actions=actions)
        except OSError as error:
            raise LaunchError(step=tool, errno=error.errno, hint=hints.for_call(tool, error.errno or 0)) from None
        finally:
            os.close(write)
        said = os.read(read, 4096).decode(errors="replace").strip()
        with suppress(ChildProcessError):
            if os.waitpid(child, 0)[1] == 0:
                return
        if said:
            raise LaunchError(said, step=tool, hint=hints.for_call(tool, errno.EPERM))
    finally:
        os.close(read)
