"""Containers that the command in C starts, signals and deletes by itself: bin/pycgroups-oci.c.

They have nothing to be looked after but a process, a cgroup and a directory. What C is to know of that is in a file of
the state directory.
"""

from __future__ import annotations

import os

from pycgroups.errors import Error
from pycgroups.runtime.state import PLAIN, Home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.runtime.state import Record

_LATE_HOOKS = frozenset({"startContainer", "poststart", "poststop"})


def note(directory: str) -> None:
    """Note it of a container that has just been created, by its state directory, if it is one of them."""
    try:
        with Home(directory) as home:
            home.lock()
            record = home.load()
            if is_plain(record):
                written = os.stat("state.json", dir_fd=home.fd).st_mtime_ns
                home.write(PLAIN, facts(record, written))
    except (Error, OSError):  # another command was faster, or it cannot be noted: then all is done in Python
        return


def is_plain(record: Record) -> bool:
    """Tell whether there is nothing to its start and its removal but its process, its cgroup and its directory."""
    return not (record.unit or record.resctrl_made or record.mounted) and _LATE_HOOKS.isdisjoint(record.hooks)


def facts(record: Record, written: int) -> bytes:
    """Write what C is to know.

    Strings, each with a 0 behind it: when the record was written, which holds of no other; the pid and its start;
    the directories to remove, in order.
    """
    words = (str(written), str(record.pid), str(record.started_at), *reversed(record.cgroups))
    return b"".join(os.fsencode(word) + b"\0" for word in words)
