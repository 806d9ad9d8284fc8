"""Users' words of limits as `linux.resources`. Pure."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pycgroups.cgroups import convert
from pycgroups.cgroups.limits import CPU_PERIOD
from pycgroups.errors import invalid
from pycgroups.oci import resources as oci
from pycgroups.oci.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attrs import evolve

    from pycgroups.cgroups.disks import Numbers
    from pycgroups.cgroups.limits import Limits
    from pycgroups.oci.resources import DeviceRule
else:
    from pycgroups.frozen import evolve

_THROTTLES = {
    "rbps": "throttle_read_bps_device",
    "wbps": "throttle_write_bps_device",
    "riops": "throttle_read_iops_device",
    "wiops": "throttle_write_iops_device",
}


@functools.lru_cache(maxsize=64)
def of_limits(limits: Limits, disks: Numbers = (), devices: tuple[DeviceRule, ...] = ()) -> Resources:
    """Say in OCI's words what users' words ask for, whatever the version.

    What OCI has no word for is a v2 file in `unified`: `memory.high`, which v1 lacks. So are weights, to be exact on
    v2: OCI's are v1's, and the usual conversions keep no proportions. On v1 the fields are in force.

    Args:
        limits: the words.
        disks: the numbers of the devices in `io_limits`, see the module of that name.
        devices: which device nodes may be opened, for which there is no word.
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
        devices=devices,
        memory=_memory(limits),
        cpu=_cpu(limits),
        pids=None if limits.pids is None else oci.Pids(limit=limits.pids),
        block_io=_block_io(limits, dict(disks)),
        hugepage_limits=tuple(oci.HugepageLimit(page_size=size, limit=most) for size, most in pages),
        unified=tuple(unified),
    )


def lifted(resources: Resources, words: Iterable[str]) -> Resources:
    """Return them without limits for some words: OCI's -1.

    Raises:
        InvalidConfig: OCI has no such value for one of the words.
    """
    for word in words:
        if word == "memory":
            resources = evolve(resources, memory=evolve(resources.memory or oci.Memory(), limit=-1, swap=-1))
        elif word == "cpus":
            resources = evolve(resources, cpu=evolve(resources.cpu or oci.Cpu(), quota=-1))
        elif word == "pids":
            resources = evolve(resources, pids=oci.Pids(limit=-1))
        elif word != "memory_swap":  # what there is of it is of the limit of memory
            raise invalid(word, None, "a value: a container that runs keeps such a limit")
    return resources


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
