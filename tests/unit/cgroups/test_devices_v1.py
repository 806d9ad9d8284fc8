"""What is written to the v1 files, against a model of security/device_cgroup.c; at each step of an update."""

from __future__ import annotations

import errno

import pytest
from hypothesis import assume, given

from pycgroups.cgroups.device_exceptions import State, parse, state_of, steps, write
from pycgroups.cgroups.device_rules import ALL, bits
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1.devices import Devices
from pycgroups.errors import CgroupError, Unsupported
from pycgroups.oci.resources import DeviceRule, Resources
from tests.unit.cgroups import device_cases as cases

ASKED = [(device, access) for device in cases.DEVICES for access in cases.ACCESSES]


class Kernel:
    """A group below one that has everything."""

    def __init__(self):
        self.state = State(all_but=True, exceptions={})

    def write(self, file, line):
        allow = file == "devices.allow"
        if line == "a":
            self.state = State(all_but=allow, exceptions={})
            return
        device, _, access = line.rpartition(" ")
        there = self.state.exceptions.get(device, 0)
        there = there & ~bits(access) if allow == self.state.all_but else there | bits(access)
        self.state = State(all_but=self.state.all_but, exceptions={**self.state.exceptions, device: there})

    def allows(self, device, access):
        type_, major, minor = device
        covering = [
            there
            for name, there in self.state.exceptions.items()
            if name in {f"{type_} {one}:{other}" for one in (major, "*") for other in (minor, "*")}
        ]
        if self.state.all_but:
            return not any(there & access for there in covering)
        return any(there & access == access for there in covering)


def answers(kernel):
    return [kernel.allows(device, cases.bits(access)) for device, access in ASKED]


def wanted(rules):
    try:
        return state_of(rules)
    except Unsupported:
        assume(False)
        raise


@given(cases.rules)
def test_a_new_group(rules):
    kernel = Kernel()
    for step in steps(kernel.state, wanted(rules)):
        kernel.write(*step)
    assert answers(kernel) == [cases.allowed(rules, *each) for each in ASKED]


@given(cases.rules, cases.rules)
def test_an_update(before, after):
    kernel = Kernel()
    for step in steps(kernel.state, wanted(before)):
        kernel.write(*step)
    old, new = answers(kernel), [cases.allowed(after, *each) for each in ASKED]
    goes_over = kernel.state.all_but != wanted(after).all_but
    for step in steps(kernel.state, wanted(after)):
        kernel.write(*step)
        for each, now, was, will in zip(ASKED, answers(kernel), old, new, strict=True):
            if was == will and not goes_over:
                assert now == was, (each, step)
            if goes_over and not wanted(after).all_but and not (was or will):
                assert not now, (each, step)
    assert answers(kernel) == new


def test_a_stale_memory_leaves_nothing_open():
    kernel = Kernel()
    remembered = State(all_but=True, exceptions={"b 8:*": ALL})  # which somebody has taken away
    for step in steps(remembered, State(all_but=True, exceptions={"b 8:*": ALL})):
        kernel.write(*step)
    assert not kernel.allows(("b", 8, 0), 1)


def test_what_can_be_said_both_ways_is_said_as_what_is_allowed():
    assert state_of([DeviceRule(allow=True, type="c")]) == State(all_but=False, exceptions={"c *:*": ALL})
    assert state_of([DeviceRule(allow=True)]) == State(all_but=True, exceptions={})


def test_exceptions_as_text():
    assert parse("b *:* m\nc 1:3 rwm\n") == {"b *:*": 1, "c 1:3": ALL}
    assert write({"b 8:*": 6, "c 1:3": 0}) == ["b 8:* rw"]


def test_what_v1_cannot_say():
    rules = [DeviceRule(allow=True, type="c", major=10), DeviceRule(allow=False, type="c", major=10, minor=229)]
    with pytest.raises(Unsupported, match="one by one"):
        Devices().check("/parent", Resources(devices=tuple(rules)))
    assert state_of([DeviceRule(allow=True), *rules]).exceptions == {"c 10:229": ALL}


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A group that keeps what is written to it; its list and its processes are files."""
    written = []
    monkeypatch.setattr(Directory, "write", lambda _self, *line: written.append(line))
    for name in ("devices.list", "cgroup.procs"):
        (tmp_path / name).touch()
    with Directory(str(tmp_path)) as directory:
        yield directory, written, tmp_path


def apply(directory, *rules):
    Devices().apply(directory, Resources(devices=rules))


def test_only_what_changes_is_written(group):
    directory, written, path = group
    (path / "devices.list").write_text("c 1:3 rwm\nc 1:5 r\nb *:* m\n")
    apply(
        directory,
        DeviceRule(allow=True, type="c", major=1, minor=3),
        DeviceRule(allow=True, type="c", major=1, minor=5, access="w"),
    )
    assert written == [
        ("devices.deny", "c 1:5 r"),
        ("devices.allow", "c 1:5 w"),
        ("devices.deny", "b *:* m"),
    ]


def test_no_rules_change_nothing(group):
    directory, written, _ = group
    apply(directory)
    assert written == []


def test_everything_is_not_allowed_for_a_moment(group):
    directory, written, path = group
    (path / "devices.list").write_text("c 1:3 rwm\n")
    (path / "cgroup.procs").write_text("77\n")
    all_but_disks = (DeviceRule(allow=True), DeviceRule(allow=False, type="b", major=8))
    with pytest.raises(Unsupported, match="for a moment"):
        apply(directory, *all_but_disks)
    assert written == []


def test_an_error_tells_where_to_look(group, monkeypatch):
    directory, _, path = group

    def refuse(_self, name, value):
        number = errno.EINVAL if value == "a" else errno.EPERM
        raise CgroupError(operation="write", path=name, errno=number)

    monkeypatch.setattr(Directory, "write", refuse)
    with pytest.raises(CgroupError) as caught:
        apply(directory, DeviceRule(allow=True, type="c"))
    assert f"{path.parent}/devices.list" in caught.value.hint
    with pytest.raises(CgroupError) as caught:
        apply(directory, DeviceRule(allow=True))
    assert "groups below" in caught.value.hint
