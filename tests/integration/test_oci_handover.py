"""`pycgroups-oci run` becomes the part in C when its program runs, which is what its caller waits for and signals."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pycgroups import runtime
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")
same_on_v2 = pytest.mark.slow_in_vm("many processes of Python's, and nothing that cgroup v2 changes")

UNTIL_READ = "echo ready; read line; exit 3"
UNTIL_KILLED = "echo ready; exec sleep 1000"
TELLS = "trap 'echo got {0}; exit 3' {0}; echo ready; while :; do sleep 0.01; done"


@pytest.fixture
def running(watched, bundle):
    """Have a script run in a container, in the foreground; the command, which has handed over."""

    @contextmanager
    def running(script, *flags, **options):
        bundle.shell(script)
        words = [*watched.words, "run", "--bundle", bundle.write(), *flags, "web"]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, text=True, stdin=pipe, stdout=pipe, stderr=pipe, **options) as run:
            try:
                assert run.stdout.readline() == "ready\n"
                wait_for(lambda: b"__attend" in Path(f"/proc/{run.pid}/cmdline").read_bytes())
                watched.called.unlink()
                yield run
            finally:
                run.kill()

    return running


def ends(run, code):
    """Close its input, and wait for its end; what it told."""
    out, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (code, "")
    return out


def open_files(pid):
    return {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


# -- what it is by then -----------------------------------------------------------------------------------------------


def test_it_is_the_part_in_c_and_holds_nothing_but_the_process(running, watched, oci):
    with running(UNTIL_KILLED) as run:
        assert Path(f"/proc/{run.pid}/exe").samefile(watched.program)
        pid = oci.state()["pid"]
        assert f"PPid:\t{run.pid}\n" in Path(f"/proc/{pid}/status").read_text()
        (more,) = open_files(run.pid).keys() - {0, 1, 2}
        assert f"Pid:\t{pid}\n" in Path(f"/proc/{run.pid}/fdinfo/{more}").read_text()
        assert open_files(pid).keys() == {0, 1, 2}
        os.kill(pid, signal.SIGKILL)
        ends(run, 128 + signal.SIGKILL)
    assert not watched.called.exists()
    assert oci.names() == []


@same_on_v2
@pytest.mark.parametrize("code", [0, 7, 255])
def test_exit_codes(watched, bundle, code):
    bundle.shell(f"exit {code}")
    assert watched.run(code=code) == (code, "", "")
    assert len(watched.called.read_text().splitlines()) == 1
    assert watched.names() == []


@same_on_v2
def test_it_is_kept(running, watched, oci):
    with running(UNTIL_READ, "--keep") as run:
        ends(run, 3)
    assert not watched.called.exists()
    assert oci.state()["status"] == "stopped"
    oci.call("delete", "web")


@same_on_v2
@pytest.mark.parametrize("script", [UNTIL_KILLED, "true"])
def test_another_of_its_name_is_left_alone(running, oci, bundle, script):
    """Whoever was faster to delete it has made that before the command looks."""
    with running(UNTIL_KILLED) as run:
        os.kill(run.pid, signal.SIGSTOP)
        oci.call("delete", "--force", "web")
        bundle.shell(script)
        oci.call("run", "--bundle", bundle.write(), "--detach", "web")
        again = oci.state()["pid"]
        os.kill(run.pid, signal.SIGCONT)
        ends(run, 128 + signal.SIGKILL)
    assert oci.state()["pid"] in {again, 0}
    oci.call("delete", "--force", "web")


@same_on_v2
@pytest.mark.parametrize("name", ["-x", "-f", "--help"])
def test_a_name_like_a_flag(watched, bundle, name):
    bundle.shell("exit 3")
    assert watched.call("run", "--bundle", bundle.write(), "--", name, code=3) == (3, "", "")
    assert watched.names() == []


@same_on_v2
def test_who_is_to_be_deleted_may_be_told_apart(oci, bundle):
    pid = oci.running("sleep", "1000")
    began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    for first in (f"{pid}:{int(began) + 1}", f"{pid + 1}:{began}"):
        oci.call("delete", "--force", "--first", first, "web")
        assert oci.state()["status"] == "running"
    for first in ("x", f"{pid}", f"{pid}:"):
        assert "PID:BEGAN" in oci.fails("delete", "--first", first, "web")
    oci.call("delete", "--force", "--first", f"{pid}:{began}", "web")
    assert oci.names() == []


@same_on_v2
def test_nobody_means_it(oci):
    """What it is called by is no command."""
    for words in ((), ("x", "1"), ("3", "x"), ("99", "1"), ("0x", "1")):
        assert "'__attend' is not a command" in oci.fails("__attend", *words)


@same_on_v2
def test_the_command_that_is_gone(watched, bundle):
    watched.python(f"rm {watched.program}")
    bundle.shell("exit 7")
    assert watched.run(code=7) == (7, "", "")
    watched.words[0:1] = [sys.executable, "-m", "pycgroups.oci_cli"]
    assert watched.names() == []


@same_on_v2
@pytest.mark.parametrize("locale", [None, "", "C", "de_DE.UTF-8"])
def test_it_has_the_environment_of_its_caller(running, locale):
    """Python has a locale of its own."""
    env = {name: value for name, value in os.environ.items() if name != "LC_ALL"} | {"PWD": os.getcwd()}
    if locale is not None:
        env["LC_ALL"] = locale
    with running(UNTIL_READ, env=env) as run:
        entries = Path(f"/proc/{run.pid}/environ").read_text().split("\0")[:-1]
        assert dict(entry.split("=", 1) for entry in entries) == env
        ends(run, 3)


# -- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "WINCH"])
@same_on_v2
def test_signals_are_the_programs(running, oci, name):
    with running(TELLS.format(name)) as run:
        run.send_signal(signal.Signals[f"SIG{name}"])
        assert ends(run, 3) == f"got {name}\n"
    assert oci.names() == []


@same_on_v2
def test_many_signals(running):
    with running("n=0; trap 'n=$((n+1)); echo $n' USR1; trap 'exit 3' TERM; echo ready; while :; do :; done") as run:
        for number in range(1, 20):
            run.send_signal(signal.SIGUSR1)
            assert run.stdout.readline() == f"{number}\n"
        run.terminate()
        ends(run, 3)


@same_on_v2
def test_what_the_caller_ignores_or_blocks_stays_so(running):
    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

    traps = "trap 'echo HUP' HUP; trap 'echo USR1' USR1; trap 'echo TERM; exit 3' TERM"
    with running(f"{traps}; echo ready; while :; do sleep 0.01; done", preexec_fn=prepare) as run:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            run.send_signal(number)
        assert ends(run, 3) == "TERM\n"


@same_on_v2
def test_a_caller_that_ignores_the_end_of_children(running, oci):
    with running(UNTIL_READ, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) as run:
        ends(run, 3)
    assert oci.names() == []


@same_on_v2
def test_stopped_and_continued(running, oci):
    with running(TELLS.format("CONT")) as run:
        run.send_signal(signal.SIGSTOP)
        wait_for(lambda: "State:\tT" in Path(f"/proc/{run.pid}/status").read_text())
        run.send_signal(signal.SIGCONT)
        assert ends(run, 3) == "got CONT\n"
    assert oci.names() == []


# -- what others do meanwhile -----------------------------------------------------------------------------------------


@same_on_v2
def test_somebody_else_deletes_it(running, oci):
    with running(UNTIL_KILLED) as run:
        oci.call("delete", "--force", "web")
        ends(run, 128 + signal.SIGKILL)
    assert oci.names() == []


@same_on_v2
def test_somebody_else_has_the_lock(running, watched, bundle, oci):
    with running(UNTIL_KILLED) as run:
        fd = os.open(bundle.state / "web", os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            oci.call("kill", "web", "KILL")
            wait_for(watched.called.exists)
            fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)
        ends(run, 128 + signal.SIGKILL)
    assert oci.names() == []


@same_on_v2
def test_one_that_is_no_longer_plain(running, watched, bundle, oci):
    with running(UNTIL_KILLED) as run:
        os.utime(bundle.state / "web/state.json")
        oci.call("kill", "web", "KILL")
        ends(run, 128 + signal.SIGKILL)
    (call,) = watched.called.read_text().splitlines()
    assert re.search(r"delete --force --first \d+:\d+ web$", call)
    assert oci.names() == []


@pytest.mark.requires("limits")
def test_somebody_else_is_in_its_cgroup(running, watched, bundle, oci):
    with running(UNTIL_KILLED) as run, runtime.get("web", root=bundle.state).cgroup() as group:
        places = [Path(path) for path in group.paths]
        with subprocess.Popen(["sleep", "1000"]) as other:
            group.add(other.pid)
            oci.call("update", "--pids-limit", "50", "web")
            oci.call("kill", "web", "KILL")
            ends(run, 128 + signal.SIGKILL)
            assert other.wait(PATIENCE) == -signal.SIGKILL
    assert watched.called.exists()
    assert oci.names() == []
    assert not [path for path in places if path.exists()]


@same_on_v2
def test_what_cannot_be_deleted_is_told_in_the_log(running, watched, bundle, oci, tmp_path):
    log = tmp_path / "log"
    watched.words += ["--log", str(log), "--log-format", "json"]
    with running(UNTIL_KILLED) as run:
        home = bundle.state / "web"
        record = (home / "state.json").read_bytes()
        pid = oci.state()["pid"]
        home.chmod(0o777)  # somebody else's, for all that is known
        os.kill(pid, signal.SIGKILL)
        assert run.wait(PATIENCE) == 1
        assert "others may write in it" in log.read_text()
        home.chmod(0o700)
        assert (home / "state.json").read_bytes() == record
    oci.call("delete", "web")
    assert oci.names() == []


# -- when it dies -----------------------------------------------------------------------------------------------------


@same_on_v2
def test_killed_it_leaves_a_container_that_can_be_deleted(running, oci):
    with running(UNTIL_KILLED) as run:
        run.kill()
        run.wait(PATIENCE)
        assert oci.state()["status"] == "running"
    oci.call("delete", "--force", "web")
    assert oci.names() == []


@same_on_v2
def test_killed_at_any_time(oci, bundle):
    bundle.run("true")
    words = ("run", "--bundle", bundle.write(), "web")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begun = time.monotonic()
    oci.call(*words)
    whole = time.monotonic() - begun
    for part in range(1, 25):
        process = oci.start(*words, **quiet)
        time.sleep(whole * part / 20)
        process.kill()
        process.wait()
        oci.call("delete", "--force", "web")
        assert oci.names() == []
