"""What is told of a group's events, on files that stand for the kernel's."""

from __future__ import annotations

import errno
import os

import pytest

from pycgroups.cgroups import PressureTrigger
from pycgroups.cgroups.events import Counters
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1 import events as v1
from pycgroups.cgroups.v2 import events as v2
from pycgroups.cgroups.watch import check_pressure
from pycgroups.errors import CgroupError, InvalidConfig


@pytest.fixture
def group(fake):
    with Directory(str(fake.make("group"))) as directory:
        yield directory


@pytest.fixture
def write(fake, group):
    return lambda name, text: (fake.path / "group" / name).write_text(text)


def test_counts_are_compared(group, write):
    write("memory.events", "low 0\noom 3\noom_kill 1\n")
    (source,) = v2.sources(group, frozenset({"oom", "oom_kill"}))
    assert source.look() == {}
    write("memory.events", "low 9\noom 5\noom_kill 2\n")
    assert source.look() == {"oom": 2, "oom_kill": 1}
    assert source.look() == {}
    source.close()


def test_states_rise_and_fall(group, write):
    write("cgroup.events", "populated 1\nfrozen 0\n")
    (source,) = v2.sources(group, frozenset({"empty", "frozen", "thawed", "populated"}))
    write("cgroup.events", "populated 0\nfrozen 1\n")
    assert source.look() == {"empty": 1, "frozen": 1}
    write("cgroup.events", "populated 1\nfrozen 0\n")
    assert source.look() == {"populated": 1, "thawed": 1}
    source.close()


def test_what_was_not_asked_is_not_told(group, write):
    write("cgroup.events", "populated 0\nfrozen 0\n")
    (source,) = v2.sources(group, frozenset({"frozen", "pids", "high"}))
    write("cgroup.events", "populated 1\nfrozen 0\n")
    assert source.look() == {}
    assert source.kinds == {"frozen"}
    source.close()


@pytest.mark.parametrize(("populated", "told"), [("1", {"empty": 1}), ("0", {})])
def test_a_removed_group_is_empty(populated, told, group, write, monkeypatch):
    write("cgroup.events", f"populated {populated}\nfrozen 1\n")
    (source,) = v2.sources(group, frozenset({"empty", "thawed"}))
    monkeypatch.setattr(os, "pread", _removed)
    assert source.look() == told
    assert source.look() == {}
    source.close()


def test_counts_of_a_removed_group_are_unknown(group, write, monkeypatch):
    write("pids.events", "max 4\n")
    source = Counters(group, "pids.events", {"pids": ("max", 1)})
    monkeypatch.setattr(os, "pread", _removed)
    with pytest.raises(CgroupError, match=r"pids\.events.*ENODEV"):
        source.look()
    source.close()


def _removed(*_):
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


@pytest.mark.parametrize(
    ("release", "silent"), [("6.10.3-x", False), ("4.19.0", False), ("6.11.0", True), ("10.0", True), ("odd", True)]
)
def test_pids_on_v1_are_told_before_6_11(release, silent, monkeypatch, group, write):
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", release, "", "")))
    write("pids.events", "max 0\n")
    sources = [*v1.sources(group, frozenset({"pids"}), frozenset({"pids"}))]
    assert bool(sources) is not silent
    for source in sources:
        source.close()


class Kernel:
    """Stands for memory.oom_control and the eventfd that it signals."""

    def __init__(self, write):
        self._write = write
        self.count(0)
        write("cgroup.event_control", "")
        write("cgroup.procs", "")

    def count(self, kills):
        self._write("memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")


@pytest.fixture
def kernel(write):
    return Kernel(write)


@pytest.fixture
def kills(kernel, group):
    source = v1.Kills(group)
    yield source
    source.close()


def test_a_kill_that_is_counted_after_the_notice(kernel, kills):
    assert kills.look() == {}
    os.eventfd_write(kills.fd, 1)
    assert kills.look() == {}
    assert kills.look() == {}
    kernel.count(1)
    assert kills.look() == {"oom_kill": 1}
    with pytest.raises(BlockingIOError):
        os.eventfd_read(kills.fd)


def test_who_waits_comes_back_until_all_kills_are_counted(kernel, kills):
    os.eventfd_write(kills.fd, 2)
    kernel.count(1)
    assert kills.look() == {"oom_kill": 1}
    assert os.eventfd_read(kills.fd) == 1  # readable again: one is to come
    os.eventfd_write(kills.fd, 1)  # as it was
    kernel.count(2)
    assert kills.look() == {"oom_kill": 1}
    with pytest.raises(BlockingIOError):
        os.eventfd_read(kills.fd)


def test_a_notice_without_a_kill_is_given_up(kernel, kills, monkeypatch):
    monkeypatch.setattr(v1, "_PATIENCE", 0.01)
    os.eventfd_write(kills.fd, 1)
    for _ in range(30):
        assert kills.look() == {}
    with pytest.raises(BlockingIOError):
        os.eventfd_read(kills.fd)


def test_what_is_registered(kernel, kills, fake):
    assert (fake.path / "group/cgroup.event_control").read_text().split()[0] == str(kills.fd)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"resource": "memory"}, "some 150000 2000000"),
        ({"resource": "io", "full": True, "stall": 0.5, "window": 0.5}, "full 500000 500000"),
        ({"resource": "cpu", "stall": 1, "window": 10}, "some 1000000 10000000"),
    ],
)
def test_triggers(given, text):
    assert PressureTrigger(**given).text() == text


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"resource": "disk"}, "resource"),
        ({"resource": None}, "resource"),
        ({"full": "some"}, "full"),
        ({"window": 0.4}, "window"),
        ({"window": 11}, "window"),
        ({"window": "1"}, "window"),
        ({"window": float("nan")}, "window"),
        ({"stall": 0}, "stall"),
        ({"stall": -1}, "stall"),
        ({"stall": 3}, "stall"),
        ({"stall": True}, "stall"),
        ({"stall": None}, "stall"),
    ],
)
def test_bad_triggers(given, key):
    with pytest.raises(InvalidConfig, match=f"pressure.{key}"):
        PressureTrigger(**{"resource": "memory"} | given)


def test_pressure_is_one_or_several():
    trigger = PressureTrigger(resource="io")
    assert check_pressure(None) == ()
    assert check_pressure(trigger) == (trigger,)
    assert check_pressure([trigger, "low"]) == (trigger, "low")
    with pytest.raises(InvalidConfig, match="pressure"):
        check_pressure("lots")
