"""What is told of processes: of this one and its children, which are nobody's container."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pycgroups.containers import top
from tests.waiting import wait_for

OWN = os.getpid()


@pytest.fixture
def named():
    """A function that gives this process another name, as the kernel shows it."""
    before = Path("/proc/self/comm").read_text()
    yield lambda name: Path("/proc/self/comm").write_text(name)
    Path("/proc/self/comm").write_text(before)


def test_of_this_process(named):
    named(") R (1 2 3\n4")
    (own,) = top.processes([OWN], OWN)
    assert (own.pid, own.parent, own.state, own.uid) == (OWN, os.getppid(), "R", os.geteuid())
    assert own.started < time.time() < own.started + 3600
    assert own.cpu_time > 0
    assert 0 < own.cpu_percent < 6400
    assert own.rss > 1 << 20
    assert "pytest" in own.command


def test_who_has_gone_is_left_out():
    assert top.processes([2**22 + 1], OWN) == top.processes([2**22 + 1], 2**22 + 1) == ()


def test_who_has_ended_has_a_name_and_no_memory():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        (dead,) = top.processes([child.pid], OWN)
    assert (dead.state, dead.rss, dead.command) == ("Z", 0, "[true]")


def test_a_command_of_megabytes_is_cut_off():
    with subprocess.Popen(["sleep", "1000", *["0" * 100_000] * 5]) as child:
        try:
            wait_for(lambda: top.processes([child.pid], OWN)[0].command.startswith("sleep 1000 000"))
            assert len(top.processes([child.pid], OWN)[0].command) <= 4096
        finally:
            child.kill()
