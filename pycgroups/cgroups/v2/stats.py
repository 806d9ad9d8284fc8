"""What a v2 cgroup counts, itself and below (cgroup-v2.rst, "Controllers"). Every file is read once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Counts

_MICROSECONDS = 1_000_000
_NO_LIMIT = (
    1 << 60
)  # bytes; v1, and for some sizes of huge pages v2, have the greatest number of whole pages, not "max"
_TIMES = {
    "total": "usage_usec",
    "user": "user_usec",
    "system": "system_usec",
    "throttled_time": "throttled_usec",
}
_PERIODS = {"periods": "nr_periods", "throttled_periods": "nr_throttled"}
_EVENTS = ("low", "high", "max", "oom", "oom_kill")
_MEMORY = {"anon": "anon", "file": "file", "kernel": "kernel", "faults": "pgfault", "major_faults": "pgmajfault"}
_IO = {
    "rbytes": "read_bytes",
    "wbytes": "written_bytes",
    "rios": "reads",
    "wios": "writes",
    "dbytes": "discarded_bytes",
    "dios": "discards",
}


def read(directory: Directory, controllers: frozenset[str], *, whole: bool) -> Counts:
    """Read what there is; without `whole` only what `Sample` tells.

    Raises:
        CgroupError: a file cannot be read.
    """
    counts: Counts = {"cpu": _cpu(directory)}  # which every cgroup below the root has, controller or not (kernel 4.15)
    if "memory" in controllers:
        counts["memory"] = _memory(directory, whole=whole)
    if "pids" in controllers:
        counts["pids"] = _pids(directory, whole=whole)
    if "io" in controllers:
        counts["io"] = _io(directory.measure("io.stat"))
    if "hugetlb" in controllers and whole:
        counts["hugetlb"] = _hugetlb(directory)
    return counts


def _cpu(directory: Directory) -> dict[str, Any]:
    counts = directory.counts("cpu.stat")
    times = {field: counts[name] / _MICROSECONDS for field, name in _TIMES.items() if name in counts}
    return times | {field: counts[name] for field, name in _PERIODS.items() if name in counts}


def _memory(directory: Directory, *, whole: bool) -> dict[str, Any]:
    events = directory.counts("memory.events")
    fields = {
        "peak": directory.number("memory.peak"),
        "events": {name: events[name] for name in _EVENTS if name in events},
    }
    if not whole:
        return fields
    current, counts = directory.number("memory.current"), directory.counts("memory.stat")
    return fields | {
        "current": current,
        "limit": directory.number("memory.max"),
        "swap": directory.number("memory.swap.current"),
        "working_set": working_set(current, counts.get("inactive_file")),
        **{field: counts.get(name) for field, name in _MEMORY.items()},
    }


def working_set(current: int | None, idle_cache: int | None) -> int | None:
    """Bytes in use that cannot be reclaimed at little cost. The two were not read at one moment."""
    return None if current is None or idle_cache is None else max(0, current - idle_cache)


def _pids(directory: Directory, *, whole: bool) -> dict[str, Any]:
    fields = {"peak": directory.number("pids.peak"), "refused": directory.counts("pids.events").get("max")}
    return fields | pids_now(directory) if whole else fields


def pids_now(directory: Directory) -> dict[str, Any]:
    """Read how many there are, and may be: v1 has the same files."""
    return {"current": directory.number("pids.current"), "limit": directory.number("pids.max")}


def _io(text: str) -> dict[tuple[int, int], dict[str, int]]:
    """Take lines such as "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"; io.cost adds words of its own."""
    devices = {}
    for line in text.splitlines():
        name, *words = line.split() or [""]
        pairs = [word.partition("=") for word in words]
        counted = {_IO[key]: int(value) for key, _, value in pairs if key in _IO and value.isdecimal()}
        if counted and (device := device_number(name)):
            devices[device] = counted
    return devices


def device_number(text: str) -> tuple[int, int] | None:
    """Take "8:0" apart; None if it is no device."""
    major, _, minor = text.partition(":")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _hugetlb(directory: Directory) -> dict[str, dict[str, Any]]:
    return {
        size: {
            "current": directory.number(f"hugetlb.{size}.current"),
            "limit": limit(directory.number(f"hugetlb.{size}.max")),
            "refused": directory.counts(f"hugetlb.{size}.events").get("max"),
        }
        for size in page_sizes(directory)
    }


def limit(size: int | None) -> int | None:
    """Take a limit as it was written; None for no limit."""
    return None if size is None or size > _NO_LIMIT else size


def page_sizes(directory: Directory) -> list[str]:
    """Sizes of huge pages that are counted here, as in the names of files: "hugetlb.2MB.current"."""
    return sorted({name.split(".")[1] for name in directory.names if name.startswith("hugetlb.")})
