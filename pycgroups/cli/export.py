"""``pycgroups export``: the files of a container as a tar."""

from __future__ import annotations

import os
import sys

from pycgroups.cli.flags import Flag
from pycgroups.cli.usage import Usage
from pycgroups.errors import StateError

USAGE = Usage(
    "export [FLAGS] CONTAINER",
    "Write a tar of all files of a container, without what is mounted in it; the same files make the same tar.",
    (Flag("--output -o", "the file; it is replaced when the new one is whole; by default stdout", value="FILE"),),
    least=1,
    most=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.export` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name,) = asked
    target = found.get("output")
    if target is None and sys.stdout.isatty():
        raise StateError("stdout is a terminal", operation="export", hint="--output FILE, or a pipe")
    from pycgroups import containers

    chunks = containers.get(name).export()
    if target is None:
        sys.stdout.buffer.writelines(chunks)
        return 0
    half = f"{target}.part{os.getpid()}"
    try:
        with open(half, "xb") as file:
            file.writelines(chunks)
        os.replace(half, target)
    except BaseException:
        if os.path.lexists(half):
            os.unlink(half)
        raise
    return 0
