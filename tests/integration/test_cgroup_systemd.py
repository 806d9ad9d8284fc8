"""Cgroups from a real systemd: scopes of the machine's for root, a scope of the session's for an ordinary user."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import cgroups, errors
from tests.waiting import wait_for

CGROUP = Path("/sys/fs/cgroup")
MIB = 1 << 20

for_root = pytest.mark.requires("systemd")
in_session = pytest.mark.requires("session")


def python(code, **options):
    """Run code in a process of its own, since this may change the cgroup it is in; each line it prints is JSON."""
    head = "import json, os, subprocess, pycgroups as pc\nfrom pycgroups import cgroups, errors\n"
    tail = "def say(*values): print(*map(json.dumps, values), sep='\\n', flush=True)\n"
    command = [sys.executable, "-c", head + tail + textwrap.dedent(code)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120, **options)
    return list(map(json.loads, done.stdout.splitlines()))


def show(unit, *names, user=False):
    """Properties of a unit."""
    options = ["--user"] if user else []
    command = ["systemctl", *options, "show", unit, *(f"--property={name}" for name in names)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    return dict(line.split("=", 1) for line in out.splitlines())


def wait_until_gone(*paths):
    """Wait until systemd has removed the cgroups of units that have ended."""
    wait_for(lambda: not any(path.exists() for path in paths))


def scopes():
    return [path for path in CGROUP.rglob("*.scope") if path.name.startswith("pycgroups-")]


@contextlib.contextmanager
def sleeping(group):
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            group.add(process.pid)
            yield process
        finally:
            process.kill()


# -- root ----------------------------------------------------------------------------------------------------------


@for_root
def test_a_scope_has_the_limits():
    with pc.Cgroup.create("one", memory="64M", pids=20, cpus=0.5, cpuset="0", cgroup_manager="systemd") as group:
        scope = CGROUP / "system.slice/pycgroups-one.scope"
        assert group.paths == (f"{scope}/group",)
        with sleeping(group) as process:
            assert group.processes() == (process.pid,)
            assert Path(f"/proc/{process.pid}/cgroup").read_text() == "0::/system.slice/pycgroups-one.scope/group\n"
        written = {name: (scope / "group" / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max")}
        assert written == {"memory.max": str(64 * MIB), "pids.max": "20", "cpu.max": "50000 100000"}
        names = ("MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec", "AllowedCPUs", "Delegate", "Slice")
        assert show("pycgroups-one.scope", *names) == {
            "MemoryMax": str(68 * MIB),
            "MemorySwapMax": "0",
            "TasksMax": "21",
            "CPUQuotaPerSecUSec": "500ms",
            "AllowedCPUs": "0",
            "Delegate": "yes",
            "Slice": "system.slice",
        }
        group.set(memory="128M", pids=30)
        assert (scope / "group/memory.max").read_text().strip() == str(128 * MIB)
        assert show("pycgroups-one.scope", "MemoryMax", "TasksMax") == {"MemoryMax": str(132 * MIB), "TasksMax": "31"}
    wait_until_gone(scope)
    assert show("pycgroups-one.scope", "ActiveState") == {"ActiveState": "inactive"}


@for_root
def test_weights_and_protection_are_the_scopes():
    """They count among siblings, of which a group in a scope has none."""
    words = {"cpu_weight": 30, "memory": "64M", "memory_low": "8M", "memory_high": "32M"}
    with pc.Cgroup.create("weighty", **words, cgroup_manager="systemd"):
        scope = CGROUP / "system.slice/pycgroups-weighty.scope"
        found = {name: (scope / name).read_text().strip() for name in ("cpu.weight", "memory.low", "memory.high")}
        assert found == {"cpu.weight": "30", "memory.low": str(8 * MIB), "memory.high": str(36 * MIB)}


@for_root
def test_slice_prefix_and_name():
    with pc.Cgroup.create("machine.slice:box:one", pids=5, cgroup_manager="systemd") as group:
        assert group.paths == (f"{CGROUP}/machine.slice/box-one.scope/group",)
    wait_until_gone(CGROUP / "machine.slice/box-one.scope")


@for_root
def test_without_limits_and_a_name():
    with pc.Cgroup.create(cgroup_manager="systemd") as group:
        assert len(group.paths) == 1
    wait_until_gone(*scopes())


@for_root
def test_the_name_is_taken():
    with pc.Cgroup.create("two", pids=5, cgroup_manager="systemd") as group:
        with pytest.raises(errors.AlreadyExists):
            pc.Cgroup.create("two", pids=6, cgroup_manager="systemd")
        assert Path(group.paths[0], "pids.max").read_text() == "5\n"


@for_root
def test_it_outlasts_its_processes_and_systemd_reloading():
    with pc.Cgroup.create("three", pids=5, cgroup_manager="systemd") as group:
        with sleeping(group):
            pass
        subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
        with sleeping(group) as process:
            assert group.processes() == (process.pid,)
        assert Path(group.paths[0], "pids.max").read_text() == "5\n"


@for_root
def test_a_container_in_a_scope():
    result = pc.run(["sh", "-c", "cat /proc/self/cgroup"], pids=9, cgroup_manager="systemd", text=True)
    assert (result.returncode, result.usage.peak_memory is None) == (0, False)
    wait_until_gone(*scopes())


@for_root
def test_a_limit_is_in_force_in_a_scope():
    hungry = [sys.executable, "-c", f"b'x' * {200 * MIB}"]
    result = pc.run(hungry, memory="32M", cgroup_manager="systemd")
    assert (result.reason, result.hits["oom"] > 0) == ("oom", True)


@for_root
def test_systemd_stops_the_scope():
    """Somebody types systemctl stop; the group is empty then, and can be removed."""
    group = pc.Cgroup.create("four", pids=5, cgroup_manager="systemd")
    with sleeping(group) as process:
        subprocess.run(["systemctl", "stop", "pycgroups-four.scope"], check=True, timeout=120)
        assert process.wait(60) == -signal.SIGTERM
    group.remove()
    wait_until_gone(CGROUP / "system.slice/pycgroups-four.scope")


@for_root
def test_what_a_dead_process_left_is_swept():
    (pid,) = python("""
        group = pc.Cgroup.create("five", pids=5, cgroup_manager="systemd")
        process = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
        group.add(process.pid)
        say(process.pid)
        os._exit(0)
    """)
    scope = CGROUP / "system.slice/pycgroups-five.scope"
    assert (scope / "group/cgroup.procs").read_text() == f"{pid}\n"
    python('pc.Cgroup.create("six", pids=5, cgroup_manager="systemd").remove()')
    wait_until_gone(scope)
    assert not Path(f"/proc/{pid}").exists()


@for_root
def test_a_limit_that_cannot_be_leaves_no_scope():
    with pytest.raises(errors.InvalidConfig):
        pc.Cgroup.create("seven", cpuset="0-4000", cgroup_manager="systemd")
    wait_until_gone(CGROUP / "system.slice/pycgroups-seven.scope")


# -- an ordinary user ----------------------------------------------------------------------------------------------


@in_session
def test_info_and_doctor_change_nothing():
    own = Path("/proc/self/cgroup").read_text()
    info = cgroups.info()
    assert info.by_moving == info.usable == ("cpu", "memory", "pids")
    assert not info.delegated
    assert {check.name: check.works for check in pc.doctor().checks}["limits"] is None
    assert Path("/proc/self/cgroup").read_text() == own


@in_session
def test_limits_work_without_any_set_up():
    before, after, paths, delegated, values, unit = python("""
        say(open("/proc/self/cgroup").read())
        with pc.Cgroup.create("a/b", memory="64M", pids=20, cpus=0.5) as group:
            say(open("/proc/self/cgroup").read(), group.paths, cgroups.info().delegated)
            say([open(f"{group.paths[0]}/{name}").read() for name in ("memory.max", "pids.max", "cpu.max")])
            with subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL) as process:
                group.add(process.pid)
                assert group.processes() == (process.pid,)
                group.kill()
            name = open("/proc/self/cgroup").read().split("/")[-2]
            command = ["systemctl", "--user", "show", name, "--property=Delegate", "--property=Slice"]
            say(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split())
    """)
    uid = os.getuid()
    manager = f"user.slice/user-{uid}.slice/user@{uid}.service/app.slice"
    assert "user@" not in before
    assert after.startswith(f"0::/{manager}/pycgroups-")
    assert after.endswith(".scope/self\n")
    scope = CGROUP / after.removeprefix("0::/").removesuffix("/self\n")
    assert paths == [f"{scope}/pycgroups/a/b"]
    assert delegated
    assert values == [f"{64 * MIB}\n", "20\n", "50000 100000\n"]
    assert sorted(unit) == ["Delegate=yes", "Slice=app.slice"]
    wait_until_gone(scope)


@in_session
def test_containers_with_limits():
    first, reason, second = python("""
        result = pc.run(["echo", "hi"], memory="64M", pids=20, text=True)
        say(result.stdout, pc.run(["sh", "-c", "sleep 9 & sleep 9 & sleep 9 & wait"], pids=2).reason)
        say(pc.run(["true"], cpus=0.5).returncode)
    """)
    assert (first, reason, second) == ("hi\n", "pids", 0)


@in_session
def test_threads_move_along():
    assert python("""
        import threading
        go, gate = threading.Event(), threading.Event()
        def work():
            gate.set()
            go.wait(60)
            say(open("/proc/thread-self/cgroup").read() == open("/proc/self/cgroup").read())
        thread = threading.Thread(target=work)
        thread.start()
        gate.wait(60)
        with pc.Cgroup.create(pids=20):
            go.set()
            thread.join()
    """) == [True]


@in_session
def test_threads_that_need_it_at_the_same_time():
    """One scope serves all."""
    (parents,) = python("""
        from concurrent.futures import ThreadPoolExecutor
        def work(number):
            with pc.Cgroup.create(f"job{number}", pids=20) as group:
                return os.path.dirname(group.paths[0])
        with ThreadPoolExecutor(4) as pool:
            say(list(pool.map(work, range(8))))
    """)
    assert len(parents) == 8
    assert len(set(parents)) == 1


@in_session
def test_several_at_once():
    """Each process has a scope of its own."""
    code = "with pc.Cgroup.create('same', pids=9) as group: say(group.paths)"
    found = {python(code)[0][0] for _ in range(2)}
    assert len(found) == 2


@in_session
def test_what_the_session_lacks_is_named():
    kind, hint, unenforced = python("""
        try:
            pc.Cgroup.create(cpuset="0")
        except errors.Unsupported as error:
            say("unsupported", error.hint)
        say(cgroups.Cgroup.for_limits(cgroups.Limits(cpuset="0", pids=5), require_limits=False).unenforced)
    """)
    assert kind == "unsupported"
    assert "Delegate=cpu cpuset io memory pids" in hint
    assert unenforced == ["cpuset"]


@in_session
def test_no_bus():
    env = {**os.environ, "XDG_RUNTIME_DIR": "/nonexistent"}
    (hint,) = python(
        """
        try:
            pc.Cgroup.create(pids=5)
        except errors.Unsupported as error:
            say(error.hint)
        """,
        env=env,
    )
    assert "loginctl enable-linger" in hint


@in_session
def test_scopes_of_the_machine_are_not_for_users():
    with pytest.raises(errors.Unsupported, match="only root"):
        pc.Cgroup.create(pids=5, cgroup_manager="systemd")
