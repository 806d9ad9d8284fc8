"""What a v1 cgroup counts, itself and below (cgroup-v1/memory.rst, cpuacct.rst, blkio-controller.rst, ...)."""

from __future__ import annotations

from pycgroups.cgroups.v2.stats import device_number, limit, page_sizes, pids_now, working_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Counts

_NANOSECONDS = 1_000_000_000
_MEMORY = {
    "swap": "total_swap",
    "anon": "total_rss",
    "file": "total_cache",
    "faults": "total_pgfault",
    "major_faults": "total_pgmajfault",
}
_IO = (
    (
        "blkio.throttle.io_service_bytes_recursive",
        {"Read": "read_bytes", "Write": "written_bytes", "Discard": "discarded_bytes"},
    ),
    ("blkio.throttle.io_serviced_recursive", {"Read": "reads", "Write": "writes", "Discard": "discards"}),
)


def read(directory: Directory, controllers: frozenset[str], *, whole: bool) -> Counts:
    """Read what there is; without `whole` only what `Sample` tells.

    Raises:
        CgroupError: a file cannot be read.
    """
    counts: Counts = {}
    if "cpuacct" in controllers:
        counts["cpu"] = _cpuacct(directory)
    if "memory" in controllers:
        counts["memory"] = _memory(directory, whole=whole)
    if "pids" in controllers:
        counts["pids"] = _pids(directory, whole=whole)
    if "io" in controllers and whole:  # a run's writes are better known by getrusage(2)
        counts["io"] = _io(directory)
    if "cpu" in controllers and whole:
        counts["cpu"] = counts.get("cpu", {}) | _throttling(directory)
    if "hugetlb" in controllers and whole:
        counts["hugetlb"] = _hugetlb(directory)
    return counts


def _cpuacct(directory: Directory) -> dict[str, Any]:
    """Exact time, divided as cpuacct.stat has it, which counts in ticks of 10 ms.

    Before the first tick the division is unknown and left out.
    """
    nanoseconds = directory.number("cpuacct.usage")
    if nanoseconds is None:
        return {}
    total = nanoseconds / _NANOSECONDS
    ticks = directory.counts("cpuacct.stat")
    user, system = ticks.get("user", 0), ticks.get("system", 0)
    if not user + system:
        return {"total": total}
    user_time = total * user / (user + system)
    return {"total": total, "user": user_time, "system": total - user_time}


def _throttling(directory: Directory) -> dict[str, Any]:
    counts = directory.counts("cpu.stat")
    throttled = counts.get("throttled_time")
    return {
        "periods": counts.get("nr_periods"),
        "throttled_periods": counts.get("nr_throttled"),
        "throttled_time": None if throttled is None else throttled / _NANOSECONDS,
    }


def _memory(directory: Directory, *, whole: bool) -> dict[str, Any]:
    events = {"oom_kill": oom_kills(directory)}
    fields = {"peak": directory.number("memory.max_usage_in_bytes"), "events": events}
    if not whole:
        return fields
    # Whichever limit is met first counts; with no swap allowed they are the same, and it is the second one.
    events["max"] = _sum(directory.number("memory.failcnt"), directory.number("memory.memsw.failcnt"))
    current, counts = directory.number("memory.usage_in_bytes"), directory.counts("memory.stat")
    return fields | {
        "current": current,
        "limit": limit(directory.number("memory.limit_in_bytes")),
        "kernel": directory.number("memory.kmem.usage_in_bytes"),
        "working_set": working_set(current, counts.get("total_inactive_file")),
        **{field: counts.get(name) for field, name in _MEMORY.items()},
    }


def oom_kills(directory: Directory) -> int | None:
    """Kills here and below: v1 counts each in the victim's own cgroup alone."""
    kills = directory.counts("memory.oom_control").get("oom_kill")
    if kills is None:
        return None
    return kills + sum(oom_kills(child) or 0 for child in directory.subgroups(open_ones=True))


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None else first + (second or 0)


def _pids(directory: Directory, *, whole: bool) -> dict[str, Any]:
    fields = {"peak": directory.number("pids.peak"), "refused": _refused(directory)}
    return fields | pids_now(directory) if whole else fields


def _refused(directory: Directory) -> int | None:
    """Refusals here and below: v1 counts each in the cgroup of the process that forked, alone."""
    refused = directory.counts("pids.events").get("max")
    if refused is None:
        return None
    return refused + sum(_refused(child) or 0 for child in directory.subgroups(open_ones=True))


def _io(directory: Directory) -> dict[tuple[int, int], dict[str, int]]:
    """Take lines such as "8:0 Read 4096". What the page cache writes later is not counted here, but at the root."""
    devices: dict[tuple[int, int], dict[str, int]] = {}
    for file, fields in _IO:
        for line in directory.measure(file).splitlines():
            name, kind, value, *_ = (*line.split(), "", "", "")
            if kind in fields and value.isdecimal() and (device := device_number(name)):
                devices.setdefault(device, {})[fields[kind]] = int(value)
    return devices


def _hugetlb(directory: Directory) -> dict[str, dict[str, Any]]:
    return {
        size: {
            "current": directory.number(f"hugetlb.{size}.usage_in_bytes"),
            "peak": directory.number(f"hugetlb.{size}.max_usage_in_bytes"),
            "limit": limit(directory.number(f"hugetlb.{size}.limit_in_bytes")),
            "refused": directory.number(f"hugetlb.{size}.failcnt"),
        }
        for size in page_sizes(directory)
    }
