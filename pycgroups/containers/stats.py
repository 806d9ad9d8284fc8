"""What a container uses and has used: `ContainerStats`, one sample, and how one is taken."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from pycgroups.cgroups import placed, placing
from pycgroups.cgroups.unenforced import DOCTOR
from pycgroups.clock import milliseconds, seconds_until
from pycgroups.containers import ending
from pycgroups.containers.home import STARTS_IT
from pycgroups.errors import CgroupError, InvalidConfig, NotFound, StateError, Unsupported
from pycgroups.network import counters
from pycgroups.runtime.members import members
from pycgroups.runtime.signals import open_process
from pycgroups.runtime.state import Home as RuntimeHome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn, Self

    from attrs import frozen

    from pycgroups.cgroups.placed import Placed
    from pycgroups.cgroups.pressure import Pressure
    from pycgroups.cgroups.stats import CpuStats, HugetlbStats, IoStats, MemoryStats, PidsStats
    from pycgroups.containers.home import Home
    from pycgroups.containers.place import Place
    from pycgroups.network.counters import InterfaceStats
else:
    from pycgroups.frozen import frozen

_TICKS = os.sysconf("SC_CLK_TCK")


@frozen(kw_only=True)
class ContainerStats:
    """One sample of a container that runs, or is paused.

    What its cgroup counts has the fields of `Cgroup.stats`, with all processes included that have ended, also those of
    `Container.exec`. They are None where the container has no cgroup, as an ordinary user's without limits may.

    Attributes:
        time: when it was taken, in seconds since 1970.
        uptime: seconds since the container's first process began.
        cpu_percent: CPU time used since the sample before, in percent of one CPU: 200 is two of them all the time. In
            a single sample, and in the first of several, since the container was started.
        cpu: see `pycgroups.cgroups.stats.CpuStats`; so are the next five.
        memory: likewise.
        io: likewise, one for each block device.
        pids: likewise.
        hugetlb: likewise, one for each size of pages.
        pressure: likewise, see `pycgroups.cgroups.pressure.Pressure`.
        network: one for each interface of its network namespace; None if that is this process's own too, whose
            interfaces serve everybody.
    """

    time: float
    uptime: float
    cpu_percent: float | None
    cpu: CpuStats
    memory: MemoryStats
    io: tuple[IoStats, ...] | None
    pids: PidsStats
    hugetlb: tuple[HugetlbStats, ...] | None
    pressure: Pressure | None
    network: tuple[InterfaceStats, ...] | None

    @property
    def memory_percent(self) -> float | None:
        """`memory.working_set` in percent of the limit; None without one."""
        used, limit = self.memory.working_set, self.memory.limit
        return None if used is None or not limit else 100 * used / limit

    @property
    def io_bytes(self) -> tuple[int, int] | None:
        """Bytes read from and written to all block devices; None where nobody counts them."""
        if self.io is None:
            return None
        return sum(each.read_bytes or 0 for each in self.io), sum(each.written_bytes or 0 for each in self.io)

    @property
    def network_bytes(self) -> tuple[int, int] | None:
        """Bytes received and sent by all interfaces but "lo"; None as `network`."""
        if self.network is None:
            return None
        outer = [each for each in self.network if each.name != "lo"]
        return sum(each.received_bytes for each in outer), sum(each.sent_bytes for each in outer)


class Sampler:
    """Takes samples of a container until it ends; its files are open meanwhile. A context manager.

    Attributes:
        pid: of the container's first process.
        has_own_network: it is not in the network namespace of this process.
    """

    def __init__(self, place: Place, home: Home) -> None:
        """Take hold of what runs.

        Raises:
            StateError: it does not run.
            CgroupError: its cgroup cannot be opened.
        """
        self._pidfd = -1
        start = home.start()
        self._pidfd = -1 if start is None else open_process(start.pid)
        if start is None or self._pidfd < 0 or not ending.is_alive(start):
            self.close()
            raise _over(home.called)
        self.pid, self._called = start.pid, home.called
        self._began = start.began / _TICKS
        self._before: tuple[float, float] | None = None
        try:
            self._group = open_group(place, home.id)
            self.has_own_network = not _is_ours(start.pid)
        except BaseException:
            self.close()
            raise

    def take(self) -> ContainerStats:
        """Take a sample.

        Raises:
            StateError: it has ended.
            CgroupError: its cgroup was removed by someone else.
        """
        now, uptime = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME) - self._began
        try:
            found = self._group.stats()
        except CgroupError:
            if self.wait(0):
                raise _over(self._called) from None
            raise
        network = counters.read(self.pid) if self.has_own_network else None
        if self.wait(0):  # and what was read may be of another process with this pid
            raise _over(self._called)
        return ContainerStats(
            time=now,
            uptime=uptime,
            cpu_percent=self._percent(uptime, found.cpu.total),
            cpu=found.cpu,
            memory=found.memory,
            io=found.io,
            pids=found.pids,
            hugetlb=found.hugetlb,
            pressure=found.pressure,
            network=network,
        )

    def pressure(self) -> Pressure:
        """Measure the time that its processes have lost by waiting.

        Raises:
            Unsupported: nobody counts it.
        """
        if not self._group.paths:
            raise Unsupported(
                "the container has no cgroup",
                operation="read pressure",
                path=self._called,
                hint=DOCTOR,
            )
        return self._group.pressure()

    def pids(self) -> tuple[int, ...]:
        """Pids of its processes, as this process sees them.

        Raises:
            StateError: it has ended.
        """
        found = members(self._group, self.pid)
        if self.wait(0):
            raise _over(self._called)
        return found

    def _percent(self, uptime: float, used: float | None) -> float | None:
        if used is None:
            return None
        then, had = self._before or (0.0, 0.0)
        self._before = uptime, used
        return 100 * (used - had) / (uptime - then) if uptime > then else 0.0

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end; False when the time is over."""
        ends = select.poll()
        ends.register(self._pidfd, select.POLLIN)
        return bool(ends.poll(milliseconds(seconds)))

    def every(self, interval: float) -> Iterator[ContainerStats]:
        """Take a sample now, and then one each so many seconds, until it ends. What came too late is left out."""
        due = time.monotonic()
        while True:
            try:
                yield self.take()
            except StateError:
                return
            due = max(due + interval, time.monotonic())
            while (left := seconds_until(due)) != 0:
                if self.wait(left):
                    return

    def close(self) -> None:
        """Let go of it."""
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
        if hasattr(self, "_group"):
            self._group.let_go()

    def __del__(self) -> None:
        """Close what was forgotten, as an iterator that nobody asked for its first sample."""
        self.close()

    def __repr__(self) -> str:
        """Name the container."""
        return f"<Sampler of {self._called}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: descriptors are one object's, which closes them."""
        raise TypeError(f"cannot pickle or copy {self!r}, which holds descriptors")

    def __enter__(self) -> Self:
        """Let go of it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self.close()


def open_group(place: Place, id_: str) -> Placed:
    """Take hold of the cgroup of a container that runs, to look at it; one without directories where it has none.

    Raises:
        CgroupError: it cannot be opened.
    """
    try:
        with RuntimeHome(f"{place.runtime}/{id_}") as home:
            record = home.load()
    except (NotFound, InvalidConfig):  # somebody has removed what the runtime knew of it
        return placed.open_(placing.planned(ending.cgroup_of(id_), id_), to_enter=False)
    return placed.open_(record.cgroups, record.unit, to_enter=False)


def _over(called: str) -> StateError:
    return StateError("it does not run", operation="measure", path=called, hint=STARTS_IT)


def _is_ours(pid: int) -> bool:
    """Tell whether a process is in the network namespace of this one. One that may not be looked at is not."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat("/proc/self/ns/net"))
    except OSError:
        return False
