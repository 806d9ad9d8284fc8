"""Links and addresses of a network namespace, as messages to the kernel: rtnetlink(7), netlink(7)."""

from __future__ import annotations

import _socket  # socket itself takes 4 ms to import
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NamedTuple, Self
else:
    from pycgroups.records import NamedTuple

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_ERROR, _DONE = 2, 3
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
_REQUEST, _MULTI, _ACK, _DUMP_INTR = 0x1, 0x2, 0x4, 0x10
_REPLACE, _DUMP, _CREATE = 0x100, 0x300, 0x400
_IFNAME, _NET_NS_FD = 3, 28
_ADDRESS, _LOCAL, _BROADCAST, _FLAGS, _RT_PRIORITY, _PROTO = 1, 2, 4, 8, 9, 11
_UP = 0x1
_PERMANENT = 0x80
_EVERYWHERE = 0  # RT_SCOPE_UNIVERSE

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDR = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr
_NUMBER = struct.Struct("=I")
_TYPE_BITS = 0x3FFF
_AT_ONCE = 1 << 16


class Address(NamedTuple):
    """An address of a link, as the kernel has it.

    Attributes:
        family: AF_INET or AF_INET6.
        length: bits of the network.
        flags: ``IFA_F_*``.
        scope: 0 is everywhere.
        attributes: by number, ``IFA_*``.
    """

    family: int
    length: int
    flags: int
    scope: int
    attributes: Mapping[int, bytes]

    @property
    def is_lasting(self) -> bool:
        """Tell whether it was given to stay, and is meant for others than this network alone."""
        return bool(self.flags & _PERMANENT) and self.scope == _EVERYWHERE


class Routes:
    """A socket for messages about one network namespace: that of this thread, or where a given socket was opened.

    All methods raise `OSError` where the kernel refuses something.
    """

    def __init__(self, fd: int = -1) -> None:
        """Take over a socket, or open one."""
        given = _socket.AF_NETLINK, _socket.SOCK_RAW, _socket.NETLINK_ROUTE
        self._socket = _socket.socket(fileno=fd) if fd >= 0 else _socket.socket(*given)
        self._sequence = 0

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._socket.close()

    # -- what can be asked ----------------------------------------------------------------------------------------

    def links(self) -> dict[str, int]:
        """Return the indexes of all links by their names."""
        found = {}
        for body in self._ask(_GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0)):
            _, _, index, _, _ = _LINK.unpack_from(body)
            found[os.fsdecode(_attributes(body[_LINK.size :])[_IFNAME].rstrip(b"\0"))] = index
        return found

    def addresses(self, index: int) -> list[Address]:
        """Return the addresses of a link."""
        found = []
        for body in self._ask(_GETADDR, _DUMP, _ADDR.pack(0, 0, 0, 0, 0)):
            family, length, flags, scope, of = _ADDR.unpack_from(body)
            if of == index:
                attributes = _attributes(body[_ADDR.size :])
                if _FLAGS in attributes:  # the header has room for eight
                    (flags,) = _NUMBER.unpack(attributes[_FLAGS])
                found.append(Address(family, length, flags, scope, attributes))
        return found

    def move(self, index: int, namespace: int, name: str) -> None:
        """Move a link into a network namespace, under a name; it is down then, and has no addresses."""
        rest = _pack(_NET_NS_FD, _NUMBER.pack(namespace)) + _pack(_IFNAME, os.fsencode(name) + b"\0")
        self._do(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + rest)

    def add(self, index: int, address: Address) -> None:
        """Give a link an address."""
        kept = (_ADDRESS, _LOCAL, _BROADCAST, _FLAGS, _RT_PRIORITY, _PROTO)
        rest = b"".join(_pack(kind, address.attributes[kind]) for kind in kept if kind in address.attributes)
        head = _ADDR.pack(address.family, address.length, address.flags & 0xFF, address.scope, index)
        self._do(_NEWADDR, _CREATE | _REPLACE, head + rest)

    def up(self, index: int) -> None:
        """Let a link be used."""
        self._do(_NEWLINK, 0, _LINK.pack(0, 0, index, _UP, _UP))

    # -- messages -------------------------------------------------------------------------------------------------

    def _do(self, kind: int, flags: int, body: bytes) -> None:
        for _ in self._ask(kind, flags | _ACK, body):
            pass

    def _ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send a message, and return the bodies of the answers."""
        while True:
            self._sequence += 1
            length = _HEADER.size + len(body)
            self._socket.send(_HEADER.pack(length, kind, _REQUEST | flags, self._sequence, 0) + body)
            whole, answers = True, []
            for what, changed, answer in self._answers():
                whole = whole and not changed
                if what == _ERROR:
                    (number,) = struct.unpack_from("=i", answer)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                elif what != _DONE:
                    answers.append(answer)
            if whole:
                return answers

    def _answers(self) -> Iterator[tuple[int, bool, bytes]]:
        """Yield kind and body of each part of an answer, and whether the list has changed meanwhile."""
        more = True
        while more:
            data = self._socket.recv(_AT_ONCE)
            while data:
                length, kind, flags, _, _ = _HEADER.unpack_from(data)
                more = kind not in {_DONE, _ERROR} and bool(flags & _MULTI)
                yield kind, bool(flags & _DUMP_INTR), data[_HEADER.size : length]
                data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _pack(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value.ljust(_aligned(len(value)), b"\0")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE_BITS] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found
