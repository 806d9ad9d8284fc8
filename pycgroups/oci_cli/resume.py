"""``resume``: the processes of a paused container go on."""

from __future__ import annotations

from pycgroups.oci_cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given


def run(given: Given) -> int:
    """Resume it."""
    given.container().resume()
    return 0


COMMAND = Command(run, "CONTAINER", "Let all processes of a paused container go on.")
