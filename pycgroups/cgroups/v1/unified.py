"""Files of v2 by their own names, on v1: there are none."""

from __future__ import annotations

from pycgroups.cgroups.manager import Lack
from pycgroups.cgroups.resources import controller_of_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources

_HINT = "boot with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1 on the kernel's command line"


def check(controllers: frozenset[str], resources: Resources) -> list[Lack]:
    """Tell which files are of these controllers, and so not there.

    Not those that only say on v2 what a field says on v1, see `translate.of_limits`.
    """
    cpu, io = resources.cpu, resources.block_io
    said = {"cpu.weight": cpu and cpu.shares, "io.weight": io and io.weight}
    return [
        Lack(f"unified[{name!r}]", f"cgroup v1 has no {name}", _HINT)
        for name, _ in resources.unified
        if controller_of_file(name) in controllers and said.get(name) is None
    ]
