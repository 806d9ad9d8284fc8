"""Limits of a program that is executed in a container, on top of the container's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.runtime import launch
from tests.processes import state
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")
limited = pytest.mark.requires("limits")

FORKS = "i=0; while [ $i -lt 9 ]; do sleep 100 & i=$((i+1)); done; wait"
FILLS = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]


def groups(held):
    """Names of the groups below the container's, in any hierarchy."""
    with held._runtime().cgroup() as group:
        return {child.name for path in group.paths for child in Path(path).iterdir() if child.is_dir()}


def executed(held):
    return {name for name in groups(held) if name != "pycgroups.own"}


def commands(held):
    return {process.command for process in held.top()}


@limited
def test_memory_that_runs_out_kills_the_program_alone(run):
    held = run(memory="500M")
    result = held.exec(FILLS, memory="64M")
    assert (result.returncode, result.reason) == (-9, "oom")
    assert result.hits["oom"] >= 1
    assert result.usage.peak_memory <= 64 << 20
    assert held.status == "running"
    assert held.exec(FILLS, check=True).hits == {"oom": 0, "pids": 0, "disk": 0}
    assert held.exec(FILLS, memory="300M", check=True).usage.peak_memory > 200 << 20
    assert executed(held) == set()


WAITS = ("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 100 & wait; done")


def end(held):
    """Have it end with 3; its events for want of memory, and the reason that it is told to have ended for."""
    held.stop()
    assert held.exit_code == 3
    actions = [event.action for event in held._place.events.read() if event.id == held.id]
    assert held.inspect()["state"]["oom"] == ("oom" in actions)
    return actions.count("oom"), held.reason


@limited
def test_a_kill_for_a_limit_of_its_own_is_not_the_containers(run):
    held = run(*WAITS, memory="500M")
    for _ in range(2):
        assert held.exec(FILLS, memory="64M").reason == "oom"
    assert end(held) == (0, "exited")


@limited
def test_a_kill_in_the_container_is_its_own_after_an_exec_with_limits(run):
    held = run(*WAITS, memory="100M")
    held.exec("true", memory="64M", check=True)
    assert held.exec(FILLS).returncode == -signal.SIGKILL
    assert held.exec(FILLS, memory="64M").reason == "oom"
    assert end(held) == (1, "oom")


@limited
@pytest.mark.requires("cgroup_v2")  # on v1 a group is told of its own processes alone
def test_a_kill_in_an_exec_for_the_limit_of_the_container_is_the_containers(run):
    held = run(*WAITS, memory="100M")
    assert held.exec(FILLS, memory="1G").returncode == -signal.SIGKILL
    assert end(held) == (1, "oom")


@limited
def test_processes_are_refused_beyond_the_limit(run):
    held = run()
    result = held.exec(["sh", "-c", FORKS], pids=5)
    assert (result.reason, result.hits["pids"] >= 1) == ("pids", True)
    assert result.returncode != 0
    result = held.exec(["sh", "-c", f"({FORKS}) || exit 0"], pids=5)
    assert (result.returncode, result.reason, result.hits["pids"] >= 1) == (0, "exited", True)
    assert len(held.top()) == 2  # the init and its program: nobody of these
    assert executed(held) == set()


@limited
def test_what_starts_the_program_does_not_count(run, monkeypatch):
    """However late the caller wakes up, and reaps who has forked it."""
    held, real = run(), launch.Running.until_started
    result = held.exec("true", pids=1)
    assert (result.returncode, result.hits["pids"]) == (0, 0)
    ends = os.pipe()

    def late(running, deadline):
        os.close(ends[1])
        assert os.read(ends[0], 9) == b"0\n"
        real(running, deadline)

    monkeypatch.setattr(launch.Running, "until_started", late)
    result = held.exec(["sh", "-c", "/bin/true & wait $!; echo $?"], pids=2, stdout=ends[1])
    assert (result.returncode, result.hits["pids"]) == (0, 0)
    os.close(ends[0])


@limited
def test_one_that_runs_has_as_many_as_asked_for(run):
    held = run()
    with held.popen(["sh", "-c", "read line; true & sleep 0"], stdin=pc.PIPE, stderr=pc.DEVNULL, pids=1) as running:
        running.communicate(b"\n", timeout=60)
    assert (running.reason, running.hits["pids"]) == ("pids", 1)


@limited
def test_the_containers_own_limit_counts_who_starts_it(run):
    with pytest.raises(pc.LaunchError, match="limit of processes"):
        run(pids=2).exec("true")


@limited
def test_the_containers_own_limits_hold_as_well(run):
    held = run(memory="100M", pids=20)
    assert held.exec(FILLS, memory="1G").reason == "oom"
    assert held.exec(["sh", "-c", FORKS], pids=7).reason == "pids"
    running = held.popen(["sh", "-c", f"{FORKS}"], pids=1000)
    wait_for(lambda: len(held.top()) >= 10)
    assert held.exec(["sh", "-c", f"{FORKS}"], timeout=60).returncode != 0  # the container has no room for them
    running.kill()
    running.wait(timeout=60)


@limited
def test_a_cpuset_of_its_own(run):
    held = run(cpuset="0", require_limits=False)
    if held.inspect()["state"]["unenforced"]:
        pytest.skip("no cpuset controller")
    said = held.exec(["grep", "Cpus_allowed_list", "/proc/self/status"], cpuset="0", text=True, check=True)
    assert said.stdout.split() == ["Cpus_allowed_list:", "0"]
    with pytest.raises(pc.InvalidConfig):
        held.exec("true", cpuset="9999")
    assert executed(held) == set()


@limited
def test_cpus_of_its_own(run):
    held = run(cpus=0.5)
    burn = "while :; do :; done"
    result = held.exec(["sh", "-c", burn], cpus=0.1, timeout=2)
    assert result.usage.cpu_time < 0.2 * result.usage.wall_time + 0.1
    result = held.exec(["sh", "-c", burn], cpus=8, timeout=1)  # more than the container has is no error
    assert (result.reason, result.usage.cpu_time < 0.75 * result.usage.wall_time + 0.1) == ("timeout", True)
    assert executed(held) == set()
    for _ in range(20):  # v1 counts a group that was removed for a while
        held.exec("true", cpus=0.4, check=True)
        held.update(cpus=0.3)
        held.update(cpus=0.5)


@limited
@pytest.mark.requires("cgroup_v1")
def test_on_v1_an_update_names_what_is_in_the_way(run):
    held = run(cpus=1, cpuset="0-1")
    running = held.popen(["sleep", "100"], cpus=0.8, cpuset="0-1")
    with pytest.raises(pc.CgroupError, match="executed in a container"):
        held.update(cpus=0.5)
    with pytest.raises(pc.CgroupError, match="executed in a container"):
        held.update(cpuset="0")
    held.update(cpus=0.9)
    running.kill()
    running.wait(timeout=60)
    held.update(cpus=0.5)


@limited
def test_a_timeout_kills_all_of_it_at_once(run):
    held = run()
    script = "(setsid sh -c 'sleep 998 & sleep 999' &) ; sleep 997 & echo up; sleep 996"
    result = held.exec(["sh", "-c", script], pids=20, timeout=1)
    assert (result.reason, result.stdout) == ("timeout", b"up\n")
    assert len(held.top()) == 2
    assert executed(held) == set()


@limited
def test_a_timeout_where_proc_is_covered(run):
    """An init of its own would find there what it is to end."""
    held = run(caps_add=["SYS_ADMIN"])
    held.exec(["mount", "-t", "tmpfs", "none", "/proc"], check=True)
    before = {process.pid for process in held.top()}
    assert held.exec(["sh", "-c", "exit 3"], timeout=60).returncode == 3
    assert held.exec(["sh", "-c", "(setsid sleep 998 &); sleep 997"], timeout=1).reason == "timeout"
    assert {process.pid for process in held.top()} == before
    assert executed(held) == set()


@limited
def test_what_it_has_started_ends_with_it(run):
    held = run()
    held.exec(["sh", "-c", "setsid sleep 995 >/dev/null 2>&1 &"], memory="64M", check=True)
    assert len(held.top()) == 2
    assert executed(held) == set()


@limited
def test_a_popen_has_limits_too(run):
    held = run()
    with held.popen(["sh", "-c", FORKS], pids=5, stderr=pc.DEVNULL) as running:
        assert running.wait(timeout=60) != 0
    assert (running.reason, running.hits["pids"] >= 1, running.unenforced) == ("pids", True, ())
    with held.popen(["sh", "-c", "sleep 994 & echo up; cat"], stdin=pc.PIPE, stdout=pc.PIPE, memory="64M") as running:
        assert running.reason is None
        assert running.stdout.readline() == b"up\n"
        wait_for(lambda: {"sleep 994", "cat"} <= commands(held))
        running.kill()
    assert (running.returncode, running.reason) == (-9, "signal")
    assert len(held.top()) == 2
    assert executed(held) == set()


@limited
def test_its_pid_and_its_signals_are_the_programs(run):
    held = run()
    with held.popen(["cat"], stdin=pc.PIPE, stdout=pc.PIPE, memory="64M") as running:
        program = Path(f"/proc/{running.pid}/cmdline")
        wait_for(lambda: program.read_bytes() == b"cat\0")  # its exec may be about to end
        running.send_signal("STOP")
        wait_for(lambda: state(running.pid) == "T")
        running.send_signal("CONT")
        wait_for(lambda: state(running.pid) != "T")
        running.terminate()
        assert (running.wait(timeout=60), running.reason) == (-signal.SIGTERM, "signal")


@limited
def test_the_container_is_seen_and_changed_as_a_whole(run):
    held = run("sh", "-c", "while :; do sleep 0.1; done")
    with held.popen(["sh", "-c", "echo up; cat"], stdin=pc.PIPE, stdout=pc.PIPE, memory="200M", pids=10) as running:
        assert running.stdout.readline() == b"up\n"
        assert len(executed(held)) == 1
        assert {process.pid for process in held.top()} >= {running.pid, held.pid}
        with held._runtime().cgroup() as group:
            assert {running.pid, held.pid} <= {*group.processes()}
        assert held.stats().memory is not None
        held.pause()
        assert held.status == "paused"
        with pytest.raises(pc.StateError, match="paused"):
            held.exec("true", memory="64M")
        running.stdin.write(b"later\n")
        running.stdin.flush()
        held.resume()
        assert running.stdout.readline() == b"later\n"
        assert held.exec(["echo", "plain"], check=True).stdout == b"plain\n"
        held.kill()
        assert running.wait(timeout=60) == -9
    held.remove()


@limited
def test_an_update_of_the_container_counts(run):
    held = run(memory="500M")
    held.exec("true", memory="400M", check=True)
    held.update(memory="100M")
    assert held.exec(FILLS, memory="400M").reason == "oom"
    assert held.exec(FILLS).returncode == -9


@limited
def test_one_that_is_left_to_itself(run):
    held = run()
    pid = held.exec_detached(["sh", "-c", "setsid sleep 993 & exec sleep 992"], pids=10)
    (name,) = executed(held)
    wait_for(lambda: {"sleep 993", "sleep 992"} <= commands(held))
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "sleep 992" not in commands(held))
    held.exec("true", pids=5, check=True)
    assert executed(held) == {name}
    (rest,) = (process.pid for process in held.top() if process.command == "sleep 993")  # it goes on
    os.kill(rest, signal.SIGKILL)
    wait_for(lambda: held.exec("true", pids=5, check=True) and executed(held) == set())  # once it is reaped


CALLER = """
import sys, pycgroups as pc
held = pc.Store(sys.argv[1]).containers.get(sys.argv[2])
running = held.popen(["sh", "-c", "setsid sleep 991 & echo up; cat"], stdin=pc.PIPE, stdout=pc.PIPE, pids=10)
running.stdout.readline()
print("up", flush=True)
running.wait()
"""


@limited
def test_what_is_left_of_a_caller_who_is_killed_is_removed(run):
    held = run()
    root = held._place.homes.path.removesuffix("/containers")
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, root, held.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdout.readline() == b"up\n"
        (left,) = executed(held)
        held.exec("true", pids=5, check=True)
        assert executed(held) == {left}  # its creator lives
        caller.kill()
    wait_for(lambda: len(held.top()) == 2)  # the rest of it ends by itself
    assert executed(held) == {left}
    held.exec("true", pids=5, check=True)
    assert executed(held) == set()


DIES = """
import fcntl, os, signal, sys, pycgroups as pc
root, id_, module, name, number = sys.argv[1:]
module, left = {"os": os, "fcntl": fcntl}[module], int(number)
real = getattr(module, name)

def call(*args, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

held = pc.Store(root).containers.get(id_)
setattr(module, name, call)
held.exec(["sh", "-c", "setsid sleep 985 >/dev/null 2>&1 &"], pids=10, memory="64M")
"""


@limited
@pytest.mark.parametrize("call", [("os", "mkdir"), ("os", "write"), ("fcntl", "flock"), ("os", "rmdir")])
def test_it_does_not_matter_where_a_caller_is_killed(run, call):
    held, number, code = run(), 0, -signal.SIGKILL
    root = held._place.homes.path.removesuffix("/containers")
    while code == -signal.SIGKILL:
        number += 1
        code = subprocess.run([sys.executable, "-c", DIES, root, held.id, *call, str(number)], check=False).returncode
        assert held.exec("true").returncode == 0
        held.exec("true", pids=5, check=True)
        assert executed(held) == set()
        wait_for(lambda: len(held.top()) == 2)
    assert (code, number > 1) == (0, True)


@limited
def test_a_container_is_removed_with_what_is_executed_in_it(run):
    held = run()
    running = held.popen(["sleep", "990"], memory="64M")
    held.remove(force=True)
    assert running.wait(timeout=60) == -9
    assert running.reason == "signal"


@limited
def test_bad_input_changes_nothing(run):
    held = run()
    before = groups(held)
    bad = ({"memory": "much"}, {"cpus": -1}, {"pids": 0}, {"memory_swap": "1G"}, {"require_limits": 1, "pids": 5})
    for options in bad:
        for execute in (held.exec, held.popen, held.exec_detached):
            with pytest.raises(pc.InvalidConfig):
                execute("true", **options)
    with pytest.raises(pc.CommandNotFound):
        held.exec("no-such-program", memory="64M")
    with pytest.raises(TypeError):
        held.exec("true", memroy="64M")
    assert executed(held) == before == set()
    assert held.exec("true", memory=None, check=True).unenforced == ()


@limited
@pytest.mark.requires("cgroup_v2")
def test_on_v2_its_own_processes_move_into_a_leaf_and_stay_reachable(run):
    held = run("sh", "-c", "while :; do (true); done", memory_low="32M")
    assert groups(held) == set()
    held.exec("true", check=True)
    assert groups(held) == set()
    held.exec("true", memory="64M", check=True)
    assert groups(held) == {"pycgroups.own"}
    assert held.exec(["cat", "/proc/self/cgroup"], check=True).stdout == b"0::/pycgroups.own\n"
    with held._runtime().cgroup() as group:
        leaf = Path(group.paths[0], "pycgroups.own")
        assert Path(group.paths[0], "cgroup.procs").read_text() == ""
    assert (leaf / "memory.low").read_text() == "max\n"
    assert held.exec("true", cpus=0.5, check=True).reason == "exited"  # one more controller
    held.pause()
    held.resume()
    held.stop(timeout=0)
    held.start()
    assert groups(held) == set()


@limited
@pytest.mark.requires("cgroup_v2")
def test_on_v2_groups_of_the_containers_own_are_left_alone(run):
    """As those that a container makes which may: it hands controllers down itself."""
    held = run()
    with held._runtime().cgroup() as group:
        top = Path(group.paths[0])
    (top / "service").mkdir()
    for pid in (top / "cgroup.procs").read_text().split():
        (top / "service/cgroup.procs").write_text(pid)
    (top / "cgroup.subtree_control").write_text("+pids")
    result = held.exec(["sh", "-c", FORKS], pids=5)
    assert result.reason == "pids"
    assert held.exec(FILLS, memory="64M").reason == "oom"
    assert groups(held) == {"service"}
    assert held.exec("true").returncode == 0
    held.remove(force=True)


@limited
def test_the_first_with_limits_among_others_without(run):
    """Whatever comes first: on v2 the container's processes move meanwhile."""
    held = run("sh", "-c", "while :; do (true); done")
    codes: list[int] = []

    def execute(options):
        codes.extend(held.exec(["sh", "-c", "exit 3"], **options).returncode for _ in range(5))

    threads = [
        threading.Thread(target=execute, args=(options,)) for options in ({}, {"pids": 9}, {}, {"memory": "64M"})
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [3] * 20
    assert executed(held) == set()


@pytest.mark.requires("systemd")
def test_in_a_scope_of_systemds(run):
    held = run(cgroup_manager="systemd", memory="500M")
    assert held.exec(FILLS, memory="64M").reason == "oom"
    assert held.exec(["sh", "-c", FORKS], pids=5).reason == "pids"
    assert held.exec(["echo", "plain"]).stdout == b"plain\n"
    assert executed(held) == set()
    held.remove(force=True)


@pytest.mark.requires("no_limits")
def test_without_a_cgroup_it_is_an_error_or_listed(run):
    held = run()
    with pytest.raises(pc.Unsupported, match="memory"):
        held.exec("true", memory="64M")
    result = held.exec(["sh", "-c", "exit 3"], memory="64M", pids=5, require_limits=False)
    assert (result.returncode, sorted(result.unenforced)) == (3, ["memory", "pids"])
    script = "setsid sleep 989 & sleep 988"
    assert held.exec(["sh", "-c", script], pids=5, require_limits=False, timeout=1).reason == "timeout"
    assert len(held.top()) == 2
    with held.popen("true", pids=5, require_limits=False) as running:
        assert running.wait(timeout=60) == 0
    assert running.unenforced == ("pids",)
