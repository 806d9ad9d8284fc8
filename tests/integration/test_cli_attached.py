"""Commands that join a terminal to a container that is held: exec -it, attach, start -ai."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pycgroups import Container
from pycgroups.cli import attach, signals
from pycgroups.containers.attaching import Attachment
from tests.integration.test_cli import COMMAND
from tests.terminals import Session
from tests.waiting import PATIENCE, wait_for

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("each is an interpreter, and a terminal has seconds to answer"),
]


@pytest.fixture
def environment(store):
    """The environment of commands that use that store."""
    return {**os.environ, "PYCGROUPS_STORE": os.path.dirname(store.containers._place.homes.path), "PS1": "$ "}


@pytest.fixture
def session(environment):
    """Run a command on a terminal of its own."""

    def start(*words):
        return Session(*COMMAND, *words, env=environment)

    return start


@pytest.fixture
def command(environment):
    """Run a command, or start one."""

    def call(*words, **options):
        return subprocess.run(
            [*COMMAND, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **options,
        )

    return call


@pytest.fixture
def held(run):
    """A container that runs."""
    return run(name="web", detach=True, env={"PS1": "$ "})


# -- exec --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(session, held):
    with session("exec", "-it", "web", "sh") as made:
        made.expect(r"\$ ")
        yield made
        made.type("exit 9\nexit 9\n")  # the first of them may complain of jobs that are stopped
        assert made.end() == 9


def test_exec_has_a_terminal_that_is_as_large_as_ours(shell):
    shell.type("tty; busybox stty size; test -t 0 && test -t 1 && test -t 2 && echo all''three\n")
    shell.expect(r"\n/dev/pts/\d+\r\n24 80\r\nallthree\r\n")
    shell.resize(50, 132)
    deadline = time.monotonic() + PATIENCE
    while True:  # the signal takes its way through the command
        shell.type("busybox stty size\n")
        if shell.expect(r"(\d+ \d+)\r\n").group(1) == "50 132":
            break
        assert time.monotonic() < deadline


def test_ctrl_c_and_ctrl_z_are_inside(shell):
    for key, shown in (("\x1a", "Stopped"), ("\x03", r"\^C")):
        shell.type("""sh -c "echo sleep''ing; exec sleep 1000"\n""")
        shell.expect("sleeping")
        shell.type(key)
        shell.expect(shown)
        shell.expect(r"\$ ")
    shell.type("kill -9 %1; echo still''here\n")
    shell.expect("stillhere")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["/nowhere"], 127),
        (["/etc/passwd"], 126),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "busybox stty raw -echo; kill -9 $$"], 137),
    ],
)
def test_exec_restores_the_terminal_whatever_happens(session, held, words, code):
    with session("exec", "-it", "web", *words) as made:
        assert made.end() == code


def test_exec_restores_the_terminal_when_the_container_ends(session, held):
    with session("exec", "-it", "web", "sh", "-c", "echo REA''DY; exec sleep 1000") as made:
        made.expect("READY")
        held.kill()
        assert made.end() == 137


def test_exec_restores_the_terminal_when_a_signal_ends_it(session, held):
    with session("exec", "-it", "web", "sh", "-c", "echo REA''DY; exec sleep 1000") as made:
        made.expect("READY")
        made.process.send_signal(signal.SIGTERM)
        assert made.end() == 128 + signal.SIGTERM


def test_without_a_terminal_ctrl_c_is_the_programs(session, held):
    script = "trap 'echo in''side; exit 5' INT; echo REA''DY; while :; do sleep 0.1; done"
    with session("exec", "web", "sh", "-c", script) as made:
        made.expect("READY")
        made.type("\x03")
        made.expect("inside")
        assert made.end() == 5


def test_exec_hands_on_stdin_only_when_asked(command, held):
    assert command("exec", "-i", "web", "cat", input="hello").stdout == "hello"
    assert command("exec", "web", "cat", input="hello").stdout == ""
    assert command("exec", "-t", "web", "sh", "-c", "test -t 0 && echo yes", input="hello").stdout == "yes\n"


def test_who_types_at_a_terminal_needs_one(command, make):
    held = make("sh", name="term", detach=True, stdin_open=True, tty=True)
    for words in (["start", "-ai", "term"], ["exec", "-it", "term", "sh"], ["attach", "term"]):
        done = command(*words, input="exit\n")
        assert (done.returncode, "stdin is not a terminal" in done.stderr, done.stderr.count("\n")) == (125, True, 1)
        assert held.status == ("created" if words[0] == "start" else "running")
        if words[0] == "start":
            held.start()
    held.kill()
    assert command("attach", "--no-stdin", "term").returncode == 1  # for another reason


def test_exec_kills_what_a_signal_does_not_end(session, run):
    run(name="web", detach=True, stop_timeout=0.2)
    script = "trap '' TERM; echo REA''DY; while :; do busybox sleep 0.1; done"
    with session("exec", "-it", "web", "sh", "-c", script) as made:
        made.expect("READY")
        made.process.send_signal(signal.SIGTERM)
        assert made.end() == 137


def test_exec_gives_its_program_time_when_the_terminal_hangs_up(session, held):
    script = (
        "trap 'busybox sleep 0.5; echo over >/tmp/told; exit 5' HUP; echo REA''DY; while :; do busybox sleep 0.1; done"
    )
    with session("exec", "-it", "web", "sh", "-c", script) as made:
        made.expect("READY")
        assert made.hang_up() == 5
    assert held.exec(["cat", "/tmp/told"]).stdout == b"over\n"


BEHIND_THE_LAST_LOOK = """
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int poll(struct pollfd *fds, nfds_t count, int timeout) {
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, 0);
    return (int)syscall(SYS_poll, fds, count, timeout);
}
"""
"""poll(2) that waits before the system call: a signal that comes then is noted by Python, and ends no call."""


@pytest.fixture
def sleepy(environment, tmp_path):
    """Have signals come at the worst moment."""
    library = tmp_path / "sleepy.so"
    words = ["gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(words, input=BEHIND_THE_LAST_LOOK.encode(), check=True)
    environment["LD_PRELOAD"] = str(library)


@pytest.mark.requires("gcc")
def test_a_signal_that_comes_just_before_a_wait_is_not_overslept(held, sleepy, session):
    with session("exec", "-it", "web", "sh", "-c", "echo REA''DY; exec sleep 1000") as made:
        made.expect("READY")
        made.process.send_signal(signal.SIGTERM)
        assert made.end() == 143


@pytest.mark.requires("gcc")
def test_attach_is_left_by_a_signal_that_comes_just_before_a_wait(run, sleepy, session):
    held = run(
        "sh", "-c", "read line; echo REA''DY; exec sleep 1000", name="web", detach=True, stdin_open=True, tty=True
    )
    with session("attach", "web") as made:
        made.type("go on\n")
        made.expect("READY")
        made.process.send_signal(signal.SIGTERM)
        assert made.end() == 143
    assert held.status == "running"


def test_exec_in_an_environment_as_asked(command, held, tmp_path, environment):
    (tmp_path / "file").write_text("A=file\nB=file\n# none\nOURS\n")
    environment["OURS"] = "ours"
    script = "echo $A $B $OURS $NONE; pwd"
    done = command(
        *(
            "exec",
            "--env-file",
            str(tmp_path / "file"),
            "-e",
            "A=flag",
            "-e",
            "NONE",
            "-w",
            "/etc",
            "web",
            "sh",
            "-c",
            script,
        )
    )
    assert done.stdout == "flag file ours\n/etc\n"
    assert command("exec", "--env-file", "/nowhere", "web", "true").returncode == 125


def test_exec_that_is_detached_outlives_its_command(command, held):
    assert command("exec", "-d", "web", "sh", "-c", "echo $$ >/tmp/it; exec sleep 1234").stdout == ""
    wait_for(lambda: held.exec(["sh", "-c", "cat /tmp/it && grep -l 1234 /proc/[0-9]*/cmdline"]).returncode == 0)
    assert command("exec", "-d", "-t", "web", "true").returncode == 125
    assert command("exec", "-d", "web", "/nowhere").returncode == 127


def handles(status, number):
    """Whether a process has a handler for a signal, by its file in /proc."""
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


# -- attach --------------------------------------------------------------------------------------------------------


@pytest.fixture
def talking(session, run):
    """A shell in the background, with stdin and a terminal, and somebody attached to it."""
    made = run("sh", name="talk", detach=True, tty=True, stdin_open=True, env={"PS1": "$ "})
    with session("attach", "talk") as attached:
        attached.held = made
        attached.type("echo here''I am\n")
        attached.expect("hereI am")
        yield attached


def test_who_attaches_is_at_its_terminal(talking):
    talking.expect(r"\$ ")
    talking.type("busybox stty size\n")
    talking.expect("24 80\r\n")
    talking.type("""sh -c "echo sleep''ing; exec sleep 1000"\n""")
    talking.expect("sleeping")
    talking.type("\x03")
    talking.expect(r"\^C\r\n")
    talking.type("exit 7\n")
    assert talking.end() == 7
    assert talking.held.wait() == 7


def test_its_terminal_gets_the_size_of_ours(talking):
    talking.resize(50, 132)
    deadline = time.monotonic() + PATIENCE
    while True:  # the signal takes its way through the command
        talking.type("busybox stty size\n")
        if talking.expect(r"(\d+ \d+)\r\n").group(1) == "50 132":
            break
        assert time.monotonic() < deadline


def test_the_keys_to_leave(talking, session):
    talking.type("x=kept\n\x10")
    talking.type("\x11")
    assert talking.end() == 0
    assert talking.held.status == "running"
    with session("attach", "--detach-keys", "a,ctrl-c", "talk") as again:
        again.type("echo $x b''ack\n")
        again.expect("kept back")
        again.type("a\x03")
        assert again.end() == 0
    assert talking.held.status == "running"


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_a_signal_ends_who_is_attached_and_not_what_has_a_terminal(talking, name):
    number = getattr(signal, f"SIG{name}")
    talking.process.send_signal(number)
    assert talking.end() == 128 + number
    assert talking.held.status == "running"


def test_a_terminal_that_hangs_up_is_left(talking):
    assert talking.hang_up() == 128 + signal.SIGHUP
    assert talking.held.status == "running"


@pytest.fixture
def joining(run, monkeypatch):
    """Attach in this process to a container, while a signal comes; the exit code."""
    held = run("sleep", "1000", name="web", detach=True)
    join = Container.attach

    def interrupted(self, **options):
        signal.raise_signal(signal.SIGTERM)  # for this thread, which has it blocked
        return join(self, **options)

    monkeypatch.setattr(Container, "attach", interrupted)
    monkeypatch.setattr(signals, "none_overslept", lambda: None)  # which is for as long as the process lives
    numbers = (signal.SIGHUP, signal.SIGCONT, signal.SIGRTMIN, *attach._LEAVING)
    handlers = [(number, signal.getsignal(number)) for number in numbers]
    yield lambda: attach.join(held, attach.Wishes(interactive=False, sig_proxy=False))
    for number, handler in handlers:
        signal.signal(number, handler)


def test_a_signal_that_comes_while_it_joins_is_no_error(joining):
    assert joining() == 143


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_one_that_comes_while_it_leaves_is_none_either(joining, monkeypatch, name):
    close = Attachment.close

    def interrupted(self):
        signal.raise_signal(getattr(signal, f"SIG{name}"))
        close(self)

    monkeypatch.setattr(Attachment, "close", interrupted)
    assert joining() == 143


def test_attach_without_a_terminal(command, run, environment):
    held = run("sh", name="calc", detach=True, stdin_open=True)
    done = command("attach", "calc", input="echo out; echo err >&2; exit 3\n")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    held.start()
    assert command("attach", "calc", input="").returncode == 0  # the end of our stdin is that of its own
    assert held.wait() == 0
    assert command("attach", "calc").returncode == 1


@pytest.mark.parametrize(("proxy", "code"), [("true", 137), ("false", 130)])
def test_signals_are_handed_on_where_there_is_no_terminal(session, run, proxy, code):
    script = "trap 'echo in''side' INT; echo REA''DY; while :; do sleep 0.1; done"
    held = run("sh", "-c", script, name="web", detach=True)
    wait_for(lambda: b"READY" in held.logs())
    with session("attach", f"--sig-proxy={proxy}", "web") as attached:
        status = Path(f"/proc/{attached.process.pid}/status")
        wait_for(lambda: handles(status, signal.SIGRTMIN))  # it has joined
        attached.type("\x03")
        if proxy == "true":
            attached.expect("inside")
            held.kill()
        assert attached.end() == code
        assert held.status == ("stopped" if proxy == "true" else "running")


def test_start_and_attach_misses_nothing(command, make, session):
    make("sh", "-c", "echo first; cat; exit 4", name="job", detach=True, stdin_open=True)
    done = command("start", "-ai", "job", input="second\n")
    assert (done.stdout, done.returncode) == ("first\nsecond\n", 4)
    assert command("start", "-a", "job", "other").returncode == 125
    make("sh", name="term", detach=True, stdin_open=True, tty=True, env={"PS1": "$ "})
    with session("start", "-ai", "term") as made:
        made.expect(r"\$ ")
        made.type("\x04")
        assert made.end() == 0


def test_what_docker_users_type(command, store, root):
    for words in (["run", "-dit", "--name", "one"], ["create", "-it", "--name", "two"]):
        assert command(*words, "--rootfs", str(root), "--", "sh").returncode == 0
        facts = store.containers.get(words[-1]).inspect()
        assert (facts["stdin_open"], facts["config"]["tty"]) == (True, True)


def test_start_of_one_that_runs_joins_it(command, run):
    run("sh", "-c", "read word; echo $word", stdin_open=True, name="job", detach=True)
    assert command("start", "-ai", "job", input="said\n").stdout == "said\n"
