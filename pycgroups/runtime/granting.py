"""Which capabilities a process gets: those that it asks for, as far as there are such, and they are ours to give.

Others are no error but told: config.md, "Linux Process", ``capabilities``.
"""

from __future__ import annotations

from pycgroups.namespaces import own
from pycgroups.security.capabilities import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache

    from pycgroups.oci.runtime_spec import Process
else:
    from pycgroups.caches import lru_cache


def grantable(*, userns: bool) -> int:
    """Return the bits of what this process can give; in a user namespace whose parent it is, everything."""
    return -1 if userns else own.effective()


def notices(process: Process, given: int) -> list[str]:
    """Tell what the process does not get of what it asks for."""
    refused = _refused(process, given)
    return [f"ignoring unknown or unavailable capabilities: {', '.join(refused)}"] if refused else []


@lru_cache(64)  # a program may be executed a thousand times
def _refused(process: Process, given: int) -> tuple[str, ...]:
    caps = process.capabilities
    asked = {*caps.bounding, *caps.effective, *caps.permitted, *caps.inheritable, *caps.ambient}
    return tuple(sorted(name for name in asked if name not in NUMBERS or not given >> NUMBERS[name] & 1))
