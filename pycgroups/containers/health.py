"""`Health`: what the checks of a container have said since its start; kept in ``health.json`` in its directory.

::

                 a check exits 0                       a check exits 0
    starting ──────────────────────▶ healthy ◀──────────────────────────┐
        │                               │                               │
        └───────────────────────────────┴── ``retries`` have failed ──▶ unhealthy
                                            one after the other

One that fails within ``start_period`` of a container that is starting does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pycgroups.images.writing import read_file, replace
from pycgroups.oci.json_text import dumps, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final, Literal, TypeAlias

    from pycgroups.containers.home import Start

    State: TypeAlias = Literal["starting", "healthy", "unhealthy"]

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
_STATES: Mapping[object, State] = {STARTING: STARTING, HEALTHY: HEALTHY, UNHEALTHY: UNHEALTHY}
LONGEST_OUTPUT = 4096
"""Bytes that are kept of what a check writes."""
_FILE = "health.json"
_LARGEST = 2**18
_KEPT = 5
_NANO = 10**9


class Checked(NamedTuple):
    """What came of one check.

    Attributes:
        start: when it began, in nanoseconds since 1970.
        end: likewise.
        exit_code: of the test; as of a shell, so more than 128 for a signal. -1 for one that could not be executed, or
            took too long.
        output: the beginning of what it wrote on both streams.
    """

    start: int
    end: int
    exit_code: int
    output: str


class Health(NamedTuple):
    """How a container is.

    Attributes:
        status: ``"starting"``, ``"healthy"`` or ``"unhealthy"``.
        failing_streak: how many of the last checks have failed, one after the other.
        log: the last five.
    """

    status: State = STARTING
    failing_streak: int = 0
    log: tuple[Checked, ...] = ()


def after(before: Health, checked: Checked, check: Mapping[str, Any], started: int) -> Health:
    """Say how a container is after one more check.

    Args:
        before: how it was.
        checked: what came of it.
        check: the container's, as `pycgroups.containers.healthcheck.settle` has it.
        started: when the container was, in nanoseconds since 1970.
    """
    log = (*before.log, checked)[-_KEPT:]
    if checked.exit_code == 0:
        return Health(HEALTHY, 0, log)
    if before.status == STARTING and is_early(before, check, started, checked.start):
        return before._replace(log=log)
    streak = before.failing_streak + 1
    return Health(UNHEALTHY if streak >= check["retries"] else before.status, streak, log)


def is_early(health: Health, check: Mapping[str, Any], started: int, now: int) -> bool:
    """Tell whether it is in its start period; then the next check comes after ``start_interval``."""
    return health.status == STARTING and now - started < check["start_period"] * _NANO


def read(directory: int, start: Start | None) -> Health:
    """Read how a container is since a start; of one of which nothing is known, or nothing sound, that it is starting.

    Args:
        directory: the container's, opened.
        start: its last one.
    """
    try:
        text = read_file(_FILE, dir_fd=directory, most=_LARGEST)
        facts = {} if text is None else parse(text, _FILE)
        if start is None or facts["started"] != start.started:
            return Health()
        log = tuple(Checked(**each) for each in facts["log"])
        return Health(_STATES[facts["status"]], int(facts["failing_streak"]), log)
    except (OSError, LookupError, TypeError, ValueError):
        return Health()


def write(directory: int, start: Start, health: Health) -> None:
    """Note how a container is; one process at a time does.

    Raises:
        OSError: it cannot be written.
    """
    facts = {"started": start.started, **to_json(health)}
    replace(_FILE, dumps(facts).encode(), dir_fd=directory)


def to_json(health: Health) -> dict[str, Any]:
    """Return it as plain dicts, lists and scalars."""
    log = [dict(zip(Checked._fields, each, strict=True)) for each in health.log]
    return {"status": health.status, "failing_streak": health.failing_streak, "log": log}
