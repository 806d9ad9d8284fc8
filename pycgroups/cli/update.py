"""``pycgroups update``: other limits, and another restart policy, for containers that are held."""

from __future__ import annotations

from pycgroups.cgroups.limits import WORDS
from pycgroups.cli import FAILED, options
from pycgroups.cli.flags import Flag, UsageError
from pycgroups.cli.text import complain
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error

USAGE = Usage(
    "update FLAGS CONTAINER [CONTAINER ...]",
    """\
Change limits of containers, and whether they are started again: at once where they run, and for the next starts. What
no flag names stays. One that runs and was to end for good has to be stopped to be one that is started again.

CONTAINER is a name, an id, or the beginning of one.""",
    (
        *(flag for flag in options.FLAGS if flag.word in WORDS),
        Flag("--restart", "whether it is started again: no, on-failure[:MOST], always, unless-stopped", value="POLICY"),
    ),
    least=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code: 1 when one of several failed.

    Raises:
        UsageError: a flag is wrong, or there is none.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    if not found:
        raise UsageError("change what? pycgroups update FLAGS CONTAINER; see --help")
    from pycgroups import containers

    restart, failed = found.pop("restart", None), False
    limits = options.settled(found)
    for name in names:
        try:
            containers.get(name).update(restart=restart, **limits)
            print(name)
        except Error as error:
            complain(str(error))
            failed = True
    return FAILED if failed else 0
