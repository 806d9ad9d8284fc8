"""Stop and continue a cgroup on v2 (cgroup-v2.rst, "Core Interface Files", cgroup.freeze; kernel 5.2).

It belongs to no controller: every cgroup below the root has it, on hybrid hosts too.
"""

from __future__ import annotations

import os
import select

from pycgroups.cgroups import tree
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory

_EVENTS = "cgroup.events"
_LONGEST = 200  # bytes of cgroup.events: two short lines


def frozen(directory: Directory) -> bool | None:
    """Whether every process stands still, be it that a cgroup above is frozen; None without a freezer."""
    state = directory.counts(_EVENTS).get("frozen")
    return None if state is None else bool(state)


def set_frozen(directory: Directory, wanted: bool, deadline: float) -> None:
    """Stop or continue all processes, and sleep until the kernel tells that it is done.

    Whoever kills the group thaws it for that, so it is asked for again when something has changed: of an empty group it
    is done at once.

    Raises:
        CgroupError: it is not done at `deadline`, or the cgroup was removed.
    """
    from pycgroups.clock import seconds_until

    fd = directory.open(_EVENTS, os.O_RDONLY)
    try:
        changes = select.poll()
        changes.register(fd, select.POLLPRI)
        directory.write("cgroup.freeze", str(int(wanted)))
        while f"frozen {int(wanted)}" not in os.pread(fd, _LONGEST, 0).decode():
            left = seconds_until(deadline)
            if not left:
                raise tree.restless(directory, wanted)
            changes.poll(left * 1000)
            directory.write("cgroup.freeze", str(int(wanted)))
    except OSError as error:
        raise CgroupError(operation="read", path=f"{directory.path}/{_EVENTS}", errno=error.errno) from None
    finally:
        os.close(fd)
