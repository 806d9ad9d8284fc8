"""Why a run ended: `reason`, `hits`, exceptions of ``check``; and that nothing lives on, whatever it was."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import pytest

import pycgroups as pc
from tests.waiting import in_time

pytestmark = [pytest.mark.requires("userns", "busybox", "gcc"), pytest.mark.usefixtures("nothing_left")]
needs_limits = pytest.mark.requires("limits")

STATUSES = [0, 1, 2, 125, 126, 127, 128, 137, 255]
SIGNALS = [1, 2, 3, 6, 9, 11, 13, 14, 15, 34, 64]


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("status", STATUSES)
def test_exit_statuses(inside, status, init):
    result = inside(["sh", "-c", f"exit {status}"], init=init)
    assert (result.returncode, result.reason) == (status, "exited")


@pytest.mark.parametrize("number", SIGNALS)
def test_signals(inside, number):
    result = inside(["probe", "die", str(number)])
    assert (result.returncode, result.reason) == (-number, "signal")
    assert result.hits == {"oom": 0, "pids": 0, "disk": 0}


def test_a_signal_to_a_child_is_not_the_programs_end(inside):
    result = inside(["sh", "-c", "sh -c 'kill -9 $$'; echo went on; exit 4"])
    assert (result.returncode, result.reason, result.stdout) == (4, "exited", "went on\n")


def test_the_end_of_the_program_is_the_end_of_its_daemons(inside):
    result = inside(["sh", "-c", "setsid sleep 1000 & sleep 1000 & echo started"], timeout=300)
    assert (result.returncode, result.reason, result.stdout) == (0, "exited", "started\n")


# -- timeout


def has_output(result):
    return result.stdout


def test_timeout(inside):
    result = inside(["sleep", "1000"], timeout=0.2)
    assert (result.returncode, result.reason) == (-9, "timeout")
    assert 0.2 <= result.usage.wall_time < 300


@pytest.mark.parametrize("init", [True, False])
def test_timeout_of_what_ignores_every_signal_and_has_daemons(inside, init):
    result = in_time(lambda seconds: inside(["probe", "stubborn"], timeout=seconds, init=init), has_output)
    assert (result.reason, result.stdout) == ("timeout", "ready\n")


def test_timeout_keeps_what_was_written_before(inside):
    command = ["sh", "-c", "echo early; echo warning >&2; sleep 1000"]
    result = in_time(lambda seconds: inside(command, timeout=seconds), lambda result: result.stderr)
    assert (result.reason, result.stdout, result.stderr) == ("timeout", "early\n", "warning\n")


@needs_limits
def test_timeout_is_the_reason_although_a_limit_was_hit(inside):
    command = ["sh", "-c", "probe touch-in-child 60; sleep 1000"]
    result = in_time(lambda seconds: inside(command, memory="32M", timeout=seconds), has_output)
    assert (result.reason, result.hits["oom"] >= 1) == ("timeout", True)


def test_a_timeout_that_does_not_pass_changes_nothing(inside):
    for seconds in (300, 10**9):
        assert inside(["true"], timeout=seconds).reason == "exited"


# -- memory


@needs_limits
@pytest.mark.parametrize("init", [True, False])
def test_memory_limit_hit_by_the_program(inside, init):
    result = inside(["probe", "touch", "200"], memory="64M", init=init)
    assert (result.returncode, result.reason) == (-9, "oom")
    assert result.hits["oom"] >= 1


@needs_limits
def test_memory_limit_hit_by_a_child_and_the_program_goes_on(inside):
    result = inside(["probe", "touch-in-child", "200"], memory="64M")
    assert (result.returncode, result.reason, result.stdout) == (0, "exited", "child -9\n")
    assert result.hits["oom"] >= 1


@needs_limits
def test_memory_limit_hit_by_a_child_and_the_program_gives_up(inside):
    result = inside(["probe", "touch-in-child", "200", "5"], memory="64M")
    assert (result.returncode, result.reason) == (5, "oom")


@needs_limits
def test_a_kill_at_high_usage_is_no_oom(inside):
    result = inside(["sh", "-c", "probe touch 48; kill -9 $$"], memory="64M")
    assert (result.returncode, result.reason, result.hits["oom"]) == (-9, "signal", 0)


@needs_limits
def test_memory_below_the_limit(inside):
    result = inside(["probe", "touch", "40"], memory="64M")
    assert (result.returncode, result.reason, result.hits["oom"]) == (0, "exited", 0)


@needs_limits
def test_files_on_the_containers_tmpfs_count(inside):
    result = inside(
        ["dd", "if=/dev/zero", "of=/big/file", "bs=1M", "count=100"], memory="32M", mounts=[pc.Mount.tmpfs("/big")]
    )
    assert (result.reason, result.hits["oom"] >= 1) == ("oom", True)


# -- processes


@needs_limits
def test_fork_bomb_in_c(inside):
    result = inside(["probe", "fork-bomb"], pids=20)
    assert (result.returncode, result.reason, result.stdout) == (7, "pids", "fork EAGAIN\n")
    assert result.hits["pids"] >= 1
    assert result.usage.processes in (None, 20)


@needs_limits
def test_fork_bomb_in_sh(inside):
    def explode(seconds):
        bomb = f"f() {{ f 2>/dev/null | f 2>/dev/null & }}; f; sleep {seconds}; exit 1"
        return inside(["sh", "-c", bomb], pids=64, stderr=pc.DEVNULL)

    result = in_time(explode, lambda result: result.hits["pids"])
    assert (result.returncode != 0, result.reason) == (True, "pids")  # the shell may be refused its own sleep


@needs_limits
def test_fork_bomb_that_only_the_timeout_stops(inside):
    bomb = "f() { f 2>/dev/null | f 2>/dev/null & }; f; while :; do :; done"
    result = in_time(
        lambda seconds: inside(["sh", "-c", bomb], pids=64, timeout=seconds, stderr=pc.DEVNULL),
        lambda result: result.hits["pids"],
    )
    assert (result.reason, result.hits["pids"] > 0) == ("timeout", True)


@needs_limits
def test_a_pids_limit_of_one_is_for_a_program_without_an_init(inside):
    with pytest.raises(pc.LaunchError, match=r"EAGAIN.*counts the init, too; or set init=False"):
        inside(["true"], pids=1)
    assert inside(["true"], pids=1, init=False).returncode == 0


@needs_limits
def test_a_pids_limit_that_the_program_copes_with(inside):
    result = inside(["sh", "-c", "probe fork-bomb; exit 0"], pids=20)
    assert (result.returncode, result.reason, result.hits["pids"] >= 1) == (0, "exited", True)


# -- disk


def test_disk_limit():
    result = pc.run(["dd", "if=/dev/zero", "of=/tmp/file", "bs=1M", "count=20"], disk="8M", text=True)
    assert (result.returncode, result.reason, result.hits["disk"]) == (1, "disk", 1)
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize("place", [pytest.param("/etc", marks=pytest.mark.requires("root")), "/tmp", "/root", "/run"])
def test_one_disk_limit_for_all_places_that_can_be_written(place):
    count = f"for i in 1 2 3 4 5; do dd if=/dev/zero of={place}/filler$i bs=1M count=3 2>/dev/null; done"
    result = pc.run(["sh", "-c", f"{count}; du -sm {place}/filler* | cut -f1; exit 3"], disk="8M", text=True)
    assert (result.reason, result.hits["disk"]) == ("disk", 1)
    assert sum(map(int, result.stdout.split())) <= 9


def test_a_full_disk_that_the_program_copes_with():
    def cope(seconds):
        command = f"dd if=/dev/zero of=/tmp/file bs=1M count=20 2>/dev/null; sleep {seconds}; rm /tmp/file"
        return pc.run(["sh", "-c", command], disk="8M")

    result = in_time(cope, lambda result: result.hits["disk"])
    assert (result.returncode, result.reason, result.hits["disk"]) == (0, "exited", 1)


def test_less_than_the_disk_limit():
    result = pc.run(["dd", "if=/dev/zero", "of=/tmp/file", "bs=1M", "count=6"], disk="8M")
    assert (result.returncode, result.reason, result.hits["disk"]) == (0, "exited", 0)


# -- limits that cannot be enforced


@pytest.mark.requires("no_limits")
def test_a_limit_that_cannot_be_enforced_is_an_error_unless_told(inside):
    with pytest.raises(pc.Unsupported) as caught:
        inside(["true"], memory="64M", pids=10)
    assert caught.value.hint
    result = inside(["probe", "touch", "80"], memory="64M", pids=10, require_limits=False)
    assert (result.returncode, result.reason) == (0, "exited")
    assert set(result.unenforced) == {"memory", "pids"}


@needs_limits
def test_limits_that_are_enforced_are_not_listed(inside):
    assert inside(["true"], memory="64M", pids=10, require_limits=False).unenforced == ()


def test_disk_needs_an_overlay(inside):
    with pytest.raises(pc.InvalidConfig, match="disk"):
        inside(["true"], disk="8M")


# -- check=True


def test_check_raises_what_subprocess_raises(inside):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        inside(["sh", "-c", "echo out; echo err >&2; exit 3"], check=True)
    error = caught.value
    assert isinstance(error, pc.CalledProcessError)
    assert isinstance(error, pc.Error)
    assert (error.returncode, error.cmd[0], error.reason) == (3, "sh", "exited")
    assert (error.stdout, error.output, error.stderr) == ("out\n", "out\n", "err\n")
    assert error.result.returncode == 3
    assert "exit status 3" in str(error)


def test_check_raises_for_signals(inside):
    with pytest.raises(pc.CalledProcessError, match="SIGSEGV"):
        inside(["probe", "die", "11"], check=True)


def test_check_raises_timeout_expired(inside):
    def expire(seconds):
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            inside(["sh", "-c", "echo early; sleep 1000"], timeout=seconds, check=True)
        assert caught.value.timeout == seconds
        return caught.value

    error = in_time(expire, has_output)
    assert isinstance(error, pc.TimeoutExpired)
    assert isinstance(error, pc.Error)
    assert (error.stdout, error.result.reason) == ("early\n", "timeout")


@needs_limits
def test_check_names_the_limit(inside):
    with pytest.raises(pc.CalledProcessError, match="oom") as caught:
        inside(["probe", "touch", "200"], memory="64M", check=True)
    assert (caught.value.reason, caught.value.result.hits["oom"] >= 1) == ("oom", True)


def test_check_is_content_with_success(inside):
    assert inside(["true"], check=True).returncode == 0
    with pytest.raises(pc.CalledProcessError):
        inside(["false"]).check_returncode()


def test_results_and_errors_survive_pickling(inside):
    result = inside(["sh", "-c", "echo out; exit 3"])
    assert vars(pickle.loads(pickle.dumps(result))) == vars(result)
    for options in ({"check": True}, {"check": True, "timeout": 0.2}, {"volumes": {"/no/such": "/in"}}):
        with pytest.raises(pc.Error) as caught:
            inside(["sh", "-c", "sleep 1; exit 3"], **options)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert type(copy) is type(caught.value)
        assert str(copy) == str(caught.value)
        for name, value in vars(caught.value).items():
            same = vars(value) == vars(getattr(copy, name)) if name == "result" else value == getattr(copy, name)
            assert same, name


# -- nobody is left


def test_whatever_the_end_no_process_lives_on(inside):
    """By a mark in their environment, which every descendant has."""
    mark = f"LIVES_ON={os.getpid()}"
    variables = dict([mark.split("=")])
    inside(["probe", "stubborn"], timeout=0.5, env=variables)
    inside(["probe", "stubborn", "and ends"], env=variables)
    inside(["probe", "stubborn"], timeout=0.5, env=variables, init=False)
    inside(["sh", "-c", "probe stubborn & sleep 0.2; kill -9 $$"], env=variables)
    marked = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = mark.encode() in file.read_bytes().split(b"\0")
        except OSError:
            continue
        marked += [file] if found else []
    assert not marked


def test_an_interrupt_of_the_caller_kills_the_container(script, root):
    code = """
import os, signal, sys, pycgroups as pc
signal.signal(signal.SIGALRM, signal.default_int_handler)
pc.run(["true"], rootfs=sys.argv[1])  # loads modules: Python interrupted in a namedtuple of theirs ends by SIGINT later
try:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    pc.run(["sleep", "1000"], rootfs=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no child")
"""
    assert script(code, root) == "interrupted\nno child\n"


def test_a_handler_that_returns_does_not_disturb(script, root):
    code = """
import signal, sys, pycgroups as pc
count = 0
def tick(*_):
    global count
    count += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for i in range(20):
    r = pc.run(["sh", "-c", "sleep 0.02; echo done; exit 3"], rootfs=sys.argv[1])
    assert (r.returncode, r.stdout) == (3, b"done\\n"), r
signal.setitimer(signal.ITIMER_REAL, 0)
print(count > 20)
"""
    assert script(code, root) == "True\n"
