"""The process that runs a container is killed, at each of its system calls and at any other time.

Soon nothing of the container is running, within a second unless the machine is busy, and the next process that makes
a group removes the old one.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import statistics
import struct
import sys
import time
from pathlib import Path

import pytest

from pycgroups.namespaces import ranges
from tests import tracing
from tests.subjects import TREE, nursery
from tests.waiting import PATIENCE, wait_for
from tests.worlds import features

LIMITS = {} if features.lack("limits") else {"memory": "64M", "pids": 32}
# A daemon of its own session, and a program that ends before it: all of a run, and something to be left behind.
SHORT = ["sh", "-c", "setsid sleep 1000 & sleep 0.01"]
LONG = ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"]
AT = (
    "clone,clone3,unshare,setns,mount,umount2,move_mount,open_tree,pivot_root,openat,mkdir,mkdirat,rename,renameat2,"
    "unlink,unlinkat,write,pwrite64,fsync,fdatasync,sendmsg,sendto,connect,kill,pidfd_send_signal,rmdir,symlinkat,"
    "ftruncate,close,recvmsg,poll,waitid,fcntl,flock,pipe2,socketpair,memfd_create,mount_setattr,ioctl,read"
)
# Calls that the helper makes and the library does not.
OF_HELPER = (
    "execveat,close_range,dup3,fsopen,fsconfig,fsmount,move_mount,mkdirat,symlinkat,pivot_root,umount2,unshare,setsid,"
    "sethostname,capset,prctl,setresuid,setgroups,umask,chdir,getcwd,seccomp,execve,keyctl,rt_sigaction,getrusage"
)
WITHIN = 1.0  # seconds, for most of them

pytestmark = pytest.mark.requires("userns")


@pytest.fixture(scope="module")
def nest():
    with nursery() as made:
        run_once(made)  # the directory of all groups is there from now on: each run makes the same calls
        yield made


def run_once(nest, command=("true",)):
    subject = nest.subject()
    subject.run(command, **LIMITS)
    outcome = subject.outcome()
    assert outcome
    assert outcome.get("returncode") == 0, outcome
    return outcome


def groups_of(pid):
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path).startswith(f"run.{pid}.")]


def check_gone(nest, pid):
    """Check that nothing is left; how long that took, in seconds."""
    begin = time.monotonic()
    assert nest.wait_until_empty(PATIENCE) == []
    seconds = time.monotonic() - begin
    run_once(nest)
    assert groups_of(pid) == []
    return seconds


def check_soon(seconds):
    """Check that most were gone in time: the machine may be busy, but not for all of them."""
    assert features.IN_VM or statistics.median(seconds) < WITHIN


def some(cases, everyday):
    """All of them in a long run, else some, evenly spread."""
    wanted = (everyday + 4) // 5 if features.IN_VM else everyday
    return cases if len(cases) <= wanted else [cases[i * len(cases) // wanted] for i in range(wanted)]


def cases_of(nest, log, calls, *options, **words):
    """Each system call of a run, as its name and its number among those of that name."""
    subject = nest.subject()
    with tracing.attached(subject.pid, log, f"--trace={calls}", *options):
        subject.run(SHORT, **LIMITS, **words)
        assert subject.outcome()
    return [(name, number) for name, count in tracing.calls(log).items() for number in range(1, count + 1)]


EVERYDAY = pytest.param(30, id="some")
ALL = pytest.param(10**6, marks=pytest.mark.long, id="all")


@pytest.mark.requires("strace")
@pytest.mark.parametrize(
    "words",
    [{}, pytest.param({"userns": "host"}, marks=pytest.mark.requires("root")), {"isolation": "process"}],
    ids=str,
)
@pytest.mark.parametrize("everyday", [EVERYDAY, ALL])
def test_killed_at_a_system_call(nest, tmp_path, everyday, words):
    log = tmp_path / "log"
    seconds = []
    for name, number in some(cases_of(nest, log, AT, **words), everyday):
        subject = nest.subject()
        with tracing.attached(subject.pid, log, f"--trace={name}", f"--inject={name}:signal=SIGKILL:when={number}"):
            subject.run(SHORT, **LIMITS, **words)
            subject.outcome()
        seconds.append(check_gone(nest, subject.pid))
    check_soon(seconds)


@pytest.mark.requires("strace", "root")  # newuidmap has no rights under strace -f
@pytest.mark.parametrize("everyday", [EVERYDAY, ALL])
@pytest.mark.parametrize("what", ["signal=SIGKILL", "error=EIO"])
def test_the_helper_fails_or_is_killed_at_a_system_call(nest, tmp_path, everyday, what):
    log = tmp_path / "log"
    callers = cases_of(nest, log, OF_HELPER)  # whom strace would meet as well
    cases = [each for each in cases_of(nest, log, OF_HELPER, "-f") if each not in callers]
    for name, number in some(cases, everyday):
        subject = nest.subject()
        with tracing.attached(subject.pid, log, "-f", f"--trace={name}", f"--inject={name}:{what}:when={number}"):
            subject.run(SHORT, **LIMITS)
            outcome = subject.outcome()
        assert outcome, (name, number)
        assert outcome["fds"] == outcome["children"] == [], (name, number, outcome)
        assert outcome.get("own", True), (name, number, outcome)
        if what == "signal=SIGKILL" and "error" not in outcome:
            assert outcome["returncode"] in (-signal.SIGKILL, 0), (name, number, outcome)
        assert nest.wait_until_empty(PATIENCE) == []
        assert groups_of(subject.pid) == []


def range_is_free(number):
    """Whether a byte of the lock file is not locked by anybody."""
    with Path("/run/pycgroups/ids").open("r+b") as file:
        question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, number % ranges.RANGES, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_OFD_GETLK, question))[0] == fcntl.F_UNLCK


@pytest.mark.parametrize("words", [{}, {"init": False}, {"isolation": "process"}, {"isolation": "none"}], ids=str)
def test_killed_while_the_program_runs(nest, words):
    seconds = []
    for _ in range(3 if features.IN_VM else 12):
        subject = nest.subject()
        subject.run(LONG, **words, **LIMITS)
        time.sleep(random.uniform(0, 0.1))
        os.kill(subject.pid, signal.SIGKILL)
        assert subject.outcome() is None
        seconds.append(check_gone(nest, subject.pid))
    check_soon(seconds)


@pytest.mark.requires("root")
def test_the_range_of_ids_is_free_again(nest):
    subject = nest.subject()
    wait_for(lambda: range_is_free(nest.pid))  # the first that a subject asks for
    subject.run(LONG)
    wait_for(lambda: not range_is_free(nest.pid))
    os.kill(subject.pid, signal.SIGKILL)
    wait_for(lambda: range_is_free(nest.pid))


@pytest.mark.requires("limits")
def test_what_is_left_of_a_group_is_removed_with_its_processes(nest):
    subject = nest.subject()
    subject.run(LONG, **LIMITS)
    wait_for(lambda: groups_of(subject.pid))
    os.kill(subject.pid, signal.SIGKILL)
    assert nest.wait_until_empty(PATIENCE) == []
    assert groups_of(subject.pid)  # so that what follows shows something
    run_once(nest)
    assert groups_of(subject.pid) == []


HOLDS_COPIES = """
import os, signal, sys, threading, time
import pycgroups as pc
from pycgroups._native import spawning

original = spawning.go

def fork_and_die(*args):
    # A child that another thread has forked has copies of all our descriptors, of the control socket, too.
    if os.fork() == 0:
        os.close(1)
        time.sleep(1000)
    if sys.argv[2] == "after":
        original(*args)
    os.kill(os.getpid(), signal.SIGKILL)

spawning.go = fork_and_die
pc.run(["sleep", sys.argv[1]])
"""


def processes_with(word):
    """Processes that have this word in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(int(pid))
    return found


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_a_forked_child_has_copies_of_everything(moment):
    word = f"1000.{random.randrange(10**9)}"
    command = [sys.executable, "-c", HOLDS_COPIES, word, moment]
    pid = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": str(TREE)}, setpgroup=0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    try:
        wait_for(lambda: not helpers_of(pid) and all(group_of(each) in {pid, None} for each in processes_with(word)))
    finally:
        os.killpg(pid, signal.SIGKILL)


WAITS_FOR_A_HOOK = """
import ctypes, os, signal, sys, threading
from pycgroups import runtime

def fork_and_die():
    open(sys.argv[3]).close()  # a hook has it open
    if ctypes.CDLL(None).fork() == 0:  # Python knows nothing of it, and so it closes no copies
        ctypes.CDLL(None).sleep(1000)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=fork_and_die).start()
runtime.create(sys.argv[1], "killed", root=sys.argv[2])
"""


def test_killed_at_a_hook_while_a_forked_child_has_copies(bundle, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"exec sleep 1000 >{fifo}"]}]}
    command = [sys.executable, "-c", WAITS_FOR_A_HOOK, str(bundle.write()), str(bundle.state), str(fifo)]
    pid = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": str(TREE)}, setpgroup=0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    try:
        helper = json.loads((bundle.state / "killed/state.json").read_text())["pid"]
        wait_for(lambda: is_gone(helper))
    finally:
        os.killpg(pid, signal.SIGKILL)


def is_gone(pid):
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except OSError:
        return True


def group_of(pid):
    """The process group of a process, None once it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def helpers_of(group):
    """Helpers that wait for their plan: still of the process group that they were born in."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, _, own_group = rest.split()[:3]
        if int(own_group) == group and name == "pycgroups-init" and state not in "ZX":
            found.append(int(pid))
    return found
