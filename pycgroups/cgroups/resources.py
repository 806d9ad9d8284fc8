"""`linux.resources`: how words become it, and which controllers it needs. Pure."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pycgroups.cgroups import convert
from pycgroups.cgroups.limits import CPU_PERIOD, NO_LIMITS, WORDS
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
    return {path: _controller(path, head) for path, head, _ in items(resources) if path not in OBSOLETE}


def controllers(resources: Resources) -> frozenset[str]:
    """Name the controllers that enforce these, by their names on v2 (v1's blkio is "io" here)."""
    return frozenset(given(resources).values())


@functools.lru_cache(maxsize=64)
def ignored(resources: Resources) -> tuple[str, ...]:
    """Paths of what is asked for and has no meaning any more."""
    return tuple(path for path, _, _ in items(resources) if path in OBSOLETE)


def controller_of_file(name: str) -> str:
    """Name the controller that an interface file is of: "memory.high" is of "memory"."""
    return name.partition(".")[0]


def names(paths: Iterable[str], limits: Limits) -> tuple[str, ...]:
    """Call what is at these paths as the caller did: by words, in their order, or else by "resources.PATH"."""
    if limits == NO_LIMITS:
        return tuple(f"resources.{path}" for path in paths)
    found = {_WORDS[path] for path in paths}
    return tuple(word for word in WORDS if word in found)


def items(resources: Resources) -> Iterator[tuple[str, str, object]]:
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
