"""``pycgroups tag``: another name for an image."""

from __future__ import annotations

from pycgroups.cli.usage import Usage

USAGE = Usage(
    "tag IMAGE NAME [NAME ...]",
    """\
Give an image other names, besides those that it has. What had such a name before has it no more.

IMAGE is a name, an id or a digest, or six letters of one at least.""",
    least=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.tag` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    _, (name, *others) = asked
    from pycgroups import images

    for other in others:
        images.tag(name, other)
    return 0
