"""Descriptors handed to somebody else over a Unix socket: a terminal's master, a seccomp listener; unix(7)."""

from __future__ import annotations

import os
import sys

from pycgroups.errors import LaunchError, NotFound

_LONGEST = 107  # bytes of a path in struct sockaddr_un


def connect(path: str) -> int:
    """Connect to the socket that is to get a descriptor, before anything is made.

    Raises:
        NotFound: it is not there.
        LaunchError: nobody listens.
    """
    import _socket  # socket itself takes 4 ms to import

    directory, name = os.path.split(path)
    try:
        holder = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            try:
                # A path longer than the address takes is reached by its directory.
                short = len(os.fsencode(path)) <= _LONGEST
                peer.connect(path if short else f"/proc/self/fd/{holder}/{name}")
                return peer.detach()
            finally:
                peer.close()
        finally:
            os.close(holder)
    except FileNotFoundError as error:
        raise NotFound(operation="connect to the socket", path=path, errno=error.errno) from None
    except OSError as error:
        hint = "somebody must listen on it"
        raise LaunchError(step="connect to the socket", path=path, errno=error.errno, hint=hint) from None


def send(peer: int, data: bytes, fd: int) -> None:
    """Send data and one descriptor.

    Raises:
        LaunchError: the other end is gone.
    """
    import _socket

    socket = _socket.socket(fileno=os.dup(peer))
    try:
        socket.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))])
    except OSError as error:
        raise LaunchError(step="send a descriptor", errno=error.errno) from None
    finally:
        socket.close()
