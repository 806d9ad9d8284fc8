"""`exec`: another process in a container that runs, as isolated as the container's own."""

from __future__ import annotations

import os

from pycgroups.errors import StateError, own_errors
from pycgroups.namespaces import files, own
from pycgroups.runtime import confinement, entering, handing, hooks, launch, terminals
from pycgroups.runtime.state import make_state, write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    from pycgroups.cgroups import Cgroup
    from pycgroups.oci.runtime_spec import Process, Spec
    from pycgroups.runtime.program import Manner
    from pycgroups.runtime.state import Record
else:
    from pycgroups.records import NamedTuple


class Wishes(NamedTuple):
    """How it is started; see `Container.exec`."""

    stdio: Sequence[int] = (0, 1, 2)
    console_socket: str | None = None
    pid_file: str | None = None
    preserve_fds: int = 0
    detached: bool = False
    cgroup: str = ""


class Executed:
    """A process that was started in a container.

    Attributes:
        pid: its pid, as this process sees it.
        master: of its terminal, where it has one that no console socket got; else -1.
    """

    __slots__ = ("_running", "master", "pid")

    def __init__(self, running: launch.Running, master: int) -> None:
        """Take over the process."""
        self._running = running
        self.pid = running.pid
        self.master = master

    def fileno(self) -> int:
        """A descriptor that is readable once it has ended: a pidfd; pidfd_open(2)."""
        return self._running.pidfd

    def wait(self) -> int:
        """Wait for its end; the exit status as `subprocess` has it, negative for a signal.

        Raises:
            StateError: somebody else in this process has taken the exit status.
        """
        status, _ = self._running.reap()
        self.close()
        if status is None:
            raise StateError("somebody else has taken the exit status", operation="wait", path=str(self.pid))
        return os.waitstatus_to_exitcode(status)

    def signal(self, number: int) -> None:
        """Send it a signal; none is sent to the dead."""
        self._running.signal(number)

    def let_go(self) -> None:
        """Close what is held; the process goes on."""
        self._close_master()
        self._running.let_go()

    def close(self) -> None:
        """Kill it, if it has not ended, and close what is held."""
        self._close_master()
        self._running.close()

    def _close_master(self) -> None:
        master, self.master = self.master, -1
        if master >= 0:
            os.close(master)


@own_errors("exec")
def execute(record: Record, spec: Spec, process: Process, wishes: Wishes) -> Executed:
    """Start a process in the container that a record is of."""
    profile = spec.linux.seccomp
    manner = confinement.manner(process, profile)
    manner = manner._replace(detached=wishes.detached, handed=wishes.preserve_fds)
    console = listener = -1
    try:
        if wishes.console_socket is not None:
            console = handing.connect(wishes.console_socket)
        if profile is not None and confinement.has_listener(profile):
            listener = confinement.connect(profile)
        running = _launch(record, process, manner, wishes)
        try:
            master = terminals.hand_on(running, console)
            confinement.hand_on(running, listener, profile, make_state(record, "running"))
            if wishes.pid_file is not None:
                write_pid(wishes.pid_file, running.pid)
            return Executed(running, master)
        except BaseException:
            running.close()
            raise
    finally:
        for fd in (console, listener):
            if fd >= 0:
                os.close(fd)


def run_hooks(spec: Spec, record: Record) -> None:
    """Run the hooks that come before the container's program, where that will be, with its rights.

    Raises:
        LaunchError: one failed.
    """
    assert spec.hooks is not None
    hooks.run("startContainer", spec.hooks.start_container, make_state(record, "created"), inside=record.pid)


def _launch(record: Record, process: Process, manner: Manner, wishes: Wishes) -> launch.Running:
    """Start a process in the container's namespaces and cgroup."""
    namespaces = files.open_others(record.pid)
    try:
        with _group(record, wishes.cgroup) as group:
            joins = group.join_fds
            plan = entering.make_exec(
                process,
                tuple(namespaces),
                joins=len(joins),
                manner=manner,
                terminal=terminals.size_of(process),
                groups=own.may_set_groups(record.pid),
            )
            if not record.is_alive():  # the pid may be somebody else's by now, and so what was opened
                raise StateError("container not running", operation="exec", path=record.id)
            running = launch.Running(plan)
            launch.launch(
                running,
                plan.encode(),
                stdio=wishes.stdio,
                cgroup=-1 if group.clone_fd is None else group.clone_fd,
                given=[*joins, *namespaces.values(), *range(3, 3 + wishes.preserve_fds)],
            )
    finally:
        files.close_all(namespaces)
    try:
        running.until(lambda running: running.started)
    except BaseException:
        running.close()
        raise
    return running


def _group(record: Record, below: str) -> Cgroup:
    """Open the cgroup that the process is to be in."""
    from pycgroups.cgroups import placed

    with placed.open_(record.cgroups) as whole:
        return placed.sub(whole, below) if below else placed.beside(whole, record.pid)
