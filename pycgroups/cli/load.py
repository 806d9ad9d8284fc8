"""``pycgroups load``: the images of an archive."""

from __future__ import annotations

import sys

from pycgroups.cli import progress
from pycgroups.cli.flags import Flag
from pycgroups.cli.text import escaped
from pycgroups.cli.usage import Usage
from pycgroups.errors import StateError

USAGE = Usage(
    "load [FLAGS]",
    """\
Take the images of an archive by the names that they have in it: what `save`, docker, podman and skopeo write, and App
Container Images; compressed or not. It comes from stdin, unless --input names a file.""",
    (Flag("--input -i", "the file", value="FILE"), *progress.FLAGS),
    most=0,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.load` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, _ = asked
    if "input" not in found and sys.stdin.isatty():
        raise StateError("stdin is a terminal", operation="load", hint="--input FILE, or a pipe")
    from pycgroups import images

    with progress.shown(found) as told:
        loaded = images.load(found.get("input") or sys.stdin.buffer, progress=told)
    for image in loaded:
        print(f"Loaded image: {escaped(image.reference or image.digest)}")
    return 0
