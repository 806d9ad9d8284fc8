"""A table says of each device what the list of rules says."""

from __future__ import annotations

import pytest
from hypothesis import given

from pycgroups.cgroups.device_rules import ALL, MOST, READ, Entry, bits, letters, tabulate
from pycgroups.errors import InvalidConfig
from pycgroups.oci.resources import DeviceRule
from tests.unit.cgroups import device_cases as cases


@given(cases.rules)
def test_the_first_entry_that_covers_a_device_decides_all(rules):
    table = tabulate(rules)
    for device in cases.DEVICES:
        first = next(entry for entry in table if entry.covers(Entry(*device, 0)))
        for letter, bit in cases.KINDS.items():
            assert bool(first.access & bit) == cases.allowed(rules, device, letter), (device, letter)


@given(cases.rules)
def test_the_shape(rules):
    table = tabulate(rules)
    assert [entry.type for entry in table] == sorted(entry.type for entry in table)
    assert len({entry[:3] for entry in table}) == len(table)
    for index, entry in enumerate(table):
        assert not any(before.covers(entry) for before in table[:index])


def test_no_rule_denies_everything():
    assert tabulate(()) == (Entry("b", None, None, 0), Entry("c", None, None, 0))


def test_rules_of_before_are_gone_without_a_trace():
    noise = [DeviceRule(allow=True, type="b", major=8, minor=n) for n in range(100)]
    assert tabulate([*noise, DeviceRule(allow=True, type="a")]) == (
        Entry("b", None, None, ALL),
        Entry("c", None, None, ALL),
    )


def test_docker_like_rules():
    rules = [
        DeviceRule(allow=False, access="rwm"),
        DeviceRule(allow=True, type="c", access="m"),
        DeviceRule(allow=True, type="c", major=1, minor=3, access="rwm"),
        DeviceRule(allow=True, type="c", major=136, access="rwm"),
        DeviceRule(allow=True, type="b", major=8, minor=0, access="r"),
    ]
    assert [(entry[:3], letters(entry.access)) for entry in tabulate(rules)] == [
        (("b", 8, 0), "r"),
        (("b", None, None), ""),
        (("c", 1, 3), "rwm"),
        (("c", 136, None), "rwm"),
        (("c", None, None), "m"),
    ]


def test_letters():
    assert letters(ALL) == "rwm"
    assert bits("mwr") == ALL
    assert bits("r") == READ
    assert bits("") == 0


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("devices[1].type", {"type": "u"}),
        ("devices[1].type", {"type": ""}),
        ("devices[1].major", {"major": -2}),
        ("devices[1].major", {"major": 4096}),
        ("devices[1].major", {"major": True}),
        ("devices[1].major", {"major": "8"}),
        ("devices[1].minor", {"minor": 1 << 20}),
        ("devices[1].minor", {"minor": 1.5}),
        ("devices[1].access", {"access": ""}),
        ("devices[1].access", {"access": 7}),
        ("devices[1].access", {"access": "rx"}),
        ("devices[1].allow", {"allow": 1}),
    ],
)
def test_wrong_rules(key, rule):
    with pytest.raises(InvalidConfig) as caught:
        tabulate([DeviceRule(allow=True), DeviceRule(**{"allow": True, **rule})])
    assert caught.value.path == key


def test_what_is_no_rule():
    with pytest.raises(InvalidConfig) as caught:
        tabulate([{"allow": True}])
    assert caught.value.path == "devices[0]"


def test_too_many():
    tabulate([DeviceRule(allow=True, type="c", major=1, minor=n) for n in range(MOST)])
    with pytest.raises(InvalidConfig, match="rules"):
        tabulate([DeviceRule(allow=True)] * (MOST + 1))
    crossing = [DeviceRule(allow=True, major=n) for n in range(40)] + [
        DeviceRule(allow=True, minor=n) for n in range(40)
    ]
    with pytest.raises(InvalidConfig, match="pairs"):
        tabulate(crossing)
