"""Restart policies: a container that has ended is started again, by nobody who stays, until somebody stops it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import sysconfig
import time
from itertools import pairwise
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import cli
from pycgroups.containers import collection, ending, lending, monitor, restarting
from tests.processes import is_alive
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("each restart starts a Python"),
    pytest.mark.requires("uninstrumented"),
]


@pytest.fixture
def long_delay(monkeypatch):
    """What this process starts waits so long that only somebody else ends it."""
    monkeypatch.setattr(restarting, "FIRST", 1000.0)


@pytest.fixture
def monitors(monkeypatch):
    """The pids of the monitors that this process starts."""
    pids = []
    prepare = monitor.prepare

    def prepared(task):
        made = prepare(task)
        pids.append(made.pid)
        return made

    monkeypatch.setattr(monitor, "prepare", prepared)
    return pids


def actions(store):
    return [event.action for event in store.events.read(filters={"type": "container"})]


def statuses(store):
    return {each.status for each in store.containers.list(all=True)}


def runs_again(held):
    """Return the pid of the process that starts it again, once that is there."""
    with held._home() as home:
        wait_for(lambda: (found := monitor.read_exit(home.fd)) and b".again" in cmdline(found.next_pid))
        return monitor.read_exit(home.fd).next_pid


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


# -- the policies -----------------------------------------------------------------------------------------------------


def test_on_failure_so_often(store, run):
    held = run("sh", "-c", "echo once; exit 3", detach=True, restart="on-failure:2")
    assert held.wait(timeout=120) == 3
    assert (held.status, held.reason, held.restart_count) == ("stopped", "exited", 2)
    facts = held.inspect()
    assert (facts["restart"], facts["restart_count"], facts["state"]["error"]) == ("on-failure:2", 2, None)
    assert held.logs() == b"once\n" * 3
    assert actions(store) == ["create", *["start", "die"] * 3]
    times = [event.time for event in store.events.read()][1:]
    assert times[2] - times[1] >= 0.09  # from the first end to the second start
    assert times[4] - times[3] >= 0.19
    deaths = list(store.events.read(filters={"action": "die"}))
    assert {(event.attributes["exit_code"], event.attributes["reason"]) for event in deaths} == {("3", "exited")}


def test_not_after_what_went_well(run):
    held = run("true", detach=True, restart="on-failure")
    assert held.wait(timeout=120) == 0
    assert (held.status, held.restart_count) == ("stopped", 0)


def test_always_until_somebody_stops_it(store, run):
    held = run("sh", "-c", "echo once; sleep 0.1", detach=True, restart="always")
    wait_for(lambda: held.restart_count >= 2)
    assert held.status in {"running", "restarting"}
    assert held in store.containers.list()
    held.stop(timeout=0)
    assert held.status == "stopped"
    ends = actions(store).count("die")
    assert held.restart_count + 1 == actions(store).count("start") == ends
    time.sleep(0.5)
    assert (held.status, actions(store).count("die")) == ("stopped", ends)
    held.start()
    assert held.restart_count == 0
    held.stop(timeout=0)


def test_its_log_is_followed_over_restarts(run):
    held = run("sh", "-c", "echo once; exit 1", detach=True, restart="on-failure:1")
    assert b"".join(held.logs(follow=True)) == b"once\n" * 2


@pytest.mark.parametrize("policy", ["", "never", "on-failure:x", 3])
def test_what_is_no_policy_is_refused_before_anything_is_made(store, make, policy):
    with pytest.raises(pc.InvalidConfig, match="restart"):
        make(detach=True, restart=policy)
    with pytest.raises(pc.InvalidConfig, match="remove"):
        make(detach=True, remove=True, restart="always")
    assert store.containers.list(all=True) == []


# -- another policy ---------------------------------------------------------------------------------------------------

FILES = "while test ! -e /run/end; do sleep 0.05; done; exit $(cat /run/end)"


@pytest.fixture
def run_until(run):
    """Start one, by a policy, that ends with the exit code that `end` writes."""
    return lambda policy: run("sh", "-c", FILES, detach=True, restart=policy, mounts=[pc.Mount.tmpfs("/run")])


def end(held, code):
    held.exec(["sh", "-c", f"echo {code} > /run/new; mv /run/new /run/end"])


def test_one_that_runs_is_not_to_be_started_again_after_all(store, run_until):
    held = run_until("always")
    held.update(restart="no")
    assert (held.inspect()["restart"], held.status) == ("no", "running")
    end(held, 3)
    assert held.wait(timeout=60) == 3
    assert (held.status, held.restart_count) == ("stopped", 0)
    (told,) = store.events.read(filters={"action": "update"})
    assert told.attributes == {"restart": "no"}


def test_one_that_runs_is_to_be_started_again_whatever_comes(run_until):
    held = run_until("on-failure:1")
    for policy in ("no", "always"):  # what it may be it knows from its start on
        held.update(restart=policy)
    end(held, 0)
    wait_for(lambda: held.restart_count == 1)
    held.update(restart="on-failure")
    wait_for(lambda: held.status == "running")
    end(held, 0)
    assert held.wait(timeout=60) == 0
    assert (held.status, held.restart_count) == ("stopped", 1)


def test_one_that_was_to_end_for_good_has_to_be_started_anew(run, run_until):
    for held in (run_until("no"), run_until("on-failure:1")):
        if held.inspect()["restart"] != "no":
            end(held, 3)
            wait_for(lambda: held.restart_count == 1 and held.status == "running")  # noqa: B023 (called at once)
        before = held.inspect()
        with pytest.raises(pc.StateError, match="given up the rights") as caught:
            held.update(restart="always", pids=40)
        assert "stop it" in caught.value.hint
        held.update(restart="no")
        assert held.inspect() == {**before, "restart": "no"}
        held.stop(timeout=0)
        held.update(restart="always")
        held.start()
        end(held, 0)
        wait_for(lambda: held.restart_count == 1)  # noqa: B023
        held.stop(timeout=0)


def test_what_cannot_be_a_policy_changes_nothing(make, run):
    held = make(detach=True, remove=True)
    for policy in ("never", "always"):
        with pytest.raises(pc.InvalidConfig, match="restart"):
            held.update(restart=policy, pids=40)
    assert (held.inspect()["restart"], held.config.pids) == ("no", None)


# -- in between -------------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(long_delay, monitors, run):
    """One that has ended and is to be started again much later."""
    held = run("sh", "-c", "exit 3", detach=True, restart="always", name="web")
    wait_for(lambda: held.exit_code == 3)
    return held


def test_what_is_told_in_between(store, waiting):
    assert (waiting.status, waiting.pid, waiting.exit_code, waiting.reason) == ("restarting", None, 3, "exited")
    assert waiting.inspect()["state"]["status"] == "restarting"
    assert store.containers.list() == [waiting]
    assert store.containers.prune() == []
    with pytest.raises(TimeoutError):
        waiting.wait(timeout=0.1)
    for refused in (waiting.remove, waiting.pause, lambda: waiting.exec(["true"]), lambda: waiting.kill("HUP")):
        with pytest.raises(pc.StateError):
            refused()
    assert waiting.status == "restarting"


@pytest.mark.parametrize("end", ["stop", "kill", "term"])
def test_it_is_stopped_in_between(waiting, monitors, end):
    {"stop": waiting.stop, "kill": waiting.kill, "term": lambda: waiting.kill("TERM")}[end]()
    assert not is_alive(monitors[0])
    assert (waiting.status, waiting.wait(timeout=60), waiting.restart_count) == ("stopped", 3, 0)
    waiting.remove()


def test_in_between_it_is_not_to_be_started_again_after_all(waiting, monitors):
    waiting.update(restart="unless-stopped")
    assert waiting.status == "restarting"
    waiting.update(restart="no")
    assert not is_alive(monitors[0])
    assert (waiting.status, waiting.wait(timeout=60), waiting.restart_count) == ("stopped", 3, 0)


def test_in_between_it_has_not_failed_so_that_it_is_started_again(long_delay, run, monitors):
    held = run("true", detach=True, restart="always")
    wait_for(lambda: held.exit_code == 0)
    held.update(restart="on-failure")
    assert not is_alive(monitors[0])
    assert (held.status, held.wait(timeout=60), held.restart_count) == ("stopped", 0, 0)


@pytest.mark.parametrize("policy", ["no", "on-failure"])
def test_it_ends_while_its_policy_is_changed(long_delay, run, monitors, monkeypatch, policy):
    """It was running when it was asked; it is not started again all the same."""
    held = run("sh", "-c", "read word", detach=True, restart="always", stdin_open=True)
    change = monitor.change

    def late(directory, command):
        with held.attach() as joined:
            joined.write(b"word\n")
        wait_for(lambda: (end := monitor.read_exit(directory)) and end.next_pid)
        change(directory, command)

    monkeypatch.setattr(monitor, "change", late)
    held.update(restart=policy)
    assert not is_alive(monitors[0])
    assert (held.status, held.wait(timeout=60), held.restart_count) == ("stopped", 0, 0)


def test_a_full_disk_changes_no_policy(run, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    held = run(detach=True, restart="always")
    monkeypatch.setattr(monitor, "replace", full)
    with pytest.raises(pc.Error, match="No space left"):
        held.update(restart="no")
    assert held.inspect()["restart"] == "always"


def test_it_is_removed_in_between(store, waiting, monitors):
    waiting.remove(force=True)
    assert not is_alive(monitors[0])
    assert store.containers.list(all=True) == []


def test_it_is_started_in_between(waiting, monitors):
    waiting.start()
    assert not is_alive(monitors[0])
    wait_for(lambda: waiting.exit_code == 3)
    assert (waiting.status, waiting.restart_count, len(monitors)) == ("restarting", 0, 2)


def test_its_input_is_nobodys_in_between(long_delay, run):
    held = run("sh", "-c", "read word; exit $word", detach=True, restart="always", stdin_open=True)
    with held.attach() as joined:
        joined.write(b"3\n")
        wait_for(lambda: held.exit_code == 3)
    began = time.monotonic()
    with pytest.raises(pc.StateError):
        held.attach()
    home = os.open(held.inspect()["directory"], os.O_PATH)
    try:
        with pytest.raises(pc.StateError, match="does not run"):
            lending.borrow(home)
    finally:
        os.close(home)
    assert time.monotonic() - began < 20  # lending has patience for 30 s
    assert held.status == "restarting"


def test_an_input_for_each_start(run):
    held = run("sh", "-c", "read word; exit $word", detach=True, restart="always", stdin_open=True)
    for count, word in enumerate((3, 4)):
        wait_for(lambda: held.status == "running" and held.restart_count == count)  # noqa: B023 (called at once)
        with held.attach() as joined:
            joined.write(b"%d\n" % word)
        wait_for(lambda: held.exit_code == word or held.restart_count > count)  # noqa: B023
    held.stop()


def test_who_waits_hears_of_the_stop(store, waiting):
    program = f"import pycgroups as pc; print(pc.Store({store.containers._root!r}).containers.get('web').wait())"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        time.sleep(0.3)
        waiting.stop()
        assert other.communicate(timeout=120)[0] == "3\n"


def test_signals_but_those_that_end_it_leave_the_policy_alone(run):
    script = "trap 'exit 4' HUP; trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"
    held = run("sh", "-c", script, detach=True, restart="always")
    wait_for(held.logs)
    held.kill("HUP")
    wait_for(lambda: held.status == "running" and held.restart_count == 1 and held.logs().count(b"up") == 2)
    held.kill("TERM")
    assert held.wait(timeout=60) == 5
    assert held.status == "stopped"


# -- processes that die -----------------------------------------------------------------------------------------------


CREATOR = """
import sys, time, pycgroups as pc
held = pc.Store(sys.argv[1]).containers.create(
    ["sh", "-c", "sleep 0.1; exit 3"],
    rootfs=sys.argv[2], name="web", detach=sys.argv[3] == "detached", restart="always",
)
held.start()
print(flush=True)
time.sleep(1000)
"""


@pytest.fixture
def create_elsewhere(store, root):
    """Have another process make and start one; that process."""
    made = []

    def create(way):
        command = [sys.executable, "-c", CREATOR, store.containers._root, root, way]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert made[-1].stdout.readline()
        return made[-1]

    yield create
    for each in made:
        each.kill()
        each.communicate()


def test_without_its_creator_a_detached_one_goes_on(store, create_elsewhere):
    creator = create_elsewhere("detached")
    creator.kill()
    creator.wait()
    held = store.containers.get("web")
    count = held.restart_count
    wait_for(lambda: held.restart_count > count + 1)
    held.stop(timeout=0)
    assert held.status == "stopped"


def test_without_its_creator_another_one_ends(store, create_elsewhere):
    creator = create_elsewhere("held")
    held = store.containers.get("web")
    wait_for(lambda: held.restart_count >= 2)
    creator.kill()
    creator.wait()
    wait_for(lambda: held.status == "stopped")
    count = held.restart_count
    time.sleep(0.5)
    assert (held.status, held.restart_count) == ("stopped", count)


def test_whoever_starts_it_again_is_killed(run):
    held = run("sh", "-c", "sleep 0.3; exit 3", detach=True, restart="always")
    with held._home() as home:
        home.lock()
        pid = runs_again(held)  # and waits for the lock
        assert held.status == "restarting"
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_alive(pid))
        assert (held.status, held.exit_code, held.wait(timeout=60)) == ("stopped", 3, 3)
    held.start()
    held.stop(timeout=0)


def test_it_is_stopped_while_it_is_started_again(run):
    held = run("sh", "-c", "sleep 0.3; exit 3", detach=True, restart="always")
    with held._home() as home:
        home.lock()
        pid = runs_again(held)
        ending.end_restarts(home)
        assert not is_alive(pid)
    assert (held.status, held.restart_count) == ("stopped", 0)


@pytest.mark.parametrize("policy", ["no", "always"])
@pytest.mark.parametrize("how", ["stop", "kill", "remove"])
def test_it_is_stopped_where_no_file_can_be_made(run, monkeypatch, policy, how):
    held, really = run(detach=True, restart=policy), os.open

    def full(path, flags, *rest, **options):
        try:
            return really(path, flags & ~os.O_CREAT, *rest, **options)
        except FileNotFoundError:
            if flags & os.O_CREAT:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) from None
            raise

    with held._home() as home:
        start = home.start()
    monkeypatch.setattr(os, "open", full)
    {"stop": lambda: held.stop(timeout=0), "kill": held.kill, "remove": lambda: held.remove(force=True)}[how]()
    assert not ending.is_alive(start)
    if how != "remove":
        assert (held.status, held.restart_count) == ("stopped", 0)
    monkeypatch.undo()
    if how != "remove":
        held.start()
        held.stop(timeout=0)


@pytest.mark.long
def test_whoever_is_at_work_on_it_for_long_does_not_end_it(store, run):
    again = run("sh", "-c", "sleep 0.3; exit 3", detach=True, restart="always")
    away = run("sleep", "0.3", detach=True, remove=True)
    with again._home() as one, away._home() as other:
        one.lock()
        other.lock()
        time.sleep(35)  # longer than a command waits for a lock
        assert (again.status, again.restart_count) == ("restarting", 0)
    wait_for(lambda: again.restart_count > 0)
    wait_for(lambda: away not in store.containers.list(all=True))
    again.stop(timeout=0)


def test_signals_that_the_monitor_does_not_hear_are_not_heard_by_what_it_becomes(store, run, monitors):
    again = run("sh", "-c", "sleep 0.3; exit 3", detach=True, restart="on-failure:1")
    away = run("sleep", "0.3", detach=True, remove=True)
    for pid in monitors:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ, signal.SIGRTMIN):
            os.kill(pid, number)
    wait_for(lambda: again.restart_count == 1)
    wait_for(lambda: away not in store.containers.list(all=True))
    assert again.wait(timeout=60) == 3


ELSEWHERE = """
import sys
sys.path.insert(0, "tree")
sys.executable = sys.argv[3]
import pycgroups as pc
containers = pc.Store(sys.argv[1]).containers
for name, options in (("again", {"restart": "on-failure:1"}), ("away", {"remove": True})):
    containers.create(["false"], rootfs=sys.argv[2], name=name, detach=True, **options).start()
"""


def test_the_package_is_found_where_only_its_user_has_looked(store, root, tmp_path):
    """By a path that is relative, and by a change of sys.path."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # so that it is installed nowhere
    python.chmod(0o755)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/pycgroups").symlink_to(Path(pc.__file__).parent)
    (tmp_path / "site").symlink_to(sysconfig.get_path("platlib"))
    command = [python, "-c", ELSEWHERE, store.containers._root, root, python]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "site"}, check=True)
    again = store.containers.get("again")
    assert again.wait(timeout=60) == 1
    assert again.restart_count == 1
    wait_for(lambda: store.containers.list(all=True) == [again], timeout=20)


AT = (
    "clone,clone3,open_tree,mkdir,mkdirat,mknodat,rename,renameat,renameat2,unlink,unlinkat,write,sendto,sendmsg,flock,"
    "pipe2,socketpair,poll,recvmsg,waitid,pidfd_open"
)


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.long)], ids=["some", "each"])
def test_whoever_starts_it_again_is_killed_at_a_system_call(store, make, monkeypatch, step):
    """It has run again, or has not; it is stopped, and can be started: what there was of that start has gone."""
    command, count = restarting.command, 1

    def traced(*asked):
        strace = ["/usr/bin/strace", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={AT}"]
        made = command(*asked)
        return made._replace(words=[*strace, "-e", f"inject={AT}:signal=SIGKILL:when={count}", *made.words])

    while True:
        monkeypatch.setattr(restarting, "command", traced)
        held = make("sh", "-c", "echo once; exit 3", detach=True, restart="on-failure:1")
        held.start()
        wait_for(lambda: statuses(store) == {"stopped"})
        assert held.exit_code in {3, None}  # it was killed when the next monitor was to come
        has_run_again = held.logs() == b"once\n" * 2
        assert not has_run_again or held.restart_count == 1
        monkeypatch.setattr(restarting, "command", command)
        held.start()
        held.remove(force=True)
        assert store.containers.list(all=True) == []
        if has_run_again:
            break
        count = count * step if step > 1 else count + 1
    assert count > 10


# -- starts that fail -------------------------------------------------------------------------------------------------


def test_a_program_that_has_gone_is_told_and_tried_as_often_as_asked(store, make, own_root):
    job = Path(own_root, "bin/job")
    job.write_text("#!/bin/sh\nsleep 0.3; exit 3\n")
    job.chmod(0o755)
    held = make("job", rootfs=own_root, detach=True, restart="on-failure:4")
    held.start()
    with held._home() as home:
        home.lock()  # it cannot be started again before
        job.unlink()
    assert held.wait(timeout=120) == 127
    facts = held.inspect()
    assert (facts["restart_count"], facts["state"]["status"], facts["state"]["reason"]) == (4, "stopped", "exited")
    assert "job" in facts["state"]["error"]
    deaths = [event for event in store.events.read(filters={"action": "die"}) if "error" in event.attributes]
    assert len(deaths) == actions(store).count("die") - actions(store).count("start") >= 3
    assert deaths[-1].attributes["exit_code"] == "127"
    for earlier, later in pairwise(deaths):
        assert later.time - earlier.time >= 0.19
    job.write_text("#!/bin/sh\nexit 0\n")
    job.chmod(0o755)
    held.start()
    assert held.wait(timeout=60) == 0
    assert held.inspect()["state"]["error"] is None


def test_a_start_that_cannot_even_be_noted_is_tried_again(make, own_root):
    job, count = Path(own_root, "bin/job"), Path(own_root, "count")
    job.write_text("#!/bin/sh\necho >> /count; sleep 0.3; exit 3\n")
    job.chmod(0o755)
    count.touch()
    count.chmod(0o666)
    held = make("job", rootfs=own_root, detach=True, restart="on-failure:1")
    held.start()
    with held._home() as home:
        home.lock()
        obstacle = Path(held.directory, "run.json.new")
        obstacle.mkdir()  # what is written there is lost, as on a disk that is full
    wait_for(lambda: len(count.read_text()) >= 3)
    assert held.status == "restarting"
    with held._home() as home:
        home.lock()  # between two attempts
        obstacle.rmdir()
    assert held.wait(timeout=120) == 3
    assert held.restart_count == 1


# -- after a reboot ---------------------------------------------------------------------------------------------------


@pytest.fixture
def command(store, root, monkeypatch, capfd):
    """Run a command on the containers of that store; its exit code, and the words that it has printed."""
    monkeypatch.setattr(collection, "default", lambda: store.containers)

    def call(*words):
        code = cli.main([str(root) if word == "ROOT" else word for word in words])
        return code, capfd.readouterr().out.split()

    return call


def test_after_a_reboot(store, run, monitors, command):
    """A container whose monitor is killed ends, and nobody has stopped it: as when the machine goes down."""
    down = run(detach=True, restart="unless-stopped", name="down")
    run(restart="always", name="held")
    run(detach=True, name="no")
    for pid in monitors:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: statuses(store) == {"stopped"})
    for policy in ("always", "unless-stopped"):
        run(detach=True, restart=policy, name=policy).stop(timeout=0)
    always = store.containers.get("always")
    command("create", "--rootfs", "ROOT", "--restart", "always", "--", "true")
    assert set(store.containers.after_boot()) == {down, always}
    code, words = command("start", "--after-boot")
    assert (code, set(words)) == (0, {down.id, always.id})
    assert set(store.containers.list()) == {down, always}
    assert store.containers.after_boot() == []
    assert command("start", "--after-boot", "down") == command("start") == (cli.OURS, [])


# -- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line(store, command):
    program = ("--rootfs", "ROOT", "--", "sh", "-c", "exit 3")
    assert command("run", "-d", "--restart", "on-failure:1", "--name", "job", *program)[0] == 0
    assert store.containers.get("job").wait(timeout=120) == 3
    assert store.containers.get("job").restart_count == 1
    code, (id_,) = command("create", "--restart", "unless-stopped", *program)
    made = store.containers.get(id_)
    assert (code, made.inspect()["restart"], made.status) == (0, "unless-stopped", "created")
    assert command("update", "--restart", "on-failure:2", id_) == (0, [id_])
    assert made.inspect()["restart"] == "on-failure:2"
    assert command("update", "--restart", "never", id_) == (cli.FAILED, [])
    for flags in (["--restart", "always"], ["-d", "--restart", "never"], ["-d", "--rm", "--restart", "always"]):
        assert command("run", *flags, *program) == (cli.OURS, [])
    assert len(store.containers.list(all=True)) == 2
