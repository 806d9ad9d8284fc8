"""``pycgroups fork``: containers that begin with the files of another one."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.cli.options import whole
from pycgroups.cli.usage import Usage

USAGE = Usage(
    "fork [FLAGS] CONTAINER",
    """\
Make containers with the options of one that was made of an image, and with the files that it has now; tell their ids.
They run if it does, and are as independent as any. One that is not detached ends with this command.""",
    (
        Flag("--number -n", "how many; 1 by default", value="NUMBER", read=whole),
        Flag("--name", "what it is called; with -n 2, NAME-1 and NAME-2", value="NAME"),
    ),
    least=1,
    most=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.fork` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (container,) = asked
    from pycgroups import containers

    for made in containers.get(container).fork(found.get("number", 1), name=found.get("name")):
        print(made.id)
    return 0
