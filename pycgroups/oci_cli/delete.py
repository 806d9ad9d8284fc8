"""``delete``: runtime.md, "Delete"."""

from __future__ import annotations

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.errors import NotFound
from pycgroups.oci_cli.command import Command, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container


def _first(text: str) -> tuple[int, int]:
    pid, _, began = text.partition(":")
    if not (pid.isdecimal() and began.isdecimal()):
        raise ValueError("two numbers, PID:BEGAN")
    return int(pid), int(began)


FLAGS = (
    Flag("--force -f", "kill it first if it is not stopped; it is no error if there is none"),
    Flag(
        "--first",
        "only if its first process is this one, which began then: proc_pid_stat(5), (22)",
        value="PID:BEGAN",
        read=_first,
    ),
    Flag("--regex -r", "every container in whose name the regular expression finds something, as with crun"),
)


def run(given: Given) -> int:
    """Remove it."""
    force = bool(given.flags.get("force"))
    try:
        for container in _matching(given) if given.flags.get("regex") else (given.container(),):
            container.delete(force=force, first=given.flags.get("first"))
            warn(given.settings.log, container)
    except NotFound:
        if not force:
            raise
    return 0


def _matching(given: Given) -> Iterable[Container]:
    import re

    from pycgroups import runtime

    try:
        pattern = re.compile(given.words[0])
    except re.error as error:
        raise UsageError(f"{given.words[0]!r} is no regular expression: {error}") from None
    return [container for container in runtime.containers(root=given.settings.root) if pattern.search(container.id)]


COMMAND = Command(run, "CONTAINER", "Remove a stopped container, its cgroup and its state.", FLAGS)
