"""What a run measures: a few counts that every hierarchy has in the same shape."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import frozen

    from pycgroups.cgroups.manager import Counts
else:
    from pycgroups.frozen import frozen


@frozen(kw_only=True)
class Sample:
    """What a group has used until now. A field is None where this host or this group does not count it.

    Attributes:
        peak_memory: bytes, the most that was in use at once, page cache included (v2: kernel 5.19).
        cpu_time: seconds of CPU time, user and system, of every process that was ever in the group.
        user_time: seconds in user mode.
        system_time: seconds in the kernel.
        io_read: bytes read from block devices (v2 with the io controller).
        io_written: bytes written to block devices.
        processes_peak: the most processes and threads at once (kernel 6.6; v1: 6.11).
        oom: processes that the OOM killer killed. The count of kills, not of times that the limit was
            reached: reaching it and reclaiming page cache is a normal day of a program that reads files.
        pids_hits: forks and clones that the limit of `pids` refused.
    """

    peak_memory: int | None = None
    cpu_time: float | None = None
    user_time: float | None = None
    system_time: float | None = None
    io_read: int | None = None
    io_written: int | None = None
    processes_peak: int | None = None
    oom: int | None = None
    pids_hits: int | None = None

    @classmethod
    def of(cls, counts: Counts) -> Sample:
        """Pick from what was counted."""
        cpu, memory, pids = (counts.get(section, {}) for section in ("cpu", "memory", "pids"))
        io = counts.get("io")
        return cls(
            peak_memory=memory.get("peak"),
            cpu_time=cpu.get("total"),
            user_time=cpu.get("user"),
            system_time=cpu.get("system"),
            io_read=None if io is None else sum(device.get("read_bytes", 0) for device in io.values()),
            io_written=None if io is None else sum(device.get("written_bytes", 0) for device in io.values()),
            processes_peak=pids.get("peak"),
            oom=memory.get("events", {}).get("oom_kill"),
            pids_hits=pids.get("refused"),
        )
