"""What each controller reads, on fake directories."""

from __future__ import annotations

import pytest

from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1.cpuacct import Cpuacct
from pycgroups.cgroups.v1.memory import Memory as Memory1
from pycgroups.cgroups.v1.pids import Pids as Pids1
from pycgroups.cgroups.v2.cpu import Cpu as Cpu2
from pycgroups.cgroups.v2.io import Io
from pycgroups.cgroups.v2.memory import Memory as Memory2
from pycgroups.cgroups.v2.pids import Pids as Pids2


@pytest.fixture
def group(fake):
    """An empty directory, open; files are added by the tests."""
    with Directory(str(fake.make("parent/group"))) as directory:
        yield directory


@pytest.fixture
def files(fake):
    def make(**contents):
        fake.make("parent/group", **contents)
        return fake.path / "parent/group"

    return make


def test_memory_v1(group, files, fake):
    files(memory_max_usage_in_bytes="4096\n", memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    fake.make("parent/group/sub/sub", memory_oom_control="under_oom 0\noom_kill 3\n")
    fake.make("parent/group/sub", memory_oom_control="under_oom 0\noom_kill 0\n")
    assert Memory1().sample(group) == {"peak_memory": 4096, "oom": 5}


def test_memory_v1_without_the_count(group, files):
    files(memory_max_usage_in_bytes="4096\n", memory_oom_control="oom_kill_disable 0\nunder_oom 0\n")
    assert Memory1().sample(group) == {"peak_memory": 4096, "oom": None}


def test_memory_v2(group, files):
    files(memory_peak="4096\n", memory_events="low 0\nhigh 0\nmax 9\noom 4\noom_kill 1\noom_group_kill 0\n")
    assert Memory2().sample(group) == {"peak_memory": 4096, "oom": 1}


def test_memory_v2_before_5_19(group, files):
    files(memory_events="oom 0\noom_kill 0\n")
    assert Memory2().sample(group) == {"peak_memory": None, "oom": 0}


def test_pids_v1(group, files, fake):
    files(pids_peak="9\n", pids_events="max 1\n")
    fake.make("parent/group/sub", pids_events="max 2\n")
    assert Pids1().sample(group) == {"processes_peak": 9, "pids_hits": 3}


def test_pids_v2(group, files, fake):
    files(pids_events="max 5\n")
    fake.make("parent/group/sub", pids_events="max 2\n")
    assert Pids2().sample(group) == {"processes_peak": None, "pids_hits": 5}


def test_cpu_v2(group, files):
    files(cpu_stat="usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\n")
    assert Cpu2().sample(group) == {"cpu_time": 1.5, "user_time": 1.0, "system_time": 0.5}


def test_cpuacct(group, files):
    files(cpuacct_usage="1010000000\n", cpuacct_stat="user 75\nsystem 25\n")
    assert Cpuacct().sample(group) == pytest.approx({"cpu_time": 1.01, "user_time": 0.7575, "system_time": 0.2525})


def test_cpuacct_before_the_first_tick(group, files):
    files(cpuacct_usage="1000\n", cpuacct_stat="user 0\nsystem 0\n")
    assert Cpuacct().sample(group) == {"cpu_time": 1e-6}


def test_io(group, files):
    line = "rbytes={} wbytes={} rios=7 wios=8 dbytes=99 dios=9\n"
    files(io_stat="8:0 " + line.format(1, 20) + "254:16 " + line.format(300, 4000))
    assert Io().sample(group) == {"io_read": 301, "io_written": 4020}


def test_io_of_nothing(group, files):
    files(io_stat="")
    assert Io().sample(group) == {"io_read": 0, "io_written": 0}
