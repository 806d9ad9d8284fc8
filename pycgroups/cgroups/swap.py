"""Whether swap can be limited: it is counted unless the kernel was built or booted without (`swapaccount=0`)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.limits import UNLIMITED
from pycgroups.errors import CgroupError

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits


def unenforceable(parent: str, memory_limit: str, swap_limit: str, limits: Limits) -> tuple[str, ...]:
    """Words that cannot be enforced in cgroups below `parent`, which has the same files.

    Raises:
        CgroupError: ENOENT; somebody has just removed `parent`, or made it anew without the controller.
    """
    if limits.memory_and_swap in (None, UNLIMITED) or os.path.exists(f"{parent}/{swap_limit}"):
        return ()
    if memory_limit not in _names(parent):
        raise CgroupError(operation="open", path=f"{parent}/{memory_limit}", errno=errno.ENOENT)
    return ("memory_swap",) if _host_has_swap() else ()  # without any, the limit holds by itself


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _host_has_swap() -> bool:
    """Tell from /proc/swaps (`proc_swaps(5)`): a line per swap area after the heading."""
    return len(read_path("/proc/swaps").splitlines()) > 1
