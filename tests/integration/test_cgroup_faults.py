"""Groups under bad input, and what others do to them meanwhile: errors that say what, no hang, nothing left."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.cgroups import Cgroup, tree
from tests import leaks
from tests.processes import state
from tests.waiting import PATIENCE, is_inside, wait_for

pytestmark = pytest.mark.requires("limits")


@pytest.fixture(autouse=True)
def nothing_more_is_open():
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


@contextlib.contextmanager
def started(group, *command):
    with subprocess.Popen(pc.in_cgroup(group, [*command]), stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def remove_by_hand(group):
    for path in group.paths:
        wait_for(functools.partial(tree.try_rmdir, path))


# --- names and limits ---

BAD_NAMES = ["", "/", "/a", "a/", "a//b", "..", "a/..", "a/../b", ".", ".a", "a\0b", "a\nb", "a b", "run.1", "a" * 256]
BAD_NAMES += ["ä" * 150, "a" * 300, "a/" * 20 + "a", "cgroup.procs", "memory.max", "tasks", 7, b"a", ["a"]]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_bad_names(name):
    with pytest.raises(pc.InvalidConfig, match="name"):
        Cgroup.create(name, pids=9)


def test_the_longest_name():
    with Cgroup.create("n" * 255, pids=9) as group:
        assert group.processes() == ()


def test_an_existing_name():
    with Cgroup.create("taken", pids=9) as group:
        with pytest.raises(pc.AlreadyExists, match="taken"):
            Cgroup.create("taken", pids=9)
        assert all(map(os.path.isdir, group.paths))


BAD_LIMITS = [{"memory": -1}, {"memory": 0}, {"memory": "1Z"}, {"memory": 1 << 70}, {"pids": -5}, {"pids": 1 << 40}]
BAD_LIMITS += [{"cpus": -1}, {"cpus": float("nan")}, {"cpus": float("inf")}, {"cpuset": "1-0"}, {"cpuset": "-1"}]


@pytest.mark.parametrize("limits", BAD_LIMITS, ids=str)
def test_bad_limits(limits):
    with pytest.raises(pc.InvalidConfig):
        Cgroup.create(**limits)
    with Cgroup.create(pids=9) as group:
        with pytest.raises(pc.InvalidConfig):
            group.set(**limits)
        assert group.limits.pids == 9


@pytest.mark.parametrize("limits", [{"memory": "64M"}, {"pids": 50}, {"cpus": 2}], ids=str)
def test_limits_beyond_the_parents(limits):
    """v2 takes them, the lesser is in force; v1 refuses some. Neither leaves anything."""
    if "cpus" in limits and "cpu" not in pc.cgroups.info().usable:
        pytest.skip("the cpu controller is not usable here")
    less = {"memory": "32M"} if "memory" in limits else {"pids": 5} if "pids" in limits else {"cpus": 0.5}
    refusals = []
    with Cgroup.create("parent", **less) as parent:
        try:
            with Cgroup.create("parent/child", **limits) as child:
                if "pids" in limits:
                    script = "i=0; while [ $i -lt 9 ]; do sleep 1000 2>/dev/null & i=$((i + 1)); done"
                    command = pc.in_cgroup(child, ["sh", "-c", script])
                    assert subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=PATIENCE).stderr
        except pc.CgroupError as error:
            refusals.append(error)
        assert all(refusal.path and refusal.errno for refusal in refusals)
        assert all(os.listdir(path).count("child") == 0 for path in parent.paths)


@pytest.mark.parametrize("pid", [0, -1, True, "1", None, 1.0])
def test_bad_pids(pid):
    with Cgroup.create(pids=9) as group, pytest.raises(pc.InvalidConfig, match="pid"):
        group.add(pid)


@pytest.mark.parametrize("pid", [2**22 - 1, 2**31 - 1, 2**64])
def test_pids_that_do_not_exist(pid):
    with Cgroup.create(pids=9) as group, pytest.raises(pc.CgroupError, match=r"cgroup\.procs"):
        group.add(pid)


# --- a group removed under our feet ---


@pytest.fixture
def removed():
    group = Cgroup.create(pids=9, memory="50M")
    remove_by_hand(group)
    yield group
    group.remove()


def raises_gone():
    return pytest.raises(pc.CgroupError, match=r"ENOENT|ENODEV")


def test_set_on_a_removed_group(removed):
    with raises_gone():
        removed.set(memory="60M")
    assert removed.limits.memory == 50 << 20


def test_add_to_a_removed_group(removed):
    with raises_gone():
        removed.add(os.getpid())


def test_freeze_and_watch_a_removed_group(removed):
    for method in (removed.freeze, removed.watch):
        with raises_gone():
            method()
    removed.thaw()
    assert not removed.frozen


def test_kill_list_and_remove_a_removed_group(removed):
    assert removed.processes() == ()
    removed.kill()
    removed.remove()
    removed.remove()


def test_start_in_a_removed_group(removed):
    done = subprocess.run(pc.in_cgroup(removed, ["true"]), stderr=subprocess.PIPE, check=False, timeout=PATIENCE)
    assert done.returncode == 125


def test_a_group_made_anew_by_others_is_not_ours(removed):
    for path in removed.paths:
        os.makedirs(path)
    with raises_gone():
        removed.set(memory="60M")
    removed.kill()
    for path in removed.paths:
        os.rmdir(path)


def test_half_a_group_is_removed():
    with Cgroup.create(pids=9, memory="50M") as group, started(group, "sleep", "1000") as child:
        wait_for(lambda: is_inside(group, child.pid))
        if len(group.paths) == 1:
            pytest.skip("it is one directory here")
        above = os.path.dirname(group.paths[-1])
        Path(above, "cgroup.procs").write_text(str(child.pid))
        assert tree.try_rmdir(group.paths[-1])
        assert group.processes() == (child.pid,)
        with raises_gone():
            group.add(child.pid)
        group.kill()
        assert child.wait(PATIENCE) == -signal.SIGKILL


def test_removed_by_somebody_else_who_opened_it():
    with Cgroup.create(pids=20, memory="50M") as group, started(group, "sleep", "1000"):
        with Cgroup.open(group.paths[0]) as other:
            other.remove()
        assert not any(map(os.path.isdir, group.paths))


def test_removed_by_two_processes_at_once():
    for _ in range(5):
        with (
            Cgroup.create(pids=20, memory="50M") as group,
            started(group, "sh", "-c", "sleep 1000 & sleep 1000 & wait"),
            Cgroup.open(group.paths[0]) as other,
        ):
            pid = os.fork()
            if not pid:
                _end_after(other.remove)
            group.remove()
            assert os.waitpid(pid, 0)[1] == 0
            assert not any(map(os.path.isdir, group.paths))


def _end_after(work):
    """Do something as the child of a fork, which must not come back to pytest."""
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


# --- killing ---


def test_a_fork_bomb_among_frozen_ones():
    bomb = "b() { b | b & }; b; sleep 1000"
    with Cgroup.create(pids=60) as group, started(group, "sh", "-c", bomb):
        wait_for(lambda: group.sample().pids_hits)
        for path in group.paths:
            os.mkdir(f"{path}/inner")
        group.freeze(timeout=PATIENCE)
        group.thaw()
        group.remove()


def test_a_traced_and_stopped_process_is_killed():
    with Cgroup.create(pids=9) as group, started(group, "sh", "-c", "kill -STOP $$; sleep 1000") as child:
        wait_for(lambda: state(child.pid) == "T")
        group.kill()
        assert child.wait(PATIENCE) == -signal.SIGKILL


VFORK = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The parent of vfork sleeps, state D, until the child execs or ends; the child has left the group meanwhile. */
int main(int argc, char **argv)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    if (!vfork()) {
        char byte;
        dprintf(1, "%d\n", getpid());
        read(0, &byte, 1);
        _exit(0);
    }
    return 0;
}
"""


@pytest.mark.requires("gcc")
def test_a_process_in_an_uninterruptible_call_is_killed_or_named(scratch):
    """The parent of a vfork is in state D; it dies of SIGKILL all the same, and its child outside lives."""
    (scratch / "vfork.c").write_text(VFORK)
    subprocess.run(["gcc", "-O1", "-w", "-o", scratch / "vfork", scratch / "vfork.c"], check=True)
    with (
        Cgroup.create(pids=9) as group,
        Cgroup.create(pids=9) as outside,
        subprocess.Popen(
            pc.in_cgroup(group, [scratch / "vfork"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as parent,
    ):
        child = int(parent.stdout.readline())
        wait_for(lambda: state(parent.pid) in "DS")
        outside.add(child)
        group.kill()
        assert parent.wait(PATIENCE) == -signal.SIGKILL
        assert outside.processes() == (child,)


@pytest.mark.requires("root", "cgroup_v1")
def test_what_a_frozen_group_above_holds_is_named_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(tree, "PATIENCE", 0.3)
    above = Path(f"/sys/fs/cgroup/freezer/{leaks.OWN}")
    (above / "group").mkdir(parents=True)
    (above / "freezer.state").write_text("FROZEN")
    try:
        with Cgroup.open(str(above / "group")) as group, subprocess.Popen(["sleep", "1000"]) as child:
            group.add(child.pid)
            wait_for(lambda: state(child.pid) in "DS")
            for method in (group.kill, group.remove):
                with pytest.raises(pc.CgroupError, match=f"still has processes: {child.pid}") as caught:
                    method()
                assert "freezer" in caught.value.hint
            assert group.processes() == (child.pid,)
            (above / "freezer.state").write_text("THAWED")
            assert child.wait(PATIENCE) == -signal.SIGKILL
            group.remove()
    finally:
        (above / "freezer.state").write_text("THAWED")
        tree.try_rmdir(str(above / "group"))
        assert tree.try_rmdir(str(above))


# --- a controller that disappears ---


@pytest.fixture
def without_memory():
    """A group below one that has lost the memory controller since; and a watch of it."""
    with (
        Cgroup.create("loses", memory="60M", pids=20) as above,
        Cgroup.create("loses/memory", memory="50M", pids=9) as group,
        group.watch() as watch,
    ):
        Path(above.paths[0], "cgroup.subtree_control").write_text("-memory")
        yield group, watch


@pytest.mark.requires("cgroup_v2")
def test_a_controller_that_disappears(without_memory):
    group, watch = without_memory
    with pytest.raises(pc.CgroupError, match=r"memory\.max.*ENOENT.*taken away"):
        group.set(memory="40M")
    assert group.limits.memory == 50 << 20
    assert group.sample().oom is None
    with pytest.raises(pc.CgroupError, match=r"the controller was taken away.*ENODEV"):
        watch.read(1)
    assert not watch.gone
    with pytest.raises(pc.Unsupported):
        group.watch("oom")
    with started(group, "sleep", "1000") as child:
        wait_for(lambda: is_inside(group, child.pid))
        group.freeze()
        group.kill()
        assert child.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.requires("cgroup_v2")
def test_a_shared_directory_that_loses_a_controller_gets_it_again():
    with Cgroup.create(pids=9) as first:
        shared = Path(first.paths[0]).parent / "cgroup.subtree_control"
        shared.write_text("-pids")
        with Cgroup.create(pids=7) as second:
            assert Path(second.paths[0], "pids.max").read_text() == "7\n"
