"""Signals that come to the command are the program's: docker's ``--sig-proxy``."""

from __future__ import annotations

import _thread
import os
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
# The last, as handlers run in the order of their numbers: when its own has run, so has every other.
_NUDGE = signal.NSIG - 1
_PATIENCE = 0.05
_CHUNK = 64


class held_back:  # noqa: N801 (a function that makes a context manager, without the module for that)
    """Have signals wait meanwhile that are to be handed on: nothing is left half made."""

    def __enter__(self) -> None:
        """Block them."""
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)

    def __exit__(self, *_: object) -> None:
        """Let them come."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


class interrupting:  # noqa: N801 (likewise)
    """Have SIGTERM end what is done meanwhile as Ctrl-C does, for what there is to do then: timeout(1) sends it.

    A second one does nothing more.
    """

    def __enter__(self) -> None:
        """Take it."""
        self._before = signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        signal.signal(number, overhear)
        raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        """Leave it to who had it before."""
        signal.signal(signal.SIGTERM, self._before)


def overhear(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a handler for what comes too late. With SIG_IGN, Python would complain of one noted already."""


def start(job: Job, grace: float | None = None) -> None:
    """Start it; from then on signals are the program's, as in `hand_on`. Until then they end this command.

    Raises:
        Error: as `Job.start` does.
    """
    while True:
        job.prepare()
        with held_back():
            if job.start_prepared():
                hand_on(job.kill, grace)
                return


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

    none_overslept()
    for number in HANDED_ON:
        # What the caller ignores, nohup(1) for one, stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def none_overslept() -> None:
    """Have a handler run though its signal came when the main thread was about to wait.

    Python notes a signal, and runs its handler between two of its own instructions. One that is noted behind the last
    of them before poll(2) would wait as long as that does, for ever maybe; so a thread is told of each that is noted,
    and interrupts the main thread until that has been there: signal.set_wakeup_fd.
    """
    if signal.getsignal(_NUDGE) != signal.SIG_DFL:
        return
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    nudged = _thread.allocate_lock()
    nudged.acquire()

    def note(*_: object) -> None:
        if nudged.locked():
            nudged.release()

    signal.signal(_NUDGE, note)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _thread.start_new_thread(_nudge, (reader, _thread.get_ident(), nudged))


def _nudge(noted: int, thread: int, nudged: _thread.LockType) -> None:
    """Interrupt a thread for every signal but our own, until it says that it was."""
    while numbers := os.read(noted, _CHUNK):
        if any(number != _NUDGE for number in numbers):
            nudged.acquire(blocking=False)  # what it has said to the last of several
            signal.pthread_kill(thread, _NUDGE)
            while not nudged.acquire(timeout=_PATIENCE):
                signal.pthread_kill(thread, _NUDGE)


def _kill_later(kill: Callable[[int], object], seconds: float) -> None:
    """Kill it then; not by SIGALRM, which is the program's."""
    import threading

    timer = threading.Timer(seconds, kill, [signal.SIGKILL])
    timer.daemon = True
    timer.start()
