"""Names of groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import names
from pycgroups.errors import InvalidConfig


@pytest.mark.parametrize("name", ["a", "jobs/a", "a.b-c_d@e:f", "memory", "ü", "a" * 255, "/".join("abcdefghijklmnop")])
def test_good(name):
    names.check(name)


BAD = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../../b", "../../x", ".hidden", "a/.b", "/../x"),
    *(
        "a\n",
        "a\nb",
        "\n",
        "a\0b",
        "a b",
        "\ta",
        "a\x1b[0m",
        "\udcff",
        "a" * 256,
        "ü" * 128,
        "/".join("abcdefghijklmnopq"),
    ),
    *("memory.max", "cgroup.procs", "tasks", "a/pids.max", "notify_on_release", "run.1.abc", "a/run.x", "x" * 5000),
    *(None, 7, b"a", ["a"]),
]


@pytest.mark.parametrize("name", BAD)
def test_bad(name):
    with pytest.raises(InvalidConfig) as caught:
        names.check(name)
    assert caught.value.path == "name"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@given(st.text())
def test_what_passes_stays_below(name):
    try:
        names.check(name)
    except InvalidConfig:
        return
    parts = name.split("/")
    assert all(parts)
    assert not {".", ".."} & set(parts)
    assert not any(character.isspace() or character == "\0" for character in name)


def test_made_up_names_are_for_nobody_else():
    first, second = names.fresh(), names.fresh()
    assert first != second
    with pytest.raises(InvalidConfig):
        names.check(first)
