"""The monitor: what it writes, and what it survives."""

from __future__ import annotations

import codecs
import json
import os
import pty
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pycgroups import Cgroup
from pycgroups._native import spawning
from pycgroups._native.calls import lib
from pycgroups.containers import logs, monitor
from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.events import Event, Events
from pycgroups.containers.job import Job
from pycgroups.containers.monitor import Check, Command
from pycgroups.containers.run import open_streams
from pycgroups.errors import InvalidConfig, LaunchError, StateError
from tests import leaks
from tests.integration.test_pipe_locks import HOLD, PRELUDE
from tests.integration.watched import FORMS, python, watched
from tests.processes import is_alive, state
from tests.waiting import PATIENCE, wait_for

DEVNULL = subprocess.DEVNULL
codecs.register_error("each", lambda error: ("\ufffd", error.start + 1))


def tells_status() -> bool:
    """Whether a pidfd tells the status of a process that somebody else has reaped: Linux 6.15."""
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 15)


def has_ended(pidfd: int, patience: float = PATIENCE) -> bool:
    return bool(select.select([pidfd], [], [], patience)[0])


# -- the log ---------------------------------------------------------------------------------------------------------


def test_the_form_of_docker(tmp_path):
    with watched(tmp_path, r"""printf '%s\n' 'a "b" \c'; printf 'last\t\001'; exec >&-; echo err >&2""") as one:
        one.end()
    found = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted((record["stream"], record["log"]) for record in found) == [
        ("stderr", "err\n"),
        ("stdout", 'a "b" \\c\n'),
        ("stdout", "last\t\x01"),
    ]
    assert all(list(record) == ["log", "stream", "time"] for record in found)
    assert all(abs(logs.parse(json.dumps(record).encode()).time - time.time_ns()) < 60e9 for record in found)


def test_the_form_of_the_cri(tmp_path):
    with watched(tmp_path, r"printf 'one\n\ntwo\377 \nthree'", form="plain") as one:
        one.end()
    lines = [line.split(b" ", 1) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert [rest for _, rest in lines] == [b"stdout F one", b"stdout F ", b"stdout F two\xff ", b"stdout P three"]
    assert all(len(stamp) == 30 and stamp.endswith(b"Z") for stamp, _ in lines)


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
def test_lines_of_any_length(tmp_path, form):
    lengths = [0, 1, 7, 8, 9, 16383, 16384, 16385, 32768, 100_000, 1_000_000, 0, 3]
    data = b"".join(bytes([65 + number]) * length + b"\n" for number, length in enumerate(lengths)) + b"x" * 16384
    (tmp_path / "data").write_bytes(data)
    with watched(tmp_path / "c", f"cat {tmp_path}/data; cat {tmp_path}/data >&2", form=form) as one:
        one.end()
        assert one.output() == data
        assert one.output("stderr") == data
        assert max(len(record.data) for record in one.records()) <= 16385


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
def test_any_bytes(tmp_path, form):
    """No character is cut, wherever a line is; what is none is U+FFFD, byte by byte."""
    chosen = random.Random(7)
    pieces = ["é", "€", "😀", "\0", '"', "\\", "\n", "\r", "\x1f", "\x7f", "a" * 8, "z"]
    odd = [bytes([byte]) for byte in range(128, 256)]
    odd += [b"\xc0\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]
    data = b"".join(
        chosen.choice(odd) if chosen.random() < 0.2 else chosen.choice(pieces).encode() for _ in range(60_000)
    )
    data += "é€😀".encode() * 20_000
    (tmp_path / "data").write_bytes(data)
    with watched(tmp_path / "c", f"cat {tmp_path}/data", form=form) as one:
        one.end()
        assert one.output() == (data if form == "plain" else data.decode(errors="each").encode())


@pytest.mark.slow_in_vm("a clock")
def test_the_order_of_arrival(tmp_path):
    script = """
import os, time
for number in range(40):
    os.write(1 + number % 2, b"%d\\n" % number)
    time.sleep(0.02)
"""
    with python(tmp_path, script) as one:
        one.end()
        assert [(record.data, record.stream) for record in one.records()] == [
            (b"%d\n" % number, "stderr" if number % 2 else "stdout") for number in range(40)
        ]
        times = [record.time for record in one.records()]
        assert times == sorted(times)
        assert times[-1] - times[0] > 0.5e9


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
def test_much_and_little_in_turns(tmp_path, form):
    script = """
import os
for turn in range(20):
    os.write(1, b"little\\n")
    os.write(1, b"".join(b"%d %d\\n" % (turn, line) for line in range(30_000)))
"""
    with python(tmp_path, script, form=form) as one:
        one.end()
        much = (b"".join(b"%d %d\n" % (turn, line) for line in range(30_000)) for turn in range(20))
        assert one.output() == b"".join(b"little\n" + each for each in much)


def test_a_prompt_is_written_before_its_line_ends(tmp_path):
    with watched(tmp_path, "printf 'name? '; read name; echo hello $name") as one:
        wait_for(one.records)
        assert [record.data for record in one.records()] == [b"name? "]
        one.say(b"me\n")
        one.end()
        assert one.output() == b"name? hello me\n"


@pytest.mark.slow_in_vm("a clock")
@FORMS
def test_a_character_that_goes_on_later_is_one(tmp_path, form):
    """However long it takes: a program's buffer may be full in the middle of it."""
    script = r"printf 'a\342'; sleep 0.4; printf '\202'; sleep 0.4; printf '\254'; sleep 0.4; printf ' b\n\342\202'"
    data = "a\u20ac b\n".encode() + b"\xe2\x82"
    with watched(tmp_path, script, form=form) as one:
        one.end()
        assert one.output() == (data if form == "plain" else data.decode(errors="each").encode())


def test_a_log_goes_on_after_half_a_record(tmp_path):
    (tmp_path / "log").write_text('{"log":"old\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}\n{"log":"hal')
    with watched(tmp_path, "echo new") as one:
        one.end()
        assert one.output() == b"old\nnew\n"


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
@pytest.mark.parametrize("files", [1, 2, 4])
def test_rotation(tmp_path, form, files):
    largest = 10_000
    with watched(tmp_path, "seq 1 20000", form=form, max_bytes=largest, max_files=files) as one:
        one.end()
        names = ["log", *(f"log.{number}" for number in range(1, files))]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "exit"])
        assert all((tmp_path / name).stat().st_size <= largest for name in names)
        assert all((tmp_path / name).stat().st_size > largest - 100 for name in names[1:])
        numbers = one.output().split()
        assert numbers == [b"%d" % number for number in range(20001 - len(numbers), 20001)]


def test_a_record_that_is_larger_than_a_file(tmp_path):
    with watched(tmp_path, "head -c 40000 /dev/zero; echo x", max_bytes=100, max_files=999) as one:
        one.end()
        assert one.output() == bytes(40000) + b"x\n"


def test_a_log_that_is_removed_meanwhile(tmp_path):
    with watched(tmp_path, "echo one; read x; echo two; read x; echo three") as one:
        wait_for(lambda: one.output() == b"one\n")
        (tmp_path / "log").unlink()
        one.say(b"\n")
        wait_for(lambda: one.output() == b"two\n")
        (tmp_path / "log").write_bytes(b"")  # and one that is cut off
        one.say(b"\n")
        one.end()
        assert one.output() == b"three\n"


def test_a_directory_that_is_removed_meanwhile(tmp_path):
    with watched(tmp_path / "c", "read x; seq 1 200000") as one:
        wait_for((tmp_path / "c/log").exists)
        for path in (tmp_path / "c").iterdir():
            path.unlink()
        (tmp_path / "c").rmdir()
        one.program.communicate(b"\n")
        assert has_ended(one.monitor.pidfd)
        assert monitor.ending(one.directory) == monitor.LOST


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
def test_a_full_disk(tmp_path, form):
    """The program is not stopped, what was written stays whole, and the log tells what is missing."""
    soft, hard = resource.prlimit(os.getpid(), resource.RLIMIT_FSIZE)
    with watched(tmp_path, "read x; seq 1 100000; read x; echo after; exit 5", form=form) as one:
        wait_for((tmp_path / "log").exists)
        resource.prlimit(one.monitor.pid, resource.RLIMIT_FSIZE, (10_000, hard))
        one.say(b"\n")
        wait_for(lambda: (tmp_path / "log").stat().st_size > 9_800)
        assert (tmp_path / "log").stat().st_size <= 10_000
        wait_for(lambda: (tmp_path / "log").read_bytes().endswith(b"\n"))
        resource.prlimit(one.monitor.pid, resource.RLIMIT_FSIZE, (soft, hard))
        one.say(b"\n")
        one.end()
        *found, last = one.output().split()
        numbers = [int(line) for line in found]
        assert last == b"after"
        assert numbers == sorted(numbers)
        assert numbers[:100] == list(range(1, 101))
        notes = re.findall(rb"pycgroups: (\d+) records of output are lost here, errno 27\n", one.output("stderr"))
        assert sum(map(int, notes)) == 100_000 - len(numbers) > 0


def test_the_exit_has_its_space_on_a_full_disk(tmp_path):
    _, hard = resource.prlimit(os.getpid(), resource.RLIMIT_FSIZE)
    with watched(tmp_path, "read x; echo y; exit 5") as one:
        assert (tmp_path / "monitor").stat().st_size == 512
        resource.prlimit(one.monitor.pid, resource.RLIMIT_FSIZE, (512, hard))
        one.say(b"\n")
        assert one.end().finished


# -- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15)])
def test_the_status_without_an_init(tmp_path, script, code):
    before = time.time_ns()
    with watched(tmp_path, script) as one:
        found = one.end()
        assert found.returncode == (code if tells_status() else None)
        assert before < found.finished < time.time_ns()
        assert not found.oom
        assert monitor.read_exit(one.directory) == found
        assert has_ended(one.monitor.pidfd)


def test_a_daemon_keeps_the_pipe(tmp_path):
    """Some time it gets; and what it goes on to write for ever does not keep the monitor."""
    with watched(tmp_path, "sleep 1000 & yes & echo done; exit 0", grace=0.2, max_bytes=1 << 16) as one:
        one.program.wait()
        assert has_ended(one.monitor.pidfd)
        assert monitor.ending(one.directory).finished


def test_what_is_written_late_is_in_the_log(tmp_path):
    with watched(tmp_path, "(sleep 0.2; echo late) & exit 0", grace=60) as one:
        one.program.wait()
        assert has_ended(one.monitor.pidfd, 30)  # long before the grace is over
        assert one.output() == b"late\n"


@pytest.mark.slow_in_vm("starts of Python")
@pytest.mark.parametrize("hold", [name for name in HOLD if name != "of its input"])
def test_a_program_holds_the_lock_of_its_pipe(tmp_path, hold):
    ours, theirs = socket.socketpair()
    with ours, python(tmp_path, PRELUDE + HOLD[hold], keeper=ours.fileno()) as one:
        wait_for(lambda: state(one.program.pid) == "S")
        time.sleep(0.3)
        theirs.close()
        assert has_ended(one.pidfd)
        one.program.wait()
        assert has_ended(one.monitor.pidfd)
        assert monitor.ending(one.directory).returncode in {-9, None}


def test_nothing_but_sigkill_ends_it(tmp_path):
    with watched(tmp_path, "read x; echo still; exit 3") as one:
        for number in range(1, signal.NSIG):
            if number not in {signal.SIGKILL, signal.SIGSTOP}:
                os.kill(one.monitor.pid, number)
        one.say(b"\n")
        one.end()
        assert one.output() == b"still\n"


def test_it_is_killed(tmp_path):
    with watched(tmp_path, "read x; echo y; exit 3") as one:
        assert monitor.ending(one.directory) is None
        signal.pidfd_send_signal(one.monitor.pidfd, signal.SIGKILL)
        assert has_ended(one.monitor.pidfd)
        assert monitor.ending(one.directory) == monitor.LOST
        assert monitor.wait(one.directory) == monitor.LOST
        one.say(b"\n")
        one.program.communicate()
        assert monitor.ending(one.directory).returncode is None


def test_it_is_nobodys_child(tmp_path):
    with watched(tmp_path, "read x") as one:
        wait_for((tmp_path / "log").exists)
        found = Path(f"/proc/{one.monitor.pid}/stat").read_text().rpartition(")")[2].split()
        parent, session = int(found[1]), int(found[3])
        assert parent != os.getpid()
        assert session == one.monitor.pid
        with pytest.raises(ChildProcessError):
            os.waitpid(one.monitor.pid, 0)


def test_its_descriptors(tmp_path):
    with watched(tmp_path, "read x") as one:
        wait_for((tmp_path / "log").exists)
        if os.geteuid() == 0:
            found = {int(name) for name in os.listdir(f"/proc/{one.monitor.pid}/fd")}
            assert found == {
                *(lib.MONITOR_PLAN, lib.MONITOR_DIRECTORY, lib.MONITOR_STATE, lib.MONITOR_PIDFD),
                *(lib.MONITOR_STDOUT, lib.MONITOR_STDERR, lib.MONITOR_GATE),  # where the log is now
            }


def test_one_a_container(tmp_path):
    with watched(tmp_path, "read x") as one:
        with pytest.raises(StateError):
            monitor.start(monitor.Task(directory=one.directory, pidfd=one.pidfd))
        one.end()
        assert has_ended(one.monitor.pidfd)
        with watched(tmp_path, "exit 0") as again:
            assert again.end().finished


def test_one_that_never_begins_leaves_nothing(tmp_path):
    with watched(tmp_path, "read x") as one:
        one.end()
    directory, pidfd = os.open(tmp_path, os.O_RDONLY), os.pidfd_open(os.getpid())
    before = sorted(os.listdir(tmp_path))
    with monitor.prepare(monitor.Task(directory=directory, pidfd=pidfd)) as waiting:
        theirs = os.dup(waiting.pidfd)
        assert not monitor.is_alive(directory)
        assert not has_ended(theirs, 0)
    assert has_ended(theirs)
    assert sorted(os.listdir(tmp_path)) == before
    assert monitor.read_exit(directory) is not None
    for fd in (theirs, directory, pidfd):
        os.close(fd)


MEANWHILE = """
import os, signal, sys
from pycgroups.containers import monitor
directory = os.open(sys.argv[1], os.O_RDONLY)
waiting = monitor.prepare(monitor.Task(directory=directory, pidfd=os.pidfd_open(os.getpid())))
child = os.fork()
if child == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print(waiting.pid, child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_that_waits_ends_with_its_creator_whoever_is_forked_meanwhile(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", MEANWHILE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as creator:
        pid, child = map(int, creator.stdout.readline().split())
        wait_for(lambda: not is_alive(pid))
        assert is_alive(child)
        creator.stdin.close()
    wait_for(lambda: not is_alive(child))


@pytest.mark.parametrize("files", [0, 1000])
def test_a_number_of_files(tmp_path, files):
    with pytest.raises(InvalidConfig, match="max_files"):
        monitor.start(monitor.Task(directory=-1, pidfd=-1, max_files=files))


def test_no_descriptors_left(tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    pidfd = os.pidfd_open(os.getpid())
    free = os.dup(pidfd)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
    try:
        with pytest.raises(LaunchError, match="Too many open files"):
            monitor.start(monitor.Task(directory=directory, pidfd=pidfd))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(pidfd)
    assert os.listdir(tmp_path) == []
    os.close(directory)


@pytest.mark.slow_in_vm("twenty programs at once")
def test_many_at_once_from_threads(tmp_path):
    def one(number):
        with watched(tmp_path / str(number), f"echo {number}") as made:
            made.end()
            found[number] = made.output()

    found: dict[int, bytes] = {}
    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: b"%d\n" % number for number in range(20)}


@pytest.mark.parametrize("size", [0, 8, 63, 64, 4096])
def test_a_plan_that_is_none(tmp_path, size):
    directory = os.open(tmp_path, os.O_RDONLY)
    spawned = spawning.Spawned()
    fds = [-1] * lib.MONITOR_FDS
    fds[lib.MONITOR_DIRECTORY] = directory
    assert spawning.monitor(spawned, b"\xff" * size, fds) == 0
    assert has_ended(spawned.pidfd)
    spawned.close()
    os.close(directory)


def test_a_pty(tmp_path):
    master, slave = pty.openpty()
    script = "exec >/dev/null 2>&1 </dev/null; sleep 0.3; echo again >$0; exit 0"  # nobody has it open for a while
    command = ["sh", "-c", f"echo hello; {script}", os.ttyname(slave)]
    directory = os.open(tmp_path, os.O_RDONLY)
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as program:
        os.close(slave)
        pidfd = os.pidfd_open(program.pid)
        made = monitor.start(monitor.Task(directory=directory, pidfd=pidfd, stdout=master))
        os.close(master)
        program.wait()
        assert has_ended(made.pidfd)
    assert b"".join(record.data for record in logs.read(directory)) == b"hello\r\nagain\r\n"
    for fd in (directory, pidfd, made.pidfd):
        os.close(fd)


# -- the keeper ------------------------------------------------------------------------------------------------------


def test_the_keeper_is_gone(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, watched(tmp_path, "sleep 1000", keeper=ours.fileno()) as one:
        theirs.close()
        assert has_ended(one.pidfd)
        assert one.end().returncode in {-9, None}


def test_the_keeper_lets_go(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, watched(tmp_path, "read x; exit 4", keeper=ours.fileno()) as one:
        theirs.send(b"\0")
        theirs.close()
        time.sleep(0.3)
        assert not has_ended(one.pidfd, 0)
        one.end()
        assert one.program.returncode == 4


CREATOR = """
import os, socket, subprocess, sys, time
from pycgroups.containers import monitor
ours, theirs = socket.socketpair()
program = subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE, start_new_session=True)
directory = os.open(sys.argv[1], os.O_RDONLY)
made = monitor.start(monitor.Task(
    directory=directory, pidfd=os.pidfd_open(program.pid), stdout=program.stdout.fileno(),
    **({"keeper": ours.fileno()} if sys.argv[2] == "held" else {}),
))
forked = os.fork()  # has a copy of the keeper
if forked == 0:
    time.sleep(1000)
print(program.pid, made.pid, forked, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("way", ["held", "detached"])
def test_the_creator_is_killed(tmp_path, way):
    with subprocess.Popen([sys.executable, "-c", CREATOR, tmp_path, way], stdout=subprocess.PIPE) as creator:
        program, made, forked = map(int, creator.stdout.readline().split())
        pidfds = [os.pidfd_open(pid) for pid in (program, made, forked)]
        directory = os.open(tmp_path, os.O_RDONLY)
        creator.kill()
        creator.wait()
        try:
            if way == "held":
                assert has_ended(pidfds[0])
            else:
                assert not has_ended(pidfds[0], 0.3)
                assert monitor.ending(directory) is None
                signal.pidfd_send_signal(pidfds[0], signal.SIGTERM)
            found = monitor.wait(directory, PATIENCE)
            assert found.returncode in {-9 if way == "held" else -15, None}
        finally:
            os.kill(forked, signal.SIGKILL)
            for fd in (*pidfds, directory):
                os.close(fd)


# -- what comes after ------------------------------------------------------------------------------------------------


def test_the_command(tmp_path):
    code = "import os, signal, sys; print(sys.argv[1:], dict(os.environ), os.listdir('/proc/self/fd'), os.getcwd(), \
signal.pthread_sigmask(0, []), signal.getsignal(signal.SIGINT) == signal.default_int_handler, \
os.path.exists(sys.argv[1] + '/exit'), file=open(sys.argv[1] + '/new', 'w')); \
os.rename(sys.argv[1] + '/new', sys.argv[1] + '/told')"
    command = (sys.executable, "-S", "-c", code, str(tmp_path), "a b", "")
    with watched(tmp_path, "exit 0", command=Command(command, {"A": "1", "B": ""})) as one:
        one.end()
        wait_for((tmp_path / "told").exists)
        assert has_ended(one.monitor.pidfd)
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"{[str(tmp_path), 'a b', '']} ")
    assert "{'A': '1', 'B': ''" in told
    assert "['0', '1', '2', '3', '4'] / set() True True" in told


def test_a_command_that_is_not_there(tmp_path):
    with watched(tmp_path, "exit 0", command=Command(["/nonexistent"])) as one:
        assert one.end().finished
        assert has_ended(one.monitor.pidfd)


def touch(path, **options):
    """Return a command that makes a file."""
    return Command([shutil.which("touch"), str(path)], **options)


BEGUN = "while ! test -e monitor; do sleep 0.01; done"


@pytest.mark.parametrize(
    ("script", "options", "comes"),
    [
        ("exit 0", {"again": True}, True),
        ("exit 0", {"again": True, "if_failed": True}, False),
        ("exit 3", {"again": True, "if_failed": True}, True),
        ("echo > stopped", {"again": True}, False),
        ("echo > stopped", {}, True),
        (f"{BEGUN}; echo 0 > restart", {"again": True}, False),
        (f"{BEGUN}; echo 0 > restart", {}, True),
        (f"{BEGUN}; echo 3 > restart", {"again": True}, False),
        (f"{BEGUN}; echo 1 > restart", {"again": True, "if_failed": True}, True),
        (f"{BEGUN}; echo > stopped; echo 1 > restart", {"again": True}, False),
        (f"{BEGUN}; touch restart", {"again": True}, True),
        (f"{BEGUN}; mkfifo restart", {"again": True}, True),
    ],
    ids=str,
)
def test_when_the_command_comes(tmp_path, script, options, comes):
    with watched(tmp_path, f"cd {tmp_path}; {script}", command=touch(tmp_path / "told", **options)) as one:
        one.program.communicate()
        assert has_ended(one.monitor.pidfd)
        unknown = (options.get("if_failed") or "echo 3" in script) and not tells_status()
        assert (tmp_path / "told").exists() == comes or unknown
        assert monitor.ending(one.directory) is not None


def test_the_delay(tmp_path):
    """One that has run for long enough has another; meanwhile the end is none, and whoever wants can make it one."""
    command = touch(tmp_path / "told", delay=1000, settled=0.3, first=0.1, again=True)
    with watched(tmp_path, "sleep 0.4", command=command) as one:
        one.program.communicate()
        wait_for((tmp_path / "told").exists)
        assert one.end().next_msec == 100
    with watched(tmp_path / "short", "exit 0", command=command._replace(settled=1000)) as one:
        one.program.communicate()
        wait_for((tmp_path / "short/exit").exists)
        assert monitor.is_next(one.directory)
        assert monitor.ending(one.directory) is None
        assert (monitor.read_exit(one.directory).next_pid, monitor.read_exit(one.directory).next_msec) == (
            one.monitor.pid,
            1_000_000,
        )
        monitor.finish(one.directory, PATIENCE)
        assert has_ended(one.monitor.pidfd, 0)
        assert monitor.ending(one.directory) is not None
        monitor.finish(one.directory, PATIENCE)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_nothing_goes_on_without_its_keeper(tmp_path, when):
    ours, theirs = socket.socketpair()
    command = touch(tmp_path / "told", delay=0 if when == "before" else 1000, again=True)
    script = "sleep 1000" if when == "before" else "exit 0"
    with ours, watched(tmp_path, script, keeper=ours.fileno(), command=command) as one:
        if when == "meanwhile":
            wait_for((tmp_path / "exit").exists)
            assert not has_ended(one.monitor.pidfd, 0.1)
        theirs.close()
        assert has_ended(one.monitor.pidfd)
        assert not (tmp_path / "told").exists()


def test_a_command_has_the_lock_and_the_keeper(tmp_path):
    """As long as it runs it has not ended; killed, it has."""
    code = "import os, sys, time; print(sorted(os.listdir('/proc/self/fd')), os.readlink('/proc/self/fd/3'), \
os.readlink('/proc/self/fd/4')[:7], file=open(sys.argv[1] + '/new', 'w')); os.rename(sys.argv[1] + '/new', \
sys.argv[1] + '/told'); time.sleep(1000)"
    ours, theirs = socket.socketpair()
    command = Command([sys.executable, "-S", "-c", code, str(tmp_path)], again=True)
    with ours, theirs, watched(tmp_path, "exit 0", keeper=ours.fileno(), command=command) as one:
        one.program.communicate()
        wait_for((tmp_path / "told").exists)
        expected = f"['0', '1', '2', '3', '4', '5', '6'] {tmp_path}/exit socket:\n"
        assert (tmp_path / "told").read_text() == expected
        assert monitor.ending(one.directory) is None
        signal.pidfd_send_signal(one.monitor.pidfd, signal.SIGKILL)
        assert has_ended(one.monitor.pidfd)
        assert monitor.ending(one.directory) is not None


# -- the check --------------------------------------------------------------------------------------------------------


def note(path, then=""):
    """Return a check that notes when it begins and ends, with what it sees, and does something between."""
    code = f"""import os, signal, sys, time
def say(word):
    with open({str(path / "told")!r}, "a") as file:
        print(word, time.monotonic(), len(os.listdir("/proc/self/fd")), signal.pthread_sigmask(0, []), file=file)
say("begin"); {then or "time.sleep(0.1)"}; say("end")
sys.exit(int(sys.argv[1]))"""
    return [sys.executable, "-S", "-c", code]


def told(path):
    file = path / "told"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_the_check_comes_again_and_never_two_at_once(tmp_path):
    check = Check([*note(tmp_path), "1"], {"A": "1"}, interval=0.2, early=0.05)
    with watched(tmp_path, "read x; exit 3", check=check) as one:
        wait_for(lambda: len(told(tmp_path)) >= 6)
        one.end()
    found = told(tmp_path)
    assert [line[0] for line in found[:6]] == ["begin", "end"] * 3
    assert all(
        float(begun[1]) - float(ended[1]) >= 0.2 for ended, begun in zip(found[1:5:2], found[2:6:2], strict=True)
    )
    assert {tuple(line[2:]) for line in found} == {("5", "set()")}  # /dev/null, its file, and the directory


def test_a_check_says_that_the_next_is_to_come_early(tmp_path):
    check = Check([*note(tmp_path), str(lib.MONITOR_EARLY)], interval=1000, early=0.05)
    with watched(tmp_path, "read x", check=check) as one:
        wait_for(lambda: len(told(tmp_path)) >= 6)
        one.end()


@pytest.mark.parametrize("words", [["/nonexistent"], [shutil.which("false")], [shutil.which("sh"), "-c", "kill -9 $$"]])
def test_a_check_that_fails_harms_nobody(tmp_path, words):
    with watched(tmp_path, "echo a; sleep 0.3; exit 0", check=Check(words, interval=0.01)) as one:
        one.end()
        assert one.output() == b"a\n"


def test_with_the_container_the_check_ends(tmp_path):
    with watched(tmp_path, "read x", check=Check([*note(tmp_path, "time.sleep(1000)"), "0"])) as one:
        wait_for(lambda: told(tmp_path))
        (checking,) = children(one.monitor.pid)
        one.end()
        assert has_ended(one.monitor.pidfd)
        assert not is_alive(checking)
    assert [line[0] for line in told(tmp_path)] == ["begin"]


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_the_command_comes_after_the_check(tmp_path):
    check = Check([*note(tmp_path), "0"], {"A": "1"}, interval=0.05, early=0.05)
    with watched(
        tmp_path, "read x; exit 3", check=check, command=touch(tmp_path / "after", environment={"B": "2"})
    ) as one:
        wait_for(lambda: told(tmp_path))
        one.program.communicate()
        wait_for((tmp_path / "after").exists)
        assert has_ended(one.monitor.pidfd)


# -- events ----------------------------------------------------------------------------------------------------------


def test_events(tmp_path):
    """A file that says what the kernel's says, in the place of that."""
    memory = tmp_path / "memory"
    memory.write_text("low 0\noom 3\noom_kill 0\n")
    with memory.open() as file:
        path = tmp_path / "c"
        (tmp_path / "containers").mkdir()
        (tmp_path / "containers/events").write_text("half a li")
        events = os.open(tmp_path / "containers", os.O_RDONLY)
        told = {"members": {"id": "abc", "name": 'o"ne'}, "attributes": {"image": "x"}, "events": events}
        with watched(path, "read x", memory=file.fileno(), **told) as one:
            wait_for((path / "log").exists)
            memory.write_text("low 0\noom 3\noom_kill 2\n")
            found = one.end()
            assert found.oom
            wait_for(lambda: b"die" in (tmp_path / "containers/events").read_bytes())
        os.close(events)
    oom, die = Events(str(tmp_path)).read()
    code = {"exit_code": "1", "reason": "oom"} if tells_status() else {}  # read: the end of the file
    assert oom._replace(time=0) == Event(0, "container", "oom", "abc", 'o"ne', {"image": "x"})
    assert die._replace(time=0) == Event(0, "container", "die", "abc", 'o"ne', {"image": "x", **code, "oom": "true"})
    assert found.finished / 1e9 - 1 < oom.time < die.time < time.time()


@pytest.mark.requires("limits")
def test_out_of_memory(tmp_path):
    """Told when it happens, where the kernel tells of a change in that file (v2), else in the end."""
    events = os.open(tmp_path, os.O_RDONLY)
    with Cgroup.create(f"{leaks.OWN}-monitor", memory="32M") as group:
        files = [Path(path, name) for path in group.paths for name in ("memory.events", "memory.oom_control")]
        memory = next(file for file in files if file.exists())
        script = f"read x; {sys.executable} -c 'b\"x\" * (200 << 20)'; read x; exit 3"
        with (
            memory.open() as file,
            watched(tmp_path / "c", script, memory=file.fileno(), events=events) as one,
        ):
            group.add(one.program.pid)
            one.say(b"\n")
            if memory.name == "memory.events":
                wait_for(lambda: (tmp_path / "events").exists() and b'"oom"' in (tmp_path / "events").read_bytes())
            assert one.end().oom
            assert has_ended(one.monitor.pidfd)
    os.close(events)
    assert [json.loads(line)["action"] for line in (tmp_path / "events").read_text().splitlines()] == ["oom", "die"]


# -- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow_in_vm("megabytes of output")
@pytest.mark.requires("root")  # it is not to be looked into
@pytest.mark.skipif(os.environ.get("PYCGROUPS_TEST_WORLD") == "asan", reason="the sanitizers take more")
def test_its_memory(tmp_path):
    """At most 0.1 MB, and no more after a burst."""
    with watched(tmp_path, "echo x; read x; seq 1 100000; read x; exit 0") as one:
        wait_for(lambda: one.output() == b"x\n")
        assert pss(one.monitor.pid) <= 100
        one.say(b"\n")
        wait_for(lambda: pss(one.monitor.pid) > 200)
        wait_for(lambda: pss(one.monitor.pid) <= 100)


def pss(pid):
    """KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


# -- with an init ----------------------------------------------------------------------------------------------------


class Contained:
    """A container whose control socket the monitor alone has."""

    def __init__(self, path, script, **options):
        self.directory = os.open(path, os.O_RDONLY)
        null = os.open("/dev/null", os.O_RDWR)
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        config = ContainerConfig(command=["sh", "-c", script], **options)
        self.job = Job(config, open_streams(null, out_child, err_child, None))
        self.job.start()
        self.running = self.job._running
        self.running.until(lambda running: running.started)
        task = monitor.Task(
            directory=self.directory,
            pidfd=self.running.pidfd,
            control=self.running.control,
            stdout=out,
            stderr=err,
            status=self.running.status,
            supervised=self.running.plan.supervised,
        )
        self.monitor = monitor.start(task)
        os.close(self.running.control)
        self.running.spawned.out.control = -1
        for fd in (null, out, err, out_child, err_child):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.job.close()
        os.close(self.directory)
        os.close(self.monitor.pidfd)


WAYS = pytest.mark.parametrize("options", [{}, {"isolation": "process"}], ids=["container", "process"])


@WAYS
@pytest.mark.requires("userns")
@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -TERM $$", -15)])
def test_the_report_of_an_init(tmp_path, script, code, options):
    begin = time.monotonic()
    with Contained(tmp_path, f"sleep 1000 & sleep 0.2; echo out; {script}", **options) as one:
        found = monitor.wait(one.directory, PATIENCE)
        assert found.returncode == code
        assert found.maxrss_kib > 0
        assert b"".join(record.data for record in logs.read(one.directory)) == b"out\n"
        assert time.monotonic() - begin < 60


@WAYS
@pytest.mark.requires("userns")
def test_a_killed_monitor_takes_the_container_with_it(tmp_path, options):
    with Contained(tmp_path, "sleep 1000", **options) as one:
        assert not has_ended(one.running.pidfd, 0.2)
        signal.pidfd_send_signal(one.monitor.pidfd, signal.SIGKILL)
        assert has_ended(one.running.pidfd)
        assert monitor.wait(one.directory, PATIENCE) == monitor.LOST


@pytest.mark.requires("userns")
def test_a_killed_init(tmp_path):
    with Contained(tmp_path, "sleep 1000") as one:
        signal.pidfd_send_signal(one.running.pidfd, signal.SIGKILL)
        assert has_ended(one.running.pidfd)
        one.running.reap()
        assert monitor.wait(one.directory, PATIENCE).returncode == -9


@pytest.mark.parametrize("kind", ["v1", "v2", "v2 with a leaf", "cgroup.kill"])
def test_what_an_init_has_left_is_killed(tmp_path, kind):
    """On v2 an exec with limits of its own has moved it into the leaf; before Linux 5.14 each is killed by its pid."""
    group = tmp_path / "group"
    leaf = group / "pycgroups.own"
    leaf.mkdir(parents=True)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    procs = os.open(group, os.O_RDONLY)
    left = subprocess.Popen(["sleep", "1000"])
    try:
        group.joinpath("cgroup.procs").write_text(f"{left.pid}\n" if kind in {"v1", "v2"} else "")
        if kind.startswith("v2"):
            leaf.joinpath("cgroup.procs").write_text(f"{left.pid}\n" if kind == "v2 with a leaf" else "")
        if kind == "cgroup.kill":
            group.joinpath("cgroup.kill").write_text("")
        with watched(tmp_path / "c", "read word", control=ours.fileno(), procs=procs) as one:
            for each in (ours, its):
                each.close()
            assert one.end().returncode == -9
        if kind == "cgroup.kill":
            assert (group.joinpath("cgroup.kill").read_text(), left.poll()) == ("1", None)
        else:
            assert left.wait(10) == -9
    finally:
        left.kill()
        left.wait()
        os.close(procs)
