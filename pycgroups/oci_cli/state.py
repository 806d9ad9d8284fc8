"""``state``: runtime.md, "Query State"."""

from __future__ import annotations

from pycgroups.oci_cli.command import Command
from pycgroups.oci_cli.indented import indented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given


def run(given: Given) -> int:
    """Print it."""
    print(indented(given.container().state().to_json(), "  "))
    return 0


COMMAND = Command(run, "CONTAINER", "Print the state of a container as JSON.")
