"""How a container is after its checks, and what is kept of that."""

from __future__ import annotations

import os

import pytest

from pycgroups.containers import health
from pycgroups.containers.health import Checked, Health
from pycgroups.containers.home import Start

SECOND = 10**9
CHECK = {"start_period": 10.0, "retries": 2}


def after(codes, *, at=20):
    """The states after checks with these exit codes, the first of them so many seconds after the start."""
    found, states = Health(), []
    for number, code in enumerate(codes):
        time = (at + number) * SECOND
        found = health.after(found, Checked(time, time + 1, code, ""), CHECK, started=0)
        states.append((found.status, found.failing_streak))
    return states


def test_states():
    assert after([0]) == [("healthy", 0)]
    assert after([1, 1, 1, 0]) == [("starting", 1), ("unhealthy", 2), ("unhealthy", 3), ("healthy", 0)]
    assert after([0, -1, 0, 137, 2]) == [
        ("healthy", 0),
        ("healthy", 1),
        ("healthy", 0),
        ("healthy", 1),
        ("unhealthy", 2),
    ]


def test_in_the_start_period_no_failure_counts_before_the_first_success():
    assert after([1, 1, 1, 1], at=7) == [("starting", 0)] * 3 + [("starting", 1)]
    assert after([1, 0, 1, 1], at=5) == [("starting", 0), ("healthy", 0), ("healthy", 1), ("unhealthy", 2)]
    assert health.is_early(Health(), CHECK, 0, 9 * SECOND)
    assert not health.is_early(Health(), CHECK, 0, 10 * SECOND)
    assert not health.is_early(Health("healthy"), CHECK, 0, 9 * SECOND)


def test_the_last_five_are_kept():
    found = Health()
    for code in range(8):
        found = health.after(found, Checked(0, 0, code, ""), CHECK, started=0)
    assert [checked.exit_code for checked in found.log] == [3, 4, 5, 6, 7]


@pytest.fixture
def directory(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def start(started):
    return Start(boot="b", started=started, pid=1, began=1, creator=1, creator_began=1)


def test_it_is_kept_and_is_of_one_start_alone(directory, tmp_path):
    assert health.read(directory, start(5)) == health.read(directory, None) == Health()
    written = Health("unhealthy", 3, (Checked(1, 2, -1, "\udcff\x1b"),))
    health.write(directory, start(5), written)
    assert health.read(directory, start(5)) == written
    assert health.read(directory, start(6)) == health.read(directory, None) == Health()
    assert os.listdir(tmp_path) == ["health.json"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b'{"started":5}', b'{"started":5,"log":[1],"status":"x"}'])
def test_damage_is_taken_for_nothing_known(directory, tmp_path, text):
    (tmp_path / "health.json").write_bytes(text)
    assert health.read(directory, start(5)) == Health()
