"""Network devices of the host that a container gets; config-linux.md, "Network Devices" (since 1.3).

The kernel moves a device; its addresses do not go with it, and it is down then. What becomes of it at the end is the
kernel's matter: a physical one comes back, others end with their namespace. network_namespaces(7).
"""

from __future__ import annotations

import errno
import itertools
import os

from pycgroups.errors import AlreadyExists, LaunchError, NotFound
from pycgroups.network.rtnetlink import Routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OPERATION = "move network device"
_HINTS = {
    errno.EPERM: "it takes CAP_NET_ADMIN over both network namespaces, which an ordinary user does not have",
    errno.EINVAL: "the device belongs to its network namespace for good, as lo does, or has a name that is none",
}


def check(names: Iterable[str]) -> None:
    """See that devices are there.

    Raises:
        NotFound: one is not.
    """
    with Routes() as host:
        _check(host.links(), names)


def move(devices: Iterable[tuple[str, str]], inside: int, pid: int) -> None:
    """Move devices with their lasting addresses, and let them be used.

    Args:
        devices: names here, and names there; there ``%d`` is the first number that is free.
        inside: a socket for messages about the network namespace of the container; it is closed.
        pid: a process in that namespace.

    Raises:
        NotFound: a device is not there.
        AlreadyExists: there is a device with that name in the container.
        LaunchError: the kernel refuses it.
    """
    with Routes(inside) as container, Routes() as host:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for name, wanted in devices:
                _move_explained(host, container, namespace, name, wanted)
        finally:
            os.close(namespace)


def _move_explained(host: Routes, container: Routes, namespace: int, name: str, wanted: str) -> None:
    try:
        _move(host, container, namespace, name, wanted)
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        raise LaunchError(step=_OPERATION, path=name, errno=error.errno, hint=hint) from None


def _move(host: Routes, container: Routes, namespace: int, name: str, wanted: str) -> None:
    links, taken = host.links(), container.links()
    _check(links, [name])
    if "%d" in wanted:
        wanted = next(free for number in itertools.count() if (free := wanted.replace("%d", str(number))) not in taken)
    elif wanted in taken:
        raise AlreadyExists("the container has a network device of that name", operation=_OPERATION, path=wanted)
    addresses = [address for address in host.addresses(links[name]) if address.is_lasting]
    host.move(links[name], namespace, wanted)
    index = container.links()[wanted]
    for address in addresses:
        container.add(index, address)
    container.up(index)


def _check(links: dict[str, int], names: Iterable[str]) -> None:
    for name in names:
        if name not in links:
            raise NotFound("no such network device here", operation=_OPERATION, path=name)
