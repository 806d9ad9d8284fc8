"""Hooks: programs that get a container's state on their standard input; config.md, "POSIX-platform Hooks"."""

from __future__ import annotations

import os
import select
import time

from pycgroups.clock import seconds_until
from pycgroups.errors import LaunchError
from pycgroups.namespaces import files, own
from pycgroups.oci.json_text import dumps
from pycgroups.runtime import entering, launch
from pycgroups.runtime.signals import has_ended, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pycgroups.oci.runtime_spec import NamespaceSpec
    from pycgroups.oci.uncommon import Hook, Hooks
    from pycgroups.runtime.state import State
    from pycgroups.runtime.steps import Plan

EARLY = frozenset({"prestart", "createRuntime", "createContainer"})
"""Those that run before the container's root changes."""
_MOST_SAID = 4096  # bytes of what it says when it fails
_AT_ONCE = 65536


def by_name(hooks: Hooks) -> Iterator[tuple[str, Sequence[Hook]]]:
    """Yield all kinds under their names in config.json."""
    yield "prestart", hooks.prestart
    yield "createRuntime", hooks.create_runtime
    yield "createContainer", hooks.create_container
    yield "startContainer", hooks.start_container
    yield "poststart", hooks.poststart
    yield "poststop", hooks.poststop


def run(
    kind: str,
    hooks: Sequence[Hook],
    state: State,
    *,
    inside: int = 0,
    pidfd: int = -1,
    apart: Iterable[str] = (),
    root: Sequence[int] = (),
    make: Callable[[Hook, Sequence[str]], Plan] | None = None,
    failed: list[LaunchError] | None = None,
) -> None:
    """Run hooks one after the other.

    Args:
        kind: the property of config.json, for errors: ``createRuntime`` and the others.
        hooks: what to run.
        state: what they are told.
        inside: the process whose namespaces they join; 0 leaves them in those of this process.
        pidfd: of that process.
        apart: kinds of namespaces that they do not join.
        root: as `entering.make_hook` has it.
        make: plans one, given the kinds of these namespaces. Without it they are programs of the host, and have this
            process's environment if they say nothing of theirs, as with runc.
        failed: takes the errors of hooks that fail, and all are run; without it the first ends it.

    Raises:
        LaunchError: one could not be started, did not exit 0, or passed its timeout. The rest was not run.
    """
    for position, hook in enumerate(hooks):
        name = f"hooks.{kind}[{position}]"
        kinds = [space for space in files.others(inside) if space not in apart] if inside else []
        plan = (make or _planner(kind, state, inside, root))(hook, kinds)
        if inside and has_ended(pidfd):  # and what was found by its pid may be another's
            raise LaunchError("the container's process has ended", step=name)
        try:
            _run(name, hook, plan, state, [pidfd] if kinds else [])
        except LaunchError as error:
            said = f"error running {kind} hook #{position}"  # runc's words
            error.message = f"{said}: {error.message}" if error.message else said
            if failed is None:
                raise
            failed.append(error)


def apart(namespaces: Sequence[NamespaceSpec]) -> frozenset[str]:
    """Name what programs of the host do not join, though the container has.

    In a user namespace of others, whoever has CAP_SYS_PTRACE there can trace those that he sees, and an exec makes them
    dumpable, whatever they were before. Who is in the pid namespace that the container shares as well, or in one below,
    as another container of the same two, does not see a hook that stays out of it.

    It does not keep off who sees the pid namespace of this process: whoever is in that one or in one above, and is in
    that user namespace with CAP_SYS_PTRACE, or is its owner, or has CAP_SYS_PTRACE in one above. A process is seen from
    all pid namespaces above its own, so no choice of one would help; user_namespaces(7), pid_namespaces(7).
    """
    shared = {space.type for space in namespaces if space.path is not None}
    return frozenset({"pid"}) if {"user", "pid"} <= shared else frozenset()


def _planner(kind: str, state: State, inside: int, root: Sequence[int]) -> Callable[[Hook, Sequence[str]], Plan]:
    # Where they run, as with runc: in the bundle, or in the container in its root.
    cwd = state.rootfs if kind == "createContainer" else state.bundle

    def plan(hook: Hook, kinds: Sequence[str]) -> Plan:
        env = [f"{key}={value}" for key, value in os.environ.items()] if hook.env is None else hook.env
        groups, leaves_groups = own.may_set_groups_there(inside) if "user" in kinds else (True, False)
        return entering.make_hook(hook, env, kinds, cwd, root=root, groups=groups, leaves_groups=leaves_groups)

    return plan


def _run(name: str, hook: Hook, plan: Plan, state: State, given: Sequence[int]) -> None:
    told = os.memfd_create("state")  # not a pipe: it is there as a whole, and nobody waits for who reads it
    said, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(output, True)
    running = launch.Running(plan)
    try:
        os.write(told, dumps(state.to_json()).encode())
        os.lseek(told, 0, os.SEEK_SET)
        launch.launch(running, plan.encode(), stdio=(told, output, output), given=given)
        running.until_started()
    except LaunchError as error:
        raise LaunchError(step=name, path=hook.path, errno=error.errno, hint="a program of the host") from None
    else:
        text = _wait(name, hook, running, said)
        status, _ = running.reap()
        if status != 0:
            raise LaunchError(": ".join(filter(None, (_ending(status), text))), step=name, path=hook.path)
    finally:
        running.close()
        for fd in (told, said, output):
            os.close(fd)


def _ending(status: int | None) -> str:
    if status is None:
        return "ended with an unknown status"
    code = os.waitstatus_to_exitcode(status)
    return f"ended with {code}" if code >= 0 else f"killed by {signal_name(-code)}"


def _wait(name: str, hook: Hook, running: launch.Running, said: int) -> str:
    """Wait for its end, not for that of children who keep its output open; the answer is what it said last."""
    poll = select.poll()
    for fd in (running.pidfd, said):
        poll.register(fd, select.POLLIN)
    deadline = None if hook.timeout is None else time.monotonic() + hook.timeout
    text, ended = b"", False
    while not ended:
        seconds = seconds_until(deadline)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        if deadline is not None and time.monotonic() >= deadline:
            running.kill()
            raise LaunchError(f"not done after its timeout of {hook.timeout} s", step=name, path=hook.path)
        ended = any(fd == running.pidfd for fd, _ in ready)
        text = (text + _read(said))[-_MOST_SAID:]
    return text.decode(errors="replace").strip()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _AT_ONCE)
    except BlockingIOError:
        return b""
