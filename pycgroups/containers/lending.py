"""The input of a container: its monitor has it, and lends it to whoever asks, in any process.

It is the write end of the program's stdin, or the master of its terminal. In the container's directory there is a
datagram socket, ``input``. A datagram is a byte, ``MONITOR_LEND`` with a socket, over which the input comes, or
``MONITOR_SHUT``; unix(7), SCM_RIGHTS. The directory is its owner's alone, and so is the socket.
"""

from __future__ import annotations

import os
import socket

from pycgroups._native.calls import lib
from pycgroups.errors import Error, StateError

SOCKET = "input"
_PATIENCE = 30.0  # seconds; the monitor answers at once, unless somebody has stopped it
_LEND, _SHUT = bytes([lib.MONITOR_LEND]), bytes([lib.MONITOR_SHUT])


def listen(directory: int) -> int:
    """Make the socket of a container that is to be started; to be closed.

    Raises:
        Error: the directory cannot be written to.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
            try:
                os.unlink(SOCKET, dir_fd=directory)
            except FileNotFoundError:
                pass
            made.bind(_path(directory))
            return made.detach()
    except OSError as error:
        raise Error(operation="make the socket", path=SOCKET, errno=error.errno) from None


def borrow(directory: int) -> int:
    """Return the input of a container that runs; to be closed.

    Raises:
        StateError: it has none, or has none any more.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            _ask(directory, _LEND, [theirs.fileno()])
        ours.settimeout(_PATIENCE)
        try:
            _, fds, *_ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise _none(error.errno) from None
        if not fds:
            raise _none()
        return fds[0]


def shut(directory: int) -> None:
    """Close the input of a container that runs: when all who have it have done so, the program comes to its end.

    Raises:
        StateError: it has none.
    """
    _ask(directory, _SHUT, [])


def _ask(directory: int, wish: bytes, fds: list[int]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_PATIENCE)
        try:
            asking.connect(_path(directory))
            socket.send_fds(asking, [wish], fds)
        except OSError as error:
            raise _none(error.errno) from None


def _path(directory: int) -> str:
    """Name the socket in at most 108 bytes, however long the directory's path is."""
    return f"/proc/self/fd/{directory}/{SOCKET}"


def _none(number: int | None = None) -> StateError:
    return StateError("it does not run, or its stdin is closed", operation="ask for the input", errno=number)
