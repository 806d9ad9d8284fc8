"""Functions of ours decide on system calls of a program: `on_syscall`."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest

import pycgroups as pc
from pycgroups.errors import InvalidConfig
from pycgroups.seccomp import CONTINUE, Fail, Install, Return
from tests.waiting import in_time, wait_for

pytestmark = pytest.mark.requires("userns")

MKDIR = ("mkdir", "mkdirat")
TMP = {"mounts": [pc.Mount.tmpfs("/tmp")]}


@pytest.fixture(autouse=True)
def _nothing_left():
    """Neither threads nor descriptors; a function that was left behind at a timeout has yet to come back."""
    before = threading.enumerate(), os.listdir("/proc/self/fd")
    yield
    wait_for(lambda: threading.enumerate() == before[0])
    assert os.listdir("/proc/self/fd") == before[1]


def on(names, handler):
    return dict.fromkeys(names, handler)


def path_of(call):
    return call.read_string(call.args[call.name.endswith("at")])


def test_a_function_decides(inside):
    asked = []

    def decide(call):
        asked.append((call.name in MKDIR, path_of(call), call.args[2 if call.name == "mkdirat" else 1] & 0o777))
        return Fail(errno.EROFS) if path_of(call) == b"/tmp/no" else CONTINUE

    result = inside(["sh", "-c", "mkdir /tmp/yes; mkdir /tmp/no; ls /tmp"], on_syscall=on(MKDIR, decide), **TMP)
    assert (result.returncode, result.stdout) == (0, "yes\n")
    assert os.strerror(errno.EROFS) in result.stderr
    assert asked == [(True, b"/tmp/yes", 0o777), (True, b"/tmp/no", 0o777)]


def test_a_value_is_returned(inside):
    ids = {name: lambda _: Return(77) for name in ("getuid", "geteuid")}
    assert inside(["id", "-u"], on_syscall=ids).stdout == "77\n"


def test_a_descriptor_is_installed(inside):
    def give(call):
        if path_of(call) != b"/secret":
            return CONTINUE
        read, write = os.pipe()
        os.write(write, b"told\n")
        os.close(write)
        return Install(read, close_on_exec=True)

    try:
        assert inside(["cat", "/secret"], on_syscall=on(("open", "openat"), give)).stdout == "told\n"
    except OSError as error:
        if error.errno == errno.EINVAL:
            pytest.skip("needs Linux 5.14")
        raise


def test_a_process_that_takes_no_more_descriptors(inside):
    def give(call):
        return Install(os.open("/dev/null", os.O_RDONLY)) if path_of(call) == b"/secret" else CONTINUE

    result = inside(["sh", "-c", "ulimit -n 3; exec cat /secret"], on_syscall=on(("open", "openat"), give))
    assert os.strerror(errno.EMFILE) in result.stderr


def test_what_the_profile_refuses_is_the_functions_to_give(inside):
    """Mounts, which the default profile refuses with EPERM."""
    mounted = inside(["mount", "-t", "tmpfs", "none", "/tmp"], on_syscall={"mount": lambda _: Return()})
    assert (mounted.returncode, mounted.stderr) == (0, "")


@pytest.mark.parametrize("options", [{}, {"seccomp": "unconfined"}, {"seccomp": "strict"}, {"init": False}], ids=str)
def test_on_top_of_every_filter(inside, options):
    result = inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, lambda _: Fail(errno.ELOOP)), **options, **TMP)
    assert os.strerror(errno.ELOOP) in result.stderr


def test_the_start_asks_nobody(inside):
    """Between the filter and the program the library itself makes calls."""
    asked = []

    def decide(call):
        asked.append(call.name)
        return CONTINUE

    set_up = ("execve", "read", "rt_sigprocmask", "setresuid", "setresgid", "capset", "chdir", "getcwd", "sendmsg")
    names = (*set_up, "exit_group", "uname")
    for options in ({}, {"no_new_privileges": False}, {"init": False}):
        assert inside(["hostname"], on_syscall=on(names, decide), **options).stdout == "pycgroups\n"
        assert "uname" in asked
        assert set(asked) <= {"uname", "rt_sigprocmask", "read", "exit_group"}
        asked.clear()
    assert inside(["sh", "-c", "exec /bin/probe threads"], on_syscall={"execve": decide}).returncode == 0
    assert asked == ["execve"]


def test_a_program_that_is_not_there(inside):
    with pytest.raises(pc.CommandNotFound):
        inside(["nonsense"], on_syscall=on(("execve", "sendmsg", "exit_group"), lambda _: CONTINUE))


def test_a_profile_says_which_calls(inside):
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["kill"],
                "action": "SCMP_ACT_NOTIFY",
                "args": [{"index": 1, "op": "SCMP_CMP_EQ", "value": int(signal.SIGUSR1)}],
            }
        ],
    }
    asked = []

    def decide(call):
        asked.append(call.args[1])
        return Fail(errno.ESRCH)

    for handler in (decide, {"kill": decide}):
        result = inside(["sh", "-c", "kill -USR1 $$; kill -0 $$ && echo alive"], seccomp=profile, on_syscall=handler)
        assert (result.stdout, asked) == ("alive\n", [int(signal.SIGUSR1)])
        asked.clear()


def test_no_call_waits(inside):
    assert inside(["echo", "a"], on_syscall={}).stdout == "a\n"
    assert inside(["echo", "a"], on_syscall={}, seccomp="unconfined").stdout == "a\n"


def test_every_call_waits(inside):
    """Of programs without handlers of signals, which would end the waiting."""
    profile = {"defaultAction": "SCMP_ACT_NOTIFY"}
    seen = set()

    def decide(call):
        seen.add(call.name)
        return CONTINUE

    options = {"seccomp": profile, "on_syscall": decide}
    assert inside(["probe", "threads"], **options).stdout == "threads ok\n"
    assert inside(["probe", "touch-in-child", "1"], **options).stdout == "child 0\n"
    assert inside(["mkdir", "/tmp/x"], **options, **TMP).returncode == 0
    assert {"write", "exit_group", "mmap", "rt_sigprocmask", "wait4"} <= seen
    assert seen & set(MKDIR)


def test_threads_ask_as_well(inside):
    asked = []

    def decide(call):
        asked.append(call.pid)
        return CONTINUE

    result = inside(["probe", "threads"], on_syscall={"set_robust_list": decide})
    assert result.stdout == "threads ok\n"
    assert len(set(asked)) == 51


@pytest.mark.parametrize(
    "error", [ValueError("mine"), FileNotFoundError(2, "mine"), KeyboardInterrupt(), SystemExit(3)]
)
def test_an_exception_is_raised_and_the_container_killed(inside, error):
    def decide(call):
        raise error

    with pytest.raises(type(error)) as caught:
        inside(["sh", "-c", "mkdir /tmp/x; sleep 1000"], on_syscall=on(MKDIR, decide))
    assert caught.value is error


@pytest.mark.parametrize("answer", [None, 0, True, Fail(0), Fail(-1), Fail(4096), Return(2**63), Return("1")], ids=str)
def test_answers_that_are_none(inside, answer):
    with pytest.raises((TypeError, ValueError), match="allowed"):
        inside(["sh", "-c", "mkdir /tmp/x; sleep 1000"], on_syscall=on(MKDIR, lambda _: answer))


def test_a_function_that_hangs_is_left_behind(inside):
    called, go_on = threading.Event(), threading.Event()

    def decide(call):
        called.set()
        go_on.wait()
        return CONTINUE

    def attempt(seconds):
        return inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, decide), timeout=seconds)

    assert in_time(attempt, lambda _: called.is_set()).reason == "timeout"
    go_on.set()
    wait_for(lambda: threading.active_count() == 1)


def test_run_is_interrupted_while_a_function_hangs(inside):
    go_on = threading.Event()

    def interrupt(*_):
        raise ZeroDivisionError

    def decide(call):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        go_on.wait()
        return CONTINUE

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(ZeroDivisionError):
            inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, decide))
    finally:
        signal.signal(signal.SIGUSR1, before)
        go_on.set()


def test_what_waits_is_killed_with_the_container(inside):
    """By the timeout, while nobody has been asked yet: the function has another call to decide on."""
    asked = []

    def decide(call):
        asked.append(call)
        wait_for(lambda: not call.waits)
        return CONTINUE

    def attempt(seconds):
        return inside(["sh", "-c", "mkdir /tmp/x & mkdir /tmp/y & wait"], on_syscall=on(MKDIR, decide), timeout=seconds)

    # Mostly the other is not asked about any more; it may live for a moment longer than the first.
    assert in_time(attempt, lambda _: asked).reason == "timeout"


def test_who_asks_is_killed_meanwhile(inside):
    def decide(call):
        os.kill(call.pid, signal.SIGKILL)
        wait_for(lambda: not call.waits)
        call.read(call.args[0], 1)

    result = inside(["sh", "-c", "mkdir /tmp/x; echo $?"], on_syscall=on(MKDIR, decide))
    assert result.stdout == "137\n"


def test_an_exception_of_the_same_kind_is_the_functions_own(inside):
    def decide(call):
        raise ProcessLookupError("of something else")

    with pytest.raises(ProcessLookupError, match="something else"):
        inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, decide))


def test_memory_that_is_not_there(inside):
    errors = []

    def decide(call):
        for address, size in ((0, 1), (2**64 - 1, 8), (2**47, 4096)):
            try:
                call.read(address, size)
            except OSError as error:
                errors.append(error.errno)
        with pytest.raises(OSError, match="long"):
            call.read_string(call.args[call.name.endswith("at")], 2)
        return CONTINUE

    assert inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, decide), **TMP).returncode == 0
    assert errors == [errno.EFAULT] * 3


def test_a_terminal(inside):
    result = inside(["sh", "-c", "tty; mkdir /tmp/x"], tty=True, on_syscall=on(MKDIR, lambda _: Fail(errno.ELOOP)))
    assert "/dev/pts/0" in result.stdout
    assert os.strerror(errno.ELOOP) in result.stdout


def test_a_container_in_a_function(inside):
    def decide(call):
        assert inside(["true"], on_syscall=on(MKDIR, lambda _: CONTINUE)).returncode == 0
        return CONTINUE

    assert inside(["mkdir", "/tmp/x"], on_syscall=on(MKDIR, decide), **TMP).returncode == 0


@pytest.mark.parametrize(
    ("on_syscall", "options", "path"),
    [
        ({"mkdri": print}, {}, "on_syscall['mkdri']"),
        ({"mkdir": 1}, {}, "on_syscall['mkdir']"),
        (1, {}, "on_syscall"),
        (print, {}, "on_syscall"),
        ({"mkdir": print}, {"seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"}}, "on_syscall"),
        (None, {"seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"}}, "seccomp"),
        ({"mkdir": print}, {"isolation": "process"}, "isolation"),
    ],
)
def test_what_cannot_be_asked(on_syscall, options, path):
    with pytest.raises(InvalidConfig) as caught:
        pc.run(["true"], on_syscall=on_syscall, **options)
    assert caught.value.path == path
