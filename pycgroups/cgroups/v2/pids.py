"""Numbers of processes on v2 (cgroup-v2.rst, "PID Interface Files")."""

from __future__ import annotations

from pycgroups.cgroups.convert import amount
from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Pids(Controller):
    """pids.max. The kernel counts threads too."""

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the limit."""
        if resources.pids is not None:
            directory.write("pids.max", amount(resources.pids.limit))
