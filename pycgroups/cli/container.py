"""``pycgroups container prune``; docker's other words after ``container`` are commands of their own."""

from __future__ import annotations

from pycgroups.cli import FAILED
from pycgroups.cli.flags import Flag
from pycgroups.cli.text import complain, is_sure
from pycgroups.cli.usage import Usage, run_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ABOUT = """\
usage: pycgroups container prune [FLAGS]

Look after containers. What docker has after `container` besides, as ls, rm and stop, is a command of its own here, with
that word or without.

  prune  remove containers that do not run

  --help  this; pycgroups container COMMAND --help tells more
"""
PRUNE = Usage(
    "container prune [FLAGS]",
    "Remove all containers that do not run, with what they have written, and print their ids. It asks first.",
    (Flag("--force -f", "ask nothing"),),
    most=0,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: a container cannot be removed, or a UsageError.
    """
    return run_one("container", ABOUT, {"prune": (PRUNE, _prune)}, arguments)


def _prune(found: dict[str, Any]) -> int:
    if not found.get("force") and not is_sure("This removes all containers that do not run."):
        complain("nothing was removed")
        return FAILED
    from pycgroups import containers

    for held in containers.prune():
        print(held.id)
    return 0
