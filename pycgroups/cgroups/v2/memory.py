"""Memory on v2 (cgroup-v2.rst, "Memory Interface Files"). `memory.oom.group` is left alone: a victim is one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.limits import UNLIMITED
from pycgroups.cgroups.manager import Controller
from pycgroups.cgroups.swap import unenforceable

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits

_LIMIT = "memory.max"
_SWAP_LIMIT = "memory.swap.max"


class Memory(Controller):
    """memory.max, memory.swap.max."""

    def check(self, parent: str, limits: Limits) -> tuple[str, ...]:
        """Swap may not be counted here."""
        return unenforceable(parent, _LIMIT, _SWAP_LIMIT, limits)

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write both limits. v2 limits swap by itself, OCI the sum of both."""
        total = limits.memory_and_swap
        if limits.memory is None or total is None:
            return
        directory.write(_LIMIT, str(limits.memory))
        directory.write_if_there(_SWAP_LIMIT, "max" if total == UNLIMITED else str(total - limits.memory))
