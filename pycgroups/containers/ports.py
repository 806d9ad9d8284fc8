"""The ports of a container: where its programs listen, and where the host's programs reach them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.network.listening import listeners

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Port(NamedTuple):
    """A port that a container listens on.

    Attributes:
        number: of the port, as the container has it.
        protocol: "tcp".
        address: on which address of the container's network; "0.0.0.0" or "::" for all.
        host: the address and the port by which a program of the host reaches it; None if none does, since the network
            is the container's own.
    """

    number: int
    protocol: str
    address: str
    host: tuple[str, int] | None


def ports(pids: Iterable[int], first: int, *, is_host: bool) -> tuple[Port, ...]:
    """Tell where a container listens.

    In the host's own network that is where its processes do; in another one, all that listens there.

    Args:
        pids: of its processes, as this process sees them.
        first: that of its first one.
        is_host: its network is that of this process.
    """
    process = os.open(f"/proc/{first}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = listeners(process)
    finally:
        os.close(process)
    if is_host:
        held = {inode for pid in pids for inode in _sockets(pid)}
        found = [listener for listener in found if listener.inode in held]
    places = dict.fromkeys((each.address, each.port) for each in sorted(found))  # SO_REUSEPORT: one for many sockets
    return tuple(Port(port, "tcp", address, (address, port) if is_host else None) for address, port in places)


def _sockets(pid: int) -> Iterator[int]:
    """Name the sockets that a process holds, by inode; none once it has ended."""
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            what = os.readlink(f"{directory}/{name}")
        except OSError:  # closed since
            continue
        if what.startswith("socket:["):
            yield int(what.removeprefix("socket:[").rstrip("]"))
