"""Numbers of processes on v2 (cgroup-v2.rst, "PID Interface Files")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pycgroups.cgroups.convert import amount
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Pids(Controller):
    """pids.max, pids.peak (kernel 6.6), pids.events. The kernel counts threads too."""

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the limit."""
        if resources.pids is not None:
            directory.write("pids.max", amount(resources.pids.limit))

    def sample(self, directory: Directory) -> dict[str, Any]:
        """Peak, and refused forks.

        From kernel 6.11 these are forks here and below that the limit of this group refused; before, those
        of processes in this very group, whichever limit above them refused.
        """
        return {"processes_peak": directory.number("pids.peak"), "pids_hits": self.refused(directory)}

    def refused(self, directory: Directory) -> int | None:
        """Count of pids.events."""
        return directory.counts("pids.events").get("max")
