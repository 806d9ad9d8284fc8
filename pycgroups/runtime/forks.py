"""Forks of a container's init: what is executed by one has nothing to join, for the init is there already.

::

    this process                      the container's init            its fork
    ------------                      --------------------            --------
    execution.execute   ------------> forks ------------------------> the helper of a plan; _native/helper.c
                        <-------------------------------------------  FORKED, ...
                        <------------ EXITED                          its end

The init has a datagram socket, ``forks.X`` in the container's state directory, which is its owner's alone: nobody
inside can reach that. X is another one for each start. For its forks the init keeps the capabilities that a program of
the container may have, and those by which a program becomes who it is to be. So it has none where somebody inside could
take them from it, by CAP_SYS_PTRACE; nor where a program may gain privileges, which an init may not. What is not for
it, such as a terminal, is left to `pycgroups.runtime.execution`, which joins what there is to join.
"""

from __future__ import annotations

import os
import select

from pycgroups._native import spawning
from pycgroups._native.calls import lib
from pycgroups.cgroups import by_path
from pycgroups.errors import Error, LaunchError
from pycgroups.runtime import confinement, entering
from pycgroups.runtime.launch import Running
from pycgroups.runtime.state import is_stopped
from pycgroups.security import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from functools import lru_cache

    from pycgroups._native.spawning import Report
    from pycgroups.oci.runtime_spec import Process, Spec
    from pycgroups.runtime.program import Confines, Manner
    from pycgroups.runtime.state import Record
    from pycgroups.runtime.steps import Plan
else:
    from pycgroups.caches import lru_cache

_LISTENER: int = lib.SECCOMP_FILTER_FLAG_NEW_LISTENER
_SIGKILL = 9  # and the wait status of who is killed by it
_SOON, _MOMENT, _PATIENCE = 1, 100, 1000  # milliseconds
# To become a user, with these capabilities at most, whose streams are its own.
_BECOMING = ("CAP_CHOWN", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP")
# What a program's steps take that an init with these can do, or has done for the container already.
_STEPS = frozenset(
    (
        *(lib.OP_SESSION, lib.OP_UMASK, lib.OP_ROOT, lib.OP_DEATH, lib.OP_STREAMS, lib.OP_HOME, lib.OP_KEYRING),
        *(lib.OP_RLIMIT, lib.OP_CHDIR, lib.OP_BOUNDING, lib.OP_SECUREBITS, lib.OP_GROUPS, lib.OP_IDS, lib.OP_CAPS),
        *(lib.OP_AMBIENT, lib.OP_READY, lib.OP_NO_NEW_PRIVS, lib.OP_LANDLOCK, lib.OP_ALLOW_PATH, lib.OP_ALLOW_PORT),
        *(lib.OP_RESTRICT, lib.OP_SECCOMP, lib.OP_EXEC),
    )
)


def are_possible(spec: Spec, manner: Manner) -> bool:
    """Tell whether a container's init can fork for others."""
    process = spec.process
    return (
        manner.init
        and process is not None
        and process.no_new_privileges
        and "CAP_SYS_PTRACE" not in process.capabilities.bounding
        and any(space.type == "pid" and space.path is None for space in spec.linux.namespaces)
    )


def capabilities_of(spec: Spec, manner: Manner) -> int:
    """Return what the init keeps, as a mask."""
    assert spec.process is not None
    held = spec.process.capabilities
    return capabilities.mask((*held.bounding, *held.permitted)) & manner.grantable | capabilities.mask(_BECOMING)


def can_share(spec: Spec) -> bool:
    """Tell whether a container's init can be under the filter of its program: the default one allows what it does.

    What it forks has the filter by that, and the session keyring of the init, which is of the container alone.
    """
    from pycgroups.security import seccomp

    own = spec.process
    return own is not None and spec.linux.seccomp == seccomp.default_profile(frozenset(own.capabilities.bounding))


@lru_cache(64)  # a program may be executed a thousand times
def plan(process: Process, spec: Spec, grantable: int, groups: bool, confines: Confines) -> tuple[Plan, bytes] | None:
    """Plan a process of a container, and encode that; None if it takes more than a fork has.

    Args:
        process: the program.
        spec: the container.
        grantable: the bits of capabilities that it can get.
        groups: the container's user namespace allows setgroups(2).
        confines: what else it is under.

    Raises:
        InvalidConfig, Unsupported: as for any other process.
    """
    own = spec.process
    inherits = can_share(spec)
    manner = confinement.manner(process, None if inherits else spec.linux.seccomp, confines)
    manner = manner._replace(grantable=grantable, inherits=inherits)
    if own is None or process.rlimits != own.rlimits or manner.seccomp_flags & _LISTENER:
        return None
    held = {*process.capabilities.bounding, *process.capabilities.permitted}
    if not process.no_new_privileges or not held.issubset(own.capabilities.bounding):
        return None
    made = entering.make_exec(process, spec.linux, (), manner=manner, groups=groups)
    return (made, made.encode()) if _STEPS.issuperset(step.op for step in made.steps) else None


def start(
    made: Plan, encoded: bytes, record: Record, socket: int, stdio: Sequence[int], *, is_awaited: bool
) -> Forked | None:
    """Start what was planned; None if the init does not do it, for whatever reason.

    Args:
        made: the plan.
        encoded: the same.
        record: of the container.
        socket: an O_PATH descriptor of its socket.
        stdio: descriptors that become 0, 1 and 2.
        is_awaited: who starts it waits for its end next: if that comes soon, it is all that wakes anybody up.

    Raises:
        LaunchError: a step failed.
    """
    forked = Forked(made)
    try:
        if forked.ask(encoded, socket, stdio):
            if is_awaited:
                forked.ends_soon()
            if _has_begun(forked, record):
                return forked
    except LaunchError as error:
        forked.close()
        # Who joins may do what the init may not; nothing of the program has run.
        if error.step != "exec":
            return None
        raise
    except BaseException:
        forked.close()
        raise
    forked.close()
    return None


def _has_begun(forked: Forked, record: Record) -> bool:
    is_answered = forked.outcome is not None or forked.is_answered()
    stands_still = not is_answered and (by_path.is_frozen(record.cgroups) or is_stopped(record.pid))
    return not stands_still and forked.has_begun()


def listen(directory: str, name: str) -> int:
    """Make the socket of a container that is to be started; to be closed.

    Args:
        directory: the container's state directory.
        name: of the file.

    Raises:
        Error: the directory cannot be written to.
    """
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made = spawning.fork_listen(f"/proc/self/fd/{opened}/{name}")  # a path that is short enough; unix(7)
    finally:
        os.close(opened)
    if made < 0:
        raise Error(operation="make the socket", path=f"{directory}/{name}", errno=-made)
    return made


class Forked(Running):
    """A fork: no child of ours, so the init tells how it ends, and kills it when we close the socket for that."""

    def ask(self, encoded: bytes, socket: int, stdio: Sequence[int]) -> bool:
        """Ask the init of a container for a fork; False if it does not listen.

        Args:
            encoded: ``plan.encode()``.
            socket: an O_PATH descriptor of the container's socket.
            stdio: descriptors that become 0, 1 and 2.
        """
        spawned = self.spawned
        if spawning.begin(spawned, encoded) < 0:
            return False
        # What the socket does not take would wait here for the init, and no signal would end that.
        if spawning.go_early(spawned) != 1:
            return False
        if spawning.fork_ask(spawned, f"/proc/self/fd/{socket}", stdio) < 0:
            return False
        self.told = True
        return True

    def is_answered(self) -> bool:
        """Wait a moment; whether there is a fork. The init answers at once, unless it stands still."""
        answered = select.poll()
        answered.register(self.control, 0)  # an end comes soon, and what comes before can wait
        if answered.poll(_MOMENT):
            return True
        self.hear(most=1)
        return self.has_forked

    def has_begun(self) -> bool:
        """Wait until the program runs; False if the init does not fork.

        Raises:
            LaunchError: a step failed.
        """
        self.hear()
        try:
            if self.failure is not None or not self.started:
                self.until_started()
        except LaunchError:
            if self.has_forked:
                raise
        return self.has_forked

    def ends_soon(self) -> None:
        """Wait a moment for its end."""
        self._learn(_SOON)

    def _learn(self, patience: int) -> None:
        told = select.poll()
        told.register(self.spawned.ended, select.POLLIN)
        if told.poll(patience):
            _, self.outcome = spawning.report(self.spawned.ended)  # None if the init is gone, or has not forked

    def _end(self) -> None:
        self.hear()
        if self.pidfd >= 0:  # else the init does it, when the socket is closed
            self.signal(_SIGKILL)
            self.wait()

    def _go_on_with(self, pid: int, pidfd: int) -> None:
        self.spawned.replace(pid, pidfd)
        self.has_forked = True

    def _reap(self) -> tuple[int | None, Report | None]:
        if self.outcome is None:
            self.wait()
            self._learn(_PATIENCE)
        if self.outcome is not None:
            return self.outcome.value, self.outcome
        # The init was killed, and so was this, if it had not ended; or it stands still.
        status, _ = spawning.reap(self.pidfd)
        return _SIGKILL if status is None else status, None
