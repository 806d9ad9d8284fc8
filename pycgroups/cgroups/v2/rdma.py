"""Handles and objects of RDMA devices on v2 (cgroup-v2.rst, "RDMA Interface Files"; kernel 4.11)."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Rdma(Controller):
    """rdma.max."""

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write a line per device. One that is not there is refused (ENODEV)."""
        for device, limit in resources.rdma:
            given = (("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects))
            words = [f"{key}={value}" for key, value in given if value is not None]
            if words:
                directory.write("rdma.max", " ".join((device, *words)))
