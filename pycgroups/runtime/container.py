"""A container of the OCI runtime: what can be done to one that is there, by whichever process; runtime.md.

The command pycgroups-oci takes the steps of `Container.start` for a plain container itself, in C, to be faster than
Python starts: bin/pycgroups-oci.c, which is to be changed with it. So it does those of `pycgroups.runtime.deletion`.
"""

from __future__ import annotations

import os
import select

from pycgroups.errors import CgroupError, LaunchError, StateError, own_errors
from pycgroups.runtime.signals import open_process, send_signal
from pycgroups.runtime.state import Home, Record, State, make_state, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from functools import lru_cache
    from typing import Self

    from pycgroups.cgroups import Cgroup
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.placed import Placed
    from pycgroups.oci.resources import Resources
    from pycgroups.oci.runtime_spec import Process, Spec
    from pycgroups.runtime.checkpoint import CheckpointImages
    from pycgroups.runtime.creation import Created
    from pycgroups.runtime.execution import Executed
    from pycgroups.runtime.program import Confines
else:
    from pycgroups.caches import lru_cache

_SIGKILL, _SIGTERM = 9, 15
_GO = b"\0"  # what a container's process reads in the FIFO that it waits on
_PATIENCE = 10_000  # milliseconds for its program to run


class Container:
    """A container, by the directory that its state is in. It is the same to all processes; nothing is held open.

    Attributes:
        id: its name.
        directory: where its state is.
        first: for its creator, its first process, by pid and when it began, which no later container of its name has.
        master: of the terminal that it has without a console socket: for its creator, who closes it; else -1.
        notices: what went wrong and is no error, such as a capability that there is none of, or a failed hook after the
            end.
    """

    __slots__ = ("_running", "directory", "first", "id", "master", "notices")

    def __init__(self, directory: str, created: Created | None = None) -> None:
        """Not for users: `pycgroups.runtime.create` and `get` make them."""
        self.directory = directory
        self.id = os.path.basename(directory)
        self.master = -1 if created is None else created.master
        self.notices = [] if created is None else [*created.notices]
        self.first = None if created is None else created.first
        self._running = None if created is None else created.running

    # -- looking ----------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return its state, as runtime.md has it.

        Raises:
            NotFound: it has been removed.
        """
        with Home(self.directory) as home:
            record = home.load()
            return make_state(record, status_of(home, record))

    def processes(self) -> tuple[int, ...]:
        """Pids of all its processes, as this process sees them.

        Raises:
            NotFound: it has been removed.
        """
        from pycgroups.runtime.members import members

        with Home(self.directory) as home:
            record = home.load()
        with _group(record) as group:
            return members(group, record.pid) if group.paths or record.is_alive() else ()

    def cgroup(self) -> Cgroup:
        """Open its cgroup, to measure or to watch it; a context manager.

        Raises:
            NotFound: it has been removed.
        """
        with Home(self.directory) as home:
            return _group(home.load(), to_enter=True)

    def spec(self) -> Spec:
        """Return what it was created from.

        Raises:
            NotFound: it has been removed.
        """
        with Home(self.directory) as home:
            return _spec(home)

    # -- changing ---------------------------------------------------------------------------------------------------

    @own_errors("start")
    def start(self, *, wait: bool = True) -> None:
        """Let its program run.

        Args:
            wait: return only when it does. For its creator, who waits for its end, that is no use.

        Raises:
            StateError: it was started before, or is paused.
            LaunchError: a hook failed; the container is stopped.
        """
        with Home(self.directory) as home:
            home.lock()
            record = home.load()
            status = status_of(home, record)
            if status != "created":
                raise StateError(f"cannot start a container that is {status}", operation="start", path=self.id)
            self._hooks(record, "startContainer")
            fifo = home.open_fifo()
            try:
                os.write(fifo, _GO)
                if wait or "poststart" in record.hooks:
                    _wait_for_reader(fifo)
            finally:
                os.close(fifo)
            home.forget_fifo()
        self._hooks(record, "poststart")

    def _hooks(self, record: Record, kind: str) -> None:
        """Run the hooks around the program's start; one that fails ends the container: runtime.md, "Lifecycle"."""
        if kind not in record.hooks:
            return
        from pycgroups.runtime import deletion, execution, hooks

        spec = self.spec()
        assert spec.hooks is not None
        try:
            if kind == "startContainer":
                execution.run_hooks(spec, record)
            else:
                hooks.run(kind, spec.hooks.poststart, make_state(record, "running"))
        except LaunchError:
            deletion.end(record)
            raise

    def kill(self, signal: int = _SIGTERM, *, every: bool = False) -> None:
        """Send a signal to its process.

        Args:
            signal: its number.
            every: to all its processes, and it is no error if there is none. SIGKILL always ends them all, where there
                is no init whose end does.

        Raises:
            StateError: it is not running.
            Error: the kernel refuses the signal.
        """
        with Home(self.directory) as home:
            record = home.load()
            status = status_of(home, record)
        is_all = every or (signal == _SIGKILL and not record.own_pids)
        is_over = status == "creating" or (status == "stopped" and not every)
        pids = self.processes() if is_all else ()
        if is_over and not pids:
            raise StateError("container not running", operation="kill", path=self.id)
        if is_all:
            for pid in pids:
                _signal(pid, signal)
        else:
            _signal(record.pid, signal, record)
        if signal == _SIGKILL and status == "paused":
            with _group(record) as group:
                group.thaw()  # a frozen process of cgroup v1 does not die

    def pause(self) -> None:
        """Freeze all its processes.

        Raises:
            StateError: it is not running.
        """
        self._freeze("running", frozen=True)

    def resume(self) -> None:
        """Let its processes go on.

        Raises:
            StateError: it is not paused.
        """
        self._freeze("paused", frozen=False)

    def _freeze(self, wanted: str, *, frozen: bool) -> None:
        with Home(self.directory) as home:
            home.lock()
            record = home.load()
            status = status_of(home, record)
            refusal = StateError(f"container not {wanted}", operation="pause" if frozen else "resume", path=self.id)
            if status not in ((wanted, "created") if frozen else (wanted, _dying(record))):
                raise refusal
            try:
                with _group(record) as group:
                    if frozen:
                        group.freeze()
                    else:
                        group.thaw()
            except CgroupError as error:
                if not record.is_ending():
                    raise
                raise refusal from error
            if frozen and status_of(home, record) == "stopped":  # somebody has killed it meanwhile
                raise refusal

    def update(self, resources: Resources, words: Limits | None = None) -> None:
        """Change its limits; what is left out stays. Errors name them by `words`, where they were asked for so.

        Raises:
            StateError: it is not running.
            InvalidConfig, Unsupported, CgroupError: as `pycgroups.Cgroup.set`.
        """
        with Home(self.directory) as home:
            home.lock()
            record = home.load()
            if status_of(home, record) in {"stopped", "creating"}:
                raise StateError("container not running", operation="update", path=self.id)
            with _group(record) as group:
                group.change(resources, words)

    def checkpoint(self, images: CheckpointImages, *, before: bool = False) -> None:
        """Save its processes as files, with criu(8). They end, unless the options have ``--leave-running``.

        Args:
            images: where, and how.
            before: save only their memory, and let them go on: a first part, to which a later checkpoint refers.

        Raises:
            StateError: it is not running, or is paused on cgroup v1.
            Unsupported: criu is not installed, or this user may not use it.
            LaunchError: criu failed; says why.
        """
        from pycgroups.cgroups import by_path
        from pycgroups.runtime import checkpoint

        with Home(self.directory) as home:
            home.lock()
            record = home.load()
            status = status_of(home, record)
            if status not in {"running", "paused"} or home.is_waiting():
                raise StateError("container not running", operation="checkpoint", path=self.id)
            if status == "paused" and any(by_path.having("freezer", record.cgroups)):
                message = "criu cannot look at what cgroup v1 has frozen"
                raise StateError(message, operation="checkpoint", path=self.id, hint="resume it first")
            checkpoint.dump(record, self.spec(), images, before=before)

    @own_errors("delete")
    def delete(self, *, force: bool = False, first: tuple[int, int] | None = None) -> None:
        """Remove it, and all that is left of it.

        Args:
            force: kill it first, if it is not stopped.
            first: only if its first process is this one: its pid, and when it began; proc_pid_stat(5), (22). By its
                creator's own object no later one of its name is removed in any case.

        Raises:
            NotFound: it has been removed.
            StateError: it is not stopped.
            CgroupError: its cgroup cannot be removed; it may be tried again.
        """
        from pycgroups.runtime import deletion

        self.notices += deletion.delete(self.directory, force=force, first=first or self.first)
        if self._running is not None and self._running.wait(0):  # not while we have yet to wait for what it executed
            self.wait()

    def exec(
        self,
        process: Process | Callable[[Process, int], Process],
        *,
        stdio: Sequence[int] = (0, 1, 2),
        console_socket: str | None = None,
        pid_file: str | None = None,
        preserve_fds: int = 0,
        detached: bool = False,
        cgroups: Sequence[str] = (),
        supervised: bool = False,
        is_awaited: bool = False,
        ignore_paused: bool = False,
        limits: Limits | None = None,
        require_limits: bool = True,
        confines: Confines | None = None,
        deadline: float | None = None,
        first: tuple[int, int] | None = None,
    ) -> Executed:
        """Start another process in it.

        Args:
            process: the program, and who it is; as isolated as the container's own. Or what makes it of that, and the
                pid of the container's first process.
            stdio: descriptors that become its 0, 1 and 2, unless it has a terminal.
            console_socket: the path of a Unix socket that gets the terminal's master; without, it is `Executed.master`.
            pid_file: a file for its pid.
            preserve_fds: how many descriptors of this process, from 3 on, it gets as well.
            detached: it outlives this process.
            cgroups: a path below the container's cgroup that it is to be in, which exists; or "CONTROLLER:PATH" for
                each hierarchy of v1.
            supervised: with an init of its own, all that it has started ends with it.
            is_awaited: the caller waits for its end next, and may be told of its start a millisecond late.
            ignore_paused: start it in a paused container, where it waits.
            limits: it is in a cgroup of its own below the container's, with these, instead of `cgroups`; all that it
                has started ends with it, unless it is detached.
            require_limits: raise if one of them cannot be enforced; if False, it is in `Executed.unenforced`.
            confines: what it is under, as the container's own process is, and no Spec has words for.
            deadline: a time of the monotonic clock; for it to begin.
            first: only if its first process is still this one: its pid, and when it began; proc_pid_stat(5), (22). It
                has been created then, and what is known of it does not change any more.

        Raises:
            StateError: the container is stopped, or paused.
            InvalidConfig, Unsupported, CgroupError: no cgroup with these limits can be made.
            CommandNotFound, CommandNotExecutable: its program is not there, or cannot run.
            LaunchError: a step failed.
            LateError: it has not begun at the deadline, and will not.
        """
        from pycgroups.runtime import execution, preserved, program

        wishes = execution.Wishes(
            stdio=stdio,
            console_socket=console_socket,
            pid_file=pid_file,
            preserved=preserved.find(preserve_fds, stdio),
            detached=detached,
            cgroups=cgroups,
            supervised=supervised,
            is_awaited=is_awaited,
            ignore_paused=ignore_paused,
            limits=limits,
            require_limits=require_limits,
            confines=program.Confines() if confines is None else confines,
            deadline=deadline,
        )
        record, spec = _known(self.directory, None) if first is None else _kept(self.directory, first)
        return execution.execute(self.directory, record, spec, process, wishes)

    # -- for its creator --------------------------------------------------------------------------------------------

    def wait(self) -> int:
        """Wait for its end; the exit status as `subprocess` has it, negative for a signal.

        Raises:
            StateError: this process did not create it, or has waited for it.
        """
        if self._running is None:
            raise StateError("only the process that created it can wait for it", operation="wait", path=self.id)
        self._running.wait()
        running, self._running = self._running, None
        try:
            status, _ = running.reap()
        finally:
            running.close()
        if status is None:
            raise StateError("somebody else has taken the exit status", operation="wait", path=self.id)
        return os.waitstatus_to_exitcode(status)

    def fileno(self) -> int:
        """A descriptor for its creator that is readable once it has ended: a pidfd; pidfd_open(2)."""
        if self._running is None:
            raise StateError("only the process that created it can wait for it", operation="wait", path=self.id)
        return self._running.pidfd

    def let_go(self) -> None:
        """Close what its creator holds; the container goes on."""
        running, self._running = self._running, None
        master, self.master = self.master, -1
        if master >= 0:
            os.close(master)
        if running is not None:
            running.let_go()

    def __enter__(self) -> Self:
        """Delete it at the end of the block, by force."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete it."""
        try:
            self.delete(force=True)
        finally:
            self.let_go()

    def __repr__(self) -> str:
        """Name it."""
        return f"<Container {self.id!r}>"


def _known(directory: str, first: tuple[int, int] | None) -> tuple[Record, Spec]:
    """Read what is known of a container, if it has this first process.

    Raises:
        StateError: it has another.
    """
    with Home(directory) as home:
        record, spec = home.load(), _spec(home)
    if first is not None and first != (record.pid, record.started_at):
        raise StateError("container not running", operation="exec", path=record.id)
    return record, spec


_kept = lru_cache(64)(_known)  # a program may be executed a thousand times


def _spec(home: Home) -> Spec:
    from pycgroups.oci.reading import spec_of_text

    return spec_of_text(home.config())


def _dying(record: Record) -> str:
    """Return the status that a container that is paused has for a moment when one of its processes was killed."""
    from pycgroups.cgroups import by_path

    return "running" if by_path.is_told_to_freeze(record.cgroups) else "paused"


def _group(record: Record, *, to_enter: bool = False) -> Placed:
    from pycgroups.cgroups import placed

    return placed.open_(record.cgroups, record.unit, to_enter=to_enter)


def _signal(pid: int, signal: int, record: Record | None = None) -> bool:
    """Send a signal to a process; with a record, if it is still that one. False if it has ended."""
    pidfd = open_process(pid)
    if pidfd < 0:
        return False
    try:
        return (record is None or record.is_alive()) and send_signal(pidfd, signal)
    finally:
        os.close(pidfd)


def _wait_for_reader(fifo: int) -> None:
    """Wait until nobody reads it: its reader is gone as soon as the program runs."""
    gone = select.poll()
    gone.register(fifo, 0)
    gone.poll(_PATIENCE)
