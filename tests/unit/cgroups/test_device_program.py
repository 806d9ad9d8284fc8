"""The eBPF program decides as the rules say: compared with a plain reading of them, access by access."""

from __future__ import annotations

import random

from hypothesis import given

from pycgroups.cgroups.device_program import compile_table
from pycgroups.cgroups.device_rules import ALL, MOST, tabulate
from pycgroups.oci.resources import DeviceRule
from tests.unit.cgroups import device_cases as cases
from tests.unit.cgroups.ebpf_machine import decode, run


def compiled(rules):
    return decode(compile_table(tabulate(rules)))


@given(cases.rules)
def test_any_rules(rules):
    code = compiled(rules)
    for device in cases.DEVICES:
        for access in cases.ACCESSES:
            assert run(code, *device, cases.bits(access)) == cases.allowed(rules, device, access), (device, access)


def test_great_numbers_and_long_lists():
    dice = random.Random(3)

    def number(greatest):
        return dice.choice([None, 0, 1, greatest, dice.randint(0, greatest)])

    for _ in range(30):
        rules = [
            DeviceRule(
                allow=dice.random() < 0.5,
                type=dice.choice("abc"),
                major=number(4095),
                minor=number((1 << 20) - 1),
                access=dice.choice(["r", "w", "m", "rw", "rwm"]),
            )
            for _ in range(dice.randint(1, 60))
        ]
        code = compiled(rules)
        for rule in rules:
            device = (
                dice.choice("bc"),
                7 if rule.major is None else rule.major,
                9 if rule.minor is None else rule.minor,
            )
            for access in cases.ACCESSES:
                assert run(code, *device, cases.bits(access)) == cases.allowed(rules, device, access)


def test_the_longest():
    rules = [DeviceRule(allow=True, major=1, minor=n, access="r") for n in range(MOST)]
    code = compiled(rules)
    assert run(code, "b", 1, 0, cases.bits("r")) == 1
    assert run(code, "c", 1, MOST - 1, cases.bits("r")) == 1
    assert run(code, "c", 1, MOST, cases.bits("r")) == 0


def test_a_number_is_compared_whole():
    code = compiled([DeviceRule(allow=True, type="c", major=1, minor=3)])
    assert run(code, "c", 1, 3, ALL) == 1
    assert run(code, "c", 1 << 31 | 1, 3, ALL) == 0
    assert run(code, "c", 1, 0xFFFFFFFF, ALL) == 0
