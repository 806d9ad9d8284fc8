"""`linux.resources` as config.json gives it to an OCI runtime, and as runtimes understand it. Pure.

Runtimes read a 0 as "not given" where it would mean "none at all", and allow the devices that every container has, as
runc does (libcontainer/specconv, `AllowedDevices`; "Default Devices" of config-linux.md). No processes at all are one,
the container's own: since version 1.3 of the specification that 0 is a limit like another, and runc 1.4 sets 1.
"""

from __future__ import annotations

from pycgroups.errors import invalid
from pycgroups.oci.resources import DeviceRule, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import Any

    from attrs import evolve
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve

_UNLIMITED = -1
_ZERO_IS_NONE = {
    "memory": ("limit", "reservation", "swap"),
    "cpu": ("shares", "quota", "period", "realtime_runtime", "realtime_period"),
    "block_io": ("weight",),
}


def _rule(type_: str, major: int | None, minor: int | None, access: str = "rwm") -> DeviceRule:
    return DeviceRule(allow=True, type=type_, major=major, minor=minor, access=access)


_DEVICES = (
    _rule("c", None, None, "m"),  # to make a node is not yet to open it
    _rule("b", None, None, "m"),
    _rule("c", 1, 3),  # null
    _rule("c", 1, 5),  # zero
    _rule("c", 1, 7),  # full
    _rule("c", 1, 8),  # random
    _rule("c", 1, 9),  # urandom
    _rule("c", 5, 0),  # tty
    _rule("c", 5, 1),  # console
    _rule("c", 5, 2),  # ptmx
    _rule("c", 136, None),  # pts
)


def for_new(resources: Resources | None, *, devices: bool) -> Resources:
    """Understand what is asked for a new group; device rules of the config come before ours, and lose.

    Args:
        resources: of the config.
        devices: whether there are device rules at all.

    Raises:
        InvalidConfig: a name in `unified` is no file of a cgroup, or a limit is less than "none", which is -1.
    """
    given = resources or Resources()
    return _understood(given, (*given.devices, *_DEVICES) if devices else ())


def for_change(resources: Resources) -> Resources:
    """Understand changes; devices stay what they are, as with runc.

    Raises:
        InvalidConfig: a name in `unified` is no file of a cgroup, or a limit is less than "none", which is -1.
    """
    return _understood(resources, ())


@lru_cache(64)  # a program may start the same container a thousand times
def _understood(resources: Resources, rules: tuple[DeviceRule, ...]) -> Resources:
    for name, _ in resources.unified:
        if "/" in name or name.startswith("."):
            raise invalid("linux.resources.unified", name, "the name of a file in a cgroup")
    _check_negative(resources)
    parts: dict[str, Any] = {"devices": rules}
    for part, names in _ZERO_IS_NONE.items():
        if value := getattr(resources, part):
            parts[part] = evolve(value, **{name: None for name in names if getattr(value, name) == 0})
    if resources.pids and resources.pids.limit == 0:
        parts["pids"] = evolve(resources.pids, limit=1)
    memory = resources.memory
    if memory and memory.disable_oom_killer is False:  # how it is; docker says so of every container
        parts["memory"] = evolve(parts["memory"], disable_oom_killer=None)
    return evolve(resources, **parts)


def _check_negative(resources: Resources) -> None:
    """Refuse what a kernel may take for "no limit" although only -1 says so."""
    for part, names in (*_ZERO_IS_NONE.items(), ("pids", ("limit",))):
        for name in names:
            number = getattr(getattr(resources, part), name, None)
            if number is not None and number < _UNLIMITED:
                raise invalid(f"linux.resources.{part}.{name}", number, "-1 for no limit, or more")
