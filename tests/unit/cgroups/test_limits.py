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
    assert limits.controllers == {"memory", "cpu", "cpuset", "pids"}
    assert limits.cpu_quota == 150_000
    assert limits.memory_and_swap == 1 << 30
    assert limits.words("memory") == ("memory", "memory_swap")
    assert hash(limits)


def test_nothing_asked():
    limits = Limits()
    assert limits.controllers == frozenset()
    assert (limits.memory_and_swap, limits.cpu_quota) == (None, None)


def test_no_swap_unless_asked():
    assert Limits(memory="64M").memory_and_swap == 64 << 20
    assert Limits(memory="64M", memory_swap=-1).memory_and_swap == -1
    assert Limits(memory="64M", memory_swap="-1").memory_swap == -1
    assert Limits(memory="64M", memory_swap="64M").memory_and_swap == 64 << 20


@pytest.mark.parametrize("words", [{"memory_swap": "1G"}, {"memory": "1G", "memory_swap": "512M"}, {"memory_swap": -1}])
def test_swap_goes_with_memory(words):
    with pytest.raises(InvalidConfig) as caught:
        Limits(**words)
    assert caught.value.path == "memory_swap"


def test_least_values():
    limits = Limits(memory=4096, cpus=0.01, pids=1)
    assert limits.cpu_quota == 1000
    assert attrs.evolve(limits, pids=2).pids == 2


@given(st.floats(0.01, 8192))
def test_a_quota_is_never_too_small(cpus):
    quota = Limits(cpus=cpus).cpu_quota
    assert quota is not None
    assert quota >= 1000
