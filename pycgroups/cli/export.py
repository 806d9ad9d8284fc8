"""``pycgroups export``: the files of a container as a tar."""

from __future__ import annotations

import os
import sys

from pycgroups.cli.flags import Flag
from pycgroups.cli.usage import Usage
from pycgroups.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = Usage(
    "export [FLAGS] CONTAINER",
    "Write a tar of all files of a container, without what is mounted in it; the same files make the same tar.",
    (
        Flag(
            "--output -o",
            "the file, replaced when the new one is whole; a device, a FIFO, /dev/stdout is written to; else stdout",
            value="FILE",
        ),
    ),
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
    _write(target, chunks)
    return 0


def _write(target: str, chunks: Iterator[bytes]) -> None:
    """Write a file beside its place, which it takes when it is whole; a device or a FIFO is written to."""
    from pycgroups.images.writing import is_special, open_special, written_at

    path = written_at(target)
    if is_special(path):
        with open(open_special(path), "wb") as file:
            file.writelines(chunks)
        return
    half = f"{path}.part{os.getpid()}"
    try:
        with open(half, "xb") as file:
            file.writelines(chunks)
        os.replace(half, path)
    except BaseException:
        if os.path.lexists(half):
            os.unlink(half)
        raise
