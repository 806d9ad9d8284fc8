"""Who listens in a network namespace: proc_pid_net(5), as the kernel tells it of any process in it.

No connection is made, so that no server sees a client come and go. TCP alone: nobody listens on UDP.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NamedTuple

_FILES = (("net/tcp", socket.AF_INET), ("net/tcp6", socket.AF_INET6))
_LISTEN = "0A"  # include/net/tcp_states.h, TCP_LISTEN
_WORD = 4  # an address is written in words of the machine, each as a number


class Listener(NamedTuple):
    """A socket that takes connections.

    Attributes:
        address: on which of the namespace's addresses; ``"0.0.0.0"`` or ``"::"`` for all.
        port: likewise.
        inode: of the socket, which /proc/PID/fd has of who holds it.
    """

    address: str
    port: int
    inode: int


def listeners(process: int) -> list[Listener]:
    """Return what listens in the network namespace of a process; nothing once that has ended.

    Args:
        process: its directory in /proc, opened: it stays that of this process, whoever gets the pid.
    """
    return [listener for name, family in _FILES for listener in parse(_text(process, name), family)]


def _text(process: int, name: str) -> str:
    try:
        with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), encoding="ascii") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):  # it has ended; or a kernel without IPv6
        return ""


def parse(table: str, family: int) -> list[Listener]:
    """Find those that listen in such a file."""
    rows = (line.split(None, 10) for line in table.splitlines()[1:])
    return [_listener(row[1], family, int(row[9])) for row in rows if row[3] == _LISTEN]


def _listener(local: str, family: int, inode: int) -> Listener:
    address, _, port = local.partition(":")
    data = bytes.fromhex(address)
    if sys.byteorder == "little":
        data = b"".join(data[at : at + _WORD][::-1] for at in range(0, len(data), _WORD))
    return Listener(socket.inet_ntop(family, data), int(port, 16), inode)
