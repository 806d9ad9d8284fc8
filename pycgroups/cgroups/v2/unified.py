"""Files of a v2 group by their own names: `unified` (config-linux.md, "Unified"), for what OCI has no word for.

So `memory.high`, `memory.oom.group`, `memory.zswap.max`, `io.latency`, `misc.max` and what is still to come.
"""

from __future__ import annotations

import os

from pycgroups.cgroups.manager import Lack
from pycgroups.cgroups.resources import controller_of_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources

_CORE = "cgroup"


def check(files: str, controllers: frozenset[str], resources: Resources) -> list[Lack]:
    """Tell which files a group with these controllers does not have."""
    return [
        Lack(f"unified[{name!r}]", f"this kernel has no {name}", "ls the files of a cgroup; newer kernels have more")
        for name, _ in resources.unified
        if controller_of_file(name) in controllers | {_CORE} and not os.path.exists(f"{files}/{name}")
    ]


def apply(directory: Directory, controllers: frozenset[str], resources: Resources) -> None:
    """Write what is of these controllers, line by line: the kernel takes one at a time.

    Raises:
        CgroupError: the kernel refuses one.
    """
    for name, text in resources.unified:
        if controller_of_file(name) in controllers | {_CORE} and directory.exists(name):
            for line in text.splitlines():
                directory.write(name, line)
