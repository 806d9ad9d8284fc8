"""``pycgroups save``: images to an archive."""

from __future__ import annotations

import errno
import os
import sys

from pycgroups.cli import progress
from pycgroups.cli.flags import Flag, one_of
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error, StateError

_FORMS = ("oci-archive", "docker-archive")

USAGE = Usage(
    "save [FLAGS] IMAGE [IMAGE ...]",
    """\
Write images to one archive, which `load`, docker and podman read. It goes to stdout, unless --output names a file.""",
    (
        Flag("--output -o", "the file; it is replaced when the new one is whole", value="FILE"),
        Flag(
            "--format",
            "oci-archive, the default, which keeps all digests; or docker-archive, for docker before 25",
            value="FORM",
            read=one_of(*_FORMS),
        ),
        *progress.FLAGS,
    ),
    least=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.save` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    if "output" not in found and sys.stdout.isatty():
        raise StateError("stdout is a terminal", operation="save", hint="--output FILE, or a pipe")
    from pycgroups import images

    form = found.get("format", _FORMS[0])
    with progress.shown(found) as told:
        try:
            images.save(names, found.get("output") or sys.stdout.buffer, form=form, progress=told)
        except Error as error:
            if error.errno == errno.EPIPE:  # who reads it has enough, which is told as of all that is written
                raise BrokenPipeError(error.errno, os.strerror(errno.EPIPE)) from error
            raise
    return 0
