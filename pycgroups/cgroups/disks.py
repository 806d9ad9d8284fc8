"""Block devices: the paths that users write, the numbers that the kernel takes, and whether it limits them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeAlias

from pycgroups.cgroups.resources import items
from pycgroups.errors import InvalidConfig

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits
    from pycgroups.oci.resources import Resources

_DEVICES = "/sys/dev/block"  # a link for each, by its numbers; sysfs-dev
Numbers: TypeAlias = "tuple[tuple[str, tuple[int, int]], ...]"
"""(path, (major, minor)) of some devices."""


def numbers(limits: Limits) -> Numbers:
    """Look up the devices of `io_limits`.

    Raises:
        InvalidConfig: a path is no block device, or a partition.
    """
    return tuple((path, _numbers(path)) for path, _ in limits.io_limits or ())


def check(resources: Resources) -> None:
    """Look whether the block devices are there: the kernel's answer, ENODEV, also means that a cgroup is gone.

    Raises:
        InvalidConfig: one is not, or is a partition.
    """
    for path, head, devices in items(resources):
        for index, device in enumerate(devices if head == "blockIO" and isinstance(devices, tuple) else ()):
            _check(device.major, device.minor, f"resources.{path}[{index}]")


def _numbers(path: str) -> tuple[int, int]:
    key = f"io_limits[{path!r}]"
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidConfig("cannot look at it", operation="option", path=key, errno=error.errno) from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidConfig("is no block device", operation="option", path=key, hint="lsblk lists them")
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    _check(major, minor, key)
    return major, minor


def _check(major: int, minor: int, key: str) -> None:
    directory = f"{_DEVICES}/{major}:{minor}"
    if os.path.isdir(_DEVICES) and not os.path.exists(directory):
        raise InvalidConfig(
            f"there is no block device {major}:{minor}", operation="option", path=key, hint="lsblk lists them"
        )
    if os.path.exists(f"{directory}/partition"):
        raise InvalidConfig(
            "is a partition, and the kernel limits whole disks",
            operation="option",
            path=key,
            hint="give the disk that it is on; lsblk shows which",
        )
