"""The command line on a terminal: job control, window sizes, and the terminal as it was afterwards."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import termios
import time

import pytest

from pycgroups import Error
from pycgroups.cli.console import raw
from tests.integration.test_cli import COMMAND, cli
from tests.terminals import Session
from tests.waiting import PATIENCE

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("a terminal has seconds to answer, and cgroup v2 changes nothing about that"),
]


def run(*arguments):
    return Session(*COMMAND, "run", *arguments)


SHELL = ["-it", "-e", "PS1=$ ", "--", "bash", "--norc", "--noprofile", "--noediting"]


@pytest.fixture
def shell():
    with run(*SHELL) as session:
        session.expect(r"\$ ")
        yield session
        session.type("exit 9\n")
        assert session.end() == 9


def sleep(shell):
    """Have something in the foreground that never ends."""
    shell.type("""sh -c "echo sleep''ing; exec sleep 1000"\n""")
    shell.expect("sleeping")


def test_the_program_has_a_terminal_of_its_own(shell):
    shell.type("tty; ls /dev/pts; test -t 0 && test -t 1 && test -t 2 && echo all''three\n")
    shell.expect(r"\n/dev/pts/0\r\n0\s+ptmx\r\nallthree\r\n")


def test_the_window_size_is_ours_and_follows(shell):
    shell.type("stty size\n")
    shell.expect(r"\n24 80\r\n")
    shell.type("trap 'echo winch' WINCH\n")
    shell.resize(50, 132)
    deadline = time.monotonic() + PATIENCE
    while True:  # the signal takes its way through the command
        shell.type("stty size\n")
        if shell.expect(r"(\d+ \d+)\r\n").group(1) == "50 132":
            break
        assert time.monotonic() < deadline


def test_ctrl_c_ends_the_foreground_inside(shell):
    sleep(shell)
    shell.type("\x03")
    shell.expect(r"\^C")
    shell.type("echo still''here\n")
    shell.expect("stillhere")


def test_ctrl_z_and_fg(shell):
    # The shell says that it goes on with a job before it hands over the terminal, and a ^C until then is its own.
    shell.type("""sh -c "trap 'echo contin''ued' CONT; echo sleep''ing; sleep 1000 & while :; do wait; done"\n""")
    shell.expect("sleeping")
    shell.type("\x1a")
    shell.expect(r"\[1\]\+\s+Stopped\s+sh -c")
    shell.expect(r"\$ ")  # what is typed before may be shown twice, or be read by nobody
    shell.type("jobs\n")
    shell.expect(r"\[1\]\+\s+Stopped\s+sh -c")
    shell.expect(r"\$ ")
    shell.type("fg\n")
    shell.expect("continued")
    shell.type("\x03")
    shell.expect(r"\^C")
    shell.expect(r"\$ ")


def test_ctrl_backslash_and_eof(shell):
    shell.type("cat\none\n")
    shell.expect(r"one\r\n(.*\r\n)*one\r\n")
    shell.type("\x04")
    shell.expect(r"\$ ")
    sleep(shell)
    shell.type("\x1c")
    shell.expect("Quit")


def test_much_goes_both_ways(shell):
    shell.type("stty -echo; echo listen''ing; cat | wc -c; stty echo; echo all''done\n")
    shell.expect("listening")
    for _ in range(300):
        shell.type("x" * 99 + "\n")
    shell.type("\x04")
    shell.expect(r"\n30000\r\n")
    shell.expect("alldone")
    shell.type("seq 20000; echo all''shown\n")
    shown = shell.expect(r"(?s)1\r\n2\r\n.*?allshown").group()
    assert shown.count("\r\n") == 20000


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_the_terminal_is_restored_when_a_signal_ends_it(name):
    number = getattr(signal, f"SIG{name}")
    with run("-it", "--", "sh", "-c", "echo REA''DY; exec sleep 1000") as session:
        session.expect("READY")
        session.process.send_signal(number)
        assert session.end() == 128 + number


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["/nowhere"], 127), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "stty raw -echo; kill -9 $$"], 137)],
)
def test_the_terminal_is_restored_whatever_happens(arguments, code):
    with run("-it", "--", *arguments) as session:
        assert session.end() == code


def test_the_terminal_is_raw_again_after_a_stop(shell):
    shell.process.send_signal(signal.SIGSTOP)
    termios.tcsetattr(shell.terminal, termios.TCSANOW, shell.before)  # as a shell does that has it back
    shell.process.send_signal(signal.SIGCONT)
    sleep(shell)
    shell.type("\x03echo all''well\n")
    shell.expect("allwell")


def test_the_timeout_holds_on_a_terminal_too():
    with run("-it", "--timeout", "0.5", "--", "sleep", "1000") as session:
        assert session.end() == 124


def test_python_on_a_terminal():
    with run("-it", "--", "python3", "-q") as session:
        session.expect(">>> ")
        session.type("6 * 7\n")
        session.expect("42")
        session.type("import os; os.get_terminal_size()\n")
        session.expect(r"columns=80, lines=24")
        session.type("exit(4)\n")
        assert session.end() == 4


def test_a_terminal_without_a_keyboard():
    with run("-t", "--", "sh", "-c", "stty size; echo REA''DY; exec sleep 1000") as session:
        session.expect(r"24 80\s+READY")
        session.type("\x03")  # is not raw: a signal, handed on
        assert session.end() == 128 + signal.SIGINT


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_a_program_that_a_signal_does_not_end_is_killed(name):
    script = "trap '' TERM HUP; echo REA''DY; while :; do sleep 0.1; done"
    with run("-it", "--stop-timeout", "0.2", "--", "sh", "-c", script) as session:
        session.expect("READY")
        session.process.send_signal(getattr(signal, f"SIG{name}"))
        assert session.end() == 137


def test_a_program_has_its_time_when_the_terminal_hangs_up(scratch):
    script = "trap 'sleep 0.5; echo over >told; exit 5' HUP; echo REA''DY; while :; do sleep 0.1; done"
    scratch.chmod(0o777)  # for the container's root
    with run("-it", "-v", f"{scratch}:/mnt", "-w", "/mnt", "--", "sh", "-c", script) as session:
        session.expect("READY")
        assert session.hang_up() == 5
    assert (scratch / "told").read_text() == "over\n"


def test_the_end_of_a_terminal_is_no_error_of_its_own():
    with run("-it", "--", "sh", "-c", "echo REA''DY; exec sleep 1000") as session:
        session.expect("READY")
        assert session.hang_up() == 128 + signal.SIGHUP


def test_a_terminal_that_cannot_be_changed_is_told(monkeypatch):
    def fail(*_):
        raise termios.error(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "isatty", lambda fd: fd == 0)
    monkeypatch.setattr(termios, "tcgetattr", fail)
    with pytest.raises(Error, match=r"stdin.*EIO.*hung up"), raw(wanted=True):
        raise AssertionError


def test_a_program_whose_terminal_nobody_sees_any_more_is_told():
    command = [*COMMAND, "run", "-t", "--", "sh", "-c", "while :; do echo; done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        try:
            assert process.wait(PATIENCE) == 128 + signal.SIGHUP
        finally:
            process.kill()


def test_who_types_needs_a_terminal():
    for stdin in ({"input": "one\n"}, {"stdin": subprocess.DEVNULL}):
        done = cli("run", "-it", "--", "cat", **stdin)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
        assert "stdin is not a terminal; leave -t out" in done.stderr


def test_a_terminal_that_nobody_types_at():
    done = cli("run", "-t", "--", "sh", "-c", "tty; echo end", input="one\ntwo\n")
    assert (done.returncode, done.stdout.split()) == (0, ["/dev/pts/0", "end"])
