"""Events of groups, without polling: on v2, hybrid and v1."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import pickle
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.cgroups import Cgroup
from pycgroups.cgroups.v1 import events as v1_events
from tests import leaks
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("limits")

EAT = [sys.executable, "-S", "-c", "b = bytearray(200 << 20)"]
FORK = "i=0; while [ $i -lt 12 ]; do sleep 1000 >/dev/null & i=$((i + 1)); done 2>/dev/null; true"


def run(group, *command):
    return subprocess.run(pc.in_cgroup(group, [*command]), check=False, timeout=PATIENCE, capture_output=True)


def kinds(events):
    return [event.kind for event in events]


def unified(group):
    return group.clone_fd is not None


@pytest.fixture
def states():
    """A group and a watch of its states, where there is a v2 directory."""
    with Cgroup.create(pids=20) as group:
        if not unified(group):
            pytest.skip("cgroup v1 tells of no states")
        with group.watch("populated", "empty", "frozen", "thawed") as watch:
            yield group, watch


def test_a_watch_is_neither_pickled_nor_copied():
    with Cgroup.create(memory="50M") as group, group.watch("oom_kill") as watch:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="descriptors"):
                attempt(watch)


def test_oom_kills_are_told():
    with Cgroup.create(memory="50M") as group, group.watch("oom_kill", "oom") as watch:
        assert watch.kinds == {"oom_kill", "oom"}
        assert watch.read(0) == ()
        before = time.time()
        for _ in range(2):
            run(group, *EAT)
            told: dict[str, pc.Event] = {}
            while "oom_kill" not in told:
                events = watch.read(PATIENCE)
                assert events
                told |= {event.kind: event for event in events}
            assert told["oom_kill"].count == 1
            assert before <= told["oom_kill"].time <= time.time()
        assert group.sample().oom == 2
        assert "oom_kill" not in kinds(watch.read(1.2))


def test_oom_kills_before_the_look_are_counted():
    with Cgroup.create(memory="50M") as group, group.watch("oom_kill") as watch:
        for _ in range(3):
            run(group, *EAT)
        seen = 0
        while seen < 3:
            (event,) = watch.read(PATIENCE)
            seen += event.count
        assert seen == 3


def test_memory_without_oom_is_no_event(tmp_path):
    (tmp_path / "big").write_bytes(bytes(60 << 20))
    with Cgroup.create(memory="32M") as group, group.watch("oom", "oom_kill") as watch:
        assert run(group, "cat", tmp_path / "big").returncode == 0
        assert watch.read(0.3) == ()


@pytest.mark.requires("cgroup_v2")
def test_memory_high_is_told():
    with Cgroup.create(memory="100M") as group, group.watch("high") as watch:
        Path(group.paths[0], "memory.high").write_text(str(20 << 20))
        run(group, sys.executable, "-S", "-c", "b = bytearray(30 << 20)")
        (event,) = watch.read(PATIENCE)
        assert (event.kind, event.count > 0) == ("high", True)


@pytest.mark.requires("cgroup_v2")
def test_refused_forks_are_told():
    with Cgroup.create(pids=6) as group, group.watch("pids") as watch:
        run(group, "sh", "-c", FORK)
        event = next(watch)
        assert (event.kind, event.count >= 1) == ("pids", True)
        group.kill()


@pytest.mark.requires("cgroup_v1")
def test_refused_forks_on_v1_are_told_or_said_not_to_be():
    with Cgroup.create(pids=6) as group:
        if v1_events.pids_are_silent():
            with pytest.raises(pc.Unsupported, match=r"tells nobody since 6\.11"):
                group.watch("pids")
            return
        with group.watch("pids") as watch:
            run(group, "sh", "-c", FORK)
            assert kinds(watch.read(PATIENCE)) == ["pids"]


def test_states_are_told(states):
    group, watch = states
    with subprocess.Popen(pc.in_cgroup(group, ["/bin/sleep", "1000"])) as child:
        assert kinds(watch.read(PATIENCE)) == ["populated"]
        group.freeze()
        assert kinds(watch.read(PATIENCE)) == ["frozen"]
        group.thaw()
        assert kinds(watch.read(PATIENCE)) == ["thawed"]
        child.kill()
        (event,) = watch.read(PATIENCE)
        assert (event.kind, event.count) == ("empty", 1)
        assert watch.read(0) == ()


def test_subgroups_are_included(states):
    group, watch = states
    inner = Path(group.paths[0], "inner")
    inner.mkdir()
    with subprocess.Popen(["/bin/sleep", "1000"]) as child:
        (inner / "cgroup.procs").write_text(str(child.pid))
        assert kinds(watch.read(PATIENCE)) == ["populated"]
        child.kill()
    assert kinds(watch.read(PATIENCE)) == ["empty"]


def test_removal_ends_the_iteration(states):
    group, watch = states
    with subprocess.Popen(pc.in_cgroup(group, ["/bin/sleep", "1000"])) as child:
        assert next(watch).kind == "populated"
        threading.Timer(0.2, group.remove).start()
        assert kinds(watch)[-1:] == ["empty"]
        assert watch.gone
        assert child.wait(PATIENCE) == -9
    with pytest.raises(ValueError, match="closed"):
        watch.fileno()
    assert watch.read() == ()


@pytest.mark.parametrize("kind", ["oom", "oom_kill"])
def test_removal_is_no_event(kind):
    with Cgroup.create(memory="50M") as group:
        watch = group.watch(kind)
        threading.Timer(0.2, group.remove).start()
        assert list(watch) == []


@pytest.mark.requires("root", "cgroup_v1")
def test_removal_of_a_v1_directory_that_nothing_tells_of():
    path = f"/sys/fs/cgroup/memory/{leaks.OWN}"
    os.mkdir(path)
    with Cgroup.open(path) as group, group.watch() as watch:
        assert watch.kinds == {"oom", "oom_kill"}
        threading.Timer(0.2, os.rmdir, [path]).start()
        assert list(watch) == []
        with pytest.raises(pc.CgroupError, match="ENOENT"):
            group.watch("oom")


def test_everything_that_can_be_told():
    with Cgroup.create(memory="50M", pids=9) as group, group.watch() as watch:
        told = watch.kinds
        assert {"oom", "oom_kill"} <= told
        assert ("populated" in told) == unified(group)
        group.remove()
        assert kinds(watch) == []


def test_by_select_poll_and_epoll(states):
    group, watch = states
    poll, epoll = select.poll(), select.epoll()
    for each in (poll, epoll):
        each.register(watch, select.POLLIN)
    group.freeze()
    # A wake-up may be of a removal next door.
    while not (
        select.select([watch], [], [], PATIENCE)[0] and poll.poll(0) and epoll.poll(0) and (events := watch.read(0))
    ):
        pass
    assert kinds(events) == ["frozen"]
    epoll.close()


def test_by_a_callback(states):
    group, watch = states
    events: list[pc.Event] = []
    thread = watch.in_thread(events.append)
    group.freeze()
    wait_for(lambda: events)
    assert kinds(events) == ["frozen"]
    watch.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_in_asyncio(states):
    group, watch = states

    told: asyncio.Queue[str] = asyncio.Queue()

    async def look():
        async for event in watch:
            told.put_nowait(event.kind)

    async def hear():
        return await asyncio.wait_for(told.get(), PATIENCE)

    async def main():
        task = asyncio.create_task(look())
        await asyncio.sleep(0.05)
        group.freeze()
        assert await hear() == "frozen"
        group.thaw()
        assert await hear() == "thawed"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(look())
        await asyncio.sleep(0.05)
        group.freeze()
        assert await hear() == "frozen"
        group.remove()
        await asyncio.wait_for(task, PATIENCE)
        assert told.empty()

    asyncio.run(main())


def test_closing_ends_an_asynchronous_iteration(states):
    _, watch = states

    async def main():
        async def ends():
            return [event async for event in watch]

        task = asyncio.create_task(ends())
        await asyncio.sleep(0.05)
        await asyncio.to_thread(watch.close)
        assert await asyncio.wait_for(task, PATIENCE) == []

    asyncio.run(main())


def test_two_tasks_do_not_share_a_watch(states):
    _, watch = states

    async def main():
        first = asyncio.create_task(anext(watch))
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(watch)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [None, 10**9])
def test_closing_ends_a_read(states, timeout):
    _, watch = states
    threading.Timer(0.2, watch.close).start()
    assert watch.read(timeout) == ()
    assert list(watch) == []
    watch.close()


def test_two_watches_and_two_readers(states):
    group, watch = states
    with group.watch("frozen") as other:
        seen = []
        threads = [threading.Thread(target=lambda: seen.extend(watch.read(PATIENCE))) for _ in range(2)]
        for thread in threads:
            thread.start()
        group.freeze()
        assert kinds(other.read(PATIENCE)) == ["frozen"]
        wait_for(lambda: seen)
        watch.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert kinds(seen) == ["frozen"]


def test_nothing_is_left():
    before = os.listdir("/proc/self/fd")
    with Cgroup.create(memory="50M", pids=9) as group:
        held = os.listdir("/proc/self/fd")
        group.watch()
        assert os.listdir("/proc/self/fd") == held
        for bad in (("oom", "sleepy"), ("sleepy",), (["oom"],), (None,), (3,)):
            with pytest.raises(pc.InvalidConfig, match="kinds"):
                group.watch(*bad)
        with pytest.raises(pc.Error):
            group.watch("oom", "high", pressure="low" if unified(group) and len(group.paths) == 1 else None)
        assert os.listdir("/proc/self/fd") == held
    assert os.listdir("/proc/self/fd") == before


def test_a_group_without_the_controller():
    with Cgroup.create(pids=9) as group:
        if not any(Path(path, "memory.events").exists() for path in group.paths):
            with pytest.raises(pc.Unsupported, match="made without memory") as caught:
                group.watch("oom")
            assert caught.value.hint


@pytest.mark.requires("cgroup_v1")
def test_levels_of_memory_pressure_on_v1():
    with Cgroup.create(memory="50M") as group, group.watch(pressure="low") as watch:
        assert watch.kinds == {"memory.pressure_level"}
        run(group, *EAT)
        assert kinds(watch.read(PATIENCE)) == ["memory.pressure_level"]


@pytest.mark.requires("cgroup_v2")
def test_levels_are_not_v2s():
    with Cgroup.create(memory="50M") as group, pytest.raises(pc.Unsupported, match="cgroup v1's"):
        group.watch(pressure="low")


@contextlib.contextmanager
def crowd(group):
    """Processes that wait for CPUs; killed at the end."""
    script = "for i in 1 2 3 4 5 6; do (while :; do :; done) & done; wait"
    with subprocess.Popen(pc.in_cgroup(group, ["sh", "-c", script])):
        try:
            yield
        finally:
            group.kill()


@pytest.mark.requires("psi")
def test_pressure():
    trigger = pc.PressureTrigger(resource="cpu", stall=0.1, window=2)
    with Cgroup.create(pids=20) as group, group.watch("empty", pressure=trigger) as watch:
        assert watch.kinds == {"empty", "cpu.pressure"}
        assert watch.read(0.1) == ()
        with crowd(group):
            # An epoll around another asks first: the event must not be lost by that.
            while not (events := watch.read(0)):
                assert select.select([watch], [], [], PATIENCE)[0] == [watch]
            assert kinds(events) == ["cpu.pressure"]
        while "empty" not in (told := kinds(watch.read(PATIENCE))):  # there may be more pressure before
            assert told == ["cpu.pressure"]


@pytest.mark.requires("psi")
def test_pressure_in_asyncio_and_removal():
    trigger = pc.PressureTrigger(resource="cpu", stall=0.1, window=2)

    async def main(group, watch):
        async for event in watch:
            assert event.kind == "cpu.pressure"
            await asyncio.to_thread(group.remove)
        assert watch.gone

    with (
        Cgroup.create(pids=20) as group,
        group.watch(pressure=[trigger]) as watch,
        crowd(group),
    ):
        asyncio.run(asyncio.wait_for(main(group, watch), PATIENCE))


@pytest.mark.parametrize("pressure", ["high", "", 1, object(), ["low", 3], {}])
def test_bad_pressure(pressure):
    with Cgroup.create(pids=20) as group, pytest.raises(pc.InvalidConfig, match="pressure"):
        group.watch(pressure=pressure)
