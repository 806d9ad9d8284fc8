"""``pycgroups import``: a root file system becomes an image."""

from __future__ import annotations

import sys

from pycgroups.cli import progress
from pycgroups.cli.flags import Flag
from pycgroups.cli.instructions import CHANGE, MESSAGE
from pycgroups.cli.usage import Usage
from pycgroups.errors import StateError

USAGE = Usage(
    "import [FLAGS] FILE|DIR|- [NAME]",
    """\
Make an image of a root file system: of a tar, compressed or not, of a directory, or of a tar from stdin. The same tar,
or the same directory, gives the same digest each time. The id is printed.""",
    (
        CHANGE,
        MESSAGE,
        Flag("--platform", "what it is for, as linux/arm64; default: this machine's", value="PLATFORM"),
        *progress.FLAGS,
    ),
    least=1,
    most=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.import_` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (origin, *name) = asked
    if origin == "-" and sys.stdin.isatty():
        raise StateError("stdin is a terminal", operation="import", hint="a file, or a pipe")
    from pycgroups import images

    with progress.shown(found) as told:
        image = images.import_(
            sys.stdin.buffer if origin == "-" else origin,
            name[0] if name else None,
            changes=found.get("changes", ()),
            platform=found.get("platform"),
            message=found.get("message"),
            progress=told,
        )
    print(image.id)
    return 0
