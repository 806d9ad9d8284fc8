"""Signals that come to the command are the program's: docker's ``--sig-proxy``."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType

    from pycgroups.containers.job import Job
else:
    import _signal as signal  # the other takes milliseconds to make enums of all numbers

_HANDED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGTERM,
    signal.SIGCONT,
    signal.SIGWINCH,
)
_ENDING = (signal.SIGINT, signal.SIGTERM)
# Who asks so often in so short a time (seconds) is not to be kept waiting.
_TIMES, _WITHIN = 3, 2.0


def start(job: Job) -> None:
    """Start it; from then on signals are the program's. Those that come meanwhile wait: nothing is left half made.

    Raises:
        Error: as `Job.start` does.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)
    try:
        job.start()
        _hand_on(job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hand_on(job: Job) -> None:
    asked: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if number in _ENDING:
            now = time.monotonic()
            asked[:] = [*(when for when in asked if now - when < _WITHIN), now]
        job.kill(signal.SIGKILL if len(asked) >= _TIMES else number)

    for number in _HANDED_ON:
        # What the caller ignores, nohup(1) for one, stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)
