"""Memory on v2 (cgroup-v2.rst, "Memory Interface Files"). `memory.oom.group` is left alone: a victim is one process."""

from __future__ import annotations

import errno

from pycgroups.cgroups import swap
from pycgroups.cgroups.convert import amount, swap_max
from pycgroups.cgroups.manager import Controller, Lack
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources

_LIMIT = "memory.max"
_SWAP_LIMIT = "memory.swap.max"


class Memory(Controller):
    """memory.max, memory.swap.max, memory.low, memory.peak (kernel 5.19), memory.events."""

    witness = _LIMIT
    needs: ClassVar = {
        "memory.swappiness": ((), "leave it out, or set vm.swappiness for the whole host; cgroup v1 has it"),
        "memory.disableOOMKiller": ((), "leave it out; memory.high slows a group down without killing"),
    }

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:
        """Swap may not be counted here, and the OOM killer cannot be turned off."""
        memory = resources.memory
        if memory is None:
            return []
        swap_max(memory.limit, memory.swap)
        lacks = super().check(files, resources, parent) + swap.check(files, _LIMIT, _SWAP_LIMIT, resources)
        # False is how it is.
        return [lack for lack in lacks if lack.path != "memory.disableOOMKiller" or memory.disable_oom_killer]

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write what is given. v2 limits swap by itself, OCI the sum of both."""
        memory = resources.memory
        if memory is None:
            return
        limit, swap_limit = memory.limit, swap_max(memory.limit, memory.swap)
        if limit is not None:
            if memory.check_before_update:
                _check_usage(directory, limit)
            directory.write(_LIMIT, amount(limit))
        if swap_limit is not None:
            directory.write_if_there(_SWAP_LIMIT, amount(swap_limit))
        if memory.reservation is not None:
            directory.write("memory.low", amount(memory.reservation))


def _check_usage(directory: Directory, limit: int) -> None:
    """Refuse, as v1 does, what v2 would take and kill for."""
    used = directory.number("memory.current")
    if used is not None and 0 <= limit < used:
        raise CgroupError(
            f"{used} bytes are in use, more than {limit}",
            operation="limit",
            path=f"{directory.path}/{_LIMIT}",
            errno=errno.EBUSY,
            hint="give a greater limit, or leave out check_before_update: then the kernel reclaims, and may kill",
        )
