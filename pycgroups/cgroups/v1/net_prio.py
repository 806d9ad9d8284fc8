"""Priorities of what is sent, per interface, on v1 (cgroup-v1/net_prio.rst). v2 has none."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class NetPrio(Controller):
    """net_prio.ifpriomap."""

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write a line per interface. One that is not there is refused (ENODEV)."""
        for interface in resources.network.priorities if resources.network else ():
            directory.write("net_prio.ifpriomap", f"{interface.name} {interface.priority}")
