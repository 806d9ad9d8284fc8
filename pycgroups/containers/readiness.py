"""Waiting until a container is ready: what `Container.wait_for` does.

Each thing that is waited for is looked at until it has been there once. Whatever is written in the container's
directory wakes the wait: its log, its end. For the rest there is a look now and then, and the longer a look takes, the
longer is the rest after it.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.containers import ending, logs, monitor, opening
from pycgroups.containers.answers import Answers, target
from pycgroups.containers.changes import Changes
from pycgroups.containers.conditions import Calls, Exists, IsHealthy, Listens, Written
from pycgroups.containers.connecting import Sockets
from pycgroups.containers.values import integer, text
from pycgroups.errors import InvalidConfig, NotFound, StateError, TimedOut, invalid, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pycgroups.containers.conditions import Condition, Text
    from pycgroups.containers.home import Home, Start
    from pycgroups.containers.monitor import Exit
    from pycgroups.containers.vocabulary import Path

_OPERATION = "wait for container"
_SHORTEST, _LONGEST = 0.01, 0.5  # seconds between two looks
_GROWTH = 1.5
_REST = 4.0  # times as long as a look takes is the rest after it, a second at most
_MOST_REST = 1.0
_LAST_LINES = 10
_LONGEST_LINE = 200
_HIGHEST_PORT = 65535
# The end of the first process is there before the monitor has written how it was (seconds).
_PATIENCE = 30.0


class Wishes(NamedTuple):
    """What is waited for; None for what is not.

    Attributes:
        functions: each returns something true.
        port: something listens on it.
        log: is in the output.
        http: a path or URL that is answered.
        file: is there.
        healthy: its healthcheck says so.
    """

    functions: tuple[Callable[[], object], ...] = ()
    port: int | None = None
    log: Text | None = None
    http: str | None = None
    file: Path | None = None
    healthy: bool | None = None


def check(wishes: Wishes) -> None:
    """See that there are some, and each can be.

    Raises:
        InvalidConfig: which cannot.
    """
    if all(wish is None or wish == () for wish in wishes):
        raise invalid("wait_for", "nothing", "port, log, http, file, healthy or functions")
    for position, function in enumerate(wishes.functions):
        if not callable(function):
            raise invalid(f"conditions[{position}]", function, "a function without arguments")
    if wishes.port is not None:
        integer(wishes.port, "port", 1, _HIGHEST_PORT)
    if wishes.log is not None and (not isinstance(wishes.log, str | bytes | re.Pattern) or not wishes.log):
        raise invalid("log", wishes.log, "a text that is not empty, or a compiled regular expression")
    if wishes.http is not None:
        target(wishes.http, wishes.port)
    if wishes.file is not None:
        text(wishes.file, "file")


def wait(home: Home, name: str, wishes: Wishes, timeout: float | None) -> None:
    """Wait until all has been there.

    Args:
        home: of a container.
        name: of it, for errors.
        wishes: what is waited for.
        timeout: seconds; None for any time.

    Raises:
        StateError: it does not run, or has ended meanwhile.
        TimedOut: the time is over.
        BaseException: what one of the functions raises.
    """
    start = home.start()
    if start is None:
        raise StateError("it was never started", operation=_OPERATION, path=name)
    deadline = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as held:
        try:
            conditions = [*_conditions(held, home, start, wishes, deadline)]
        except NotFound:  # of its first process
            raise _has_ended(home, name, start, monitor.wait(home.fd, _PATIENCE) or monitor.LOST, ()) from None
        end, left = _wait(held.enter_context(Changes(home.fd)), home, start, conditions, deadline)
        if left and end is not None:
            raise _has_ended(home, name, start, end, left)
        if left:
            message = f"after {timeout:g} seconds there is no {_listed(left)}{_last_lines(home, start)}"
            raise TimedOut(message, operation=_OPERATION, path=name)


def _conditions(
    held: ExitStack, home: Home, start: Start, wishes: Wishes, deadline: float | None
) -> Iterator[Condition]:
    """Make the conditions.

    Raises:
        NotFound: the first process has ended, and one is about that; what a container has written stays.
    """
    if wishes.log is not None:
        yield Written(held.enter_context(logs.Arrivals(home.fd)), start.started, wishes.log, deadline)
    if wishes.port is not None or wishes.http is not None or wishes.file is not None:
        yield from _of_process(held, home, start.pid, wishes, deadline)
        if not ending.is_alive(start):  # and another one may have its pid
            raise _gone()
    if wishes.healthy is not None:
        if not home.record().healthcheck:
            hint = "make it with healthcheck=, or --health-cmd"
            raise InvalidConfig("the container has no healthcheck", operation="option", path="healthy", hint=hint)
        yield IsHealthy(home.fd, start)
    yield from map(Calls, wishes.functions)


def _of_process(held: ExitStack, home: Home, pid: int, wishes: Wishes, deadline: float | None) -> Iterator[Condition]:
    try:
        process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _gone() from None
    held.callback(os.close, process)
    if wishes.port is not None:
        yield Listens(process, wishes.port)
    if wishes.file is not None:
        yield Exists(held.enter_context(opening.running(home)), text(wishes.file, "file"))
    if wishes.http is not None:
        yield Answers(process, held.enter_context(Sockets(pid)), target(wishes.http, wishes.port), deadline)


def _gone() -> NotFound:
    return NotFound("its process has ended", operation=_OPERATION)


def _wait(
    changes: Changes, home: Home, start: Start, conditions: list[Condition], deadline: float | None
) -> tuple[Exit | None, list[Condition]]:
    """Look until all has been there, it has ended, or the time is over; return its end and what is missing."""
    pause = _SHORTEST
    while True:
        end = _end(home, start)  # before the look: whatever it has written is there then
        began = time.monotonic()
        conditions = [condition for condition in conditions if not condition()]
        now = time.monotonic()
        if not conditions or end is not None or (deadline is not None and now >= deadline):
            return end, conditions
        rest = min(max(_SHORTEST, _REST * (now - began)), _MOST_REST)
        pause = max(rest, min(pause * _GROWTH, _LONGEST))
        time.sleep(rest)  # a container that writes all the time does not keep us looking
        changes.wait(now + pause if deadline is None else min(now + pause, deadline))


def _end(home: Home, start: Start) -> Exit | None:
    """Tell how this run of a container ended; None as long as it goes on."""
    if ending.is_alive(start):
        return None
    if home.start() != start:
        return monitor.LOST
    return monitor.read_exit(home.fd) or monitor.ending(home.fd)  # or its restart policy goes on


# -- errors -----------------------------------------------------------------------------------------------------------


def _has_ended(home: Home, name: str, start: Start, end: Exit, left: Sequence[Condition]) -> StateError:
    how = f"{end.reason}, {end.returncode}" if end.reason else "nobody saw how"
    before = f" before there was {_listed(left)}" if left else ""
    message = f"it has ended ({how}){before}{_last_lines(home, start)}"
    return StateError(message, operation=_OPERATION, path=name)


def _listed(conditions: Sequence[Condition]) -> str:
    return " and ".join(map(str, conditions))


def _last_lines(home: Home, start: Start) -> str:
    """Return what it wrote last, each line by itself, and nothing in it that disturbs a terminal."""
    records = [*logs.read(home.fd, since=start.started, tail=_LAST_LINES)]
    lines = b"".join(record.data for record in records).decode(errors="replace").splitlines()[-_LAST_LINES:]
    shown = "".join(f"\n    {printable(line[:_LONGEST_LINE])}" for line in lines)
    return f"; its last lines:{shown}" if shown else "; it has written nothing"
