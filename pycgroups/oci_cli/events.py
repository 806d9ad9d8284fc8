"""``events``: what a container uses, every few seconds, and that it is out of memory; JSON, a line each, as runc's.

Source of the keys: https://github.com/opencontainers/runc/blob/main/types/events.go.
"""

from __future__ import annotations

import gc
import os
import select
import sys

from pycgroups.cli.flags import Flag
from pycgroups.cli.times import duration
from pycgroups.errors import StateError, Unsupported
from pycgroups.oci.json_text import dumps
from pycgroups.oci_cli.command import Command
from pycgroups.runtime.signals import open_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cgroups import Cgroup, Pressure, Stats, Watch
    from pycgroups.cgroups.pressure import Stalls
    from pycgroups.cgroups.stats import HugetlbStats, IoStats, MemoryStats
    from pycgroups.oci_cli.command import Given

_NANO, _MICRO, _MILLI = 1_000_000_000, 1_000_000, 1_000
_UNLIMITED = 2**64 - 1


FLAGS = (
    Flag("--stats", "print once what it uses"),
    Flag("--interval", "time between two lines; 5s by default", value="DURATION", read=duration),
)


def run(given: Given) -> int:
    """Print them until the container ends."""
    container = given.container()
    state = container.state()
    if state.status in {"stopped", "creating"} or not state.pid:
        raise StateError("container not running", operation="events", path=state.id)
    pidfd = open_process(state.pid)
    if pidfd < 0:
        raise StateError("container not running", operation="events", path=state.id)
    try:
        with container.cgroup() as group:
            _say("stats", state.id, data(group.stats()))
            if not given.flags.get("stats"):
                _follow(group, state.id, pidfd, given.flags.get("interval", 5.0))
    finally:
        os.close(pidfd)
    return 0


def _follow(group: Cgroup, name: str, pidfd: int, interval: float) -> None:
    import time

    gc.enable()
    ends = select.poll()
    ends.register(pidfd, select.POLLIN)
    watch = _watch(group)
    if watch is not None:
        ends.register(watch.fileno(), select.POLLIN)
    due = time.monotonic() + interval
    while pidfd not in (ready := {fd for fd, _ in ends.poll(max(0.0, due - time.monotonic()) * _MILLI)}):
        for _ in watch.read(0) if watch is not None and ready else ():
            _say("oom", name)
        if time.monotonic() >= due:
            _say("stats", name, data(group.stats()))
            due += interval


def _watch(group: Cgroup) -> Watch | None:
    """Watch for an end of memory, where the kernel tells of that."""
    try:
        return group.watch("oom")
    except Unsupported:
        return None


def _say(kind: str, name: str, what: dict[str, Any] | None = None) -> None:
    print(dumps({"type": kind, "id": name, **({} if what is None else {"data": what})}))
    sys.stdout.flush()


def data(stats: Stats) -> dict[str, Any]:
    """Return a sample in runc's words: nanoseconds, bytes; what is not counted is left out or 0, as there."""
    pressure = stats.pressure
    return {
        "cpu": {**_cpu(stats), **_stalls(pressure, "cpu")},
        "memory": {**_memory(stats.memory), **_stalls(pressure, "memory")},
        "pids": _known(current=stats.pids.current, limit=stats.pids.limit),
        "blkio": {**_blkio(stats.io or ()), **_stalls(pressure, "io")},
        "hugetlb": {each.page_size: _hugetlb(each) for each in stats.hugetlb or ()},
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _known(**fields: int | None) -> dict[str, int]:
    return {name: value for name, value in fields.items() if value}


def _nano(time: float | None) -> int:
    return round((time or 0.0) * _NANO)


def _cpu(stats: Stats) -> dict[str, Any]:
    cpu = stats.cpu
    return {
        "usage": {"total": _nano(cpu.total), "kernel": _nano(cpu.system), "user": _nano(cpu.user)},
        "throttling": _known(
            periods=cpu.periods, throttledPeriods=cpu.throttled_periods, throttledTime=_nano(cpu.throttled_time)
        ),
    }


def _memory(memory: MemoryStats) -> dict[str, Any]:
    usage = {
        "limit": _UNLIMITED if memory.limit is None else memory.limit,
        **_known(usage=memory.current, max=memory.peak),
        "failcnt": memory.events.max or 0,
    }
    raw = _known(
        anon=memory.anon,
        file=memory.file,
        kernel=memory.kernel,
        pgfault=memory.faults,
        pgmajfault=memory.major_faults,
        workingset=memory.working_set,
    )
    return {
        **_known(cache=memory.file),
        "usage": usage,
        "swap": {"limit": 0, **_known(usage=memory.swap), "failcnt": 0},
        "kernel": {"limit": 0, **_known(usage=memory.kernel), "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 0},
        "raw": raw,
    }


def _blkio(devices: tuple[IoStats, ...]) -> dict[str, Any]:
    def entries(**fields: str) -> list[dict[str, Any]]:
        return [
            {"major": device.major, "minor": device.minor, "op": operation, "value": getattr(device, field) or 0}
            for device in devices
            for operation, field in fields.items()
        ]

    if not devices:
        return {}
    return {
        "ioServiceBytesRecursive": entries(Read="read_bytes", Write="written_bytes", Discard="discarded_bytes"),
        "ioServicedRecursive": entries(Read="reads", Write="writes", Discard="discards"),
    }


def _hugetlb(pages: HugetlbStats) -> dict[str, Any]:
    return {**_known(usage=pages.current, max=pages.peak), "failcnt": pages.refused or 0}


def _stalls(pressure: Pressure | None, resource: str) -> dict[str, Any]:
    if pressure is None:
        return {}
    stalls: Stalls = getattr(pressure, resource)
    return {
        "psi": {
            name: {
                "avg10": stall.avg10,
                "avg60": stall.avg60,
                "avg300": stall.avg300,
                "total": round(stall.total * _MICRO),
            }
            for name, stall in (("some", stalls.some), ("full", stalls.full))
            if stall is not None
        }
    }


COMMAND = Command(
    run,
    "CONTAINER",
    "Print what a container uses, every few seconds, and when it is out of memory, until it ends; JSON, a line each.",
    FLAGS,
)
