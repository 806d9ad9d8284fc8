"""How long processes waited for CPU, memory and disks: pressure stall information.

Source: the kernel's Documentation/accounting/psi.rst; Linux 4.20, on cgroup v2 and hybrid hosts.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from pycgroups.errors import CgroupError, Unsupported

if TYPE_CHECKING:
    from attrs import frozen

    from pycgroups.cgroups.files import Directory
else:
    from pycgroups.frozen import frozen

_MICROSECONDS = 1_000_000
_PERCENT = r"(\d+\.\d+)"
_LINE = re.compile(
    rf"^(some|full) avg10={_PERCENT} avg60={_PERCENT} avg300={_PERCENT} total=(\d+)", re.ASCII | re.MULTILINE
)
_COUNTED = "/proc/pressure"
_SWITCH = "cgroup.pressure"


@frozen(kw_only=True)
class Stall:
    """Time in which processes stood still.

    Attributes:
        avg10: percent of the last 10 seconds, 0 to 100, as a running average that the kernel renews every 2 seconds.
        avg60: likewise, of the last minute.
        avg300: likewise, of the last 5 minutes.
        total: seconds, since the group was made.
    """

    avg10: float
    avg60: float
    avg300: float
    total: float


@frozen(kw_only=True)
class Stalls:
    """Time lost for want of one resource.

    Attributes:
        some: at least one process stood still.
        full: all that were not idle stood still at once. None for the CPU before Linux 5.13.
    """

    some: Stall
    full: Stall | None


@frozen(kw_only=True)
class Pressure:
    """Time that the processes of a group, subgroups included, lost by waiting.

    Attributes:
        cpu: for a CPU, throttling by `cpus` included.
        memory: for memory: reclaim, swapping in, and reading again what was dropped from the page cache.
        io: for block devices.
    """

    cpu: Stalls
    memory: Stalls
    io: Stalls


def read(directory: Directory | None) -> Pressure | None:
    """Read the three files of a v2 cgroup; None where there is no such cgroup, or they are not there, or switched off.

    Raises:
        CgroupError: one cannot be read.
    """
    if directory is None:
        return None
    found = {name: parse(_text(directory, f"{name}.pressure")) for name in ("cpu", "memory", "io")}
    known = {name: stalls for name, stalls in found.items() if stalls}
    return Pressure(**known) if known.keys() == found.keys() else None


def parse(text: str) -> Stalls | None:
    """Read the lines of one file; None without the line "some"."""
    kinds = {
        kind: Stall(avg10=float(avg10), avg60=float(avg60), avg300=float(avg300), total=int(total) / _MICROSECONDS)
        for kind, avg10, avg60, avg300, total in _LINE.findall(text)
    }
    return Stalls(some=kinds["some"], full=kinds.get("full")) if "some" in kinds else None


def unsupported(directory: Directory | None) -> Unsupported:
    """Tell why a group has no pressure, and what would help."""
    if directory is None:
        reason, hint = "cgroup v1 does not count it", "mount cgroup v2 too, as root: mount -t cgroup2 cgroup2 DIRECTORY"
    elif os.path.isdir(_COUNTED):
        reason, hint = "it is switched off here", f"echo 1 > {directory.path}/{_SWITCH}"
    else:
        reason, hint = "this kernel does not count it", "boot with psi=1 (Linux 4.20 with CONFIG_PSI)"
    return Unsupported(reason, operation="read pressure", path=None if directory is None else directory.path, hint=hint)


def _text(directory: Directory, name: str) -> str:
    try:
        return directory.measure(name)
    except CgroupError as error:
        if error.errno == errno.EOPNOTSUPP:  # the file of a kernel that counts only when told so: psi=1
            return ""
        raise
