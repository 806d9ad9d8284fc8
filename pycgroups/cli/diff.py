"""``pycgroups diff``: what a container has changed of its image."""

from __future__ import annotations

from pycgroups.cli.tables import FORMAT, as_object, print_json
from pycgroups.cli.text import escaped
from pycgroups.cli.usage import Usage

USAGE = Usage(
    "diff [FLAGS] CONTAINER",
    "Tell what a container has changed of its image: A is added, C changed, D deleted.",
    (FORMAT,),
    least=1,
    most=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.diff` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    from pycgroups import containers

    changes = containers.get(asked[1][0]).diff()
    if asked[0].get("format") == "json":
        print_json([as_object(change) for change in changes])
        return 0
    for change in changes:
        print(change.kind, escaped(change.path))
    return 0
