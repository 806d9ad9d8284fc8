"""`run` and `exec` that wait: signals to the command are the program's, and so is its terminal."""

from __future__ import annotations

import gc
import os
import select

from pycgroups.cli import BY_SIGNAL
from pycgroups.runtime.signals import HANDED_ON, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Protocol, Self

    class Process(Protocol):
        """What is waited for: a container by its creator, or what was executed in one."""

        @property
        def master(self) -> int:
            """Of its terminal, or -1."""

        def fileno(self) -> int:
            """Give a pidfd."""

        def wait(self) -> int:
            """Reap it."""
else:
    import _signal as signal  # signal itself loads enum, which takes longer than the command


class Foreground:
    """A context manager: signals that come before the process is there wait for it, and nothing is left half made."""

    def __enter__(self) -> Self:
        """Hold signals back."""
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
        # Where it is ignored, the kernel reaps, and nobody hears of the exit code.
        self._at_end = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return self

    def __exit__(self, *_: object) -> None:
        """Take signals as before."""
        for number in HANDED_ON:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, self._at_end)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, process: Process) -> int:
        """Wait for its end; the exit code by which a shell tells of it."""
        gc.freeze()  # what is there by now stays: nothing to look through
        gc.enable()
        pidfd = process.fileno()
        for number in self.handed_on():
            signal.signal(number, lambda number, _: send_signal(pidfd, number))
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
        try:
            if process.master < 0:
                ended.poll()
            else:
                _show(process.master, ended, pidfd)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
        status = process.wait()
        return status if status >= 0 else BY_SIGNAL - status

    def handed_on(self) -> list[int]:
        """Name the signals that are the program's; what the caller ignores, nohup(1) for one, stays ignored."""
        return [
            number for number in HANDED_ON if number not in self._before and signal.getsignal(number) != signal.SIG_IGN
        ]


def plain(master: int) -> None:
    """Leave out a terminal's carriage returns where it is no terminal that shows them, as runc does."""
    if os.isatty(1):
        return
    import termios

    attributes = termios.tcgetattr(master)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, attributes)


def _show(master: int, poll: select.poll, pidfd: int) -> None:
    """Join the terminal with ours until the process ends."""
    from pycgroups.cli.console import Console, raw

    console = Console(keyboard=True)
    os.set_blocking(master, False)
    try:
        console.attach(poll, terminal=True)
        console.use_terminal(master)
        with raw(wanted=True):
            signal.signal(signal.SIGWINCH, lambda *_: console.resize())
            while not (ready := {fd for fd, _ in poll.poll()}) >= {pidfd}:
                for fd in ready:
                    console.serve(fd)
            console.drain()
    finally:
        console.close()
