"""Memory on v1 (cgroup-v1/memory.rst)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from pycgroups.cgroups.manager import Controller
from pycgroups.cgroups.swap import unenforceable
from pycgroups.errors import CgroupError

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits

_LIMIT = "memory.limit_in_bytes"
_LIMIT_WITH_SWAP = "memory.memsw.limit_in_bytes"


class Memory(Controller):
    """memory.limit_in_bytes, memory.memsw.limit_in_bytes, memory.max_usage_in_bytes, memory.oom_control."""

    def check(self, parent: str, limits: Limits) -> tuple[str, ...]:
        """Swap may not be counted here."""
        return unenforceable(parent, _LIMIT, _LIMIT_WITH_SWAP, limits)

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write both limits; memory may never exceed memory and swap (EINVAL), so raising begins with the sum."""
        if limits.memory is None:
            return
        both = str(limits.memory_and_swap)
        try:
            directory.write(_LIMIT, str(limits.memory))
        except CgroupError as error:
            if error.errno != errno.EINVAL:
                raise
            directory.write(_LIMIT_WITH_SWAP, both)
            directory.write(_LIMIT, str(limits.memory))
        else:
            directory.write_if_there(_LIMIT_WITH_SWAP, both)

    def sample(self, directory: Directory) -> dict[str, Any]:
        """Peak, and OOM kills (kernel 4.13)."""
        return {"peak_memory": directory.number("memory.max_usage_in_bytes"), "oom": oom_kills(directory)}


def oom_kills(directory: Directory) -> int | None:
    """Kills here and below: v1 counts each in the victim's own cgroup alone."""
    kills = directory.counts("memory.oom_control").get("oom_kill")
    if kills is None:
        return None
    return kills + sum(oom_kills(child) or 0 for child in directory.subgroups())
