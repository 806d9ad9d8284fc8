"""Another program in a container that runs: which it is, and the loop that waits for its end."""

from __future__ import annotations

import os
import select
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pycgroups.cgroups.limits import NO_LIMITS, Limits
from pycgroups.clock import milliseconds, seconds_until
from pycgroups.containers import options, values
from pycgroups.containers.identity import identify
from pycgroups.containers.verdict import Hits, make_hits, make_reason, make_usage
from pycgroups.errors import StateError, own_errors
from pycgroups.oci.runtime_spec import Capabilities, User
from pycgroups.oci.uncommon import ConsoleSize
from pycgroups.runtime.launch import LateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from functools import lru_cache
    from typing import Any

    from attrs import evolve

    from pycgroups.cgroups.words import Words
    from pycgroups.containers.identity import Identity
    from pycgroups.containers.streams import Streams
    from pycgroups.containers.verdict import Reason, Usage
    from pycgroups.containers.vocabulary import Pairs, Path
    from pycgroups.oci.runtime_spec import Process
    from pycgroups.runtime.execution import Executed
    from pycgroups.runtime.program import Confines
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve

_SIGKILL = 9
_GRACE = 2.0  # seconds; see `Executed.kill`
_MOMENT = 1  # milliseconds
_LONGEST_COMMAND = 1000  # characters, which an event has room for


def describe(
    own: Process,
    pid: int,
    command: Path | Sequence[Path],
    *,
    env: Pairs | None = None,
    cwd: Path | None = None,
    user: int | str | None = None,
    tty: bool = False,
    size: tuple[int, int] | None = None,
) -> Process:
    """Say what is to run: as the container's own program, but for what is asked.

    Args:
        own: that program.
        pid: of the container's first process, in whose root users are looked up.
        command: what is to run.
        env: variables beside those that the container has.
        cwd: where, inside.
        user: who.
        tty: whether it has a terminal.
        size: rows and columns of that.

    Raises:
        InvalidConfig: an option is wrong.
    """
    return _described(
        own,
        None if user is None else identify(options.user(user, "user"), (), (f"/proc/{pid}/root",)),
        options.command(command, "command"),
        () if env is None else options.environment(env, "env"),
        own.cwd if cwd is None else values.inside_path(cwd, "cwd"),
        tty,
        None if size is None else options.terminal_size(size, "size"),
    )


@lru_cache(64)  # a program may be executed a thousand times
def _described(  # noqa: PLR0917 (positional: keywords make a slower key)
    own: Process,
    found: Identity | None,
    args: tuple[str, ...],
    env: tuple[tuple[str, str], ...],
    cwd: str,
    tty: bool,
    size: tuple[int, int] | None,
) -> Process:
    words = dict(word.partition("=")[::2] for word in own.env)
    held, who = own.capabilities.bounding, own.user
    if found is not None:
        who = User(uid=found.uid, gid=found.gid, additional_gids=found.groups, umask=own.user.umask)
        words["HOME"] = found.home
    if tty:
        words.setdefault("TERM", "xterm")
    words.update(env)
    usable = held if who.uid == 0 else ()
    return evolve(
        own,
        args=args,
        env=tuple(f"{name}={value}" for name, value in words.items()),
        cwd=cwd,
        user=who,
        capabilities=Capabilities(bounding=held, effective=usable, permitted=usable),
        terminal=tty,
        console_size=None if size is None else ConsoleSize(height=size[0], width=size[1]),
    )


def confines(config: Mapping[str, Any]) -> Confines | None:
    """Say what a container's programs are under beyond its Spec, by what container.json has of its options.

    Raises:
        Unsupported: this kernel has not what they ask for.
    """
    if "securebits" not in config and "landlock" not in config:  # as in most
        return None
    from pycgroups.containers import assemble
    from pycgroups.containers.config_json import from_json
    from pycgroups.runtime.program import Confines

    whole = from_json(config)
    return Confines(secure_bits=whole.securebits, landlock=assemble.ruleset(whole))


def limits_of(words: Words) -> Limits | None:
    """Return its own limits; None if there are none.

    Raises:
        InvalidConfig: one is wrong.
    """
    limits = Limits(**words) if words else NO_LIMITS
    return None if limits == NO_LIMITS else limits


@contextmanager
def held(executed: Executed) -> Iterator[None]:
    """End a program, and close what is held of it, when who is to look after it cannot."""
    try:
        yield
    except BaseException:
        executed.close()
        raise


def tell(write: Callable[[bytes], None], line: Callable[..., bytes], executed: Executed) -> None:
    """Tell of a program that has begun to run, and of its end, or see to it that that is told.

    Args:
        write: what writes lines into the events of the store.
        line: what makes one of the container, of an action and its attributes.
        executed: the program.
    """
    known = {"pid": str(executed.pid), "command": " ".join(executed.args)[:_LONGEST_COMMAND]}
    begun = line("exec", attributes=known)

    def end(status: int | None) -> bytes:
        code = {} if status is None else {"exit_code": str(os.waitstatus_to_exitcode(status))}
        return line("exec_die", attributes=known | code)

    if executed.status is not None:
        write(begun + end(executed.status))
        return
    write(begun)
    executed.ended = lambda status: write(end(status))


def run(
    start: Callable[..., Executed], streams: Streams, timeout: float | None
) -> tuple[Executed | None, tuple[int, Reason, Hits, Usage]]:
    """Start a program, and serve its streams until it has ended; what it was, and what came of it.

    Args:
        start: starts it, with its streams, and supervised or not.
        streams: its own; they are closed in the end.
        timeout: seconds until it, and all that it has started, is killed. If it has not begun by then, it was nothing.
    """
    begun = time.monotonic()  # not once it has started: it may be about to end then
    try:
        deadline = None if timeout is None else begun + timeout
        try:
            executed = start(streams.child, supervised=timeout is not None, deadline=deadline)
        except LateError:
            return None, (-_SIGKILL, "timeout", Hits(), make_usage(time.monotonic() - begun, None, None, None))
        try:
            return executed, complete(executed, streams, deadline, begun)
        finally:
            executed.close()
    finally:
        streams.close()


@own_errors("wait")
def complete(
    executed: Executed, streams: Streams, deadline: float | None, begun: float
) -> tuple[int, Reason, Hits, Usage]:
    """Serve the streams until the program has ended; then it is given back.

    Args:
        executed: what runs; with a deadline it is supervised.
        streams: its own.
        deadline: when it, and all that it has started, is killed, by the monotonic clock.
        begun: when it was begun to start it, by the monotonic clock.

    Returns:
        Its exit status, why it ended, which of its own limits it has hit, and what it used.
    """
    timed_out = False
    streams.started()
    if executed.master >= 0 or streams.feed >= 0 or not _ends_soon(executed):
        timed_out = _serve(executed, streams, deadline)
    streams.stop()
    streams.drain()
    status, usage = executed.finish()
    wall_time = time.monotonic() - begun
    returncode = returncode_of(status, killed=timed_out)
    hits = make_hits(executed.sample, disk=False)
    reason = make_reason(returncode, hits, timed_out=timed_out)
    return returncode, reason, hits, make_usage(wall_time, executed.sample, usage, usage)


def _ends_soon(executed: Executed) -> bool:
    """Wait a moment for its end, as most end before: what it writes waits meanwhile, and wakes nobody up."""
    if executed.status is not None:
        return True
    poll = select.poll()
    poll.register(executed.fileno(), select.POLLIN)
    return bool(poll.poll(_MOMENT))


def _serve(executed: Executed, streams: Streams, deadline: float | None) -> bool:
    """Serve the streams until it has ended; whether that was since it had no more time."""
    poll, timed_out, ended = select.poll(), False, executed.fileno()
    poll.register(ended, select.POLLIN)
    streams.attach(poll, terminal=executed.master >= 0)
    if executed.master >= 0:
        os.set_blocking(executed.master, False)
        streams.use_terminal(executed.master)
    while True:
        ready = dict(poll.poll(milliseconds(seconds_until(_earlier(deadline, streams.due)))))
        if ended in ready:
            return timed_out
        now = time.monotonic()
        for fd, events in ready.items():
            streams.ready(fd, events)
        if deadline is not None and now >= deadline:
            if timed_out and executed.stands_still():
                executed.abandon()
                return True
            executed.kill()
            timed_out, deadline = True, now + _GRACE
        if streams.due is not None and now >= streams.due:
            streams.move()


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def returncode_of(status: int | None, *, killed: bool = False) -> int:
    """Return the exit status as `subprocess` has it.

    Raises:
        StateError: somebody else in this process has taken it.
    """
    if status is not None:
        return os.waitstatus_to_exitcode(status)
    if killed:
        return -_SIGKILL
    raise StateError("somebody else in this process has taken the exit status", operation="wait")
