"""Files of v2 by their own names, on v1: there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.manager import Lack
from pycgroups.cgroups.resources import controller_of_file

if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources

_HINT = "boot with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1 on the kernel's command line"


def check(controllers: frozenset[str], resources: Resources) -> list[Lack]:
    """Tell which files are of these controllers, and so not there."""
    asked = [name for name, _ in resources.unified if controller_of_file(name) in controllers]
    if resources.block_io and resources.block_io.weight is not None and "io.weight" in asked:
        asked.remove("io.weight")  # blkio's weight says the same; see `resources.of_limits`
    return [Lack(f"unified[{name!r}]", f"cgroup v1 has no {name}", _HINT) for name in asked]
