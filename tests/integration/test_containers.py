"""Containers that are held: started, stopped, found again, by any process, whatever became of their maker."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import kernel, runtime
from pycgroups.cgroups import places
from pycgroups.containers import ending, forking, monitor
from pycgroups.containers.events import Events
from pycgroups.containers.home import Home
from pycgroups.namespaces import ranges
from pycgroups.runtime.state import start_of
from tests.boxes import BASE, put
from tests.images import Image
from tests.processes import descendants, is_alive
from tests.waiting import PATIENCE, wait_for, wait_until_gone
from tests.worlds import features

pytestmark = pytest.mark.requires("userns")

SLEEP = ["sleep", "1000"]


def log(held):
    path = Path(held.inspect()["directory"], "log")
    text = path.read_text() if path.exists() else ""
    return "".join(json.loads(line)["log"] for line in text.splitlines())


@contextlib.contextmanager
def descriptors_left(count):
    """So many numbers of descriptors are left to this process, at most."""
    limits, fd = resource.getrlimit(resource.RLIMIT_NOFILE), os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def elsewhere(store, code, **options):
    """Run Python code in another process, where ``containers`` are those of the store; returns that process."""
    program = f"import pycgroups as pc, os, time\ncontainers = pc.Store({store.containers._root!r}).containers\n{code}"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, **options)


# -- life -------------------------------------------------------------------------------------------------------------


def test_a_life(make):
    held = make("sh", "-c", "echo out; echo err >&2; exit 7", name="web", labels={"a": "b"})
    assert (held.status, held.pid, held.exit_code, held.started) == ("created", None, None, None)
    held.start()
    assert held.wait(timeout=60) == 7
    assert (held.status, held.pid, held.exit_code, held.reason) == ("stopped", None, 7, "exited")
    assert held.created <= held.started <= held.finished <= time.time()
    assert (held.name, held.labels, held.id[:12]) == ("web", {"a": "b"}, held.short_id)
    assert sorted(log(held).split()) == ["err", "out"]
    held.remove()
    for ask in (lambda: held.status, held.start, held.stop, held.remove, held.wait, held.inspect):
        with pytest.raises(pc.NotFound):
            ask()


def test_a_log_does_not_fill_the_disk(run):
    held = run("sh", "-c", "seq 10000", log=pc.LogConfig("plain", max_bytes="8K", max_files=3))
    assert held.wait(timeout=60) == 0
    files = sorted(Path(held.inspect()["directory"]).glob("log*"))
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size <= 8192 for file in files)
    numbers = [int(line) for line in held.logs().split()]
    assert numbers == list(range(numbers[0], 10001))
    assert pc.LogConfig() == pc.LogConfig("json", "20M", 5)  # 100 MB by default, and no more


def test_what_is_run_has_no_log():
    with pytest.raises(pc.InvalidConfig, match="its result"):
        pc.run(["true"], log="plain")


def test_what_it_has_written_is_read_and_followed(run):
    held = run("sh", "-c", "echo one; echo two >&2; sleep 0.3; echo three; printf end")
    followed = b"".join(held.logs(follow=True))
    assert sorted(followed.split()) == [b"end", b"one", b"three", b"two"]
    assert held.logs() == followed
    assert held.logs(stderr=False) == b"one\nthree\nend"
    assert held.logs(tail=1) == b"end"
    assert held.logs(until=held.started - 1) == held.logs(since=held.finished + 1) == b""
    assert all(line.startswith(b"20") for line in held.logs(timestamps=True).splitlines())
    assert held.status == "stopped"


def test_what_becomes_of_it_is_told_to_everybody(store, run):
    with run("sh", "-c", "exit 3", name="web") as held:
        held.wait(timeout=60)
        wait_for(lambda: len(list(store.events.read())) >= 3)
    told = list(store.events.read(filters={"type": "container"}))
    assert [event.action for event in told] == ["create", "start", "die", "remove"]
    assert {(event.id, event.name) for event in told} == {(held.id, "web")}
    assert told[2].attributes["exit_code"] == "3"


def test_what_runs_is_told(run):
    held = run()
    assert held.status == "running"
    assert Path(f"/proc/{held.pid}/comm").read_text() == "pycgroups-init\n"
    facts = held.inspect()
    assert facts["state"]["status"] == "running"
    assert facts["config"]["command"] == SLEEP
    assert json.loads(json.dumps(facts)) == facts
    with pytest.raises(pc.StateError, match="already"):
        held.start()
    with pytest.raises(pc.StateError, match="remove it by force"):
        held.remove()


def test_without_an_init_it_is_the_program_itself(run):
    held = run("sh", "-c", "echo $$; exit 3", init=False)
    if kernel.running() >= (6, 15):
        assert held.wait(timeout=60) == 3
    else:  # the kernel tells its parent alone
        with pytest.raises(pc.StateError, match="nobody saw"):
            held.wait(timeout=60)
    assert log(held) == "1\n"


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("exit 0", 0, "exited"),
        ("exit 255", 255, "exited"),
        ("kill -9 $$", -9, "signal"),
        ("kill -34 $$", -34, "signal"),
    ],
)
def test_how_it_ended_is_told_exactly(run, script, code, reason):
    held = run("sh", "-c", script)
    assert (held.wait(timeout=60), held.exit_code, held.reason) == (code, code, reason)


def test_a_program_that_is_not_there_leaves_it_as_it_was(make):
    held = make("no-such-program")
    with pytest.raises(pc.CommandNotFound):
        held.start()
    assert held.status == "created"
    assert held.pid is None


def test_what_cannot_be_executed_is_told_by_the_start(make, own_root):
    Path(own_root, "bin/broken").write_bytes(b"\x7fELF but no more")
    Path(own_root, "bin/broken").chmod(0o755)
    held = make("broken", rootfs=own_root)
    with pytest.raises(pc.CommandNotExecutable):
        held.start()
    assert held.status == "created"


def test_stop_asks_first_and_kills_then(run):
    polite = run("sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: log(polite))
    polite.stop(timeout=60)
    assert polite.exit_code == 5
    deaf = run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: log(deaf))
    deaf.stop(timeout=0.2)
    assert (deaf.status, deaf.exit_code, deaf.reason) == ("stopped", -9, "signal")
    deaf.stop()


def test_its_own_stop_signal_is_sent(run):
    held = run("sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done", stop_signal="USR1")
    wait_for(lambda: log(held))
    held.stop(timeout=60)
    assert held.exit_code == 6


def test_a_stopped_process_is_stopped(run):
    held = run()
    os.kill(held.pid, signal.SIGSTOP)
    begin = time.monotonic()
    held.stop(timeout=0.2)
    assert held.status == "stopped"
    assert time.monotonic() - begin < 5 or os.environ.get("PYCGROUPS_TEST_WORLD", "").startswith("vm")


@pytest.mark.requires("root")
def test_a_paused_one_is_resumed_or_stopped(run):
    held = run()
    held.pause()
    assert held.status == "paused"
    with pytest.raises(pc.StateError):
        held.pause()
    held.resume()
    assert held.status == "running"
    with pytest.raises(pc.StateError):
        held.resume()
    held.pause()
    held.stop(timeout=0.2)
    assert held.status == "stopped"


@pytest.mark.requires("limits")
def test_it_goes_on_while_one_of_its_processes_dies(run):
    """On v2 it is not frozen for that moment."""
    held = run("sleep", "1000")
    for _ in range(20):
        pid = held.exec_detached(["sleep", "1000"])
        held.pause()
        os.kill(pid, signal.SIGKILL)
        held.resume()
    assert held.status == "running"


def test_the_end_of_one_that_was_renamed_is_told_by_its_name(store, run):
    held = run(name="first")
    held.rename("second")
    held.kill()
    assert [event.name for event in held.events()] == ["first", "first", "second", "second"]
    held.start()
    held.rename("third")
    held.rename("fourth")
    held.kill()
    (*_, last) = store.events.read(filters={"name": "fourth", "action": "die"})
    assert last.id == held.id


def interrupted(*_args, **_options):
    raise KeyboardInterrupt


def test_a_block_whose_end_is_interrupted_leaves_nothing(store, run, monkeypatch):
    monkeypatch.setattr(pc.Container, "stop", interrupted)
    with pytest.raises(KeyboardInterrupt), run():
        pass
    assert store.containers.list(all=True) == []


def test_a_block_whose_removal_is_interrupted_leaves_nothing(store, make, monkeypatch):
    clean, interrupts = ending.clean, [KeyboardInterrupt]

    def interrupted_once(*args, **options):
        if interrupts:
            raise interrupts.pop()
        clean(*args, **options)

    monkeypatch.setattr(ending, "clean", interrupted_once)
    with pytest.raises(KeyboardInterrupt), make():
        pass
    assert store.containers.list(all=True) == []


def test_a_creation_that_is_interrupted_at_last_leaves_nothing(store, make, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Events, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make()
    assert store.containers.list(all=True) == []


def test_a_lock_that_is_lost_is_nobodys(make):
    held = make()
    home = held._home()
    home.lock()
    del home  # as by Ctrl-C, where its block has just begun or ended
    gc.collect()
    with held._home() as home:
        home.lock(0)


def test_output_that_nobody_reads_is_not_held(run):
    held = run("true")
    held.wait(timeout=60)
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        held.logs(follow=True)
        held.lines()
    assert len(os.listdir("/proc/self/fd")) == len(before)


FREEZES = """
from pycgroups.containers import committing
c = containers.get("d")
with c._home() as home:
    home.lock()
    with committing.paused(c._place, home, must=True):
        print(flush=True)
        time.sleep(1000)
"""


@pytest.mark.requires("root")
def test_who_has_frozen_it_to_copy_its_files_is_killed(store, run):
    held = run("sh", "-c", "read word; exit 7", detach=True, name="d", stdin_open=True)

    def freeze():
        other = elsewhere(store, FREEZES)
        assert other.stdout.readline()
        return other

    def kill(other):
        other.kill()
        other.communicate(timeout=60)

    kill(freeze())
    assert held.exec(["true"], timeout=60).returncode == 0
    frozen = freeze()
    with held.attach() as joined:
        joined.write(b"word\n")
    timer = threading.Timer(1, kill, [frozen])  # while it is waited for
    timer.start()
    assert held.wait(timeout=60) == 7
    timer.join()


@pytest.mark.requires("root")
def test_a_paused_one_hears_that_it_is_to_stop(run):
    held = run("sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: log(held))
    held.pause()
    held.stop(timeout=120)
    assert held.exit_code == 7


@pytest.mark.requires("root")
def test_one_may_be_killed_while_it_is_paused(run):
    for attempt in range(20):
        held = run()
        killing = threading.Timer(attempt / 20_000, held.kill)
        killing.start()
        with contextlib.suppress(pc.StateError):
            held.pause()
        killing.join()
        assert held.status == "stopped"


def test_signals_are_for_its_program(run):
    held = run("sh", "-c", "trap 'exit 4' HUP; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: log(held))
    held.kill("HUP")
    assert held.wait(timeout=60) == 4
    with pytest.raises(pc.StateError):
        held.kill()
    with pytest.raises(pc.InvalidConfig):
        held.kill("NO_SUCH")


def test_waiting_can_have_an_end(run, make):
    held = run()
    with pytest.raises(TimeoutError):
        held.wait(timeout=0.1)
    held.kill()
    assert held.wait() == -9
    with pytest.raises(pc.StateError, match="never started"):
        make().wait()


def test_it_starts_again(run):
    held = run("sh", "-c", "echo again; sleep 0.1; exit 3")
    pid = held.pid
    held.restart(timeout=0)
    assert held.pid != pid
    assert held.wait(timeout=60) == 3
    held.start()
    assert held.wait(timeout=60) == 3
    assert log(held).count("again") >= 2


def test_as_a_block_it_is_started_and_removed(store, root, monkeypatch):
    monkeypatch.setattr("pycgroups.containers.collection.default", lambda: store.containers)
    with pc.Container(SLEEP, rootfs=root) as held:
        assert held.status == "running"
        assert store.containers.list() == [held]
    with pytest.raises(pc.NotFound):
        _ = held.status
    with pytest.raises(pc.CommandNotFound):
        pc.Container("no-such-program", rootfs=root)
    assert store.containers.list(all=True) == []


def test_another_process_takes_it_pickled(run):
    held = run()
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).exec(['echo', 'inside'], text=True).stdout)"
    words = [sys.executable, "-c", program]
    assert subprocess.check_output(words, input=pickle.dumps(held), timeout=PATIENCE) == b"inside\n\n"
    assert pickle.loads(pickle.dumps(held)) == held


def test_limits_hold_and_are_changed(run):
    if os.geteuid() != 0:
        pytest.skip("needs limits at a place that is root's")
    held = run(memory="64M", pids=20)
    with held._runtime().cgroup() as group:
        assert group.stats().memory.limit == 64 << 20
        held.update(memory="32M")
        assert group.stats().memory.limit == 32 << 20
    with pytest.raises(pc.InvalidConfig):
        held.update(memory="no")
    assert (held.config.memory, held.config.pids) == (32 << 20, 20)
    held.restart(timeout=0)
    with held._runtime().cgroup() as group:
        assert group.stats().memory.limit == 32 << 20
    assert make_reason_of(run("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; exit 1", memory="16M")) == "oom"


FORKS = "for _ in 1 2 3 4 5 6 7 8; do sleep 100 & done; exit 1"


@pytest.mark.requires("limits")
def test_a_limit_of_processes_that_was_hit_is_the_reason(store, run):
    held = run("sh", "-c", FORKS, pids=5)
    assert make_reason_of(held) == "pids"
    died = [event for event in store.events.read() if event.action == "die"]
    assert [event.attributes["reason"] for event in died] == ["pids"]
    coped = run("sh", "-c", f"(read x; {FORKS}) </dev/null; exit 0", pids=5)
    assert make_reason_of(coped) == "exited"


@pytest.mark.requires("limits")
def test_a_limit_of_what_is_executed_is_no_reason_of_the_container(run):
    held = run("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done", pids=100)
    assert held.exec(["sh", "-c", FORKS], pids=5, timeout=60).reason == "pids"
    held.kill("TERM")
    assert make_reason_of(held) == "exited"
    assert held.exit_code == 3


def test_limits_that_nobody_enforces_are_told_where_they_need_not_be(make):
    held = make(memory="64M", pids=50, require_limits=False)
    held.start()
    unenforced = () if features.lack("limits") is None else ("memory", "pids")
    assert tuple(held.inspect()["state"]["unenforced"]) == unenforced
    if not unenforced:
        assert held.stats().memory.limit == 64 << 20
        return
    strict = make(memory="64M", pids=50)
    with pytest.raises(pc.Unsupported, match=r"^limit memory, pids: this process cannot use the cgroup controllers"):
        strict.start()
    assert strict.status == "created"
    with pytest.raises(pc.Unsupported, match=r"^limit cpus: this process cannot use the cgroup controllers cpu "):
        held.update(cpus=0.5)


@pytest.mark.parametrize("timeout", [-1, "1", float("nan")])
def test_a_wrong_timeout_changes_nothing(run, timeout):
    held = run()
    for call in (held.stop, held.restart, held.wait):
        with pytest.raises(pc.InvalidConfig, match=r"^option timeout: got "):
            call(timeout=timeout)
    assert held.status == "running"


def test_what_is_written_has_to_be_of_its_type(run):
    held = run()
    with pytest.raises(pc.InvalidConfig, match="write_bytes takes bytes"):
        held.write_text("/file", b"bytes")
    with pytest.raises(pc.InvalidConfig, match="write_text takes str"):
        held.write_bytes("/file", "text")


@pytest.mark.requires("no_limits", "cgroup_v1")
def test_what_has_no_cgroup_cannot_be_frozen(run):
    with pytest.raises(pc.Unsupported, match=r"^freeze: this user has no cgroup for it .*pycgroups doctor"):
        run().pause()


@pytest.mark.requires("limits")
def test_limits_are_lifted(run):
    held = run(memory="64M", pids=20, cpus=0.5)
    with held._runtime().cgroup() as group:
        held.update(pids=None, memory=None, cpus=2)
        stats = group.stats()
        assert (stats.memory.limit, stats.pids.limit) == (None, None)
    assert (held.config.memory, held.config.pids, held.config.cpus) == (None, None, 2)
    with pytest.raises(pc.InvalidConfig, match="cpu_weight"):
        held.update(cpu_weight=None)
    held.stop(timeout=0)
    held.update(pids=30, cpu_weight=None)
    held.start()
    with held._runtime().cgroup() as group:
        assert group.stats().pids.limit == 30


def make_reason_of(held):
    held.wait(timeout=120)
    return held.reason


def test_one_that_is_removed_while_it_is_waited_for(run, monkeypatch):
    held, real = run(), monitor.wait

    def late(*args):
        monkeypatch.undo()
        held.remove(force=True)
        return real(*args)

    monkeypatch.setattr(monitor, "wait", late)
    os.kill(held.pid, signal.SIGKILL)
    with pytest.raises(pc.NotFound):
        held.wait(timeout=60)


@pytest.mark.requires("uninstrumented")
@pytest.mark.slow_in_vm("starts a Python to remove it")
def test_one_that_nobody_needs_afterwards_removes_itself(store, run):
    held = run("sh", "-c", "exit 4", remove=True, detach=True)
    assert held.wait(timeout=60) == 4
    wait_until_gone(store.containers)
    wait_for(lambda: not os.path.exists(held._place.runtime))


@pytest.mark.requires("uninstrumented")
@pytest.mark.slow_in_vm("starts a Python to remove it")
def test_one_that_nobody_needs_afterwards_is_restarted_all_the_same(store, run):
    held = run(remove=True, detach=True)
    for _ in range(3):
        held.restart(timeout=0)
        assert held.status == "running"
    with pytest.raises(pc.InvalidConfig):
        held.restart(timeout=-1)
    held.stop(timeout=0)
    wait_until_gone(store.containers)


@pytest.mark.requires("uninstrumented")
@pytest.mark.slow_in_vm("starts a Python to remove it")
@pytest.mark.parametrize("is_stopped", [False, True])
def test_who_restarts_one_that_nobody_needs_afterwards_is_killed(store, run, is_stopped):
    held = run("sh", "-c", "trap '' TERM; echo up; while test ! -e /run/end; do sleep 0.05; done",
               detach=True, remove=True, name="d", mounts=[pc.Mount.tmpfs("/run")])  # fmt: skip
    wait_for(lambda: log(held))
    other = elsewhere(
        store,
        "from pycgroups.containers import monitor\nc = containers.get('d')\n"
        "with c._home() as home, monitor.kept(home.fd):\n"
        f"    {'c.stop(0)' if is_stopped else 'pass'}; print(flush=True); time.sleep(1000)",
    )
    assert other.stdout.readline()
    time.sleep(0.5)
    assert held.status == ("stopped" if is_stopped else "running")
    other.kill()
    other.communicate(timeout=60)
    if not is_stopped:
        held.exec(["touch", "/run/end"])
    wait_for(lambda: store.containers.list(all=True) == [], timeout=20)
    ending.reap()
    wait_until_gone(store.containers)


def test_two_who_restart_one_at_once_both_have_it_restarted(run, store, monkeypatch):
    held, real = run(), pc.Container.stop
    before = held.started

    def stop(self, timeout=None):
        real(self, timeout)
        monkeypatch.setattr(pc.Container, "stop", real)
        store.containers.get(held.id).restart(timeout=0)

    monkeypatch.setattr(pc.Container, "stop", stop)
    held.restart(timeout=0)
    assert (held.status, held.started > before) == ("running", True)


@pytest.mark.requires("uninstrumented")
@pytest.mark.slow_in_vm("starts a Python to remove it")
def test_who_restarts_one_keeps_it_though_others_restart_it_meanwhile(store, run):
    held = run(remove=True, detach=True)
    with held._home() as home, monitor.kept(home.fd):
        with contextlib.suppress(LookupError), monitor.kept(home.fd):
            held.restart(timeout=0)
            with monitor.kept(home.fd):
                raise LookupError  # nor is this the end of what others do
        assert monitor.is_kept(home.fd)
        held.stop(timeout=0)
        time.sleep(0.5)
        held.start()
    assert held.status == "running"
    held.stop(timeout=0)
    wait_until_gone(store.containers)


@pytest.mark.requires("uninstrumented")
@pytest.mark.slow_in_vm("starts of Python")
@pytest.mark.parametrize("end", ["killed", "failed", "started"])
def test_what_removes_one_waits_for_who_has_begun_to_restart_it(store, make, end):
    held = make(remove=True, detach=True)
    ends = {"killed": "time.sleep(1000)", "failed": "input(); raise SystemExit", "started": "input(); c.start()"}
    other = elsewhere(
        store,
        f"c = containers.get({held.id!r})\nfrom pycgroups.containers import monitor\n"
        f"with c._home() as home, monitor.kept(home.fd):\n    print(flush=True); {ends[end]}",
        stdin=subprocess.PIPE,
    )
    assert other.stdout.readline()
    environment = {**os.environ, "PYCGROUPS_STORE": os.path.dirname(held._place.homes.path)}
    command = [sys.executable, "-m", "pycgroups.containers.away", held.id]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as away:
        with pytest.raises(subprocess.TimeoutExpired):
            away.wait(timeout=2)
        if end == "killed":
            other.kill()
        other.communicate("\n", timeout=60)
        away.wait(timeout=60)
    assert [each.status for each in store.containers.list(all=True)] == {
        "killed": [], "failed": ["created"], "started": ["running"],
    }[end]  # fmt: skip


# -- of images --------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(store):
    return put(store.images, Image(BASE, Cmd=["sh", "-c", "echo default"], Env=["WORD=hello"], StopSignal="USR1"))


def test_what_it_writes_stays_until_it_is_removed(store, box):
    held = store.containers.create(
        ["sh", "-c", "cat /etc/word; echo $WORD > /etc/word; rm -f /etc/both"], image="box:1"
    )
    held.start()
    assert held.wait(timeout=60) == 0
    held.start()
    assert held.wait(timeout=60) == 0
    assert log(held).splitlines()[-1] == "hello"
    upper = Path(held.inspect()["directory"], "upper")
    if os.geteuid() == 0:
        assert upper.joinpath("etc/word").read_text() == "hello\n"
        assert upper.joinpath("etc/word").stat().st_uid == 0
        assert upper.stat().st_mode & 0o777 == 0o755
    held.remove()
    assert not upper.exists()


def test_without_overlayfs_it_has_a_copy_of_its_own(store, box, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    held = store.containers.create(["sh", "-c", "cat /etc/both; echo more >> /etc/both"], image="box:1")
    for expected in ("lower", "lower more", "lower more more"):
        held.start()
        assert held.wait(timeout=60) == 0
        assert log(held).split()[-len(expected.split()) :] == expected.split()
    held.remove()


def test_a_volume_is_kept_as_long_as_there_is_a_container(store, run):
    held = run("sh", "-c", "echo word > /data/file; sleep 1000", volumes={"data": "/data"})
    wait_for(lambda: b"word" in held.exec(["cat", "/data/file"]).stdout)
    volume = store.volumes.get("data")
    with pytest.raises(pc.StateError):
        volume.remove()
    held.kill()
    with pytest.raises(pc.StateError):
        volume.remove()
    held.remove()
    volume.remove()


def test_an_image_says_what_nobody_else_does(store, box):
    held = store.containers.create(image="box:1")
    assert held.config.command == ("sh", "-c", "echo default")
    assert held.config.stop_signal == signal.SIGUSR1
    assert held.inspect()["image"] == box.digest
    put(store.images, Image(BASE, Cmd=["sh", "-c", "echo other"]))
    held.start()
    assert held.wait(timeout=60) == 0
    assert log(held) == "default\n"


# -- names, and all of them -------------------------------------------------------------------------------------------


def test_they_are_found_by_name_id_and_beginning(store, make):
    one, two = make(name="one"), make()
    assert store.containers.get("one") == store.containers.get(one.id) == store.containers.get(one.id[:10]) == one
    assert store.containers.get(two.name) == two
    with pytest.raises(pc.AlreadyExists):
        make(name="one")
    one.rename("two")
    assert store.containers.get("two").name == "two"
    with pytest.raises(pc.NotFound):
        store.containers.get("one")
    with pytest.raises(pc.AlreadyExists):
        two.rename("two")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../x", "-rf", "\0", "a\n", "x" * 1000, "e\u0301", "\xe9", "\U0001f600", "\u202ea", " a", 5],
    ids=ascii,
)
def test_what_is_no_name_is_refused(store, make, name):
    with pytest.raises(pc.InvalidConfig):
        make(name=name)
    held = make()
    with pytest.raises(pc.InvalidConfig):
        held.rename(name)
    with pytest.raises(pc.NotFound):
        store.containers.get(name)
    assert store.containers.list(all=True) == [held]


def test_names_that_differ_are_different(store, make):
    names = ["A", "a", "a.json", "lock", "names", "events", "container.json"]
    made = {name: make(name=name) for name in names}
    assert {name: store.containers.get(name) for name in names} == made


def test_those_that_run_are_listed_and_the_others_pruned(store, make, run):
    running, created, stopped = run(name="r"), make(name="c"), run("true", name="s")
    stopped.wait(timeout=60)
    assert store.containers.list() == [running]
    assert store.containers.list(all=True) == [stopped, created, running]
    assert {each.id for each in store.containers.prune()} == {created.id, stopped.id}
    assert store.containers.list(all=True) == [running]


def test_one_that_is_being_restarted_is_not_pruned(store, run, monkeypatch):
    held, pruned, stop = run(*SLEEP), [], pc.Container.stop

    def stop_and_prune(self, timeout):
        stop(self, timeout)
        pruned.extend(store.containers.prune())
        with pytest.raises(pc.StateError, match="is being restarted"):
            held.remove()

    monkeypatch.setattr(pc.Container, "stop", stop_and_prune)
    held.restart(0)
    assert (pruned, held.status) == ([], "running")
    monkeypatch.undo()
    held.stop(0)
    assert store.containers.prune() == [held]


@pytest.mark.parametrize("how", ["make", "fork"])
def test_one_that_is_started_by_its_maker_is_not_pruned(store, monkeypatch, how):
    """Somebody prunes as soon as it is told that there is one."""
    box = put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    monkeypatch.setattr("pycgroups.containers.collection.default", lambda: store.containers)
    held, append, pruned = pc.Container(SLEEP, image=box), Events.append, []
    pruning = threading.Thread(target=lambda: pruned.extend(store.containers.prune()))

    def prune_then(self, kind, action, **facts):
        append(self, kind, action, **facts)
        if action == "create":
            pruning.start()
            pruning.join(0.5)

    monkeypatch.setattr(Events, "append", prune_then)
    made = held.fork()[0] if how == "fork" else pc.Container(SLEEP, image=box)
    pruning.join(PATIENCE)
    assert (pruned, made.status) == ([], "running")


@pytest.mark.parametrize("where", ["create", "close", "start"])
def test_an_interrupt_of_a_fork_leaves_none(store, monkeypatch, where):
    box = put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    held = store.containers.create(SLEEP, image=box)
    held.start()
    append, close, left = Events.append, Home.close, [KeyboardInterrupt]

    def append_interrupted(self, kind, action, **facts):
        append(self, kind, action, **facts)
        if action == where and left:
            raise left.pop()

    def close_interrupted(self):
        is_ones = where == "close" and self.is_locked and self.id != held.id
        close(self)
        if is_ones and left:
            raise left.pop()

    monkeypatch.setattr(forking, "MOST_LOCKED", 1)
    monkeypatch.setattr(Events, "append", append_interrupted)
    monkeypatch.setattr(Home, "close", close_interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.fork(3)
    assert (left, store.containers.list(all=True)) == ([], [held])
    assert not list(held._place.homes._unfinished())


@pytest.mark.requires("limits")
def test_an_interrupt_when_a_cgroup_is_made_leaves_none(make, monkeypatch):
    held, made, make_directory = make(), [], places.make_directory

    def interrupted(path, *mode):
        made.append(path)
        make_directory(path, *mode)
        raise KeyboardInterrupt

    monkeypatch.setattr(places, "make_directory", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.start()
    held.remove()
    assert [path for path in made if held.id in path and os.path.exists(path)] == []


@pytest.mark.parametrize(
    "options",
    [{"isolation": "process", "rootfs": None}, {"timeout": 5}],
    ids=str,
)
def test_what_cannot_be_held_is_refused_before_anything_is_made(store, make, options):
    with pytest.raises(pc.Unsupported):
        make(**options)
    assert store.containers.list(all=True) == []


# -- other processes, and the end of ours -----------------------------------------------------------------------------


def test_another_process_does_with_it_what_it_likes(store, run):
    held = run("sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done", name="web")
    wait_for(lambda: log(held))
    other = elsewhere(store, "c = containers.get('web'); print(c.status); c.stop(60); print(c.wait(), c.status)")
    assert other.communicate(timeout=120)[0] == "running\n9 stopped\n"
    assert held.wait(timeout=60) == 9


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "ended"])
def test_a_detached_one_outlives_its_creator(store, root, how):
    creator = elsewhere(
        store,
        f"c = containers.create(['sh', '-c', 'trap \"exit 8\" TERM; echo up; while :; do sleep 0.05; done'],"
        f" rootfs={str(root)!r}, name='d', detach=True)\nc.start(); print(c.pid, flush=True)\n"
        + ("time.sleep(1000)" if how else ""),
    )
    pid = int(creator.stdout.readline())
    if how:
        creator.send_signal(how)
    creator.communicate(timeout=120)
    held = store.containers.get("d")
    assert (held.status, held.pid, held.detached) == ("running", pid, True)
    wait_for(lambda: log(held))
    held.stop(timeout=60)
    assert (held.exit_code, held.reason) == (8, "exited")
    held.start()
    assert held.status == "running"


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "ended"])
@pytest.mark.parametrize("init", [True, False])
def test_one_that_is_not_detached_ends_with_its_creator(store, root, how, init):
    creator = elsewhere(
        store,
        f"c = containers.create(['sleep', '1000'], rootfs={str(root)!r}, name='d', init={init})\n"
        "c.start(); print(c.pid, flush=True)\n" + ("time.sleep(1000)" if how else ""),
    )
    assert int(creator.stdout.readline()) > 0
    if how:
        creator.send_signal(how)
    creator.communicate(timeout=120)
    held = store.containers.get("d")
    wait_for(lambda: held.status == "stopped")
    if init:  # else it is told only by who reaps it: the init of this machine, some day
        assert held.wait(timeout=60) == -9
    held.start()
    assert held.status == "running"


@pytest.mark.parametrize("detach", [True, False])
def test_among_the_processes_of_the_host_it_ends_with_its_init(run, detach):
    held = run("sh", "-c", "sleep 1000 & exec sleep 1001", detach=detach, namespaces={"pid": "host"})
    wait_for(lambda: len(descendants(held.pid)) == 2)
    below = descendants(held.pid)
    os.kill(held.pid, signal.SIGKILL)
    assert held.wait(timeout=60) == -9
    wait_for(lambda: not is_alive(below[0]), timeout=20)
    if os.geteuid() != 0:  # it may have no group by which the others are found
        with contextlib.suppress(ProcessLookupError):
            os.kill(below[1], signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, below)), timeout=20)
    held.remove()


@pytest.mark.requires("root")
def test_a_paused_one_among_the_processes_of_the_host_ends_with_its_creator(store, root):
    creator = elsewhere(
        store,
        f"c = containers.create(['sh', '-c', 'sleep 1000 & exec sleep 1001'], rootfs={str(root)!r}, name='d',"
        " namespaces={'pid': 'host'})\n"
        "c.start(); time.sleep(0.5); c.pause(); print(c.pid, flush=True); time.sleep(1000)",
    )
    below = descendants(int(creator.stdout.readline()))
    assert below
    creator.kill()
    creator.communicate(timeout=120)
    wait_for(lambda: not any(map(is_alive, below)), timeout=60)
    wait_for(lambda: store.containers.get("d").status == "stopped")


def test_one_whose_monitor_is_killed_ends(run, monkeypatch):
    prepare, begun = monitor.prepare, []

    def prepared(task):
        begun.append(prepare(task))
        return begun[0]

    monkeypatch.setattr(monitor, "prepare", prepared)
    held = run()
    monkeypatch.undo()
    os.kill(begun[0].pid, signal.SIGKILL)
    with pytest.raises(pc.StateError, match="nobody saw"):
        held.wait(timeout=60)
    assert (held.status, held.exit_code, held.reason, held.finished) == ("stopped", None, None, None)
    held.start()
    assert held.status == "running"


def test_after_a_reboot_it_is_stopped_and_starts_again(store, run):
    held = run(name="web")
    pid = held.pid
    with held._home() as there:
        there.write_start(there.start()._replace(boot="another", pid=os.getpid()))
    assert (held.status, held.pid) == ("stopped", None)
    with pytest.raises((pc.StateError, TimeoutError)):
        held.wait(timeout=1)
    assert store.containers.list() == []
    held.start()  # what the runtime has of it goes first
    assert held.status == "running"
    assert held.pid != pid
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


def test_without_the_directory_in_run_it_is_known_all_the_same(run):
    running = run()
    shutil.rmtree(Path(running._place.runtime, running.id))
    assert running.status == "running"
    running.stop(timeout=0.2)
    assert running.status == "stopped"
    held = run("sh", "-c", "exit 0")
    held.wait(timeout=60)
    runtime.get(held.id, root=held._place.runtime).delete(force=True)
    assert (held.status, held.exit_code) == ("stopped", 0)
    held.start()
    assert held.wait(timeout=60) == 0


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(run):
    held = run("true")
    held.wait(timeout=60)
    other = subprocess.Popen(["sleep", "1000"])
    try:
        with held._home() as there:
            there.write_start(there.start()._replace(pid=other.pid, began=start_of(other.pid) - 1))
        assert held.status == "stopped"
        held.stop()
        assert held.wait(timeout=60) == 0
        held.remove(force=True)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_who_has_no_descriptors_left_takes_none_for_damaged(run, store):
    held = run("sleep", "1000")
    with descriptors_left(1):
        for ask in (lambda: held.status, held.stop, lambda: held.config, store.containers.list):
            with pytest.raises(pc.Error, match="Too many open files") as raised:
                ask()
            assert not isinstance(raised.value, pc.InvalidConfig)
    for ask in (
        lambda: held.popen("true", stdin=pc.PIPE, stdout=pc.PIPE).communicate(),
        held.stats,
        lambda: held.write_text("/tmp/a", "text"),
    ):
        ask()  # with all modules that it needs
        for most in range(2, 9):
            with descriptors_left(most), contextlib.suppress(pc.Error):  # and nothing else
                ask()
    assert held.status == "running"


def test_a_damaged_one_that_runs_is_not_stopped_without_a_word(run):
    held = run("sleep", "1000")
    path = Path(held.directory, "container.json")
    kept = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(pc.InvalidConfig, match="damaged"):
        held.stop()
    path.write_bytes(kept)
    assert held.status == "running"


@pytest.mark.requires("root")
def test_its_range_of_ids_is_nobody_elses_as_long_as_it_runs(run):
    first = run("sh", "-c", "cat /proc/self/uid_map; sleep 1000")
    wait_for(lambda: log(first))
    base = int(log(first).split()[1])
    number = (base - ranges.FIRST) // ranges.SIZE
    probe = os.open("/run/pycgroups/ids", os.O_RDWR)
    try:
        assert not ranges._lock(probe, number, 1)
        first.kill()
        wait_for(lambda: ranges._lock(probe, number, 1))
    finally:
        os.close(probe)


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["container.json", "run.json", "exit", "monitor", "log"])
@pytest.mark.parametrize("how", ["empty", "garbage", "directory", "missing", "fifo"])
def test_a_damaged_one_stops_no_other_and_goes(store, make, run, file, how):
    good, bad = make(name="good"), run("true", name="bad")
    bad.wait(timeout=60)
    path = Path(bad.inspect()["directory"], file)
    path.unlink(missing_ok=True)
    if how == "directory":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how != "missing":
        path.write_bytes(b"" if how == "empty" else b"\0\xff{")
    assert {each.name: each.status for each in store.containers.list(all=True)} == {
        "good": "created",
        "bad": "damaged" if file == "container.json" else "stopped",
    }
    assert store.containers.get("bad") == bad
    if file == "container.json":
        for ask in (bad.start, bad.inspect, bad.remove, lambda: bad.config, lambda: bad.rename("x")):
            with pytest.raises(pc.Error):
                ask()
        assert store.containers.prune() == [good]
    bad.remove(force=True)
    with pytest.raises(pc.NotFound):
        store.containers.get("bad")
    make(name="bad")


@pytest.mark.parametrize("how", ["empty", "garbage", "directory", "missing"])
def test_damage_of_what_the_runtime_knows_loses_no_container(store, run, how):
    held = run(name="web")
    path = Path(held._place.runtime, held.id, "state.json")
    path.unlink()
    if how == "directory":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(b"" if how == "empty" else b"\0\xff{")
    assert held.status in {"running", "stopped"}
    assert store.containers.list(all=True) == [held]
    held.remove(force=True)
    assert store.containers.list(all=True) == []


# -- at once ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow_in_vm("an interpreter for each removal of an ordinary user's")
def test_who_is_making_one_is_not_taken_for_dead(store, root):
    code = f"""
for _ in range(40):
    containers.create(['true'], rootfs={str(root)!r}).remove()"""
    others = [elsewhere(store, code) for _ in range(4)]
    codes = []
    for other in others:
        other.communicate(timeout=120)
        codes.append(other.returncode)
    assert codes == [0] * 4


@pytest.mark.slow_in_vm("starts many a Python at once")
def test_of_those_who_make_the_same_name_at_once_one_wins(store, root):
    code = f"""
won = 0
for round_ in range(10):
    try:
        c = containers.create(['true'], rootfs={str(root)!r}, name=f'n{{round_}}')
        won += 1
    except pc.AlreadyExists:
        pass
print(won)"""
    others = [elsewhere(store, code) for _ in range(4)]
    assert sum(int(other.communicate(timeout=120)[0]) for other in others) == 10
    assert len(store.containers.list(all=True)) == 10


@pytest.mark.slow_in_vm("starts many a Python at once")
def test_of_those_who_start_and_remove_at_once_nothing_stays(store, root):
    code = f"""
for round_ in range(8):
    try:
        with containers.create(['sleep', '1000'], rootfs={str(root)!r}, name='one') as c:
            c.start()
    except pc.Error as error:
        try:
            containers.get('one').remove(force=True)
        except pc.Error:
            pass
print('done')"""
    others = [elsewhere(store, code) for _ in range(3)]
    assert [other.communicate(timeout=300)[0] for other in others] == ["done\n"] * 3
    for each in store.containers.list(all=True):
        assert each.status in {"created", "stopped"}


@pytest.mark.slow_in_vm("forty starts")
def test_the_last_of_many_costs_what_the_first_did(store, make):
    fds = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with make("true") as held:
            held.start()
            held.wait(timeout=60)
    assert len(os.listdir("/proc/self/fd")) <= fds + 2


def test_a_source_that_is_missing_is_told_with_its_option(make):
    held = make("true", volumes={"/no/such": "/in"})
    with pytest.raises(pc.LaunchError, match=r"^volumes\[0\], mount at /in: source /no/such: No such file or dir"):
        held.start()
