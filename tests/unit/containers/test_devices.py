"""The rules that a container's devices ask for."""

from __future__ import annotations

import socket

import pytest

from pycgroups.cgroups import places
from pycgroups.cgroups.device_rules import ALL, MKNOD, READ, WRITE, Entry, tabulate
from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.devices import device_rules
from pycgroups.errors import InvalidConfig, NotFound, Unsupported

FULL = ("c", 1, 7)
DIR = "/dev/pts"
KMSG = ("c", 1, 11)


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    """What the cgroups here are said to offer."""
    words = {"devices"}
    monkeypatch.setattr(places, "places", lambda _needed: ())
    monkeypatch.setattr(places, "offered", lambda _found: frozenset(words))
    return words


def rules(*devices, **options):
    return device_rules(ContainerConfig(command=["true"], devices=devices, **options))


def access(given, device):
    type_, major, minor = device
    return next(entry.access for entry in tabulate(given) if entry.covers(Entry(type_, major, minor, 0)))


def test_whole_devices_need_no_rules(offered):
    offered.clear()
    assert rules() == ()
    assert rules("/dev/nothing", "/dev/null:rw", privileged=True) == ()


def test_the_default_devices_and_what_was_asked():
    given = rules("/dev/kmsg:r", "/dev/tty0:/dev/mine:rw")
    assert access(given, KMSG) == READ | MKNOD
    assert access(given, ("c", 4, 0)) == ALL
    for device in (("c", 1, 3), FULL, ("c", 5, 0), ("c", 5, 1), ("c", 5, 2), ("c", 136, 0), ("c", 136, 99)):
        assert access(given, device) == ALL
    for device in (("c", 1, 1), ("c", 10, 229), ("b", 8, 0), ("c", 137, 0), ("b", 1, 3)):
        assert access(given, device) == MKNOD


def test_other_runtimes_want_the_access_spelled_out():
    for given in (rules("/dev/kmsg:r"), rules("/dev/kmsg:r", privileged=True)):
        assert all(rule.access for rule in given)


def test_the_same_device_twice():
    assert access(rules("/dev/kmsg:r", "/dev/kmsg:/dev/log:w"), KMSG) == ALL


def test_privileged_is_all_but_that():
    given = rules("/dev/kmsg:w", "/dev/full:m", privileged=True)
    assert access(given, KMSG) == WRITE
    assert access(given, FULL) == MKNOD
    assert access(given, ("b", 8, 0)) == ALL


@pytest.mark.parametrize("words", ["r", "w", "m", "rm"])
def test_where_there_can_be_none(offered, words):
    offered.clear()
    with pytest.raises(Unsupported, match="root of the host") as caught:
        rules("/dev/null", f"/dev/nothing:{words}")
    assert caught.value.path == "devices[1]"


def test_what_is_not_there():
    with pytest.raises(NotFound) as caught:
        rules("/dev/nothing:r")
    assert caught.value.path == "/dev/nothing"


@pytest.mark.parametrize("devices", [("/dev/null:r", "/dev/pts"), ("/dev/null", "/etc/passwd"), (DIR, "/etc/passwd:r")])
def test_what_is_no_device(devices):
    with pytest.raises(InvalidConfig) as caught:
        rules(*devices)
    assert caught.value.path == "devices[1]"


def test_a_socket_is_no_device(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        with pytest.raises(InvalidConfig, match="a directory of devices"):
            rules(f"{tmp_path}/socket")


def test_a_directory_of_devices():
    assert rules(DIR) == ()


@pytest.mark.parametrize("caps", [["MKNOD"], ["ALL"]])
def test_who_could_make_any_node_opens_none(offered, caps):
    given = rules(userns="host", caps_add=caps)
    assert access(given, ("b", 8, 0)) == access(given, ("c", 1, 1)) == MKNOD
    assert access(given, FULL) == ALL
    assert rules(caps_add=caps) == ()  # nobody can in a user namespace
    assert rules(userns="host", caps_add=["SYS_TIME"]) == ()
    assert rules(userns="host", caps_add=caps, privileged=True) == ()
    offered.clear()
    with pytest.raises(Unsupported, match="CAP_MKNOD") as caught:
        rules(userns="host", caps_add=caps)
    assert caught.value.path == "caps_add"
