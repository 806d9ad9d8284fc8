"""What can be seen of containers that are held: what they use, their processes, what happens to them."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import pytest

import pycgroups as pc
from pycgroups.containers.stats import ContainerStats
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")

MIB = 1 << 20
BUSY = ["sh", "-c", "while :; do :; done"]

needs_limits = pytest.mark.requires("limits")


# -- stats ------------------------------------------------------------------------------------------------------------


@needs_limits
def test_what_its_processes_use(run):
    held = run("sh", "-c", "sleep 1000 & while :; do :; done", memory="64M", pids=20)
    wait_for(lambda: held.stats().cpu.total > 0.1)
    before, found = time.time(), held.stats()
    assert before <= found.time <= time.time()
    assert 0 < found.uptime <= time.time() - held.created + 0.1
    assert found.cpu_percent == pytest.approx(100 * found.cpu.total / found.uptime, rel=0.5)
    assert 0 < found.memory.current <= found.memory.peak <= found.memory.limit == 64 * MIB
    assert 0 < found.memory_percent < 100
    assert found.pids.current >= 3  # the init, sh and sleep
    assert found.pids.limit == 20
    assert all(each.limit is None for each in found.hugetlb or ())
    assert attrs.asdict(found)["memory"]["limit"] == 64 * MIB
    assert pickle.loads(pickle.dumps(found)) == found


@needs_limits
def test_what_others_use_in_it_is_its_own(run):
    held = run()
    before = held.stats().cpu.total
    held.exec(["sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"])
    assert held.stats().cpu.total > before


def test_the_interfaces_of_its_network_alone(run):
    (loopback,) = run().stats().network
    assert loopback.name == "lo"
    assert loopback.received_bytes == loopback.sent_bytes == 0
    assert run().stats().network_bytes == (0, 0)
    assert run(network="host").stats().network is None


def test_what_goes_through_its_network(run):
    held = run("sh", "-c", "while :; do nc -w 1 127.0.0.1 9 </dev/null; sleep 0.01; done")
    wait_for(lambda: held.stats().network[0].received_bytes > 0)
    assert held.stats().network_bytes == (0, 0)  # nothing has left it


@needs_limits
def test_samples_until_its_end(run):
    held = run(*BUSY)
    samples = held.stats(stream=True, interval=0.05)
    first, second = next(samples), next(samples)
    assert second.time > first.time
    assert second.cpu.total >= first.cpu.total
    percent = 100 * (second.cpu.total - first.cpu.total) / (second.uptime - first.uptime)
    assert second.cpu_percent == pytest.approx(percent)
    held.kill()
    assert len([*samples]) <= 1
    assert next(samples, None) is None


def test_the_end_is_not_waited_for(run):
    held = run("sleep", "0.2")
    begin = time.monotonic()
    assert len([*held.stats(stream=True, interval=2 * PATIENCE)]) == 1
    assert time.monotonic() - begin < PATIENCE


@needs_limits
def test_a_paused_one_uses_nothing(run):
    held = run(*BUSY)
    held.pause()
    first, second = held.stats(), held.stats()
    assert first.cpu.total == second.cpu.total > 0
    with held.history(interval=0.01) as history:
        wait_for(lambda: len(history.samples) >= 3)
    assert history.peaks.cpu_percent == 0
    assert [process.inner_pid for process in held.top()] == [1, 2]
    held.resume()
    wait_for(lambda: held.stats().cpu.total > second.cpu.total)


def test_what_does_not_run_cannot_be_looked_at(make):
    held = make("sleep", "1000")
    looks = (
        held.stats,
        lambda: held.stats(stream=True),
        lambda: held.history().__enter__(),
        held.pressure,
        held.top,
        held.ports,
    )
    for prepare in (lambda: None, held.start, held.stop):
        prepare()
        if held.status == "running":
            continue
        for look in looks:
            with pytest.raises(pc.StateError, match="does not run"):
                look()
    held.remove()
    for look in looks:
        with pytest.raises(pc.NotFound):
            look()


def test_a_wrong_interval(run):
    held = run()
    for interval in (0, -1, "1", None, float("inf")):
        with pytest.raises(pc.InvalidConfig, match="interval"):
            held.stats(stream=True, interval=interval)
        with pytest.raises(pc.InvalidConfig, match="interval"):
            held.history(interval=interval)


def test_nothing_stays_open(run):
    held = run()
    before = os.listdir("/proc/self/fd")
    held.stats(), held.top()
    held.stats(stream=True)  # and nobody asks
    next(held.stats(stream=True))
    with held.history(interval=0.01):
        pass
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.requires("no_limits")
def test_without_a_cgroup_there_is_what_everybody_has(run):
    held = run("sh", "-c", "sleep 1000 & (sleep 1000 &) ; wait")
    found = held.stats()
    assert found.uptime > 0
    assert found.network[0].name == "lo"
    assert (found.cpu_percent, found.memory.current, found.pids.current, found.io) == (None, None, None, None)
    with held.history(interval=0.01) as history:
        wait_for(lambda: len(history.samples) >= 2)
    assert history.peaks.memory is None
    assert history.peaks.sent == 0
    with pytest.raises(pc.Unsupported, match="no cgroup"):
        held.pressure()
    wait_for(lambda: [process.command for process in held.top()].count("sleep 1000") == 2)


# -- history ----------------------------------------------------------------------------------------------------------


@needs_limits
def test_a_history_has_the_peak_of_the_memory(run):
    held = run(memory="128M")
    with held.history(interval=0.02) as history:
        held.exec(["sh", "-c", "head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null"])
    assert history.peaks.memory >= 20_000_000 > history.samples[0].memory.current
    times = [sample.time for sample in history.samples]
    assert times == sorted(times)
    assert len(times) >= 2
    assert all(isinstance(sample, ContainerStats) for sample in history.samples)
    assert history.peaks.pids >= 3


def test_a_history_ends_with_its_container(run):
    held = run()
    with held.history(interval=0.01) as history:
        held.kill()
        count = len(history.samples)
    assert 1 <= count <= len(history.samples) <= count + 1
    assert threading.active_count() == 1


# -- pressure ---------------------------------------------------------------------------------------------------------


@pytest.mark.requires("limits", "psi")
def test_pressure_is_the_containers_own(run):
    held = run(*BUSY, cpus=0.1)
    wait_for(lambda: held.pressure().cpu.some.total > 0)
    other = run()
    wait_for(lambda: other.pressure().cpu.some.total < held.pressure().cpu.some.total)
    assert held.stats().pressure is not None


# -- ports ------------------------------------------------------------------------------------------------------------


def test_where_it_listens(run):
    held = run("busybox", "nc", "-l", "-p", "8080")
    wait_for(held.ports)
    (port,) = held.ports()
    assert (port.number, port.protocol, port.host) == (8080, "tcp", None)
    assert port.address in {"0.0.0.0", "::"}
    with held.popen(["busybox", "nc", "-l", "-p", "79"]) as other:
        wait_for(lambda: [port.number for port in held.ports()] == [79, 8080])
        other.kill()


def test_of_the_hosts_network_its_own(run):
    with socket.create_server(("127.0.0.1", 0)) as ours:
        assert run(network="host").ports() == ()
        theirs = _free_port()
        held = run("busybox", "nc", "-l", "-p", str(theirs), network="host")
        wait_for(held.ports)
        (port,) = held.ports()
        assert port.number == theirs
        assert port.host == (port.address, theirs)
        assert ours.getsockname()[1] not in {port.number for port in held.ports()}


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# -- top --------------------------------------------------------------------------------------------------------------


def test_its_processes(run):
    held = run("sh", "-c", "(setsid sleep 1000 &); sleep 1001; :")
    wait_for(lambda: [process.command[:7] for process in held.top()[2:]] == ["sleep 1"] * 2)
    init, shell, *sleeping = held.top()
    assert (init.pid, init.inner_pid, init.command) == (held.pid, 1, "pycgroups-init")
    assert (shell.inner_pid, shell.parent, shell.command[:5]) == (2, init.pid, "sh -c")
    assert sorted(process.command for process in sleeping) == ["sleep 1000", "sleep 1001"]
    assert {process.user for process in held.top()} == {"root"}
    assert all(process.threads == 1 and process.state in "SRD" for process in held.top())
    for process in sleeping:
        assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"
        assert process.rss > 0
        assert held.started - 1 <= process.started <= time.time() + 1


def test_those_of_exec_are_among_them(run):
    held = run()
    with held.popen(["sleep", "1002"]) as other:
        wait_for(lambda: "sleep 1002" in [process.command for process in held.top()])
        other.kill()


@pytest.mark.requires("subuid")
def test_users_are_the_containers(run):
    held = run(user=1000)
    wait_for(lambda: held.top()[1:] and held.top()[1].command == "sleep 1000")
    assert [(process.user, process.uid) for process in held.top()] == [("root", 0), ("user", 1000)]


@pytest.mark.requires("subuid")
def test_a_user_without_a_name(run):
    held = run(user="12345")
    wait_for(lambda: held.top()[1:] and held.top()[1].command == "sleep 1000")
    assert [(process.user, process.uid) for process in held.top()] == [("root", 0), ("12345", 12345)]


def test_one_that_is_busy(run):
    held = run(*BUSY)
    wait_for(lambda: held.top()[1:] and held.top()[1].cpu_percent > 10)
    assert held.top()[1].cpu_percent < 300  # it is counted in ticks of 10 ms
    assert held.top()[1].cpu_time > 0


# -- events -----------------------------------------------------------------------------------------------------------


def test_its_events_are_its_own(run):
    first, second = run("true", name="one"), run("true", name="two")
    for held in (first, second):
        held.wait(timeout=PATIENCE)
    wait_for(lambda: len([*first.events()]) >= 3)
    assert [event.action for event in first.events()] == ["create", "start", "die"]
    assert {event.name for event in second.events()} == {"two"}
    assert [*first.events(until=first.created - 1)] == []


def test_events_are_followed_until_it_is_removed(run):
    held = run(name="web")
    told = held.events(follow=True, since=0)
    seen: list[str] = []
    follower = threading.Thread(target=lambda: seen.extend(event.action for event in told))
    follower.start()
    wait_for(lambda: "start" in seen)
    held.remove(force=True)
    follower.join(PATIENCE)
    assert not follower.is_alive()
    assert seen == ["create", "start", "die", "remove"]
    assert [event.action for event in held.events(follow=True)] == []  # nothing comes any more
    assert [event.action for event in held.events(follow=True, since=0)] == seen


def happened(held, *unwanted):
    return [
        (event.action, {key: value for key, value in event.attributes.items() if key not in unwanted})
        for event in held.events()
        if event.action not in {"create", "start", "die"}
    ]


def test_another_name_is_told(make):
    held = make(name="one")
    held.rename("other")
    assert happened(held) == [("rename", {"former": "one"})]
    assert [event.name for event in held.events()] == ["one", "other"]


@needs_limits
def test_that_it_is_frozen_is_told(run):
    held = run()
    held.pause()
    held.resume()
    with pytest.raises(pc.StateError):
        held.resume()
    assert happened(held) == [("pause", {}), ("unpause", {})]


@needs_limits
def test_limits_that_are_changed_are_told(run):
    held = run(memory="64M", pids=50)
    held.update(memory="128M", pids=None, cpu_weight=50)
    with pytest.raises(pc.InvalidConfig):
        held.update(memory="much")
    assert happened(held) == [("update", {"memory": str(128 * MIB), "pids": "none", "cpu_weight": "50"})]


def test_programs_in_it_are_told_of_before_their_end_is_known(run):
    held = run()
    for execute in (lambda: held.exec(["sh", "-c", "exit 3"]), lambda: held.popen(["sh", "-c", "exit 3"]).wait()):
        execute()
        known = {"command": "sh -c exit 3"}
        assert happened(held, "pid")[-2:] == [("exec", known), ("exec_die", {**known, "exit_code": "3"})]
        begin, end = list(held.events())[-2:]
        assert begin.attributes["pid"] == end.attributes["pid"]
    assert held.exec(["sleep", "100"], timeout=0.1).reason == "timeout"
    assert happened(held, "pid", "exit_code")[-1] == ("exec_die", {"command": "sleep 100"})
    left = held.exec_detached(["sh", "-c", "kill -9 $$"])
    wait_for(lambda: happened(held)[-1][0] == "exec_die")
    assert happened(held)[-1][1] == {"command": "sh -c kill -9 $$", "pid": str(left), "exit_code": "-9"}


def test_a_program_that_does_not_start_is_no_event(run):
    held = run()
    with pytest.raises(pc.CommandNotFound):
        held.exec("no-such-program")
    assert happened(held) == []


def test_a_long_command_is_told_shortened(run):
    held = run()
    held.exec(["true", "x" * 5000])
    assert [len(attributes["command"]) for _, attributes in happened(held)] == [1000, 1000]


def test_events_are_followed(make):
    held = make("sleep", "1000")
    followed = held.events(follow=True, since=held.created - 1)
    assert next(followed).action == "create"
    held.start()
    assert next(followed).action == "start"
    held.kill()
    assert next(followed).action == "die"
    followed.close()


def test_a_recording_that_nobody_has_ended_holds_no_interpreter_up(run):
    held = run("sleep", "1000", detach=True)
    script = (
        "import sys, pycgroups as pc; "
        "block = pc.Store(root=sys.argv[1]).containers.get(sys.argv[2]).history(interval=0.01); "
        "print(block.__enter__().samples[0].uptime > 0)"
    )
    root = Path(held.directory).parents[1]
    words = [sys.executable, "-c", script, str(root), held.id]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")
