"""`Looking`: what can be seen of a container that is held; a part of `Container`."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Literal

    from pycgroups.cgroups.pressure import Pressure
    from pycgroups.containers.events import Event
    from pycgroups.containers.history import History
    from pycgroups.containers.home import Home
    from pycgroups.containers.place import Place
    from pycgroups.containers.ports import Port
    from pycgroups.containers.stats import ContainerStats, Sampler
    from pycgroups.containers.top import ProcessInfo

_SECOND = 1.0


class Looking:
    """What it uses, which processes it has, and what happens to it; while it runs or is paused."""

    id: str
    _place: Place

    def _home(self) -> Home:
        raise NotImplementedError

    @overload
    def stats(self, *, stream: Literal[True], interval: float = _SECOND) -> Iterator[ContainerStats]: ...

    @overload
    def stats(self, *, stream: Literal[False] = False, interval: float = _SECOND) -> ContainerStats: ...

    @overload
    def stats(self, *, stream: bool, interval: float = _SECOND) -> ContainerStats | Iterator[ContainerStats]: ...

    def stats(self, *, stream: bool = False, interval: float = _SECOND) -> ContainerStats | Iterator[ContainerStats]:
        """Measure what it uses and has used: CPU, memory, processes, disks, network.

        Args:
            stream: return an iterator instead, of a sample now and then one after each interval, until it ends.
            interval: seconds.

        Raises:
            StateError: it does not run.
            InvalidConfig: the interval is none.
            CgroupError: its cgroup was removed by someone else.

        What this host does not count is None; see `pycgroups.containers.stats.ContainerStats`.
        """
        from pycgroups.containers.values import seconds

        pause = seconds(interval, "interval")
        sampler = self.sampler()
        if stream:
            return _streamed(sampler, pause)
        with sampler:
            return sampler.take()

    def history(self, *, interval: float = _SECOND) -> AbstractContextManager[History]:
        """Record samples in a thread, as long as a block lasts and it runs.

        ::

            with c.history(interval=0.1) as history:
                c.exec(["make"])
            history.peaks.memory, history.samples[-1].cpu.total
            history.plot("make.svg")

        Args:
            interval: seconds between two samples. There is one at the beginning, and one at the end.

        Raises:
            StateError: it does not run.
            InvalidConfig: the interval is none.
        """
        from pycgroups.containers.history import recording
        from pycgroups.containers.values import seconds

        pause = seconds(interval, "interval")
        return recording(self.sampler(), pause)

    def sampler(self) -> Sampler:
        """Take hold of what `stats` reads, for many samples: each takes half the time then. A context manager.

        Raises:
            StateError: it does not run.
        """
        from pycgroups.containers.stats import Sampler

        with self._home() as home:
            return Sampler(self._place, home)

    def pressure(self) -> Pressure:
        """Measure the time that its processes have lost by waiting for CPU, memory and disks.

        Raises:
            StateError: it does not run.
            Unsupported: nobody counts it: it has no directory of cgroup v2, or the kernel was booted without psi=1.

        Source: the kernel's Documentation/accounting/psi.rst; Linux 4.20.
        """
        with self.sampler() as sampler:
            return sampler.pressure()

    def top(self) -> tuple[ProcessInfo, ...]:
        """List its processes, those of `exec` included, by their pids.

        Raises:
            StateError: it does not run.
        """
        from pycgroups.containers import top

        with self.sampler() as sampler:
            return top.processes(sampler.pids(), sampler.pid)

    def ports(self) -> tuple[Port, ...]:
        """List the ports of TCP that it listens on, and by which the host reaches each.

        With ``network="host"`` they are those of its processes, and the host's own. In a network of its own they are
        all that there are, and nothing of the host reaches them but what has joined that network.

        Raises:
            StateError: it does not run.

        Source: proc_pid_net(5).
        """
        from pycgroups.containers import ports

        with self.sampler() as sampler:
            return ports.ports(sampler.pids(), sampler.pid, is_host=not sampler.has_own_network)

    def events(
        self, *, since: float | None = None, until: float | None = None, follow: bool = False
    ) -> Iterator[Event]:
        """Tell what has happened to it, the oldest first: created, started, out of memory, ended, and so on.

        Args:
            since: from this time on, in seconds since 1970; by default all that is kept, but with ``follow`` what
                comes.
            until: up to this time; with ``follow`` the iterator ends then.
            follow: wait for what comes, also after its end, until it is removed.

        Raises:
            InvalidConfig: a time is no number.
            Error: the store's events cannot be read.
        """
        place, id_ = self._place, self.id
        return place.events.read(
            since=since,
            until=until,
            follow=follow,
            filters={"id": id_},
            is_over=lambda: place.homes.is_gone(id_),
        )


def _streamed(sampler: Sampler, interval: float) -> Iterator[ContainerStats]:
    with sampler:
        yield from sampler.every(interval)
