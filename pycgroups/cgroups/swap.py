"""Whether swap can be limited: it is counted unless the kernel was built or booted without (`swapaccount=0`)."""

from __future__ import annotations

from pycgroups.cgroups.convert import UNLIMITED
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.manager import Lack, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources


def check(files: str, memory_limit: str, swap_limit: str, resources: Resources) -> list[Lack]:
    """Tell whether the limit of swap can be enforced in a cgroup; `files` is a directory that has the files of it.

    Raises:
        CgroupError: ENOENT; somebody has just removed that, or made it anew without the controller.
    """
    both = None if resources.memory is None else resources.memory.swap
    if both in (None, UNLIMITED) or not missing(files, memory_limit, swap_limit) or not _host_has_swap():
        return []  # without any swap, the limit holds by itself
    hint = "boot with swapaccount=1, or without swap: swapoff -a; or allow swap: -1"
    return [Lack("memory.swap", "this kernel does not count swap", hint)]


def _host_has_swap() -> bool:
    """Tell from /proc/swaps (`proc_swaps(5)`): a line per swap area after the heading."""
    return len(read_path("/proc/swaps").splitlines()) > 1
