"""Freezing, opening, moving and entering groups: the same on v1, hybrid and v2."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.cgroups import Cgroup, tree
from tests import leaks
from tests.waiting import PATIENCE, is_inside, wait_for

pytestmark = pytest.mark.requires("limits")


@contextlib.contextmanager
def started(group, *command, **options):
    """Start a command in a group; kill it at the end."""
    with subprocess.Popen(pc.in_cgroup(group, [*map(str, command)]), **options) as process:
        try:
            wait_for(lambda: is_inside(group, process.pid))
            yield process
        finally:
            process.kill()


def python(code):
    return [sys.executable, "-S", "-c", code]


def is_frozen(group):
    return group.frozen  # asked anew: mypy believes that an attribute stays


# --- freezing ---


def test_a_frozen_group_stands_still():
    code = "import sys, time\nwhile True: print(end='.', flush=True); time.sleep(0.001)"
    with (
        Cgroup.create(pids=9) as group,
        started(group, *python(code), stdout=subprocess.PIPE) as child,
    ):
        os.read(child.stdout.fileno(), 1)
        group.freeze()
        assert is_frozen(group)
        os.set_blocking(child.stdout.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while os.read(child.stdout.fileno(), 1 << 16):
                pass
        time.sleep(0.1)
        with pytest.raises(BlockingIOError):
            os.read(child.stdout.fileno(), 1)
        group.freeze()
        group.thaw()
        assert not is_frozen(group)
        os.set_blocking(child.stdout.fileno(), True)
        assert os.read(child.stdout.fileno(), 1) == b"."
        group.thaw()


def test_an_empty_group_is_frozen_and_what_enters_it_too():
    with Cgroup.create(pids=9) as group:
        group.freeze()
        assert is_frozen(group)
        with subprocess.Popen(["/bin/sleep", "1000"]) as child:
            group.add(child.pid)
            group.kill()
            assert child.wait(PATIENCE) == -signal.SIGKILL


def test_a_frozen_group_is_killed_and_removed():
    with Cgroup.create(pids=9) as group, started(group, "/bin/sleep", "1000") as child:
        group.freeze()
        group.kill()
        assert child.wait(PATIENCE) == -signal.SIGKILL
        assert group.processes() == ()
    with Cgroup.create(pids=9) as group, started(group, "/bin/sleep", "1000") as child:
        group.freeze()
        group.remove()
        assert child.wait(PATIENCE) == -signal.SIGKILL


def test_forks_neither_escape_freezing_nor_killing():
    with Cgroup.create(pids=60) as group, started(group, "/bin/sh", "-c", "b() { b | b & }; b; sleep 1000"):
        wait_for(lambda: group.sample().pids_hits)
        group.freeze(timeout=PATIENCE)
        before = group.processes()
        time.sleep(0.05)
        assert group.processes() == before
        group.kill()
        assert group.processes() == ()


@pytest.mark.requires("root", "cgroup_v1")
def test_the_freezer_of_v1():
    """A group that is opened in the freezer's hierarchy alone is frozen, thawed, killed and removed by it."""
    path = f"/sys/fs/cgroup/freezer/{leaks.OWN}"
    os.mkdir(path)
    group = Cgroup.open(path)
    assert group.paths == (path,)
    with started(group, "/bin/sh", "-c", "while :; do /bin/true; done"):
        group.freeze()
        assert is_frozen(group)
        assert Path(path, "freezer.state").read_text() == "FROZEN\n"
        group.thaw()
        assert not is_frozen(group)
        os.mkdir(f"{path}/inner")
        Path(path, "inner/freezer.state").write_text("FROZEN")
        group.freeze()
        group.kill()
        assert group.processes() == ()
    group.remove()
    assert not os.path.exists(path)


@pytest.mark.requires("root", "cgroup_v1")
def test_what_another_freezer_holds_cannot_be_frozen(monkeypatch):
    path = Path(f"/sys/fs/cgroup/freezer/{leaks.OWN}")
    path.mkdir()
    try:
        with Cgroup.create(pids=9) as group, started(group, "/bin/sleep", "1000") as child:
            (path / "cgroup.procs").write_text(str(child.pid))
            (path / "freezer.state").write_text("FROZEN")
            wait_for(lambda: (path / "freezer.state").read_text() == "FROZEN\n")
            with pytest.raises(pc.CgroupError, match=f"uninterruptible system call: {child.pid}.*ETIMEDOUT"):
                group.freeze(timeout=0.2)
            assert Path(group.paths[0], "cgroup.freeze").read_text() == "0\n"
            (path / "freezer.state").write_text("THAWED")
            group.freeze()
    finally:
        (path / "freezer.state").write_text("THAWED")
        wait_for(lambda: tree.try_rmdir(str(path)))


@pytest.mark.requires("root", "unshare", "cgroup_v1")
def test_v1_alone():
    code = """
import subprocess, pycgroups as pc
with pc.Cgroup.create(pids=60, memory="50M") as group:
    bomb = subprocess.Popen(pc.in_cgroup(group, ["sh", "-c", "b() { b | b & }; b; sleep 1000"]), stderr=-3)
    while not group.sample().pids_hits:
        pass
    group.freeze(timeout=30)
    print(group.frozen, any("/freezer/" in path for path in group.paths))
    group.kill()
    print(group.processes())
    try:
        group.watch("frozen")
    except pc.Unsupported as error:
        print(error.message)
with pc.Cgroup.create(memory="50M") as group, group.watch("oom_kill") as watch:
    subprocess.run(pc.in_cgroup(group, ["sh", "-c", "head -c 99M /dev/zero | tail"]), stdout=-3, stderr=-3)
    print(watch.read(30)[0].kind)
"""
    unmount = 'for m in /sys/fs/cgroup/unified; do if [ -d "$m" ]; then umount "$m"; fi; done; exec "$@"'
    command = ["unshare", "--mount", "sh", "-ec", unmount, "sh", sys.executable, "-c", code]
    told = subprocess.check_output(command, text=True, timeout=PATIENCE).splitlines()
    assert told == ["True True", "()", "cgroup v1 does not tell", "oom_kill"]


def test_frozen_orphans_are_swept():
    code = """
import os, signal, subprocess, pycgroups as pc
group = pc.Cgroup.create(pids=9)
sleeper = subprocess.Popen(pc.in_cgroup(group, ["sleep", "1000"]), stdout=-3)
while not group.processes():
    pass
group.freeze()
print(*group.paths, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False, timeout=PATIENCE
    )
    paths = died.stdout.split()
    assert paths
    sweep = "import pycgroups as pc; pc.Cgroup.create(pids=9).remove()"
    subprocess.run([sys.executable, "-c", sweep], check=True, timeout=PATIENCE)
    assert not any(map(os.path.isdir, paths))


def test_below_a_frozen_group_nothing_thaws():
    with (
        Cgroup.create("above", pids=9) as above,
        Cgroup.create("above/below", pids=9) as below,
        started(below, "/bin/sleep", "1000"),
    ):
        above.freeze()
        assert is_frozen(below)
        with pytest.raises(pc.CgroupError, match="thaw the cgroups above"):
            below.thaw(timeout=0.05)
        above.thaw()
        assert not is_frozen(below)


def test_long_timeouts():
    with Cgroup.create(pids=9) as group, started(group, "/bin/sleep", "1000") as child:
        group.freeze(timeout=10**9)
        group.thaw(timeout=float("inf"))
        group.freeze()
        threading.Timer(0.1, child.kill).start()
        assert child.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.parametrize("timeout", [-1, "1", True, None, float("nan")])
def test_bad_timeouts(timeout):
    with Cgroup.create(pids=9) as group:
        for method in (group.freeze, group.thaw):
            with pytest.raises(pc.InvalidConfig, match="timeout"):
                method(timeout=timeout)
        assert not is_frozen(group)


# --- opening and moving ---


def test_open_by_name_and_by_path():
    with Cgroup.create("jobs/open", pids=9, memory="50M") as group, started(group, "/bin/sleep", "1000") as child:
        for name in ("jobs/open", *group.paths, f"{group.paths[0]}/"):
            with Cgroup.open(name) as same:
                assert sorted(same.paths) == sorted(group.paths)
                assert same.processes() == (child.pid,)
                same.set(pids=7)
                assert same.name == name
            assert os.path.isdir(group.paths[0])
        assert group.sample().processes_peak in (None, 1, 2)
        limit = [Path(path, "pids.max") for path in group.paths if Path(path, "pids.max").exists()]
        assert limit[0].read_text() == "7\n"
        opened = Cgroup.open("jobs/open")
        opened.remove()
        assert not any(map(os.path.isdir, group.paths))
        assert child.wait(PATIENCE) == -signal.SIGKILL


def test_open_a_made_up_name():
    with Cgroup.create(pids=9) as group, Cgroup.open(group.name) as same:
        assert sorted(same.paths) == sorted(group.paths)


@pytest.mark.parametrize("name", ["", "a/../b", "/proc", "/", "x\0y", "cgroup.procs", "a" * 300, 7, None, b"x"])
def test_open_what_is_no_group(name):
    with pytest.raises(pc.InvalidConfig):
        Cgroup.open(name)


@pytest.mark.parametrize("name", ["nobody-made-this", "/sys/fs/cgroup/nobody-made-this"])
def test_open_what_does_not_exist(name):
    with pytest.raises(pc.NotFound, match="nobody-made-this"):
        Cgroup.open(name)


def test_the_group_of_this_process():
    with Cgroup.current() as current:
        assert os.getpid() in current.processes()
        before = current.paths
        with pytest.raises(pc.CgroupError, match="this process is inside"):
            current.kill()
        with pytest.raises(pc.CgroupError, match="this process is inside"):
            current.remove()
    with Cgroup.create(pids=99) as group:
        code = "import pycgroups as pc; g = pc.Cgroup.current(); print(*g.paths, sep='\\n')"
        inside = subprocess.check_output(pc.in_cgroup(group, [sys.executable, "-c", code]), text=True, timeout=PATIENCE)
        assert set(group.paths) <= {*inside.splitlines()}
    with Cgroup.current() as current:
        assert current.paths == before


def test_move_all():
    with Cgroup.create(pids=50) as here, Cgroup.create(pids=50) as there:
        script = "for i in 1 2 3 4 5; do sleep 1000 & done; exec sleep 1000"
        with started(here, "/bin/sh", "-c", script):
            wait_for(lambda: len(here.processes()) == 6)
            for path in here.paths:
                os.mkdir(f"{path}/inner")
            pids = here.processes()
            here.move_to(there)
            assert here.processes() == ()
            assert there.processes() == pids
            there.move_to(here)
            there.remove()
            with pytest.raises(pc.CgroupError, match="was removed"):
                here.move_to(there)
            assert here.processes() == pids


# --- entering ---


def test_a_program_is_inside_from_its_first_instruction():
    with Cgroup.create(pids=9, memory="50M") as group:
        done = subprocess.run(
            pc.in_cgroup(group, ["cat", "/proc/self/cgroup"]),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        name = group.paths[0].rpartition("/")[2]
        assert sum(line.endswith(f"/{name}") for line in done.stdout.splitlines()) == len(group.paths)


ODD = ["", " ", "a b", "'", '"', "$HOME", "`id`", "*", "--", "-n", "\\", "ä", "\n", "-"]


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox"])
def test_arguments_arrive_as_they_are(shell):
    with Cgroup.create(pids=9) as group:
        command = pc.in_cgroup(group, python("import sys; print(sys.argv[1:])") + ODD)
        if shell != "sh":
            command[:1] = [shell, "sh"] if shell == "busybox" else [shell]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
        assert done.stdout == f"{ODD}\n"


@pytest.mark.parametrize("name", ["-dash", "--", "-n", "a b", "a=b", "$(id)"])
def test_odd_names_of_programs(name, scratch):
    program = scratch / name
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    environment = {"PATH": f"{scratch}:/usr/bin:/bin"}
    with Cgroup.create(pids=9) as group:
        for command in ([name], [program]):
            done = subprocess.run(
                pc.in_cgroup(group, command), stdout=subprocess.PIPE, check=True, env=environment, timeout=PATIENCE
            )
            assert done.stdout == b"here\n"


def test_who_cannot_enter_does_not_run(scratch):
    with Cgroup.create(pids=9) as group:
        command = pc.in_cgroup(group, ["touch", str(scratch / "ran")])
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 125
    assert "pycgroups: cannot enter /sys/fs/cgroup" in done.stderr
    assert not (scratch / "ran").exists()


def test_commands_that_do_not_run(scratch):
    (scratch / "text").write_text("no program")
    with Cgroup.create(pids=9) as group:
        for command, code in ((["/no/such"], 127), ([scratch / "text"], 126), (["sh", "-c", "exit 3"], 3)):
            done = subprocess.run(pc.in_cgroup(group, command), stderr=subprocess.PIPE, check=False, timeout=PATIENCE)
            assert done.returncode == code


@pytest.mark.parametrize("command", [[], "ls", b"ls", ["ls", 1], ["ls", None], ["l\0s"], ["-a=b"], None])
def test_bad_commands(command):
    with Cgroup.create(pids=9) as group, pytest.raises(pc.InvalidConfig, match="command"):
        pc.in_cgroup(group, command)


def test_asyncio_and_threads_start_inside():
    async def start(group):
        process = await asyncio.create_subprocess_exec(*pc.in_cgroup(group, ["/bin/true"]))
        return await process.wait()

    with Cgroup.create(pids=20) as group:
        assert asyncio.run(start(group)) == 0
        codes = []
        command = pc.in_cgroup(group, ["/bin/true"])
        threads = [threading.Thread(target=lambda: codes.append(subprocess.call(command))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert codes == [0] * 8


def test_no_group_to_enter():
    with pytest.raises(pc.Unsupported):
        pc.in_cgroup(Cgroup("of no limit that could be enforced"), ["true"])


# --- threads ---


@contextlib.contextmanager
def threads(group, number):
    """A process in a group, and the ids of its additional threads."""
    code = """
import sys, threading
gate = threading.Event()
for _ in range(int(sys.argv[1])):
    thread = threading.Thread(target=gate.wait)
    thread.start()
    print(thread.native_id, flush=True)
sys.stdin.read()
gate.set()
"""
    with started(group, *python(code), number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.pid, [int(process.stdout.readline()) for _ in range(number)]


def test_a_group_of_threads():
    with Cgroup.create("process", pids=20, memory="100M") as above, threads(above, 2) as (pid, tids):
        with Cgroup.create("process/threads", pids=5, threaded=True) as group:
            assert group.threaded
            group.add_thread(tids[0])
            assert group.threads() == (tids[0],)
            assert above.processes() == (pid,)
            assert tids[1] in above.threads()
            group.add_thread(tids[1])
            with pytest.raises(pc.Unsupported, match="does not die alone"):
                group.kill()
            group.set(pids=6)
        assert set(tids) <= {*above.threads()}
        assert above.processes() == (pid,)
        above.kill()


@pytest.mark.requires("cgroup_v2")
def test_rules_of_threads_are_explained():
    with (
        Cgroup.create("process", pids=20) as above,
        Cgroup.create("process/threads", threaded=True) as group,
        Cgroup.create(pids=20) as elsewhere,
        threads(elsewhere, 1) as (_, tids),
    ):
        with pytest.raises(pc.CgroupError, match=r"not supported.*above\.add"):
            group.add_thread(tids[0])
        with pytest.raises(pc.CgroupError, match="threaded=True"):
            above.add_thread(tids[0])
    with (
        Cgroup.create("domain", pids=20),
        Cgroup.create("domain/beside", memory="50M"),
        pytest.raises(pc.CgroupError, match="hand down memory"),
    ):
        Cgroup.create("domain/threads", threaded=True)


@pytest.mark.parametrize(
    ("name", "limits", "match"),
    [("alone", {}, "name.*a/b"), (None, {}, "name"), ("a/b", {"memory": "9M"}, "threaded.*memory")],
)
def test_bad_groups_of_threads(name, limits, match):
    with pytest.raises(pc.InvalidConfig, match=match):
        Cgroup.create(name, **limits, threaded=True)


def test_bad_thread_ids():
    with Cgroup.create(pids=9) as group:
        with pytest.raises(pc.InvalidConfig):
            group.add_thread(0)
        with pytest.raises(pc.CgroupError, match="ESRCH"):
            group.add_thread(2**22 - 1)


def test_what_is_no_group():
    for wrong in (None, "jobs/a", 5):
        with pytest.raises(pc.InvalidConfig, match=r"Cgroup\.create"):
            pc.in_cgroup(wrong, ["true"])
        with Cgroup.create(pids=5) as group, pytest.raises(pc.InvalidConfig, match=r"Cgroup\.create"):
            group.move_to(wrong)
