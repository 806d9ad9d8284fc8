"""`exec`: another process in a container that runs, as isolated as the container's own."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import StateError, own_errors
from pycgroups.namespaces import files, own
from pycgroups.runtime import confinement, entering, granting, handing, hooks, launch, terminals
from pycgroups.runtime.preserved import Preserved
from pycgroups.runtime.state import make_state, write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NamedTuple

    from pycgroups.cgroups import Cgroup
    from pycgroups.oci.runtime_spec import Process, Spec
    from pycgroups.oci.uncommon import Hook
    from pycgroups.runtime.program import Manner
    from pycgroups.runtime.state import Record
    from pycgroups.runtime.steps import Plan
else:
    from pycgroups.records import NamedTuple


_LISTENER: int = lib.SECCOMP_FILTER_FLAG_NEW_LISTENER


class Wishes(NamedTuple):
    """How it is started; see `Container.exec`."""

    stdio: Sequence[int] = (0, 1, 2)
    console_socket: str | None = None
    pid_file: str | None = None
    preserved: Preserved = Preserved()
    detached: bool = False
    cgroups: Sequence[str] = ()


class Executed:
    """A process that was started in a container.

    Attributes:
        pid: its pid, as this process sees it.
        master: of its terminal, where it has one that no console socket got; else -1.
        notices: what went wrong and is no error, such as a capability that there is none of.
    """

    __slots__ = ("_running", "master", "notices", "pid")

    def __init__(self, running: launch.Running, master: int, notices: list[str]) -> None:
        """Take over the process."""
        self._running = running
        self.pid = running.pid
        self.master = master
        self.notices = notices

    def fileno(self) -> int:
        """A descriptor that is readable once it has ended: a pidfd; pidfd_open(2)."""
        return self._running.pidfd

    def wait(self) -> int:
        """Wait for its end; the exit status as `subprocess` has it, negative for a signal.

        Raises:
            StateError: somebody else in this process has taken the exit status.
        """
        self._running.wait()
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
    grantable = _grantable(spec)
    manner = confinement.manner(process, profile)
    manner = manner._replace(detached=wishes.detached, grantable=grantable)
    manner = manner._replace(handed=len(wishes.preserved.fds), holes=wishes.preserved.holes)
    console = listener = -1
    try:
        if wishes.console_socket is not None:
            console = handing.connect(wishes.console_socket)
        if profile is not None and confinement.has_listener(profile):
            listener = confinement.connect(profile)
        running = _launch(record, spec, process, manner, wishes)
        try:
            if profile is not None and listener >= 0:
                handed, listener = listener, -1
                confinement.hand_on(running, handed, profile, make_state(record, "running"))
            running.until(lambda running: running.started)
            master = terminals.hand_on(running, console)
            if wishes.pid_file is not None:
                write_pid(wishes.pid_file, running.pid)
            return Executed(running, master, granting.notices(process, grantable))
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
    process, profile = spec.process, spec.linux.seccomp
    assert spec.hooks is not None
    assert process is not None
    manner = confinement.manner(process, profile)
    manner = manner._replace(grantable=_grantable(spec), seccomp_flags=manner.seccomp_flags & ~_LISTENER)
    groups = own.may_set_groups(record.pid)

    def make(hook: Hook, kinds: Sequence[str]) -> Plan:
        return entering.make_inner_hook(hook, process, spec.linux, kinds, manner=manner, groups=groups)

    state = make_state(record, "created")
    hooks.run("startContainer", spec.hooks.start_container, state, inside=record.pid, make=make)


def _grantable(spec: Spec) -> int:
    return granting.grantable(userns=any(space.type == "user" for space in spec.linux.namespaces))


def _launch(record: Record, spec: Spec, process: Process, manner: Manner, wishes: Wishes) -> launch.Running:
    """Start a process in the container's namespaces and cgroup."""
    namespaces = files.open_others(record.pid)
    try:
        with _group(record, wishes.cgroups) as group:
            joins = group.join_fds
            plan = entering.make_exec(
                process,
                spec.linux,
                tuple(namespaces),
                joins=len(joins),
                manner=manner,
                terminal=terminals.wanted(process),
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
                given=[*joins, *namespaces.values(), *wishes.preserved.fds],
                placed=_classifier(record),
            )
    finally:
        files.close_all(namespaces)
    return running


def _classifier(record: Record) -> Callable[[int], None] | None:
    """Return what puts a process into the class of service of the container, if that has one."""
    if not record.resctrl:
        return None
    from pycgroups.runtime import resctrl

    return lambda pid: resctrl.enter(record.resctrl, pid)


def _group(record: Record, below: Sequence[str]) -> Cgroup:
    """Open the cgroup that the process is to be in."""
    from pycgroups.cgroups import placed

    group = placed.open_(record.cgroups)
    if not below:
        with group:
            return placed.beside(group, record.pid)
    for name in below:
        with group as above:
            group = placed.sub(above, name)
    return group
