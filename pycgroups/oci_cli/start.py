"""``start``: the program of a created container runs."""

from __future__ import annotations

from pycgroups.oci_cli import notify
from pycgroups.oci_cli.command import Command, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given


def run(given: Given) -> int:
    """Start it."""
    container = given.container()
    notify.start(container, wait=True)
    warn(given.settings.log, container)
    return 0


COMMAND = Command(run, "CONTAINER", "Let the program of a created container run. It can be done once.")
