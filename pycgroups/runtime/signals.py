"""Processes by their pidfd, and signals to them; pidfd_open(2), pidfd_send_signal(2)."""

from __future__ import annotations

# signal itself makes enums of all numbers, which takes a millisecond.
import _signal as signal  # type: ignore[import-not-found]
import os
import select

from pycgroups.errors import Error

HANDED_ON = (
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
"""Signals to a command that are its program's, while that is in the foreground."""
_HINT = "the process is another user's, or a seccomp filter or security module around this one forbids it"


def signal_name(number: int) -> str:
    """Name a signal: "SIGKILL", or "signal 40", which has no name."""
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def open_process(pid: int) -> int:
    """Open a process; its pidfd, or -1 if it has ended.

    Raises:
        Error: the kernel refuses, or this process has no descriptors left.
    """
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    except OSError as error:
        raise Error(operation="open process", path=str(pid), errno=error.errno) from None


def has_ended(pidfd: int) -> bool:
    """Tell whether a process has ended. If not, what was read by its pid up to now is of it, and of nobody else."""
    ends = select.poll()
    ends.register(pidfd, select.POLLIN)
    return bool(ends.poll(0))


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal to a process; False if it has ended.

    Raises:
        Error: the kernel refuses: it may go on running.
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise Error(operation=f"send signal {number}", errno=error.errno, hint=_HINT) from None
    return True
