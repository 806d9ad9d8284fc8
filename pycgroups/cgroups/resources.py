"""`linux.resources`: which controllers it needs, whether its values can be right, and how words become it. Pure."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from pycgroups.cgroups import convert
from pycgroups.cgroups.limits import CPU_PERIOD, MOST_PIDS, NO_LIMITS, cpu_numbers
from pycgroups.errors import invalid
from pycgroups.oci import resources as oci
from pycgroups.oci.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pycgroups.cgroups.disks import Numbers
    from pycgroups.cgroups.limits import Limits

OBSOLETE = frozenset({"memory.kernel", "memory.kernelTCP", "memory.useHierarchy", "blockIO.leafWeight"})
"""Ignored, as runc does, and `leaf_weight` of a device with them: they are listed in `Cgroup.unenforced`, and never an
error. The kernel has dropped them: cgroup-v1/memory.rst; leaf weights went with the CFQ scheduler in Linux 5.0."""

_CONTROLLERS = {
    "cpu.cpus": "cpuset",
    "cpu.mems": "cpuset",
    "network.classID": "net_cls",
    "network.priorities": "net_prio",
    "blockIO": "io",
    "hugepageLimits": "hugetlb",
}
_THROTTLES = {
    "rbps": "throttle_read_bps_device",
    "wbps": "throttle_write_bps_device",
    "riops": "throttle_read_iops_device",
    "wiops": "throttle_write_iops_device",
}
_WORDS = {
    "memory.limit": "memory",
    "memory.swap": "memory_swap",
    "memory.reservation": "memory_low",
    "unified['memory.high']": "memory_high",
    "cpu.quota": "cpus",
    "cpu.period": "cpus",
    "cpu.shares": "cpu_weight",
    "unified['cpu.weight']": "cpu_weight",
    "cpu.cpus": "cpuset",
    "pids.limit": "pids",
    "blockIO.weight": "io_weight",
    "unified['io.weight']": "io_weight",
    "blockIO.throttleReadBpsDevice": "io_limits",
    "blockIO.throttleWriteBpsDevice": "io_limits",
    "blockIO.throttleReadIOPSDevice": "io_limits",
    "blockIO.throttleWriteIOPSDevice": "io_limits",
    "hugepageLimits": "hugepages",
}


@functools.lru_cache(maxsize=64)
def of_limits(limits: Limits, devices: Numbers = ()) -> Resources:
    """Say in OCI's words what users' words ask for, whatever the version.

    What OCI has no word for is a v2 file in `unified`: `memory.high`, which v1 lacks. So are weights, to be exact on
    v2: OCI's are v1's, and the usual conversions keep no proportions. On v1 the fields are in force.

    Args:
        limits: the words.
        devices: the numbers of the devices in `io_limits`, see `disks`.
    """
    unified = []
    if limits.memory_high is not None:
        unified.append(("memory.high", str(limits.memory_high)))
    if limits.cpu_weight is not None:
        unified.append(("cpu.weight", str(limits.cpu_weight)))
    if limits.io_weight is not None:
        unified.append(("io.weight", f"default {limits.io_weight}"))
    pages = limits.hugepages or ()
    return Resources(
        memory=_memory(limits),
        cpu=_cpu(limits),
        pids=None if limits.pids is None else oci.Pids(limit=limits.pids),
        block_io=_block_io(limits, dict(devices)),
        hugepage_limits=tuple(oci.HugepageLimit(page_size=size, limit=most) for size, most in pages),
        unified=tuple(unified),
    )


def _memory(limits: Limits) -> oci.Memory | None:
    if limits.memory is None and limits.memory_low is None:
        return None
    both = limits.memory if limits.memory_swap is None else limits.memory_swap  # without the word: no swap
    return oci.Memory(limit=limits.memory, swap=both, reservation=limits.memory_low)


def _cpu(limits: Limits) -> oci.Cpu | None:
    if limits.cpus is None and limits.cpu_weight is None and limits.cpuset is None:
        return None
    return oci.Cpu(
        shares=None if limits.cpu_weight is None else convert.cpu_shares(limits.cpu_weight),
        quota=None if limits.cpus is None else round(limits.cpus * CPU_PERIOD),
        period=None if limits.cpus is None else CPU_PERIOD,
        cpus=limits.cpuset,
    )


def _block_io(limits: Limits, devices: dict[str, tuple[int, int]]) -> oci.BlockIo | None:
    if limits.io_weight is None and not limits.io_limits:
        return None
    throttles: dict[str, Any] = {
        field: tuple(
            oci.ThrottleDevice(major=devices[path][0], minor=devices[path][1], rate=dict(rates)[word])
            for path, rates in limits.io_limits or ()
            if word in dict(rates)
        )
        for word, field in _THROTTLES.items()
    }
    weight = None if limits.io_weight is None else convert.blkio_weight(limits.io_weight)
    return oci.BlockIo(weight=weight, **throttles)


@functools.lru_cache(maxsize=64)
def given(resources: Resources) -> dict[str, str]:
    """Map the path of everything that is asked for ("memory.limit") to the controller that enforces it."""
    return {path: _controller(path, head) for path, head, _ in _items(resources) if path not in OBSOLETE}


def controllers(resources: Resources) -> frozenset[str]:
    """Name the controllers that enforce these, by their names on v2 (v1's blkio is "io" here)."""
    return frozenset(given(resources).values())


@functools.lru_cache(maxsize=64)
def ignored(resources: Resources) -> tuple[str, ...]:
    """Paths of what is asked for and has no meaning any more."""
    return tuple(path for path, _, _ in _items(resources) if path in OBSOLETE)


def controller_of_file(name: str) -> str:
    """Name the controller that an interface file is of: "memory.high" is of "memory"."""
    return name.partition(".")[0]


def names(paths: Iterable[str], limits: Limits) -> tuple[str, ...]:
    """Call what is at these paths as the caller did: by words, or, without any, by "resources.PATH"."""
    if limits == NO_LIMITS:
        return tuple(f"resources.{path}" for path in paths)
    return tuple(dict.fromkeys(_WORDS[path] for path in paths))


def _items(resources: Resources) -> Iterator[tuple[str, str, object]]:
    """Walk what is given: path, its first part or, in `unified`, the file, and the value."""
    for part, value in resources.to_json().items():
        if part == "unified":
            yield from ((f"unified[{name!r}]", name, text) for name, text in value.items())
        elif isinstance(value, dict) and part != "rdma":
            yield from ((f"{part}.{name}", part, inner) for name, inner in value.items())
        else:
            yield part, part, value


def _controller(path: str, head: str) -> str:
    if path.startswith("unified"):
        return controller_of_file(head)
    return _CONTROLLERS.get(path) or _CONTROLLERS.get(head, head)


# -- whether values can be right -------------------------------------------------------------------------------------

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
    "major": (0, (1 << 12) - 1),  # MINORBITS of linux/kdev_t.h is 20, of 32
    "minor": (0, (1 << 20) - 1),
    "rate": (0, _MOST),
    "weight": (convert.BLKIO_WEIGHTS[0], convert.BLKIO_WEIGHTS[-1]),
    "leafWeight": (convert.BLKIO_WEIGHTS[0], convert.BLKIO_WEIGHTS[-1]),
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
    for path, head, value in _items(resources):
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
        elif head == "blockIO" and isinstance(value, list):
            _devices(value, key)
        elif path.startswith("unified"):
            _unified(head, value, key)
    _pairs(resources)
    _pages_and_names(resources)


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


def _devices(devices: list[dict[str, object]], key: str) -> None:
    for index, device in enumerate(devices):
        for name, value in device.items():
            _integer(value, f"{key}[{index}].{name}", *_PER_DEVICE[name])


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
        for name, value in limit.to_json().items():
            _integer(value, f"resources.rdma[{device!r}].{name}", 0, (1 << 31) - 1)


def _name(value: object, key: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid(key, value, "a name: ASCII without spaces and slashes, up to 64")
