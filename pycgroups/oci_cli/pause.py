"""``pause``: the processes of a container stand still."""

from __future__ import annotations

from pycgroups.oci_cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given


def run(given: Given) -> int:
    """Pause it."""
    given.container().pause()
    return 0


COMMAND = Command(run, "CONTAINER", "Freeze all processes of a container, until it is resumed.")
