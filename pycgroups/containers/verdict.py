"""How a run ended, and why: exit status, limits that were hit, and usage, put together. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from attrs import fields, frozen

    from pycgroups._native.spawning import Report
    from pycgroups.cgroups.sample import Sample

    Reason = Literal["exited", "signal", "timeout", "oom", "pids", "disk"]
else:
    from pycgroups.frozen import fields, frozen

_BLOCK = 512  # getrusage(2) counts file system input and output in these


@frozen(kw_only=True)
class Usage:
    """What all processes of a container used together: counted by its cgroup, else by getrusage(2).

    Attributes:
        wall_time: seconds from the start to the end.
        cpu_time: seconds of CPU time.
        user_time: seconds of it in user mode.
        system_time: seconds of it in the kernel.
        peak_memory: bytes at once at most, page cache included; without a memory cgroup of the greatest process, and
            None without an init as well.
        io_read: bytes read from disks.
        io_written: bytes written to disks.
        processes: the most processes and threads at once; None without a pids cgroup.
    """

    wall_time: float
    cpu_time: float
    user_time: float
    system_time: float
    peak_memory: int | None
    io_read: int
    io_written: int
    processes: int | None


class Hits(dict[str, int]):
    """How often each limit was hit: ``oom``, ``pids``, ``disk``."""

    def __init__(self, *, oom: int = 0, pids: int = 0, disk: int = 0) -> None:
        """Count nothing unless told."""
        super().__init__(oom=oom, pids=pids, disk=disk)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict's items: the constructor takes keywords only."""
        return _rebuild_hits, (dict(self),)


def _rebuild_hits(values: dict[str, int]) -> Hits:
    return Hits(**values)


def make_usage(wall_time: float, sample: Sample | None, usage: Report | None, report: Report | None) -> Usage:
    """Take each figure from where it is counted best.

    That is the cgroup, else what the init reported, else (without one) the usage of the reaped process, whose peak of
    memory is not its own: it was cloned on the caller's memory.
    """
    told = report or usage
    user, system, read, written = 0.0, 0.0, 0, 0
    if told is not None:
        user, system = told.user_usec / 1e6, told.system_usec / 1e6
        read, written = told.inblock, told.oublock
    peak = None if report is None else report.maxrss_kib * 1024
    counted = {} if sample is None else {name: value for name, value in _figures(sample) if value is not None}
    return Usage(
        wall_time=wall_time,
        cpu_time=counted.get("cpu_time", user + system),
        user_time=counted.get("user_time", user),
        system_time=counted.get("system_time", system),
        peak_memory=counted.get("peak_memory", peak),
        io_read=counted.get("io_read", read * _BLOCK),
        io_written=counted.get("io_written", written * _BLOCK),
        processes=counted.get("processes_peak"),
    )


def _figures(sample: Sample) -> list[tuple[str, Any]]:
    return [(field.name, getattr(sample, field.name)) for field in fields(type(sample))]


def make_hits(sample: Sample | None, *, disk: bool) -> Hits:
    """Count the limits that were hit."""
    if sample is None:
        return Hits(disk=int(disk))
    return Hits(oom=sample.oom or 0, pids=sample.pids_hits or 0, disk=int(disk))


def make_reason(returncode: int, hits: Hits, *, timed_out: bool) -> Reason:
    """Name what ended the program. A limit it was that was hit, unless the program coped and exited 0."""
    if timed_out:
        return "timeout"
    if returncode == 0:
        return "exited"
    if hits["oom"]:
        return "oom"
    if hits["pids"]:
        return "pids"
    if hits["disk"]:
        return "disk"
    return "signal" if returncode < 0 else "exited"
