"""``pycgroups logs``: what a container that is held has written."""

from __future__ import annotations

import sys
from signal import SIGINT

from pycgroups.cli import BY_SIGNAL
from pycgroups.cli.flags import Flag
from pycgroups.cli.times import moment
from pycgroups.cli.usage import Usage


def _count(text: str) -> int | None:
    if text == "all":
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError("a number of lines; all, or -1: all of them")
    return int(text) if digits == text else None


USAGE = Usage(
    "logs [FLAGS] CONTAINER",
    """\
Show what a container has written, each stream to our own.

TIME is seconds since 1970, a date as 2026-01-31T12:00:00Z (local time without the Z), or how long ago, as 10m.""",
    (
        Flag("--follow -f", "wait for more, until it has ended"),
        Flag("--tail -n", "the last lines only; all, or -1: all of them", value="LINES", read=_count),
        Flag("--since", "only lines at or after TIME", value="TIME", read=moment),
        Flag("--until", "only lines at or before TIME", value="TIME", read=moment),
        Flag("--timestamps -t", "when each line was written"),
    ),
    least=1,
    most=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: there is no such container, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name,) = asked
    from pycgroups import containers

    lines = containers.get(name).lines(
        follow=bool(found.get("follow")),
        tail=found.get("tail"),
        since=found.get("since"),
        until=found.get("until"),
        timestamps=bool(found.get("timestamps")),
    )
    try:
        for stream, data in lines:
            out = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
            out.write(data)
            out.flush()
    except KeyboardInterrupt:
        if not found.get("follow"):
            raise
        return BY_SIGNAL + SIGINT  # the usual end
    return 0
