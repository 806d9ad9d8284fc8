"""Memory on v1 (cgroup-v1/memory.rst)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pycgroups.cgroups.manager import Controller
from pycgroups.cgroups.swap import unenforceable
from pycgroups.errors import CgroupError

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits

_LIMIT = "memory.limit_in_bytes"
_LIMIT_WITH_SWAP = "memory.memsw.limit_in_bytes"


class Memory(Controller):
    """memory.limit_in_bytes, memory.memsw.limit_in_bytes."""

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
