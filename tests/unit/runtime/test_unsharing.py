"""Plans of new namespaces; nothing is made."""

from __future__ import annotations

import pytest

from pycgroups.errors import InvalidConfig
from pycgroups.namespaces.files import FLAGS
from pycgroups.runtime import unsharing


def names(plan):
    return [step.name for step in plan.setup]


def test_most_are_made_by_the_clone():
    plan = unsharing._plan(("user", "net", "uts"), b"", joins=False)
    assert plan.namespaces == FLAGS["user"] | FLAGS["net"] | FLAGS["uts"]
    assert names(plan) == ["death", "call", "lo up", "wait"]
    assert plan.given == 0


def test_clocks_are_set_before_anybody_is_there():
    plan = unsharing._plan(("user", "time"), b"boottime 1 0\n", joins=False)
    assert plan.namespaces == FLAGS["user"]
    assert names(plan) == ["death", "call", "unshare", "time offsets", "wait"]


def test_in_a_user_namespace_that_is_joined():
    plan = unsharing._plan(("net", "mnt"), b"", joins=True)
    assert plan.namespaces == 0
    entered = ["setns", "call", "become root", "death"]
    assert names(plan) == [*entered, "call", "unshare", "propagate", "lo up", "wait"]
    assert plan.setup[5].args == (FLAGS["net"] | FLAGS["mnt"],)
    assert plan.given == 1


def test_who_may_look_anyhow_shows_nobody_else_the_helper():
    plan = unsharing._plan(("net",), b"", joins=True, hidden=True)
    assert names(plan) == ["setns", "death", "unshare", "lo up", "wait"]


@pytest.mark.parametrize(
    ("offsets", "text"),
    [
        (None, b""),
        ({}, b""),
        ({"boottime": 5}, b"boottime 5 0\n"),
        ({"monotonic": 0.25, "boottime": -0.25}, b"monotonic 0 250000000\nboottime -1 750000000\n"),
        ({"monotonic": -3}, b"monotonic -3 0\n"),
    ],
)
def test_offsets(offsets, text):
    assert unsharing._offsets(offsets, ("time",)) == text


@pytest.mark.parametrize("seconds", [True, "1", None, float("inf"), float("nan"), 2**40, 1j])
def test_offsets_that_are_none(seconds):
    with pytest.raises(InvalidConfig, match=r"time_offsets\['boottime'\]"):
        unsharing._offsets({"boottime": seconds}, ("time",))
