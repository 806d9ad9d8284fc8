"""``pycgroups commit``: an image of a container."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.cli.instructions import CHANGE, MESSAGE
from pycgroups.cli.usage import Usage

USAGE = Usage(
    "commit [FLAGS] CONTAINER [NAME]",
    """\
Make an image of a container: that of its image, with what it has changed as one more layer. It is frozen meanwhile,
where that can be done. The image's id is printed.""",
    (
        Flag("--author -a", "who made it", value="TEXT"),
        CHANGE,
        MESSAGE,
        Flag("--no-pause", "let its processes run meanwhile", word="live"),
    ),
    least=1,
    most=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.commit` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (container, *name) = asked
    from pycgroups import containers

    image = containers.get(container).commit(
        name[0] if name else None,
        changes=found.get("changes", ()),
        author=found.get("author"),
        message=found.get("message"),
        pause=False if found.get("live") else None,
    )
    print(image.id)
    return 0
