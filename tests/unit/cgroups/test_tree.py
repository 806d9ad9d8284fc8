"""Files and trees, on fake directories and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from pycgroups.cgroups import tree
from pycgroups.cgroups.files import Directory
from pycgroups.errors import CgroupError


@pytest.fixture
def group(fake):
    with Directory(str(fake.make("group", cgroup_procs=""))) as directory:
        yield directory


@pytest.fixture
def sleeper():
    with subprocess.Popen(["/bin/sleep", "100"]) as process:
        yield process
        process.kill()


def test_long_files_are_read_whole(group, fake):
    pids = list(range(2, 5000))
    fake.make("group", cgroup_procs="".join(f"{pid}\n" for pid in pids))
    assert tree.processes(group) == pids


def test_processes_below(group, fake):
    fake.make("group", cgroup_procs="7\n0\n")
    fake.make("group/a", cgroup_procs="8\n")
    fake.make("group/a/b", cgroup_procs="9\n")
    fake.make("group/threaded")  # lists no processes
    assert sorted(tree.processes(group)) == [0, 7, 8, 9]


def test_only_listed_processes_are_killed(group, fake, sleeper):
    tree.kill_each(group)
    assert sleeper.poll() is None
    fake.make("group", cgroup_procs=f"0\n{sleeper.pid}\n{2**22 - 1}\n")
    tree.kill_each(group)
    assert sleeper.wait(5) == -signal.SIGKILL


def test_a_process_that_left_meanwhile_is_not_killed(group, fake, sleeper, monkeypatch):
    """As if its pid had been reused by a process elsewhere."""
    fake.make("group", cgroup_procs=f"{sleeper.pid}\n")
    open_pidfd = os.pidfd_open

    def leaves(pid):
        fake.make("group", cgroup_procs="")
        return open_pidfd(pid)

    monkeypatch.setattr(os, "pidfd_open", leaves)
    tree.kill_each(group)
    time.sleep(0.05)
    assert sleeper.poll() is None


def test_the_undying_are_named_in_time(group, fake):
    fake.make("group", cgroup_procs="".join(f"{2**22 - 1 - number}\n" for number in range(30)))
    start = time.monotonic()
    with pytest.raises(CgroupError, match=r"still has processes: 4194303, .*, \.\.\.") as caught:
        tree.kill(group, tree.kill_each, start + 0.1)
    assert time.monotonic() - start >= 0.1
    assert caught.value.hint
    assert caught.value.path == group.path


def test_the_caller_is_spared(group, fake):
    fake.make("group", cgroup_procs=f"{os.getpid()}\n")
    with pytest.raises(CgroupError, match="this process is inside"):
        tree.kill(group, tree.kill_each, time.monotonic() + 5)


def test_removed_by_someone_else(group, tmp_path):
    assert tree.try_rmdir(f"{tmp_path}/none")
    assert not tree.try_rmdir(str(tmp_path))  # not empty
    with pytest.raises(CgroupError, match="ENOTDIR"):
        tree.try_rmdir(f"{tmp_path}/group/cgroup.procs")


def test_files_that_are_not_there(group):
    assert group.read_if_there("x") == ""
    assert group.number("x") is None
    assert group.counts("x") == {}
    assert not group.write_if_there("x", "1")
    with pytest.raises(CgroupError, match=r"open .*/group/x: No such file"):
        group.read("x")


def test_max_is_no_number(group, fake):
    fake.make("group", pids_max="max\n", pids_peak="12\n")
    assert group.number("pids.max") is None
    assert group.number("pids.peak") == 12
