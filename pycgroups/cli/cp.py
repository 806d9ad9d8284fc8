"""``pycgroups cp``: files into a container, and out of it."""

from __future__ import annotations

import os
import sys

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.cli.usage import Usage
from pycgroups.errors import StateError

USAGE = Usage(
    "cp [FLAGS] SOURCE DESTINATION",
    """\
Copy a file or a tree between this host and a container, which need not run. One of the two is CONTAINER:PATH, the other
a path, or - for a tar on stdin or stdout. A path of this host with a colon in it is written ./NAME:PART.""",
    (Flag("--archive -a", "keep owners, set-user-id bits, capabilities and devices", word="preserve"),),
    least=2,
    most=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.copy_in` and `Container.copy_out` name, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (source, destination) = asked
    preserve = bool(found.get("preserve"))
    outer, inner = _divided(source), _divided(destination)
    if (outer is None) == (inner is None):
        raise UsageError("one of the two is CONTAINER:PATH, the other a path of this host")
    from pycgroups import containers

    if outer is not None:
        name, path = outer
        if destination == "-" and sys.stdout.isatty():
            raise StateError("stdout is a terminal", operation="cp", hint="a path, or a pipe")
        to = sys.stdout.buffer if destination == "-" else destination
        containers.get(name).copy_out(path, to, preserve=preserve)
    elif inner is not None:
        name, path = inner
        copied = containers.get(name).copy_in(sys.stdin.buffer if source == "-" else source, path, preserve=preserve)
        for left in copied.left_out:
            print(f"not made, as it is a device: {left}", file=sys.stderr)
    return 0


def _divided(word: str) -> tuple[str, str] | None:
    """Take CONTAINER:PATH apart; None for a path of this host."""
    name, colon, path = word.partition(":")
    if not colon or os.sep in name or not name or name == ".":
        return None
    return name, path or "/"
