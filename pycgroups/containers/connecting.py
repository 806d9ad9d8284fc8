"""Connections into a container's network, from a process that is outside and stays there.

A socket belongs to the network namespace that it was made in, whoever has it: network_namespaces(7). So a child makes
some there and hands them out, and this process, which may have any number of threads, connects them.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from pycgroups import namespaces
from pycgroups.namespaces.namespace import Namespace
from pycgroups.runtime.calling import Handed

if TYPE_CHECKING:
    from typing import Self

_BATCH = 16
"""The child is an interpreter, which takes a twentieth of a second; a socket takes next to nothing."""


class Sockets:
    """Sockets of the network that a process is in, none of them connected."""

    def __init__(self, pid: int) -> None:
        """Hold the namespaces of a process.

        Raises:
            NotFound: it has ended.
            Error: this user may not look at it.
        """
        self._spaces = [Namespace.of(pid, "user")]
        self._made: dict[int, list[socket.socket]] = {}
        try:
            self._spaces.append(Namespace.of(pid, "net"))
        except BaseException:
            self.close()
            raise

    def take(self, family: int) -> socket.socket:
        """Return a stream socket of a family; the caller closes it."""
        if self._spaces[-1].id == os.stat("/proc/self/ns/net").st_ino:
            return socket.socket(family, socket.SOCK_STREAM)
        if not self._made.get(family):
            self._made[family] = self._make(family)
        return self._made[family].pop()

    def _make(self, family: int) -> list[socket.socket]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            namespaces.call(self._spaces, make_sockets, family, Handed(theirs.fileno()))
            _, fds, _, _ = socket.recv_fds(ours, 1, _BATCH, socket.MSG_CMSG_CLOEXEC)
        return [socket.socket(fileno=fd) for fd in fds]

    def close(self) -> None:
        """Close those that nobody took, and let go of the namespaces."""
        for made in self._made.values():
            while made:
                made.pop().close()
        for space in self._spaces:
            space.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_sockets(family: int, channel: int) -> None:
    """Make sockets, and send them to who called this."""
    with socket.socket(fileno=channel) as talk:
        made = [socket.socket(family, socket.SOCK_STREAM) for _ in range(_BATCH)]
        socket.send_fds(talk, [b"\0"], [each.fileno() for each in made])
