"""Which devices a container may use, where that takes rules for the cgroup.

A device that is handed in whole needs none: what there is of devices in a container is what was put there, and its
user namespace makes no others. So containers have rules only if one of their devices is for reading or writing alone,
or if they could make nodes of any: with CAP_MKNOD and without a user namespace. Then these are what runc has by
default, and what was asked for.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#default-devices; AllowedDevices in
libcontainer/specconv/spec_linux.go of runc.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pycgroups.containers.config import HOST
from pycgroups.errors import InvalidConfig, NotFound, Unsupported, invalid
from pycgroups.runtime.plan import DEFAULT_DEVICES
from pycgroups.security import capabilities

if TYPE_CHECKING:
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.oci.resources import DeviceRule

_ALL = "rwm"  # the specification's default, but runc wants to see it
_CONSOLE, _PTMX = (5, 1), (5, 2)
_PTS = 136  # the first major of Unix98 terminals; Documentation/admin-guide/devices.txt


def device_rules(config: ContainerConfig) -> tuple[DeviceRule, ...]:
    """Return the rules that the container's cgroup has to have; none if it needs none.

    Raises:
        Unsupported: it needs some, and this process cannot have them.
        NotFound: a device that they are about is not there.
        InvalidConfig: a device is none.
    """
    _check_kinds(config)
    partial = [index for index, (_, _, access) in enumerate(config.devices) if not {"r", "w"} <= set(access)]
    if partial:
        _check_usable(f"devices[{partial[0]}]", "reading or writing alone", 'give "rw" or "rwm"')
    elif _makes_nodes(config):
        _check_usable("caps_add", "CAP_MKNOD without a user namespace", "leave it out")
    else:
        return ()
    from pycgroups.oci.resources import DeviceRule

    nodes = [_node(source, f"devices[{index}]") for index, (source, _, _) in enumerate(config.devices)]
    asked = [
        DeviceRule(allow=True, type=kind, major=major, minor=minor, access=access)
        for (kind, major, minor), (_, _, access) in zip(nodes, config.devices, strict=True)
    ]
    if config.privileged:  # everything, but of these no more than was said
        less = [
            DeviceRule(allow=False, type=kind, major=major, minor=minor, access=_ALL) for kind, major, minor in nodes
        ]
        return (DeviceRule(allow=True, access=_ALL), *less, *asked)
    return (*_default_rules(), *asked)


def _makes_nodes(config: ContainerConfig) -> bool:
    """Whether its root could make the nodes of all disks of the host; one that is privileged is meant to."""
    if config.userns != HOST or config.privileged or not config.caps_add:
        return False
    return "CAP_MKNOD" in capabilities.resolve(config.caps_add, config.caps_drop)


def _check_kinds(config: ContainerConfig) -> None:
    """Refuse a file of another kind, which would show in the container; a directory, as /dev/snd, stands for all in it.

    One that is not there is left to the launch, which fails at it.
    """
    for index, (source, _, _) in enumerate(config.devices):
        try:
            mode = os.stat(source).st_mode
        except OSError:
            continue
        if not (stat.S_ISBLK(mode) or stat.S_ISCHR(mode) or stat.S_ISDIR(mode)):
            raise invalid(f"devices[{index}]", source, "a device, or a directory of devices")


def placed_rules(config: ContainerConfig) -> tuple[DeviceRule, ...]:
    """Return the rules for a cgroup that has some by itself (`pycgroups.cgroups.given`): they name what is handed in.

    Raises:
        Unsupported, NotFound, InvalidConfig: as `device_rules`.
    """
    rules = device_rules(config)
    if rules or not (config.devices or config.privileged):
        return rules
    from pycgroups.oci.resources import DeviceRule

    if config.privileged or any(os.path.isdir(source) for source, _, _ in config.devices):
        return (DeviceRule(allow=True, access=_ALL),)
    nodes = [_node(source, f"devices[{index}]") for index, (source, _, _) in enumerate(config.devices)]
    return tuple(
        DeviceRule(allow=True, type=kind, major=major, minor=minor, access=_ALL) for kind, major, minor in nodes
    )


def _default_rules() -> tuple[DeviceRule, ...]:
    """Nothing but the default devices; any node may be made, which is not yet to open it."""
    from pycgroups.oci.resources import DeviceRule

    numbers = [*((major, minor) for _, major, minor in DEFAULT_DEVICES), _CONSOLE, _PTMX, (_PTS, None)]
    return (
        DeviceRule(allow=False, access=_ALL),
        DeviceRule(allow=True, access="m"),
        *(DeviceRule(allow=True, type="c", major=major, minor=minor, access=_ALL) for major, minor in numbers),
    )


def _check_usable(key: str, what: str, instead: str) -> None:
    from pycgroups.cgroups import hints, places

    needed = frozenset({places.DEVICES})
    if not needed <= places.offered(places.places(needed)):
        raise Unsupported(
            f"{what} is for the cgroup controller of devices, which this process cannot use",
            operation="option",
            path=key,
            hint=f"{instead}; {hints.for_missing(needed, ())}",
        )


def _node(path: str, key: str) -> tuple[str, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise NotFound(operation="open device", path=path, errno=error.errno) from None
    if not (stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)):
        raise InvalidConfig(
            f"{path!r} is no device, and only those can have rules of their own", operation="option", path=key
        )
    return "b" if stat.S_ISBLK(status.st_mode) else "c", os.major(status.st_rdev), os.minor(status.st_rdev)
