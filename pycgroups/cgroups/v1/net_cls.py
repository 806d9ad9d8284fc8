"""The class of sent packets on v1 (cgroup-v1/net_cls.rst), for tc and the firewall. v2 has none."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class NetCls(Controller):
    """net_cls.classid."""

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the class."""
        if resources.network and resources.network.class_id is not None:
            directory.write("net_cls.classid", str(resources.network.class_id))
