"""Signals that come to the command are the program's: docker's ``--sig-proxy``."""

from __future__ import annotations

import time

from pycgroups.runtime.signals import HANDED_ON

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType

    from pycgroups.containers.job import Job
else:
    import _signal as signal  # the other takes milliseconds to make enums of all numbers

_ENDING = (signal.SIGINT, signal.SIGTERM)
_LEAVING = (signal.SIGHUP, signal.SIGTERM)
# Who asks so often in so short a time (seconds) is not to be kept waiting.
_TIMES, _WITHIN = 3, 2.0


class held_back:  # noqa: N801 (a function that makes a context manager, without the module for that)
    """Have signals wait meanwhile that are to be handed on: nothing is left half made."""

    def __enter__(self) -> None:
        """Block them."""
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)

    def __exit__(self, *_: object) -> None:
        """Let them come."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


class interrupting:  # noqa: N801 (likewise)
    """Have SIGTERM end what is done meanwhile as Ctrl-C does, for what there is to do then: timeout(1) sends it."""

    def __enter__(self) -> None:
        """Take it."""
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        """Leave it to who had it before."""
        signal.signal(signal.SIGTERM, self._before)


def start(job: Job, grace: float | None = None) -> None:
    """Start it; from then on signals are the program's, as in `hand_on`.

    Raises:
        Error: as `Job.start` does.
    """
    with held_back():
        job.start()
        hand_on(job.kill, grace)


def hand_on(kill: Callable[[int], object], grace: float | None = None) -> None:
    """Give every signal that comes to a program, by what sends it one.

    With `grace`, in seconds, it is killed if it has not ended so long after a SIGTERM or a SIGHUP. That is for a
    terminal: a shell at one ignores SIGTERM, and after SIGHUP nobody is there to end it by other means.
    """
    asked: list[float] = []
    leaving: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if number in _ENDING:
            now = time.monotonic()
            asked[:] = [*(when for when in asked if now - when < _WITHIN), now]
        if grace is not None and number in _LEAVING and not leaving:
            leaving.append(number)
            _kill_later(kill, grace)
        kill(signal.SIGKILL if len(asked) >= _TIMES else number)

    for number in HANDED_ON:
        # What the caller ignores, nohup(1) for one, stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _kill_later(kill: Callable[[int], object], seconds: float) -> None:
    """Kill it then; not by SIGALRM, which is the program's."""
    import threading

    timer = threading.Timer(seconds, kill, [signal.SIGKILL])
    timer.daemon = True
    timer.start()
