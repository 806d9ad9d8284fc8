"""The words of limits."""

from __future__ import annotations

import contextlib
import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import Limits, parse_size
from pycgroups.cgroups.limits import cpu_list, cpu_numbers
from pycgroups.errors import InvalidConfig


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        (64 << 20, 64 << 20),
        ("4096", 4096),
        ("4096b", 4096),
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        (" 1.5G ", 3 << 29),
        ("0.5k", 512),
        ("1.0000000001K", 1024),
        ("1T", 1 << 40),
        ("1e", 1 << 60),
    ],
)
def test_sizes(value, size):
    assert parse_size("memory", value) == size


@pytest.mark.parametrize(
    "value",
    [
        *(True, False, 0, -1, 2**64, 1.5, math.nan, math.inf, None, b"1G", [1]),
        *(
            "",
            "G",
            "-1",
            "+1",
            "1.G",
            ".5G",
            "1,5G",
            "1 G",
            "1GG",
            "1iB",
            "1X",
            "0",
            "0x10",
            "1_000",
            "\u0661",
            "9E",
            "1\n2",
        ),
        *("1" * 5000, "1." + "0" * 5000, "1.5.5G", "NaN", "inf", "1e5"),
    ],
)
def test_what_is_no_size(value):
    with pytest.raises(InvalidConfig) as caught:
        parse_size("disk", value)
    assert caught.value.path == "disk"
    assert len(str(caught.value)) < 300


@given(st.text(max_size=20) | st.from_regex(r"[0-9.]{0,6}[bkmgtpe]?i?b?", fullmatch=True))
def test_a_size_is_an_int_or_an_error(value):
    with contextlib.suppress(InvalidConfig):
        assert 1 <= parse_size("memory", value) <= 1 << 60


@given(st.integers(1, 1 << 30), st.sampled_from(["k", "M", "GiB"]))
def test_whole_sizes_are_exact(number, unit):
    assert parse_size("memory", f"{number}{unit}") == number << {"k": 10, "M": 20, "GiB": 30}[unit]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0", {0}), ("0-2,7", {0, 1, 2, 7}), ("0,0", {0}), ("1-3,2-5", {1, 2, 3, 4, 5}), ("8191", {8191}), ("", set())],
)
def test_cpu_lists(text, numbers):
    assert cpu_numbers(text) == numbers


@pytest.mark.parametrize(
    "value",
    ["x", "", ",", "0,", "-1", "1-", "3-1", "0-8192", "9999999999", "0 - x", "0-1-2", "1.0", "\u0663", 0, True, ["0"]],
)
def test_what_is_no_cpuset(value):
    with pytest.raises(InvalidConfig) as caught:
        Limits(cpuset=value)
    assert caught.value.path == "cpuset"


@given(st.frozensets(st.integers(0, 8191)))
def test_cpu_lists_there_and_back(numbers):
    assert cpu_numbers(cpu_list(numbers)) == numbers


@given(st.text(alphabet="0123456789-, x", max_size=15))
def test_a_cpuset_is_normal_or_an_error(text):
    try:
        limits = Limits(cpuset=text)
    except InvalidConfig:
        return
    assert limits.cpuset
    assert Limits(cpuset=limits.cpuset) == limits


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("memory", value) for value in (0, -1, -2, 4095, 2**64, True, math.nan, 1e9, "", "x", "2P2")),
        *(("memory_swap", value) for value in (0, -2, 2**64, True, "-2", 1.0)),
        *((word, value) for word in ("memory_low", "memory_high") for value in (0, -1, "1P", True, "x")),
        *((word, value) for word in ("cpu_weight", "io_weight") for value in (0, -1, 10_001, 2**64, True, 1.0, "5")),
        *(("cpus", value) for value in (0, -1, 0.009, math.nan, math.inf, -math.inf, True, "1", 2**64, 8193)),
        *(("pids", value) for value in (0, -1, -2, 2**64, 2**22 + 1, True, 1.0, math.nan, "5")),
    ],
)
def test_bad_limits_name_the_option(option, value):
    with pytest.raises(InvalidConfig) as caught:
        Limits(**{"memory": "1G", option: value})
    assert caught.value.path == option
    assert "allowed" in str(caught.value)


def test_meanings():
    limits = Limits(memory="64M", memory_swap="1G", cpus=1.5, cpuset="3,0-1", pids=64)
    assert limits == Limits(memory=64 << 20, memory_swap=1 << 30, cpus=1.5, cpuset="0-1,3", pids=64)
    assert hash(limits)


@pytest.mark.parametrize("words", [{"memory_swap": "1G"}, {"memory": "1G", "memory_swap": "512M"}, {"memory_swap": -1}])
def test_swap_goes_with_memory(words):
    with pytest.raises(InvalidConfig) as caught:
        Limits(**words)
    assert caught.value.path == "memory_swap"


@pytest.mark.parametrize("words", [{"memory": "1M", "memory_low": "2M"}, {"memory": "1M", "memory_high": "2M"}])
def test_no_protection_or_brake_beyond_the_limit(words):
    with pytest.raises(InvalidConfig, match="at most memory"):
        Limits(**words)


def test_disks():
    limits = Limits(io_limits={"/dev/sdb": {"wiops": 5}, "/dev/sda": {"wbps": "1M", "rbps": 7}})
    assert limits.io_limits == (("/dev/sda", (("rbps", 7), ("wbps", 1 << 20))), ("/dev/sdb", (("wiops", 5),)))
    assert attrs.evolve(limits, pids=1).io_limits == limits.io_limits
    assert Limits(io_limits={}) == Limits()


@pytest.mark.parametrize(
    "value",
    [
        *(5, "x", b"/dev/sda", ["/dev/sda"], {"sda": {"rbps": 1}}, {"/dev/\0": {"rbps": 1}}, {7: {"rbps": 1}}),
        *({"/dev/sda": bad} for bad in ({}, None, 5, "rbps", {"rps": 1}, {5: 1}, {"rbps": 0}, {"rbps": -1})),
        *({"/dev/sda": {"riops": bad}} for bad in (0, -1, True, "5", 1.0, 2**64, None)),
    ],
)
def test_bad_disks(value):
    with pytest.raises(InvalidConfig) as caught:
        Limits(io_limits=value)
    assert str(caught.value.path).startswith("io_limits")
    assert len(str(caught.value)) < 300


def test_hugepages():
    limits = Limits(hugepages={"2M": "64M", 1 << 30: 0, "64K": 1})
    assert limits.hugepages == (("1GB", 0), ("2MB", 64 << 20), ("64KB", 1))
    assert attrs.evolve(limits, pids=1).hugepages == limits.hugepages


@pytest.mark.parametrize(
    "value",
    [5, "2M", {"3M": 1}, {"1K": 1}, {"1T": 1}, {"2M": -1}, {"2M": None}, {"../x": 1}, {"": 1}, {True: 1}, [("2M", 1)]],
)
def test_bad_hugepages(value):
    with pytest.raises(InvalidConfig) as caught:
        Limits(hugepages=value)
    assert str(caught.value.path).startswith("hugepages")


def test_least_values():
    limits = Limits(memory=4096, cpus=0.01, pids=1)
    assert attrs.evolve(limits, pids=2).pids == 2
