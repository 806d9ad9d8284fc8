"""Containers where the system is short, slow, old or busy, and where many do the same at once.

What each system call does that fails is in `test_faults`; what becomes of a process that is killed in
`test_creator_dies`; threads in `test_threads`.
"""

from __future__ import annotations

import os

import pytest

from pycgroups import runtime
from tests import tracing
from tests.subjects import nursery
from tests.waiting import PATIENCE
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns", "busybox", "gcc"),
    pytest.mark.slow_in_vm("hundreds of starts, and nothing of cgroups"),
]
for_root = pytest.mark.requires("root")


def rounds(everyday, every):
    """How often: some each day, all in a long run."""
    if features.IN_VM:
        everyday, every = max(everyday // 5, 2), every // 20
    return pytest.mark.parametrize("count", [everyday, pytest.param(every, marks=pytest.mark.long)])


# -- old kernels

CALLS = "clone3 openat2 open_tree mount_setattr fsopen fsconfig fsmount move_mount pidfd_open"
CALLS += " memfd_create execveat close_range statx faccessat2 waitid seccomp keyctl prctl"
ESCAPE = "cat /host/secret /up/secret /proc/1/root/secret 2>/dev/null; ls /host /up 2>/dev/null; true"


@pytest.fixture(scope="module")
def nest():
    with nursery() as made:
        yield made


@for_root
@pytest.mark.requires("strace")
@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize("call", CALLS.split())
def test_a_call_that_the_kernel_does_not_have(nest, own_root, scratch, call, error):
    """It and its helper do without, or say so; nothing is resolved in a weaker way instead."""
    (scratch / "secret").write_text("canary")
    (own_root / "host").symlink_to(scratch)
    (own_root / "up").symlink_to(f"../../../../../..{scratch}")
    subject = nest.subject()
    options = ("-f", f"--trace={call}", f"--inject={call}:error={error}:when=1+")
    with tracing.attached(subject.pid, own_root / "log", *options):
        subject.run(
            ["sh", "-c", ESCAPE],
            rootfs=str(own_root),
            cwd="/host/new",
            mounts=[],
            masked_paths=["/up/secret"],
        )
        outcome = subject.outcome()
    assert outcome, call
    assert outcome["fds"] == outcome["children"] == [], outcome
    if "error" in outcome:
        assert outcome["own"], outcome
    assert "canary" not in repr(outcome)
    assert os.listdir(scratch) == ["secret"]
    assert nest.wait_until_empty(PATIENCE) == []


FAULTS = [
    pytest.param(f"{call}:error={error}", marks=() if call in {"clone3", "openat2"} else pytest.mark.long)
    for call in CALLS.split()
    for error in ("ENOSYS", "EPERM")
]


@for_root
@pytest.mark.requires("strace")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_runtime_without_a_call(bundle, oci, own_root, scratch, fault):
    """RES-05: each of its verbs, by links of the root as well; it works, or one line says why not."""
    (scratch / "canary").mkdir()
    (scratch / "canary/secret").write_text("canary")
    for link in ("host", "bin/ps"):
        (own_root / link).symlink_to(scratch / "canary")
    bundle.config["root"]["path"] = str(own_root)
    old = ("strace", "-f", "-qq", "-o", "/dev/null", f"--inject={fault}:when=1+")
    said = []

    def attempt(*words, before=old):
        answer = oci.call(*words, before=before, code=None)
        said.append(answer.out)
        assert answer.code == 0 or "level=error" in answer.err, answer
        return answer.code == 0

    bundle.config["process"]["cwd"] = "/host/new"
    bundle.shell(ESCAPE)
    attempt("run", "--bundle", bundle.write(), "escape")
    bundle.config["process"]["cwd"] = "/"
    oci.running()  # on the kernel as it is
    attempt("exec", "web", "sh", "-c", ESCAPE)
    attempt("exec", "--cwd", "/host/new", "web", "sh", "-c", ESCAPE)
    for verb in (("state",), ("ps",), ("pause",), ("resume",), ("kill",), ("delete", "--force")):
        attempt(verb[0], *verb[1:], "web")
    for name in oci.names():
        oci.call("delete", "--force", name)
    assert "canary" not in "".join(said).replace(str(scratch), "")
    assert os.listdir(scratch / "canary") == ["secret"]


@pytest.mark.requires("rootless")
def test_no_more_processes_are_allowed(script, root):
    """EAGAIN of clone3, from RLIMIT_NPROC."""
    code = """
import resource, sys, pycgroups as pc
pc.run(["true"], rootfs=sys.argv[1])
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    print(pc.run(["true"], rootfs=sys.argv[1]))
except pc.Error as error:
    print("EAGAIN" in str(error), error.hint is not None)
"""
    assert script(code, root) == "True True\n"


# -- signals

STORM = """
import os, signal, sys, threading
import pycgroups as pc
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
root, bundle, state, count = *sys.argv[1:4], int(sys.argv[4])
ticks = 0
def tick(*_):
    global ticks
    ticks += 1
def reap(*_):
    tick()
for number in (signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1):
    signal.signal(number, tick)
    signal.siginterrupt(number, True)
null = os.open("/dev/null", os.O_RDWR)
process = part_of(Process, {"args": ["sh", "-c", "exit 5"], "cwd": "/", "env": ["PATH=/bin"]}, "process")
stop = False
def storm():
    while not stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
thread = threading.Thread(target=storm)
thread.start()
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
try:
    container = runtime.create(bundle, "web", root=state, stdio=(null, null, null))
    container.start()
    for i in range(count):
        r = pc.run(["sh", "-c", "read line; echo $line; exit 3"], rootfs=root, input=b"word\\n")
        assert (r.returncode, r.stdout) == (3, b"word\\n"), r
        assert container.exec(process, stdio=(null, null, null)).wait() == 5
    container.delete(force=True)
finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    stop = True
    thread.join()
print(ticks > count)
"""


@rounds(30, 500)
def test_a_storm_of_signals(script, bundle, root, count):
    """A timer each millisecond, SIGCHLD and SIGUSR1 all the time, none of which restarts a call: PEP 475 ends at C."""
    bundle.run("sleep", "1000")
    assert script(STORM, root, bundle.write(), bundle.state, count) == "True\n"


def test_waiting_can_be_interrupted(script, bundle):
    """And goes on afterwards: nothing has been killed or forgotten."""
    code = """
import os, signal, sys
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
class Enough(Exception): pass
def ring(*_): raise Enough
signal.signal(signal.SIGALRM, ring)
null = os.open("/dev/null", os.O_RDWR)
container = runtime.create(sys.argv[1], "web", root=sys.argv[2], stdio=(null, null, null))
container.start()
process = part_of(Process, {"args": ["sleep", "1000"], "cwd": "/", "env": ["PATH=/bin"]}, "process")
executed = container.exec(process, stdio=(null, null, null))
for each in (executed, container):
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try: each.wait()
    except Enough: print("interrupted")
print(container.state().status)
executed.signal(9)
print(executed.wait())
container.kill(9)
print(container.wait())
container.delete()
"""
    bundle.run("sleep", "1000")
    said = script(code, bundle.write(), bundle.state)
    assert said.split() == ["interrupted", "interrupted", "running", "-9", "-9"]


# -- descriptors

MANY = """
import os, resource, sys, threading
import pycgroups as pc
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
wanted = min(10_000, hard - 200)
held = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(wanted)]
for fd in held[::2]:
    os.set_inheritable(fd, True)
stop = False
def open_all_the_time():
    while not stop:
        fds = [os.open("/", os.O_RDONLY) for _ in range(20)]
        for fd in fds: os.set_inheritable(fd, True)
        for fd in fds: os.close(fd)
threads = [threading.Thread(target=open_all_the_time) for _ in range(2)]
for thread in threads: thread.start()
try:
    for _ in range(int(sys.argv[2])):
        for init in (True, False):
            r = pc.run(["probe", "fds"], rootfs=sys.argv[1], text=True, init=init)
            assert [line.split()[0] for line in r.stdout.splitlines()] == ["0", "1", "2"], r
finally:
    stop = True
    for thread in threads: thread.join()
print("held", wanted)
"""


@rounds(10, 100)
def test_a_process_with_ten_thousand_descriptors(script, root, count):
    """And threads that open more, without close-on-exec, at any moment: none is inside."""
    assert script(MANY, root, count).startswith("held ")


# -- many at once

AT_ONCE = """
import multiprocessing, os, sys
from pycgroups import runtime
from pycgroups.errors import AlreadyExists, Error, NotFound
bundle, state, count, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
null = os.open("/dev/null", os.O_RDWR)
context = multiprocessing.get_context("fork")
def create():
    return runtime.create(bundle, "web", root=state, stdio=(null, null, null))
def one_wins(number, barrier, winners):
    for _ in range(count):
        barrier.wait()
        try: container = create()
        except AlreadyExists: container = None
        barrier.wait()
        if container is not None:
            with winners.get_lock(): winners.value += 1
            assert container.state().status == "created"
            container.delete(force=True)
        barrier.wait()
def any_order(number, barrier, winners):
    for turn in range(count):
        try:
            if (number + turn) % 3:
                with create() as container:
                    container.start()
                    container.state()
                    container.delete(force=True)
            else:
                for each in runtime.containers(root=state):
                    each.state()
                    each.delete(force=True)
        except Error:
            continue
processes = 8 if what == "one_wins" else 4
barrier, winners = context.Barrier(processes), context.Value("i", 0)
workers = [context.Process(target=globals()[what], args=(number, barrier, winners)) for number in range(processes)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert all(worker.exitcode == 0 for worker in workers), [worker.exitcode for worker in workers]
if what == "one_wins":
    assert winners.value == count, (winners.value, count)
for each in runtime.containers(root=state):
    each.delete(force=True)
print(runtime.containers(root=state))
"""


@rounds(10, 500)
def test_one_name_for_eight_processes(script, bundle, count):
    bundle.run("sleep", "1000")
    assert script(AT_ONCE, bundle.write(), bundle.state, count, "one_wins", timeout=3600) == "()\n"


@rounds(15, 500)
def test_one_name_is_made_and_removed_by_four_processes(script, bundle, count):
    """Errors are the library's own, and the state is the kernel's truth at the end."""
    bundle.run("sleep", "1000")
    assert script(AT_ONCE, bundle.write(), bundle.state, count, "any_order", timeout=3600) == "()\n"
    assert runtime.containers(root=bundle.state) == ()


@rounds(50, 10_000)
def test_what_ends_at_once(script, bundle, root, count):
    """runc#5208: no end is missed, not of a program, nor of one that is not there, nor of what is executed."""
    code = """
import os, sys
import pycgroups as pc
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
root, bundle, state, count = *sys.argv[1:4], int(sys.argv[4])
null = os.open("/dev/null", os.O_RDWR)
container = runtime.create(bundle, "web", root=state, stdio=(null, null, null))
container.start()
def process(name):
    return part_of(Process, {"args": [name], "cwd": "/", "env": ["PATH=/bin"]}, "process")
there, missing = process("true"), process("nonesuch")
for i in range(count):
    assert pc.run(["true"], rootfs=root, init=bool(i % 2)).returncode == 0
    assert container.exec(there, stdio=(null, null, null)).wait() == 0
    for attempt in (lambda: pc.run(["nonesuch"], rootfs=root, init=bool(i % 2)), lambda: container.exec(missing)):
        try: attempt()
        except pc.CommandNotFound: continue
        raise AssertionError
container.delete(force=True)
print(len(os.listdir("/proc/self/fd")))
"""
    bundle.run("sleep", "1000")
    assert int(script(code, root, bundle.write(), bundle.state, count, timeout=3600)) < 20


KILLED = """
import os, random, sys, threading, time
from pathlib import Path
import pycgroups as pc
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
root, bundle, state, count = *sys.argv[1:4], int(sys.argv[4])
null = os.open("/dev/null", os.O_RDWR)
streams = (null, null, null)
process = part_of(Process, {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"]}, "process")
def children():
    return [int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
def attempt():
    pc.run(["true"], rootfs=root)
    container = runtime.create(bundle, "web", root=state, stdio=streams)
    try:
        container.start()
        container.exec(process, stdio=streams).wait()
    finally:
        container.delete(force=True)
def kill():
    while not stop:
        time.sleep(random.uniform(0, 0.05))
        try:
            for pid in children(): os.kill(pid, 9)
        except OSError:
            pass
stop = False
attempt()
before = len(os.listdir("/proc/self/fd"))
killer = threading.Thread(target=kill)
killer.start()
outcomes = set()
for _ in range(count):
    try:
        attempt()
        outcomes.add("success")
    except pc.Error:
        outcomes.add("error")
stop = True
killer.join()
for each in runtime.containers(root=state):
    each.delete(force=True)
attempt()
print(len(os.listdir("/proc/self/fd")) - before, children(), runtime.containers(root=state), outcomes)
"""


@rounds(60, 2000)
def test_the_first_process_is_killed_at_any_time(script, bundle, root, count):
    """runc#1697: no command waits for it for ever, and nothing is left."""
    bundle.run("sleep", "1000")
    said = script(KILLED, root, bundle.write(), bundle.state, count, timeout=3600)
    assert said.startswith("0 [] () ")
