"""``pycgroups explain``: what run would do, without doing it."""

from __future__ import annotations

from pycgroups.cli import options
from pycgroups.cli.flags import Flag

OWN = (
    Flag("--json", "the OCI spec and the steps as one JSON document"),
    Flag("--interactive -i", "as for run; explains nothing"),
    Flag("--rm", "likewise"),
)
ABOUT = "Show what `pycgroups run` with these arguments would do: the OCI runtime spec, and the steps. Touches nothing."


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.explain` names, or a UsageError.
    """
    words, own = options.read("explain", arguments, OWN)
    if "help" in own:
        print(options.usage("explain", ABOUT, OWN), end="")
        return 0
    from pycgroups.containers.explain import explain
    from pycgroups.errors import ImageNotFound

    try:
        explanation = explain(words.pop("command", None), **words)
    except ImageNotFound as error:
        options.taken_for_image(error, words.get("image"))
        raise
    if own.get("json"):
        import json

        print(json.dumps(explanation.to_json(), indent=2))
    else:
        print(explanation)
    return 0
