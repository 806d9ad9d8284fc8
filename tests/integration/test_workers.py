"""One child in a user namespace that calls many functions: `pycgroups.namespaces.Worker`."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import pycgroups as pc
from pycgroups.namespaces import Worker
from tests.integration import functions
from tests.processes import descendants, is_alive
from tests.waiting import in_time, wait_for

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("interpreters in user namespaces; cgroup v2 changes nothing about files"),
]


class Stop(BaseException):
    pass


@contextmanager
def working():
    made = Worker(pc.IdMap.single())
    try:
        yield made
    finally:
        made.close()


def children():
    return descendants(os.getpid())


def test_one_child_does_all():
    before = children()
    with working() as worker:
        here = functions.links()
        (child,) = set(children()) - set(before)
        places = [worker.call(functions.place) for _ in range(3)]
        assert {(parent, session) for _, parent, session in places} == {(child, child)}  # ^C does not reach it
        assert len({pid for pid, _, _ in places}) == len(places)
        there = worker.call(functions.links)
        assert {kind for kind in here if here[kind] != there[kind]} == {"user"}
        assert worker.call(functions.identity)[:2] == ((0, 0, 0), (0, 0, 0))
        assert worker.call(functions.echo, "a", {"b": [1]}) == ("a", {"b": [1]})
        assert len(worker.call(functions.echo, bytes(10**6))[0]) == 10**6
        assert children() == [*before, child]
    assert children() == before
    assert not is_alive(child)


def test_errors_come_over():
    with working() as worker:
        told = pc.LaunchError("words", step="a step", path="/there", errno=errno.EXDEV, hint="do")
        with pytest.raises(pc.LaunchError) as ours:
            worker.call(functions.fail, told)
        assert vars(ours.value) == vars(told)
        with pytest.raises(PermissionError) as refused:
            worker.call(functions.fail, PermissionError(errno.EACCES, "no", "/file"))
        assert (refused.value.errno, refused.value.filename) == (errno.EACCES, "/file")
        assert "functions.py" in refused.value.__notes__[0]
        with pytest.raises(pc.Error, match="raised Odd: odd, and that cannot be pickled"):
            worker.call(functions.fail_oddly)
        with pytest.raises(pc.Error, match="give_a_lock: its value, a lock, cannot be pickled"):
            worker.call(functions.give_a_lock)
        with pytest.raises(pc.InvalidConfig, match=r"option args\[0\]: "):
            worker.call(functions.echo, threading.Lock())
        assert worker.call(functions.echo, 1) == (1,)


def test_a_function_that_ends_its_process():
    with working() as worker:
        for end, how in ((functions.end, signal.SIGKILL), (functions.leave, 0)):
            with pytest.raises(pc.Error, match=f"work in a user namespace {end.__name__}: .* without an answer"):
                worker.call(end, how)
        assert worker.is_there
        assert worker.call(functions.echo, 1) == (1,)


def test_a_worker_that_is_killed(scratch):
    before = children()
    with working() as worker:
        (child,) = set(children()) - set(before)
        caught = []

        def wait():
            with pytest.raises(pc.Error, match="without an answer") as error:
                worker.call(functions.wait_for_ever, scratch / "there")
            caught.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_for((scratch / "there").exists)
        below = descendants(child)
        assert len(below) == 1
        os.kill(child, signal.SIGKILL)
        thread.join()
        assert caught
        assert not worker.is_there
        wait_for(lambda: not is_alive(below[0]))
        with pytest.raises(pc.Error, match="without an answer"):
            worker.call(functions.echo, 1)


def test_threads_call_at_once(scratch):
    """Two of them are at work at the same time, and each gets its own answer."""
    results = {}
    with working() as worker:

        def call(number):
            meet = worker.call(functions.meet, scratch, str(number), str(number ^ 1))
            results[number] = meet, [worker.call(functions.echo, number, again) for again in range(5)]

        threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: (str(number), [(number, again) for again in range(5)]) for number in range(6)}


def test_it_outlives_the_thread_that_started_it():
    made = []
    thread = threading.Thread(target=lambda: made.append(Worker(pc.IdMap.single())))
    thread.start()
    thread.join()
    time.sleep(0.05)
    try:
        assert made[0].call(functions.echo, 1) == (1,)
    finally:
        made[0].close()


def test_an_interrupt_ends_one_call_alone(scratch):
    """What was called has ended when the exception goes on; what another thread has called goes on."""

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    results = []
    try:
        with working() as worker:
            other = threading.Thread(target=lambda: results.append(worker.call(functions.meet, scratch, "a", "b")))
            other.start()
            wait_for((scratch / "a").exists)
            threading.Thread(target=interrupt_when, args=(scratch / "there",)).start()
            was = set(descendants(os.getpid()))
            with pytest.raises(Stop):
                worker.call(functions.wait_for_ever, scratch / "there")
            assert set(filter(is_alive, descendants(os.getpid()))) <= was
            (scratch / "b").touch()
            other.join()
            assert results == ["a"]
            assert worker.call(functions.echo, 1) == (1,)
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt_when(path):
    wait_for(path.exists)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)


def test_interrupts_at_any_time():
    """Each leaves the worker whole; a descriptor for each would be seen."""

    def stop(*_):
        raise Stop

    rng = random.Random(6)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        with working() as worker:
            worker.call(functions.echo, 0)
            opened, stopped = len(os.listdir("/proc/self/fd")), 0
            for _ in range(40):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.02))
                    worker.call(functions.echo, 1)
                except Stop:
                    stopped += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            assert worker.call(functions.echo, 1) == (1,)
            assert stopped
            assert len(os.listdir("/proc/self/fd")) < opened + stopped / 2
    finally:
        signal.signal(signal.SIGALRM, before)


def test_nothing_grows():
    with working() as worker:
        first = worker.call(functions.descriptors), len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            worker.call(functions.echo, bytes(10**5))
            with pytest.raises(ValueError, match="three"):
                worker.call(functions.fail, ValueError("three"))
        assert (worker.call(functions.descriptors), len(os.listdir("/proc/self/fd"))) == first


def test_a_forked_process_leaves_it_alone():
    with working() as worker:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = int(worker.is_there)
                worker.close()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert worker.call(functions.echo, 1) == (1,)


def test_a_namespace_that_cannot_be_made():
    """Nothing is left of what was started meanwhile."""
    before = children()
    with pytest.raises(pc.InvalidConfig):
        Worker(pc.IdMap.host())
    assert children() == before


HOOKED = """
import os, sys
import pycgroups as pc
from pycgroups.namespaces import Worker
home = os.path.dirname(os.path.dirname(pc.__file__))
sys.path[:] = [path for path in sys.path if path and path != home]
worker = Worker(pc.IdMap.single())
print(worker.call(os.getppid) > 1)
worker.close()
"""


def test_a_package_that_is_on_no_path(script):
    """It was found by a hook, as some tools install a package to be edited."""
    assert script(HOOKED) == "True\n"


KILLED = """
import sys
import pycgroups as pc
from pycgroups.namespaces import Worker
from tests.integration import functions
worker = Worker(pc.IdMap.single())
print("ready", flush=True)
worker.call(functions.wait_for_ever, sys.argv[1])
"""


def test_it_dies_with_its_caller(scratch):
    command = [sys.executable, "-c", KILLED, scratch / "there"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as caller:
        wait_for((scratch / "there").exists)
        below = descendants(caller.pid)
        caller.kill()
    assert len(below) == 2
    wait_for(lambda: not any(map(is_alive, below)))


def test_its_caller_is_killed_while_it_starts(scratch):
    """At some moments of the start, which takes longer on a busy machine."""
    command = [sys.executable, "-c", KILLED, scratch / "never/there"]
    rng = random.Random(6)

    def attempt(seconds):
        found = set()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as caller:
            end = time.monotonic() + rng.uniform(0, seconds)
            while time.monotonic() < end and caller.poll() is None:
                found |= set(descendants(caller.pid))
            found |= set(descendants(caller.pid))
            caller.kill()
        wait_for(lambda: not any(map(is_alive, found)))
        return found

    assert any(in_time(attempt, len) for _ in range(8))
