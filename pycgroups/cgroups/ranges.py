"""Whether the values of `linux.resources` can be right, before any kernel is asked. Pure."""

from __future__ import annotations

import re
from typing import Any

from pycgroups.cgroups import convert
from pycgroups.cgroups.limits import MOST_PIDS
from pycgroups.cgroups.lists import cpu_numbers
from pycgroups.cgroups.resources import controller_of_file, items
from pycgroups.errors import invalid
from pycgroups.oci.resources import Resources

_MOST = (1 << 63) - 1
_U32 = (1 << 32) - 1
_SIZES = {"memory.limit": 1, "memory.swap": 1, "memory.reservation": 0, "cpu.quota": 1_000, "cpu.realtimeRuntime": 0}
_RANGES = {
    "memory.swappiness": (0, 100),
    "cpu.shares": (convert.SHARES[0], convert.SHARES[-1]),
    "cpu.period": (1_000, 1_000_000),
    "cpu.burst": (0, _MOST),
    "cpu.realtimePeriod": (1, _MOST),
    "cpu.idle": (0, 1),
    "blockIO.weight": (convert.BLKIO_WEIGHTS[0], convert.BLKIO_WEIGHTS[-1]),
    "network.classID": (0, _U32),
}
_PER_DEVICE = {
    "major": ("major", 0, (1 << 12) - 1),  # MINORBITS of linux/kdev_t.h is 20, of 32
    "minor": ("minor", 0, (1 << 20) - 1),
    "rate": ("rate", 0, _MOST),
    "weight": ("weight", convert.BLKIO_WEIGHTS[0], convert.BLKIO_WEIGHTS[-1]),
    "leaf_weight": ("leafWeight", convert.BLKIO_WEIGHTS[0], convert.BLKIO_WEIGHTS[-1]),
}
_LISTS = frozenset({"cpu.cpus", "cpu.mems"})
_FLAGS = frozenset({"memory.disableOOMKiller", "memory.checkBeforeUpdate", "memory.useHierarchy"})

_PAGE_SIZE = re.compile(r"[1-9][0-9]{0,5}[KMG]B")
_NAME = re.compile(r"[!-.0-~]{1,64}")  # ASCII without space and slash, which divide a line or leave a directory
_FILE = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+")
_CORE_FILES = ("cgroup.max.depth", "cgroup.max.descendants")


def check(resources: Resources) -> None:
    """Look for values that no kernel takes, and for files that would do more than limit.

    0 is refused where it would mean "none at all": to some runtimes it is "not given".

    Raises:
        InvalidConfig: with the path, "resources.cpu.shares".
    """
    if not isinstance(resources, Resources) or not _is_frozen(resources):
        raise invalid("resources", resources, "pycgroups.oci.resources.Resources, with tuples and no lists")
    for path, head, value in items(resources):
        key = f"resources.{path}"
        if path in _SIZES:
            _integer(value, key, _SIZES[path], _MOST, unlimited=True)
        elif path in _RANGES:
            _integer(value, key, *_RANGES[path])
        elif path == "pids.limit":
            _integer(value, key, 1, MOST_PIDS, unlimited=True)
        elif path in _LISTS:
            _list(value, key)
        elif path in _FLAGS and not isinstance(value, bool):
            raise invalid(key, value, "True or False")
        elif head == "blockIO" and isinstance(value, tuple):
            _devices(value, key)
        elif path.startswith("unified"):
            _unified(head, value, key)
    _pairs(resources)
    _pages_and_names(resources)


def _is_frozen(resources: Resources) -> bool:
    try:
        hash(resources)
    except TypeError:
        return False
    return True


def _integer(value: object, key: str, low: int, high: int, *, unlimited: bool = False) -> None:
    if type(value) is int and (low <= value <= high or (unlimited and value == convert.UNLIMITED)):
        return
    raise invalid(key, value, f"an int, {low} to {high}{', or -1' if unlimited else ''}")


def _list(value: object, key: str) -> None:
    try:
        if isinstance(value, str) and cpu_numbers(value):
            return
    except ValueError:
        pass
    raise invalid(key, value, 'a list of numbers such as "0-1,3"')


def _devices(devices: tuple[Any, ...], key: str) -> None:
    for index, device in enumerate(devices):
        for attribute, (name, low, high) in _PER_DEVICE.items():
            value = getattr(device, attribute, None)
            if value is not None:
                _integer(value, f"{key}[{index}].{name}", low, high)


def _unified(name: str, text: object, key: str) -> None:
    if not _FILE.fullmatch(name) or (controller_of_file(name) == "cgroup" and name not in _CORE_FILES):
        allowed = f"the name of a controller's file, or one of {', '.join(_CORE_FILES)}"
        raise invalid("resources.unified", name, allowed)
    if not isinstance(text, str) or not text.strip() or not text.replace("\n", "").isprintable():
        raise invalid(key, text, "lines of printable text")


def _pairs(resources: Resources) -> None:
    """Check what concerns two values."""
    memory, cpu = resources.memory, resources.cpu
    if memory and memory.limit is not None and memory.swap is not None:
        limit, both = (_MOST if value == convert.UNLIMITED else value for value in (memory.limit, memory.swap))
        # Swap alone may be limited on v2: then memory is unlimited and this is swap.
        if both < limit and memory.limit != convert.UNLIMITED:
            raise invalid("resources.memory.swap", memory.swap, f"at least memory.limit ({memory.limit}), or -1")
    if cpu and cpu.idle == 1 and cpu.shares is not None:
        raise invalid("resources.cpu.shares", cpu.shares, "without cpu.idle: an idle group has no weight")


def _pages_and_names(resources: Resources) -> None:
    for index, pages in enumerate(resources.hugepage_limits):
        key = f"resources.hugepageLimits[{index}]"
        if not isinstance(pages.page_size, str) or not _PAGE_SIZE.fullmatch(pages.page_size):
            raise invalid(f"{key}.pageSize", pages.page_size, 'a size such as "2MB" or "1GB"')
        _integer(pages.limit, f"{key}.limit", 0, _MOST)
    for index, interface in enumerate(resources.network.priorities if resources.network else ()):
        key = f"resources.network.priorities[{index}]"
        _name(interface.name, f"{key}.name")
        _integer(interface.priority, f"{key}.priority", 0, _U32)
    for device, limit in resources.rdma:
        _name(device, "resources.rdma")
        for name, value in (("hcaHandles", limit.hca_handles), ("hcaObjects", limit.hca_objects)):
            if value is not None:
                _integer(value, f"resources.rdma[{device!r}].{name}", 0, (1 << 31) - 1)


def _name(value: object, key: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid(key, value, "a name: ASCII without spaces and slashes, up to 64")
