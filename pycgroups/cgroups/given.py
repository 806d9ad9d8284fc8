"""`linux.resources` as config.json gives it to an OCI runtime, and as runtimes understand it. Pure.

Runtimes read a 0 as "not given" where it would mean "none at all", and allow the devices that every container has, as
runc does (libcontainer/specconv, `AllowedDevices`; "Default Devices" of config-linux.md).
"""

from __future__ import annotations

from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci.resources import DeviceRule, Resources

_ZERO_IS_NONE = {
    "memory": ("limit", "reservation", "swap"),
    "cpu": ("shares", "quota", "period", "realtime_runtime", "realtime_period"),
    "pids": ("limit",),
    "block_io": ("weight",),
}


class _Rule:
    """A `DeviceRule` of ours."""

    allow = True

    def __init__(self, type_: str, major: int | None, minor: int | None, access: str = "rwm") -> None:
        self.type = type_
        self.major = major
        self.minor = minor
        self.access = access


_DEVICES = (
    _Rule("c", None, None, "m"),  # to make a node is not yet to open it
    _Rule("b", None, None, "m"),
    _Rule("c", 1, 3),  # null
    _Rule("c", 1, 5),  # zero
    _Rule("c", 1, 7),  # full
    _Rule("c", 1, 8),  # random
    _Rule("c", 1, 9),  # urandom
    _Rule("c", 5, 0),  # tty
    _Rule("c", 5, 1),  # console
    _Rule("c", 5, 2),  # ptmx
    _Rule("c", 136, None),  # pts
)


class _View:
    """An object of which some attributes are others."""

    def __init__(self, seen: object, **others: object) -> None:
        self._seen = seen
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)


class _Nothing:
    """A `Resources` that asks for nothing."""

    devices = hugepage_limits = rdma = unified = ()
    memory = cpu = pids = block_io = network = None


def for_new(resources: Resources | None, *, devices: bool) -> Resources:
    """Understand what is asked for a new group; device rules of the config come before ours, and lose.

    Args:
        resources: of the config.
        devices: whether there are device rules at all.

    Raises:
        InvalidConfig: a name in `unified` is no file of a cgroup.
    """
    given = resources or _Nothing()
    return _understood(given, (*given.devices, *_DEVICES) if devices else ())


def for_change(resources: Resources) -> Resources:
    """Understand changes; devices stay what they are, as with runc.

    Raises:
        InvalidConfig: a name in `unified` is no file of a cgroup.
    """
    return _understood(resources, ())


def _understood(resources: Resources | _Nothing, rules: tuple[DeviceRule | _Rule, ...]) -> Resources:
    for name, _ in resources.unified:
        if "/" in name or name.startswith("."):
            raise invalid("linux.resources.unified", name, "the name of a file in a cgroup")
    parts: dict[str, object] = {"devices": rules}
    for part, names in _ZERO_IS_NONE.items():
        if value := getattr(resources, part):
            none = {name: None for name in names if getattr(value, name) == 0}
            parts[part] = _View(value, **none) if none else value
    memory = resources.memory
    if memory and memory.disable_oom_killer is False:  # how it is; docker says so of every container
        parts["memory"] = _View(parts["memory"], disable_oom_killer=None)
    return _View(resources, **parts)  # type: ignore[return-value]  # it has all its attributes
