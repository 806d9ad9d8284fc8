"""What a group uses and has used: the same fields on v1 and v2.

Times are seconds, sizes are bytes, subgroups are included. A field is None where this kernel, this cgroup version or
this group, which has only the controllers that its limits need, does not count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrs import frozen

    from pycgroups.cgroups.manager import Counts
    from pycgroups.cgroups.pressure import Pressure
else:
    from pycgroups.frozen import frozen


@frozen(kw_only=True)
class CpuStats:
    """CPU time of every process that was ever in the group.

    Attributes:
        total: seconds, user and system.
        user: seconds in user mode.
        system: seconds in the kernel.
        periods: periods of the quota in which some process wanted to run.
        throttled_periods: those in which the quota was used up.
        throttled_time: seconds that processes were held back by it, added up over all CPUs.
    """

    total: float | None = None
    user: float | None = None
    system: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_time: float | None = None


@frozen(kw_only=True)
class MemoryEvents:
    """How often each boundary was met.

    Attributes:
        low: reclaims although usage was below the protection of `memory.low` (v2).
        high: processes throttled and made to reclaim since usage was above `memory.high` (v2).
        max: times that usage was about to exceed the limit, and something was reclaimed first. Reading big files alone
            does this. On v1 memory.failcnt and memory.memsw.failcnt; the latter is for groups without swap, whose limit
            of memory and swap is met first, and newer kernels leave it at 0 (seen in Linux 6.18).
        oom: times that an allocation was about to fail (v2).
        oom_kill: processes that the OOM killer killed (v1: Linux 4.13).
    """

    low: int | None = None
    high: int | None = None
    max: int | None = None
    oom: int | None = None
    oom_kill: int | None = None


@frozen(kw_only=True)
class MemoryStats:
    """Memory.

    Attributes:
        current: bytes in use, page cache and kernel memory included, swap not.
        peak: bytes, the most that was in use at once (v2: Linux 5.19).
        limit: bytes that this group may use; None for no limit of its own.
        swap: bytes swapped out.
        anon: bytes of anonymous memory: heaps, stacks.
        file: bytes of page cache, tmpfs and shared memory.
        kernel: bytes that the kernel holds for the group (v2: Linux 5.18).
        working_set: bytes in use except page cache that is idle: what cannot be reclaimed at little cost. The current
            use minus inactive_file, which is how Kubernetes decides whom to evict.
        faults: page faults.
        major_faults: those that had to wait for a disk.
        events: see `MemoryEvents`.
    """

    current: int | None = None
    peak: int | None = None
    limit: int | None = None
    swap: int | None = None
    anon: int | None = None
    file: int | None = None
    kernel: int | None = None
    working_set: int | None = None
    faults: int | None = None
    major_faults: int | None = None
    events: MemoryEvents = MemoryEvents()


@frozen(kw_only=True)
class IoStats:
    """What went to and came from one block device (v1: without what the page cache wrote later).

    On v1 newer kernels count only for devices that some group has a throttle for (seen in Linux 6.18).

    Attributes:
        major: number of the device (`makedev(3)`).
        minor: likewise.
        read_bytes: bytes.
        written_bytes: bytes.
        reads: operations.
        writes: operations.
        discarded_bytes: bytes that the device was told to forget (TRIM).
        discards: operations.
    """

    major: int
    minor: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None
    discarded_bytes: int | None = None
    discards: int | None = None


@frozen(kw_only=True)
class PidsStats:
    """Processes and threads.

    Attributes:
        current: how many there are, with dead ones that nobody has waited for.
        peak: the most at once (Linux 6.6; v1: 6.11).
        limit: how many there may be; None for no limit of this group's own.
        refused: forks and clones that the limit refused. Before Linux 6.11 v2 counts those of processes in this very
            group, whichever limit above them refused.
    """

    current: int | None = None
    peak: int | None = None
    limit: int | None = None
    refused: int | None = None


@frozen(kw_only=True)
class HugetlbStats:
    """Huge pages of one size.

    Attributes:
        page_size: "2MB", "1GB".
        current: bytes in use.
        peak: bytes, the most at once (v1).
        limit: bytes; None for no limit of this group's own.
        refused: allocations that the limit refused.
    """

    page_size: str
    current: int | None = None
    peak: int | None = None
    limit: int | None = None
    refused: int | None = None


@frozen(kw_only=True)
class Stats:
    """One sample of a group.

    Attributes:
        cpu: see `CpuStats`.
        memory: see `MemoryStats`.
        io: one for each block device that was used; None where nobody counts them.
        pids: see `PidsStats`.
        hugetlb: one for each page size; None where nobody counts them.
        pressure: None on cgroup v1 alone, and where it is off (see `Cgroup.pressure`).
    """

    cpu: CpuStats
    memory: MemoryStats
    io: tuple[IoStats, ...] | None
    pids: PidsStats
    hugetlb: tuple[HugetlbStats, ...] | None
    pressure: Pressure | None


def make(counts: Counts, pressure: Pressure | None) -> Stats:
    """Put together what the directories of a group count."""
    memory: dict[str, Any] = {"events": {}} | counts.get("memory", {})
    memory["events"] = MemoryEvents(**memory["events"])
    io = [IoStats(major=major, minor=minor, **fields) for (major, minor), fields in counts.get("io", {}).items()]
    hugetlb = [HugetlbStats(page_size=size, **fields) for size, fields in counts.get("hugetlb", {}).items()]
    return Stats(
        cpu=CpuStats(**counts.get("cpu", {})),
        memory=MemoryStats(**memory),
        io=tuple(io) if "io" in counts else None,
        pids=PidsStats(**counts.get("pids", {})),
        hugetlb=tuple(hugetlb) if "hugetlb" in counts else None,
        pressure=pressure,
    )
