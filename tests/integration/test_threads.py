"""Runs inside a real process: threads, signal handlers, allocators, closed descriptors, forks, interrupts.

Each test runs a script in a process of its own, which may be spoilt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import leaks
from tests.subjects import TREE
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("thousands of starts; cgroup v2 changes nothing about threads"),
]

WORLD = os.environ.get("PYCGROUPS_TEST_WORLD")
RUNS = 8 if features.IN_VM else 40  # a thread
IN_A_ROW = 50 if features.IN_VM else 1000
MEMORY = 64 << 20 if features.IN_VM else 2 << 30
SCALE = 20 if features.IN_VM else 1

# What every script begins with: a way to ask what there is in this process.
COMMON = """
import ctypes, faulthandler, json, os, signal, sys, threading, time
import pycgroups as pc

faulthandler.dump_traceback_later(float(os.environ["PATIENCE"]), exit=True)
LIMITS = json.loads(os.environ["LIMITS"])
libc = ctypes.CDLL(None, use_errno=True)

def state():
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip().split(":", 1) for line in file)
    kept = "Uid Gid Groups Umask CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Pid".split()
    names = sorted(os.listdir("/proc/self/ns"))
    return {
        **{name: lines[name] for name in kept},
        **{name: os.readlink("/proc/self/ns/" + name) for name in names},
        "cwd": os.getcwd(), "root": os.readlink("/proc/self/root"), "dumpable": libc.prctl(3, 0, 0, 0, 0),
        "sid": os.getsid(0), "pgid": os.getpgid(0), "keyring": libc.syscall(250, 0, -3, 0),
    }

def of_tasks(name):
    # A thread that has been joined may still be listed for a moment.
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/{name}") as file:
                yield task, file.read()
        except (FileNotFoundError, ProcessLookupError):
            pass

def masks():
    lines = {task: text.splitlines() for task, text in of_tasks("status")}
    return {task: line for task in lines for line in lines[task] if line.startswith("SigBlk")}

def handlers():
    return [signal.getsignal(number) for number in range(1, 65) if number not in (32, 33)]

def descriptors():
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))

def children():
    return [pid for _, text in of_tasks("children") for pid in text.split()]

def check_run(**options):
    result = pc.run(["sh", "-c", "read word; echo $word; exit 3"], input=b"hello\\n", **{**LIMITS, **options})
    assert (result.returncode, result.stdout, result.stderr) == (3, b"hello\\n", b""), result

check_run()  # what is opened once and kept is there from now on
BEFORE = state(), masks(), handlers(), descriptors(), children()
"""

FINALLY = """
kept = {task: mask for task, mask in masks().items() if task in BEFORE[1]}
after = state(), kept, handlers(), descriptors(), children()
assert after == BEFORE, [pair for pair in zip(BEFORE, after) if pair[0] != pair[1]]
"""


def run(body, *args, env=None, patience=600 * SCALE, finally_=FINALLY, **options):
    environment = {
        **os.environ,
        "PYTHONPATH": str(TREE),
        "LIMITS": json.dumps({} if features.lack("limits") else {"memory": "64M", "pids": 32}),
        "PATIENCE": str(patience),
        **(env or {}),
    }
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", COMMON + body + finally_, *map(str, args)]
    before = leaks.holdings()
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=patience + 60,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    left = leaks.left_behind(before)
    assert not left, left
    return done.stdout.decode()


# Threads that compute with the GIL released, in memory that was touched, for as long as the runs last.
COMPUTING = """
import numpy
stop = False
def compute():
    matrix = numpy.random.default_rng(0).random((400, 400))
    while not stop:
        matrix @= matrix
        matrix /= matrix.max()
block = numpy.ones(int(sys.argv[1]), dtype=numpy.uint8)
computing = [threading.Thread(target=compute) for _ in range(2)]
"""

THREADS = """
failures = []
def many():
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        own = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        for _ in range(int(sys.argv[2])):
            check_run()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == own
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except BaseException as error:
        failures.append(repr(error))
for thread in computing: thread.start()
during = masks()
running = [threading.Thread(target=many) for _ in range(8)]
for thread in running: thread.start()
for thread in running: thread.join()
assert {task: mask for task, mask in masks().items() if task in during} == during
stop = True
for thread in computing: thread.join()
assert not failures, failures
"""


@pytest.mark.skipif(WORLD == "asan", reason="numpy allocates before AddressSanitizer is loaded")
@pytest.mark.parametrize("runs", [RUNS, pytest.param(250, marks=pytest.mark.long)])
def test_threads_in_a_large_process_that_computes(runs):
    run(COMPUTING + THREADS, MEMORY, runs, env={"OPENBLAS_NUM_THREADS": "2"}, patience=1200 * SCALE)


BUSY = """
import importlib, io, logging, socket, warnings
warnings.simplefilter("error", DeprecationWarning)
logging.basicConfig(stream=io.StringIO())
stop, lock, rlock = False, threading.Lock(), threading.RLock()
def busy(number):
    block = []
    while not stop:
        with lock, rlock:
            block = [bytes(4096) for _ in range(20)]
        logging.warning("thread %d", number)
        importlib.import_module(("wave", "colorsys", "mailbox")[number % 3])
        socket.getaddrinfo("localhost", None)
        time.sleep(0.01)
computing = [threading.Thread(target=busy, args=(number,)) for number in range(int(sys.argv[1]))]
"""


@pytest.mark.parametrize("runs", [RUNS // 4, pytest.param(250, marks=pytest.mark.long)])
def test_threads_beside_many_that_hold_every_lock(runs):
    """cpython#120998, pyroute2#1213: a fork among threads would hang sooner or later, and warn of it."""
    run(BUSY + THREADS, 64, runs, patience=1200 * SCALE)


def test_threads_under_a_debug_allocator():
    body = "computing = []\n" + THREADS
    run(body, 0, RUNS // 4, env={"PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "85", "MALLOC_CHECK_": "3"})


def test_threads_with_development_mode_and_faulthandler():
    body = "faulthandler.enable()\ncomputing = []\n" + THREADS
    run(body, 0, RUNS // 4, env={"PYTHONDEVMODE": "1"})


MANY = """
for _ in range(int(sys.argv[1])):
    check_run(init=sys.argv[2] == "True")
"""


def knows_the_status_of_a_reaped_child():
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)


INIT = (
    pytest.param(True, id="init"),
    pytest.param(
        False,
        id="no init",
        marks=pytest.mark.skipif(
            not knows_the_status_of_a_reaped_child(),
            reason="Linux 6.15 tells the exit status of a child reaped by others",
        ),
    ),
)


@pytest.mark.parametrize("init", INIT)
def test_the_application_reaps_every_child(init):
    handler = """
seen = 0
def reap(*_):
    global seen
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: seen += 1
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, reap)
"""
    restore = "assert seen\nsignal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
    run(handler + MANY + restore, RUNS, init)


@pytest.mark.parametrize("init", INIT)
def test_the_application_ignores_sigchld(init):
    ignore = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    run(ignore + MANY + "signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n", RUNS, init)


@pytest.mark.skipif(knows_the_status_of_a_reaped_child(), reason="this kernel tells the status")
def test_without_an_init_a_lost_exit_status_is_an_error():
    run("""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
try:
    check_run(init=False)
except pc.Error as error:
    assert "SIGCHLD" in str(error), error
else:
    raise AssertionError
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
""")


def test_while_asyncio_runs():
    run(
        """
import asyncio
async def ticks():
    while True:
        await asyncio.sleep(0.001)
async def main():
    ticking = asyncio.create_task(ticks())
    process = await asyncio.create_subprocess_exec("sleep", "0.5")
    for _ in range(int(sys.argv[1])):
        await asyncio.gather(*(asyncio.to_thread(check_run) for _ in range(4)))
    assert await process.wait() == 0
    ticking.cancel()
    await asyncio.get_running_loop().shutdown_default_executor()
asyncio.run(main())
""",
        RUNS // 4,
    )


def test_other_threads_start_processes():
    """Their children get none of our descriptors: what they hold open would keep a container's pipes from ending."""
    run(
        """
import subprocess
stop, seen = False, set()
usual = {os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)}
def start():
    while not stop:
        done = subprocess.run(["sh", "-c", "ls -l /proc/self/fd"], stdout=subprocess.PIPE, text=True, check=True)
        targets = {line.split(" -> ")[1] for line in done.stdout.splitlines() if " -> " in line}
        seen.update(target for target in targets if "pycgroups" in target or "cgroup" in target or "socket" in target)
        assert len(targets) <= 5, targets
starting = [threading.Thread(target=start) for _ in range(2)]
for thread in starting: thread.start()
for _ in range(int(sys.argv[1])): check_run()
stop = True
for thread in starting: thread.join()
assert not seen - usual, seen
""",
        RUNS,
    )


FORKING = """
forked, stop = [], False
def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
def fork():
    while not stop:
        pid = os.fork()
        if pid == 0:
            time.sleep(1000)
            os._exit(0)
        forked.append(pid)
        if len(forked) > 100:  # a slow machine has time for many
            end(forked.pop(0))
        time.sleep(0.002)
thread = threading.Thread(target=fork)
thread.start()
try:
    %s
finally:
    stop = True
    thread.join()
    for pid in forked: end(pid)
"""


def test_forked_children_hold_copies_of_our_descriptors():
    run(FORKING % "for _ in range(int(sys.argv[1])): check_run()", RUNS)


def test_a_forked_child_does_not_hold_a_long_input_open():
    run(
        """
import select
forked = []
def fork():
    time.sleep(0.2)
    forked.append(os.fork())
    if forked[0] == 0:
        time.sleep(1000)
thread = threading.Thread(target=fork)
thread.start()
result = pc.run(["sh", "-c", "sleep 0.5; wc -c"], input=bytes(8 << 20), timeout=300)
assert (result.reason, result.stdout) == ("exited", b"8388608\\n"), result
thread.join()
os.kill(forked[0], signal.SIGKILL)
os.waitpid(forked[0], 0)
"""
    )


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
def test_standard_descriptors_are_closed(closed):
    body = f"""
for fd in {closed}: os.close(fd)
before = descriptors()
check_run()
assert descriptors() == before
for fd in {closed}: assert os.open("/dev/null", os.O_RDWR) in {closed}
try:
    pc.run(["true"], stdout=None)
finally:
    os._exit(0)
"""
    run(body, finally_="")


@pytest.mark.parametrize(("fd", "name"), [(0, "stdin"), (1, "stdout"), (2, "stderr")])
def test_a_closed_standard_descriptor_is_handed_on(fd, name):
    run(
        f"""
kept = os.dup({fd})
os.close({fd})
try:
    pc.run(["true"], {name}={fd})
except pc.Error as error:
    failure = str(error)
else:
    failure = "none"
assert os.dup2(kept, {fd}) == {fd}
os.close(kept)
assert "EBADF" in failure, failure
"""
    )


def test_few_descriptors_are_allowed():
    """Any limit: a clear error, or success; and nothing left."""
    run(
        """
import resource
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
outcomes = set()
for extra in range(40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 1 + extra, limits[1]))
    try:
        check_run()
        outcomes.add("success")
    except pc.Error as error:
        assert "EMFILE" in str(error), error
        outcomes.add("error")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert descriptors() == BEFORE[3], extra
    assert children() == []
assert outcomes == {"success", "error"}
"""
    )


def test_interrupted_while_the_program_runs():
    run(
        """
def switches():
    with open(f"/proc/self/task/{os.getpid()}/status") as file:
        return "".join(line for line in file if line.startswith("State") or "ctxt_switches" in line)
def interrupt(said):
    # The program runs, and the run waits for it: it sleeps, and has not woken up for a while.
    os.read(said, 1)
    before = None
    while (now := switches()) != before:
        before = now if "S (sleeping)" in now else None
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here, as in a shell's background job
for _ in range(int(sys.argv[1])):
    said, say = os.pipe()
    thread = threading.Thread(target=interrupt, args=(said,))
    thread.start()
    try:
        pc.run(["sh", "-c", "echo running; exec sleep 1000"], stdout=say, **LIMITS)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
    thread.join()
    os.close(said)
    os.close(say)
    assert descriptors() == BEFORE[3]
    assert children() == []
signal.signal(signal.SIGINT, BEFORE[2][signal.SIGINT - 1])
""",
        RUNS // 4,
    )


@pytest.mark.parametrize("options", ["", "on_syscall={'mkdir': lambda call: call}"], ids=["output", "supervisor"])
@pytest.mark.parametrize("begins", [True, False])
def test_interrupted_while_a_thread_is_started(options, begins):
    """It uses the descriptors of the run, or never will: they are not closed under it, and none is lost."""
    run(
        f"""
failed = []
threading.excepthook = failed.append
start = threading.Thread.start
def interrupt(self):
    if {begins}:
        start(self)
    raise KeyboardInterrupt
for _ in range({RUNS}):
    threading.Thread.start = interrupt
    try:
        pc.run(["sh", "-c", "echo running; exec sleep 1000"], {options}{", " if options else ""}**LIMITS)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
    finally:
        threading.Thread.start = start
    assert descriptors() == BEFORE[3]
    assert children() == []
assert failed == []
"""
    )


INTERRUPTS = """
# A signal handler's exception between open(2) and what takes care of the descriptor loses that one, and one between
# mkdir(2) and the lock an empty group, which the next process removes. Nothing may be left running, ever.
def settle():
    assert children() == []
    lost = set(descriptors()) - set(BEFORE[3])
    for fd in lost: os.close(fd)
    return bool(lost)

def remove_groups():
    if LIMITS:
        code = "import json, os, pycgroups as pc; pc.run(['true'], **json.loads(os.environ['LIMITS']))"
        assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0

def attempt():
    try:
        check_run(timeout=300)
    except KeyboardInterrupt:
        return True
    return False
"""

AT_A_LINE = """
# As if it came at each line of the library, first to last.
import pycgroups
inside = os.path.dirname(pycgroups.__file__)
count = at = 0
def trace(frame, event, arg):
    global count
    if not frame.f_code.co_filename.startswith(inside):
        return None
    if event == "line":
        count += 1
        if count == at:
            raise KeyboardInterrupt
    return trace

def attempt_at(number):
    global count, at
    count, at = 0, number
    sys.settrace(trace)
    try:
        return attempt()
    finally:
        sys.settrace(None)

assert not attempt_at(0)
total, wanted, losses = count, int(sys.argv[1]), 0
numbers = range(1, total + 1, max(1, total // wanted))
for number in numbers:
    attempt_at(number)
    losses += settle()
assert losses < len(numbers) / 10, (losses, len(numbers))
remove_groups()
"""

AT_ANY_TIME = """
import random
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
begin = time.monotonic()
check_run()
interrupted, losses, usual = 0, 0, time.monotonic() - begin
for _ in range(int(sys.argv[1])):
    begin = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(usual / 100, usual))
        if attempt():
            interrupted += 1
        else:
            signal.setitimer(signal.ITIMER_REAL, 0)
            usual = time.monotonic() - begin  # of the last that went through: how busy the machine is changes
    except KeyboardInterrupt:
        pass
    losses += settle()
assert interrupted > int(sys.argv[1]) / 4, interrupted
assert losses <= interrupted / 4, (losses, interrupted)
signal.signal(signal.SIGALRM, signal.SIG_DFL)
remove_groups()
"""


@pytest.mark.parametrize(
    "wanted",
    [pytest.param(20 if features.IN_VM else 200, id="some"), pytest.param(10**6, marks=pytest.mark.long, id="all")],
)
def test_interrupted_at_a_line(wanted):
    run(INTERRUPTS + AT_A_LINE, wanted)


def test_interrupted_at_any_time():
    run(INTERRUPTS + AT_ANY_TIME, 20 if features.IN_VM else 200)


def test_a_thousand_in_a_row():
    run(
        """
libc.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: the kernel may put a huge page in the place of a few small ones
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
for _ in range(int(sys.argv[1]) // 10): check_run()
begin = memory()
for _ in range(int(sys.argv[1])): check_run()
assert memory() - begin < int(sys.argv[2]), (begin, memory())
assert descriptors() == BEFORE[3]
""",
        IN_A_ROW,
        64 << 20 if WORLD == "asan" else 1 << 20,  # AddressSanitizer keeps what was freed for a while
    )
