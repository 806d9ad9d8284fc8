"""The command line, as a process of its own: exit codes, streams, signals."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.waiting import PATIENCE

pytestmark = pytest.mark.requires("userns")

COMMAND = [sys.executable, "-m", "pycgroups"]


def cli(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


# -- exit codes and errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--", "true"], 0),
        (["--", "sh", "-c", "exit 7"], 7),
        (["host", "sh", "-c", "exit 7"], 7),
        (["--", "sh", "-c", "kill -TERM $$"], 128 + 15),
        (["--timeout", "0.3", "--", "sleep", "1000"], 124),
        (["--", "/nowhere"], 127),
        (["--", "/etc/passwd"], 126),
        (["--rootfs", "/nowhere", "true"], 125),
        (["--network", "moon", "host", "true"], 125),
        (["--no-such-flag"], 125),
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


def test_a_command_that_nobody_reads_any_more_ends_as_by_sigpipe():
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*COMMAND, "--version"], stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_what_cannot_be_written_is_told():
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m pycgroups --version > /dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert done.stderr == "pycgroups: use stdin or stdout: No space left on device (ENOSPC)\n"


@pytest.mark.parametrize("words", ["ps -a", "--version", "container ls"])
def test_what_cannot_be_written_as_stdout_is_closed_is_told(words):
    words_of = [*COMMAND, *words.split()]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *words_of], capture_output=True, text=True, check=False)
    assert done.returncode == (125 if words == "--version" else 1)
    assert done.stderr == "pycgroups: use stdin or stdout: Bad file descriptor (EBADF)\n"


@pytest.mark.parametrize("words", ["run --help", "container exec --help", "help run", "run -d --rm -- true"])
def test_who_lends_its_stdout_fails_as_well_by_what_it_tells_itself(words, tmp_path):
    code, error = with_stdout_closed(words, tmp_path)
    assert (code, error) == (125, "pycgroups: use stdin or stdout: Bad file descriptor (EBADF)\n")


def test_a_container_by_the_name_of_a_command_lends_nothing(tmp_path):
    create = [*COMMAND, "create", "--name", "run", "--", "true"]
    subprocess.run(create, env=stored(tmp_path), stdout=subprocess.DEVNULL, check=True)
    assert with_stdout_closed("inspect run", tmp_path)[0] == 1
    assert with_stdout_closed("rm run", tmp_path)[0] == 1


def with_stdout_closed(words, tmp_path):
    command = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, *words.split()]
    done = subprocess.run(command, env=stored(tmp_path), capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


def stored(tmp_path):
    return {**os.environ, "PYCGROUPS_STORE": str(tmp_path / "store")}


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_file_of_ours(redirection, tmp_path):
    told = tmp_path / "told"
    script = (
        "import os; print(*(os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)), sep='\\n', file=open('told', 'w'))"
    )
    command = ["run", "-i", "--workspace", str(tmp_path), "--", "python3", "-c", script]
    subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *command], timeout=PATIENCE, check=True)
    closed = [fd for fd, text in enumerate(("<&-", ">&-", "2>&-")) if text in redirection.split()]
    assert {told.read_text().splitlines()[fd] for fd in closed} == {"/dev/null"}


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
        assert process.communicate(timeout=PATIENCE) == ("got\n", "")
    assert process.returncode == 5


def test_a_signal_during_the_start_is_the_programs_too():
    """Whenever it comes, the program has it or was never started; no group is left for a later start to find."""
    script = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
        with subprocess.Popen([*COMMAND, "run", "--", "sh", "-c", script], stderr=subprocess.PIPE) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        assert process.returncode in {-signal.SIGTERM, 5, 128 + signal.SIGTERM}


def test_a_signal_that_ends_the_program_is_its_exit_code():
    with started("echo READY; exec sleep 1000") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM


def test_who_asks_three_times_kills():
    with started("trap '' INT; echo READY; while :; do sleep 0.05; done") as process:
        while process.poll() is None:  # several that come at once are one
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
    assert process.returncode == 128 + signal.SIGKILL
