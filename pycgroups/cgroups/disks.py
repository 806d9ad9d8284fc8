"""Block devices by the paths that users write, as the numbers that the kernel takes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeAlias

from pycgroups.errors import InvalidConfig

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits

Numbers: TypeAlias = "tuple[tuple[str, tuple[int, int]], ...]"
"""(path, (major, minor)) of some devices."""


def numbers(limits: Limits) -> Numbers:
    """Look up the devices of `io_limits`.

    Raises:
        InvalidConfig: a path is no block device, or a partition.
    """
    return tuple((path, _numbers(path)) for path, _ in limits.io_limits or ())


def _numbers(path: str) -> tuple[int, int]:
    key = f"io_limits[{path!r}]"
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidConfig("cannot look at it", operation="option", path=key, errno=error.errno) from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidConfig("is no block device", operation="option", path=key, hint="lsblk lists them")
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if os.path.exists(f"/sys/dev/block/{major}:{minor}/partition"):
        raise InvalidConfig(
            "is a partition, and the kernel limits whole disks",
            operation="option",
            path=key,
            hint="give the disk that it is on; lsblk shows which",
        )
    return major, minor
