"""Messages about links and addresses, with a kernel that answers what a test says."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from pycgroups.errors import AlreadyExists, LaunchError, NotFound
from pycgroups.network import devices, rtnetlink
from pycgroups.network.rtnetlink import Address, Routes

DONE, ERROR, MULTI, INTERRUPTED = 3, 2, 2, 0x10
LINK, ADDR = struct.Struct("=BxHiII"), struct.Struct("=BBBBI")


def message(kind, body=b"", flags=MULTI):
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, flags, 0, 0) + body + b"\0" * (-length % 4)


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def link(index, name):
    return message(16, LINK.pack(0, 1, index, 0, 0) + attribute(99, b"x") + attribute(3, name + b"\0"))


def address(index, *, flags=0x80, scope=0, attributes=b""):
    return message(20, ADDR.pack(2, 24, flags & 0xFF, scope, index) + attributes)


@pytest.fixture
def kernel():
    """The kernel's end of a socket, and ours."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, Routes(ours.detach()) as routes:
        yield theirs, routes


def test_links_in_several_parts(kernel):
    theirs, routes = kernel
    theirs.send(link(1, b"lo") + link(7, b"eth0"))
    theirs.send(link(8, b"n\xff") + message(DONE, b"\0" * 4))
    assert routes.links() == {"lo": 1, "eth0": 7, "n\udcff": 8}
    length, kind, flags, number, _ = struct.unpack_from("=IHHII", asked := theirs.recv(4096))
    assert (length, kind, flags, number) == (len(asked), 18, 0x301, 1)


def test_a_list_that_has_changed_meanwhile_is_read_again(kernel):
    theirs, routes = kernel
    theirs.send(link(1, b"lo") + message(DONE, b"\0" * 4, flags=MULTI | INTERRUPTED))
    theirs.send(link(1, b"lo") + link(2, b"a") + message(DONE, b"\0" * 4))
    assert routes.links() == {"lo": 1, "a": 2}


def test_addresses_of_one_link(kernel):
    theirs, routes = kernel
    wide = attribute(8, struct.pack("=I", 0x280))
    theirs.send(address(7, attributes=attribute(1, b"abcd")) + address(8) + address(7, attributes=wide))
    theirs.send(message(DONE, b"\0" * 4))
    first, second = routes.addresses(7)
    assert first == Address(2, 24, 0x80, 0, {1: b"abcd"})
    assert second.flags == 0x280


@pytest.mark.parametrize(
    ("flags", "scope", "lasting"), [(0x80, 0, True), (0x280, 0, True), (0, 0, False), (0x80, 253, False)]
)
def test_what_stays(flags, scope, lasting):
    assert Address(2, 24, flags, scope, {}).is_lasting is lasting


def test_an_error_of_the_kernels(kernel):
    theirs, routes = kernel
    theirs.send(message(ERROR, struct.pack("=i", -errno.EPERM) + b"\0" * 16, flags=0))
    with pytest.raises(PermissionError):
        routes.up(7)
    theirs.send(message(ERROR, struct.pack("=i", 0) + b"\0" * 16, flags=0))
    routes.up(7)


def test_what_an_address_takes_along(kernel):
    theirs, routes = kernel
    theirs.send(message(ERROR, struct.pack("=i", 0), flags=0))
    kept = {1: b"abcd", 2: b"efgh", 4: b"ijkl", 8: b"\x80\0\0\0"}
    routes.add(3, Address(2, 24, 0x280, 0, {**kept, 3: b"label", 6: b"times"}))
    sent = theirs.recv(4096)
    assert sent[16:24] == ADDR.pack(2, 24, 0x80, 0, 3)
    assert rtnetlink._attributes(sent[24:]) == kept


# -- moving


class Fake:
    """The links of one namespace, by name."""

    def __init__(self, **links):
        self.names, self.done = links, []

    def links(self):
        return dict(self.names)

    def addresses(self, index):
        return [Address(2, 24, 0x80, 0, {1: bytes([index])}), Address(2, 24, 0, 0, {})]

    def __getattr__(self, name):
        return lambda *arguments: self.done.append((name, *arguments))


def moved(host, container, name, wanted):
    host.move = lambda index, _, name: container.names.update({name: index + 10})
    devices._move(host, container, 5, name, wanted)
    return container.done


def test_a_device_comes_up_with_its_lasting_addresses():
    done = moved(Fake(lo=1, eth7=7), Fake(lo=1), "eth7", "eth0")
    assert done == [("add", 17, Address(2, 24, 0x80, 0, {1: b"\7"})), ("up", 17)]


def test_the_first_number_that_is_free():
    container = Fake(lo=1, net0=2, net2=3)
    moved(Fake(a=7), container, "a", "net%d")
    assert container.names == {"lo": 1, "net0": 2, "net2": 3, "net1": 17}


def test_a_name_that_is_taken():
    with pytest.raises(AlreadyExists, match="eth0"):
        moved(Fake(a=7), Fake(eth0=1), "a", "eth0")


def test_a_device_that_is_not_there():
    with pytest.raises(NotFound, match="nonesuch"):
        moved(Fake(a=7), Fake(), "nonesuch", "b")
    with pytest.raises(NotFound, match="nonesuch"):
        devices.check(["lo", "nonesuch"])
    devices.check(["lo"])


def test_a_device_that_the_kernel_keeps():
    class Refusing(Fake):
        def move(self, *_):
            raise OSError(errno.EINVAL, "no")

    with pytest.raises(LaunchError, match="belongs to its network namespace"):
        devices._move_explained(Refusing(lo=1), Fake(), 5, "lo", "b")
