"""The command line, as a process of its own: exit codes, streams, signals, terminals."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("terminals and signals have seconds to answer, and cgroup v2 changes nothing about them"),
]

COMMAND = [sys.executable, "-m", "pycgroups"]


def cli(*arguments, **options):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)


# -- exit codes and errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--", "true"], 0),
        (["--", "sh", "-c", "exit 7"], 7),
        (["host", "sh", "-c", "exit 7"], 7),
        (["--", "sh", "-c", "kill -TERM $$"], 128 + 15),
        (["--timeout", "0.3", "--", "sleep", "100"], 124),
        (["--", "/nowhere"], 127),
        (["--", "/etc/passwd"], 126),
        (["--rootfs", "/nowhere", "true"], 125),
        (["--network", "moon", "host", "true"], 125),
        (["--no-such-flag"], 125),
        (["debian:13", "true"], 125),
        ([], 125),
    ],
)
def test_exit_codes_are_dockers(arguments, code):
    done = cli("run", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (code in {124, 125, 126, 127})


def test_an_error_cannot_steer_the_terminal():
    done = cli("run", "--", "/x\x1b]0;owned\x07\n\x9b31m")
    assert done.returncode == 127
    assert all(char.isprintable() or char == "\n" for char in done.stderr)
    assert done.stderr.count("\n") == 1


def test_bytes_that_are_no_text_reach_the_program():
    done = subprocess.run([*COMMAND, "run", "--", "printf", "%s", b"\xff\xfe"], capture_output=True, check=False)
    assert done.stdout == b"\xff\xfe"


# -- streams -----------------------------------------------------------------------------------------------------


def test_stdin_is_handed_on_only_when_asked():
    assert cli("run", "-i", "--", "cat", input="hello").stdout == "hello"
    assert cli("run", "--", "cat", input="hello").stdout == ""


def test_streams_are_the_commands_own():
    done = cli("run", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_usage_is_told_at_the_end():
    done = cli("run", "--usage", "--", "sh", "-c", "echo out; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert re.search(r"^reason +exited$", done.stderr, re.MULTILINE)
    assert re.search(r"^peak memory +\d", done.stderr, re.MULTILINE)


@pytest.mark.requires("limits")
def test_a_limit_that_was_hit_is_told():
    done = cli("run", "--memory", "32M", "--", "python3", "-c", "x = bytearray(10**9)")
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stderr == "pycgroups: oom: the memory limit was hit\n"


def test_flags_reach_the_program():
    flags = ["-e", "ONE=1", "-eTWO=2", "--hostname=box", "-w/tmp", "--umask", "077", "--ulimit", "nofile=99"]
    done = cli("run", *flags, "--", "sh", "-c", "echo $ONE $TWO; uname -n; pwd; umask; ulimit -n")
    assert done.stdout.split() == ["1", "2", "box", "/tmp", "0077", "99"]


def test_explain_runs_nothing(tmp_path):
    done = cli("explain", "-v", f"{tmp_path}:/out", "--", "touch", "/out/file")
    assert done.returncode == 0
    assert '"touch"' in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_who_reads_the_output_may_have_enough_of_it():
    command = f"{sys.executable} -m pycgroups explain -- true | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    assert done.stderr == b""


# -- signals -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(script, *flags):
    """Start a script that says READY when it listens."""
    command = [*COMMAND, "run", *flags, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "READY\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1", "QUIT"])
def test_signals_are_handed_on(name):
    script = f"trap 'echo got; exit 5' {name}; echo READY; while :; do sleep 0.05; done"
    with started(script) as process:
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.communicate(timeout=20) == ("got\n", "")
    assert process.returncode == 5


def test_a_signal_during_the_start_is_the_programs_too():
    """Whenever it comes, the program has it or was never started; no group is left for a later start to find."""
    script = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
        with subprocess.Popen([*COMMAND, "run", "--", "sh", "-c", script], stderr=subprocess.PIPE) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert process.returncode in {-signal.SIGTERM, 5, 128 + signal.SIGTERM}


def test_a_signal_that_ends_the_program_is_its_exit_code():
    with started("echo READY; exec sleep 100") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


def test_who_asks_three_times_kills():
    with started("trap '' INT; echo READY; while :; do sleep 0.05; done") as process:
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL


# -- a terminal --------------------------------------------------------------------------------------------------


class Session:
    """A command on a pty: type, and expect what is shown."""

    def __init__(self, *arguments, size=(24, 80)):
        self.master, self.terminal = pty.openpty()
        termios.tcsetwinsize(self.master, size)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = ""
        self.process = subprocess.Popen(
            # A session of its own, with this as its controlling terminal: SIGWINCH and Ctrl-C come from there.
            ["setsid", "--ctty", *COMMAND, "run", *arguments],
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.terminal)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self.seen!r}"
            self.look(left)
        self.seen = self.seen[match.end() :]
        return match

    def look(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536).decode()

    def resize(self, rows, columns):
        termios.tcsetwinsize(self.master, (rows, columns))  # the kernel tells the foreground: SIGWINCH

    def end(self):
        """Wait for the command; its exit code. The terminal is as it was before."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            self.look(0.05)
        assert termios.tcgetattr(self.terminal) == self.before
        return self.process.wait(timeout=1)


SHELL = ["-it", "-e", "PS1=$ ", "--", "bash", "--norc", "--noprofile", "--noediting"]


@pytest.fixture
def shell():
    with Session(*SHELL) as session:
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
    deadline = time.monotonic() + 10
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
    sleep(shell)
    shell.type("\x1a")
    shell.expect(r"\[1\]\+\s+Stopped\s+sh -c")
    shell.expect(r"\$ ")  # what is typed before may be shown twice, or be read by nobody
    shell.type("jobs\n")
    shell.expect(r"\[1\]\+\s+Stopped\s+sh -c")
    shell.expect(r"\$ ")
    shell.type("fg\n")
    shell.expect(r"sh -c .*exec sleep")
    time.sleep(1)  # the shell says so before it hands over the terminal, and a ^C until then is its own
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
    with Session("-it", "--", "sh", "-c", "echo REA''DY; exec sleep 1000") as session:
        session.expect("READY")
        session.process.send_signal(number)
        assert session.end() == 128 + number


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["/nowhere"], 127), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "stty raw -echo; kill -9 $$"], 137)],
)
def test_the_terminal_is_restored_whatever_happens(arguments, code):
    with Session("-it", "--", *arguments) as session:
        assert session.end() == code


def test_the_terminal_is_raw_again_after_a_stop(shell):
    shell.process.send_signal(signal.SIGSTOP)
    termios.tcsetattr(shell.terminal, termios.TCSANOW, shell.before)  # as a shell does that has it back
    shell.process.send_signal(signal.SIGCONT)
    sleep(shell)
    shell.type("\x03echo all''well\n")
    shell.expect("allwell")


def test_the_timeout_holds_on_a_terminal_too():
    with Session("-it", "--timeout", "0.5", "--", "sleep", "1000") as session:
        assert session.end() == 124


def test_python_on_a_terminal():
    with Session("-it", "--", "python3", "-q") as session:
        session.expect(">>> ")
        session.type("6 * 7\n")
        session.expect("42")
        session.type("import os; os.get_terminal_size()\n")
        session.expect(r"columns=80, lines=24")
        session.type("exit(4)\n")
        assert session.end() == 4


def test_a_terminal_without_a_keyboard():
    with Session("-t", "--", "sh", "-c", "stty size; echo REA''DY; exec sleep 1000") as session:
        session.expect(r"24 80\s+READY")
        session.type("\x03")  # is not raw: a signal, handed on
        assert session.end() == 128 + signal.SIGINT


def test_a_terminal_for_a_pipe():
    done = cli("run", "-it", "--", "sh", "-c", "tty; cat; echo end", input="one\ntwo\n")
    assert done.returncode == 0
    assert sorted(done.stdout.split()) == sorted(["/dev/pts/0", *2 * ["one", "two"], "end"])  # echo, and cat
