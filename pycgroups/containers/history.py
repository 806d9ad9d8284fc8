"""`History`: samples of a container over a time, their peaks and rates, and a picture of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.errors import Error
from pycgroups.threads import Thread

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from typing import TypeVar

    from pycgroups.containers.stats import ContainerStats, Sampler

    N = TypeVar("N", int, float)


class Rates(NamedTuple):
    """What went through between two samples, in bytes a second; None where nobody counts it.

    Attributes:
        read: from block devices.
        written: to block devices.
        received: from the network.
        sent: to the network.
    """

    read: float | None
    written: float | None
    received: float | None
    sent: float | None


class Peaks(NamedTuple):
    """The most that there was in a history; None where nobody counts it.

    Attributes:
        cpu_percent: between two samples, in percent of one CPU.
        memory: bytes at once. The kernel's own peak is among them, which no sample need have met.
        pids: processes and threads at once, likewise.
        read: bytes a second, between two samples; so are the next three.
        written: likewise.
        received: likewise.
        sent: likewise.
    """

    cpu_percent: float | None
    memory: int | None
    pids: int | None
    read: float | None
    written: float | None
    received: float | None
    sent: float | None


class History:
    """Samples of a container, the oldest first. `Container.history` makes one, which grows until its block ends."""

    def __init__(self, samples: Iterable[ContainerStats] = ()) -> None:
        """Begin with some samples."""
        self._samples = [*samples]

    @property
    def samples(self) -> tuple[ContainerStats, ...]:
        """Those that there are now."""
        return tuple(self._samples)

    @property
    def rates(self) -> tuple[Rates, ...]:
        """What went through before each sample but the first."""
        return tuple(map(_rates, self._samples, self._samples[1:]))

    @property
    def peaks(self) -> Peaks:
        """The most that there was."""
        samples, rates = self._samples, self.rates
        return Peaks(
            cpu_percent=_most(sample.cpu_percent for sample in samples[1:] or samples),
            memory=_most(value for sample in samples for value in (sample.memory.current, sample.memory.peak)),
            pids=_most(value for sample in samples for value in (sample.pids.current, sample.pids.peak)),
            read=_most(rate.read for rate in rates),
            written=_most(rate.written for rate in rates),
            received=_most(rate.received for rate in rates),
            sent=_most(rate.sent for rate in rates),
        )

    def add(self, sample: ContainerStats) -> None:
        """Append a sample, later than the others."""
        self._samples.append(sample)

    def plot(self, path: str | os.PathLike[str], *, title: str = "") -> None:
        """Draw it over time: CPU, memory, processes, disks and network, as far as somebody counts them.

        Args:
            path: a file that ends in ``.png``, ``.svg`` or ``.html``, which needs nothing else; one that is there is
                replaced.
            title: what its lines are called.

        Raises:
            InvalidConfig: the path ends otherwise.
            Unsupported: matplotlib is not installed: the extra ``plot``.
            Error: the file cannot be written.
        """
        from pycgroups.containers import plotting

        plotting.plot(path, {title: self})


@contextmanager
def recording(sampler: Sampler, interval: float) -> Iterator[History]:
    """Take samples, each so many seconds, in a thread; the first and the last one at the ends of the block.

    Raises:
        StateError: the container has ended already.
    """
    with sampler:
        history, stop = History([sampler.take()]), threading.Event()
        thread = Thread(lambda: _record(sampler, history, interval, stop), "pycgroups-history")
        try:
            thread.start()
            yield history
        finally:
            stop.set()
            thread.join()
            _add(sampler, history)


def _record(sampler: Sampler, history: History, interval: float, stop: threading.Event) -> None:
    while not stop.wait(interval) and _add(sampler, history):
        pass


def _add(sampler: Sampler, history: History) -> bool:
    """Add a sample; False when there are no more: the container has ended, or somebody has removed its cgroup."""
    try:
        history.add(sampler.take())
    except Error:
        return False
    return True


def _rates(before: ContainerStats, after: ContainerStats) -> Rates:
    seconds = after.uptime - before.uptime
    return Rates(
        *_each(before.io_bytes, after.io_bytes, seconds), *_each(before.network_bytes, after.network_bytes, seconds)
    )


def _each(
    before: tuple[int, int] | None, after: tuple[int, int] | None, seconds: float
) -> tuple[float | None, float | None]:
    if before is None or after is None or seconds <= 0:
        return None, None
    # An interface, or a device, that has gone took its counts with it.
    first, second = (max(0, now - then) / seconds for then, now in zip(before, after, strict=True))
    return first, second


def _most(values: Iterable[N | None]) -> N | None:
    return max((value for value in values if value is not None), default=None)
