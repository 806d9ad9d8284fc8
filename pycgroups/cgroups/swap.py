"""Whether swap can be limited: it is counted unless the kernel was built or booted without (`swapaccount=0`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.limits import UNLIMITED

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits


def unenforceable(limit_file: str, limits: Limits) -> tuple[str, ...]:
    """Words that cannot be enforced; `limit_file` is where a cgroup beside the new one has its limit on swap."""
    if limits.memory_and_swap in (None, UNLIMITED) or os.path.exists(limit_file):
        return ()
    return ("memory_swap",) if _host_has_swap() else ()  # without any, the limit holds by itself


def _host_has_swap() -> bool:
    """Tell from /proc/swaps (`proc_swaps(5)`): a line per swap area after the heading."""
    return len(read_path("/proc/swaps").splitlines()) > 1
