"""Memory on v1 (cgroup-v1/memory.rst)."""

from __future__ import annotations

from pycgroups.cgroups import swap
from pycgroups.cgroups.convert import UNLIMITED
from pycgroups.cgroups.manager import Controller, Lack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci import resources as oci
    from pycgroups.oci.resources import Resources

_LIMIT = "memory.limit_in_bytes"
_LIMIT_WITH_SWAP = "memory.memsw.limit_in_bytes"
_SOFT_LIMIT = "memory.soft_limit_in_bytes"


class Memory(Controller):
    """memory.limit_in_bytes, memory.memsw.limit_in_bytes, memory.soft_limit_in_bytes, memory.swappiness,
    memory.oom_control; memory.max_usage_in_bytes.

    A limit below what is in use is refused by the kernel itself (EBUSY) if reclaim does not help, so
    `check_before_update` needs nothing.
    """  # noqa: D205 (the files are the summary)

    witness = _LIMIT
    needs: ClassVar = {
        "memory.reservation": ((_SOFT_LIMIT,), "boot a kernel without PREEMPT_RT, or with cgroup v2"),
    }

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:
        """Swap may not be counted here."""
        return super().check(files, resources, parent) + swap.check(files, _LIMIT, _LIMIT_WITH_SWAP, resources)

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write what is given."""
        memory = resources.memory
        if memory is None:
            return
        _apply_limits(directory, memory)
        if memory.reservation is not None:
            directory.write_if_there(_SOFT_LIMIT, str(memory.reservation))
        if memory.swappiness is not None:
            directory.write("memory.swappiness", str(memory.swappiness))
        if memory.disable_oom_killer is not None:
            directory.write("memory.oom_control", str(int(memory.disable_oom_killer)))


def _apply_limits(directory: Directory, memory: oci.Memory) -> None:
    """Write both limits; memory may never exceed memory and swap (EINVAL), so raising begins with the sum.

    Without a limit of memory there is none of the sum, unless it is given; as in runc.
    """
    limit, both = memory.limit, memory.swap
    if both is None and limit == UNLIMITED:
        both = UNLIMITED
    limits = [] if limit is None else [(_LIMIT, str(limit))]
    if both is not None and directory.exists(_LIMIT_WITH_SWAP):
        limits.append((_LIMIT_WITH_SWAP, str(both)))
    directory.write_agreeing(limits)
