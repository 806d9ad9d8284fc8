"""Healthchecks: executed in containers by their monitor, while no process of Python waits."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import cli
from pycgroups.containers import collection
from tests.boxes import BASE, put
from tests.images import Image
from tests.waiting import PATIENCE, wait_for

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("each check starts a Python"),
    pytest.mark.requires("uninstrumented"),
]

SOON = {"interval": 0.1}


def check(test, **words):
    return {"healthcheck": {**SOON, "test": test, **words}}


def told(store):
    return [event.attributes["health"] for event in store.events.read(filters={"action": "health_status"})]


def test_one_becomes_healthy_and_unhealthy_and_healthy_again(run, store):
    held = run(mounts=[pc.Mount.tmpfs("/run")], **check("echo looked; test -e /run/well", retries=2))
    assert held.health == pc.Health("starting", 0, ())
    wait_for(lambda: held.health.status == "unhealthy")
    assert held.health.failing_streak >= 2
    last = held.health.log[-1]
    assert (last.exit_code, last.output) == (1, "looked\n")
    assert held.started * 1e9 <= last.start <= last.end <= time.time_ns()
    held.exec(["touch", "/run/well"])
    held.wait_for(healthy=True, timeout=PATIENCE)
    assert held.health.failing_streak == 0
    held.exec(["rm", "/run/well"])
    wait_for(lambda: held.health.status == "unhealthy")
    assert told(store) == ["unhealthy", "healthy", "unhealthy"]
    commands = [event.attributes["command"] for event in held.events() if event.action == "exec"]
    assert commands == ["touch /run/well", "rm /run/well"]
    facts = held.inspect()
    assert facts["state"]["health"]["status"] == "unhealthy"
    assert len(facts["state"]["health"]["log"]) <= 5
    assert facts["healthcheck"]["test"] == ["CMD-SHELL", "echo looked; test -e /run/well"]
    assert json.loads(json.dumps(facts)) == facts
    with pytest.raises(pc.TimedOut, match=r"no health \(unhealthy: 1, 'looked\\n'\)"):
        held.wait_for(healthy=True, timeout=0)


def test_without_one_there_is_no_health(make):
    held = make()
    assert held.health is None
    assert held.inspect()["state"]["health"] is None
    held.start()
    with pytest.raises(pc.InvalidConfig, match="the container has no healthcheck"):
        held.wait_for(healthy=True)
    with pytest.raises(pc.InvalidConfig):
        make(healthcheck={"interval": 1})


def test_the_test_is_executed_as_the_containers_program_is(run):
    held = run(**check(["CMD", "sh", "-c", "echo $A $(hostname) $(pwd)"]), env={"A": "b"}, hostname="h", cwd="/tmp")
    held.wait_for(healthy=True, timeout=PATIENCE)
    assert held.health.log[-1].output == "b h /tmp\n"


def test_in_the_start_period_it_is_checked_early_and_may_fail(run):
    held = run(**check("false", interval=1000, start_period=1000, start_interval=0.1, retries=1))
    wait_for(lambda: len(held.health.log) >= 3)
    assert held.health[:2] == ("starting", 0)


def test_one_that_takes_too_long_is_killed_with_all_that_it_has_started(run):
    test = "echo begun; setsid sleep 999 & sleep 999"
    held = run(**check(test, timeout=0.5, retries=1, interval=1000, start_period=0.01, start_interval=0.1))
    wait_for(lambda: held.health.status == "unhealthy")
    assert held.health.log[0].exit_code == -1
    assert "it took longer than 0.5 seconds" in held.health.log[0].output
    counted = held.exec(["sh", "-c", "grep -l 999 /proc/[0-9]*/cmdline | wc -l"], text=True)
    assert int(counted.stdout) <= 3  # the shells and grep themselves


@pytest.mark.parametrize(
    ("test", "code", "output"),
    [
        (["CMD", "no-such-program"], -1, "no-such-program"),
        ("kill -9 $$", 137, ""),
        ("echo out; echo err >&2; exit 3", 3, "out\nerr\n"),
        ("yes 0123456789abcde | head -c 3000000; exit 1", 1, "0123456789abcde\n" * 256),
        ("printf '\\377\\0'; exit 1", 1, "\ufffd\0"),
    ],
)
def test_what_came_of_one(run, test, code, output):
    held = run(**check(test, interval=0.1))
    wait_for(lambda: held.health.log)
    assert held.health.log[0].exit_code == code
    assert output in held.health.log[0].output
    assert len(held.health.log[0].output) <= 4096


@pytest.mark.requires("root")
def test_who_is_paused_is_not_checked(run):
    held = run(**check("true"))
    held.wait_for(healthy=True, timeout=PATIENCE)
    held.pause()
    paused = time.time_ns()
    time.sleep(0.5)
    assert held.health.log[-1].start <= paused
    held.resume()
    wait_for(lambda: held.health.log[-1].start > paused)
    assert held.health[:2] == ("healthy", 0)


def test_a_start_begins_anew(run):
    held = run(**check("true"))
    held.wait_for(healthy=True, timeout=PATIENCE)
    held.stop(timeout=0.1)
    held.start()
    assert held.health.status == "starting"
    held.wait_for(healthy=True, timeout=PATIENCE)


def test_who_kills_a_check_keeps_nobody_from_the_next(run):
    test = "[ -e /run/go ] || { touch /run/began; sleep 1000; }"
    held = run(**check(test, timeout=900), mounts=[pc.Mount.tmpfs("/run")])
    held.wait_for(file="/run/began", timeout=PATIENCE)
    held.write_text("/run/go", "")
    for pid in checkers(held):
        os.kill(pid, signal.SIGKILL)
    held.wait_for(healthy=True, timeout=PATIENCE)


def checkers(held):
    """The processes that check it."""
    wanted = f"pycgroups.containers.checking\0{held.id}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_after_its_end_nobody_checks_it(run):
    held = run(**check("sleep 1000", timeout=900))
    wait_for(lambda: checkers(held))
    held.kill()
    wait_for(lambda: not checkers(held))
    assert held.health.status == "starting"


def test_an_image_says_how(store):
    said = {"Test": ["CMD-SHELL", "echo image"], "Interval": 100_000_000}
    image = put(store.images, Image(BASE, Cmd=["sleep", "1000"], Env=["PATH=/bin"], Healthcheck=said))
    made = {
        word: store.containers.create(image=image, healthcheck=own)
        for word, own in (("own", "echo own"), ("image", None))
    }
    none = store.containers.create(image=image, healthcheck={"test": ["NONE"]})
    for word, held in made.items():
        held.start()
        held.wait_for(healthy=True, timeout=PATIENCE)
        assert held.health.log[-1].output == f"{word}\n"
    assert none.health is None


def test_on_the_command_line(store, root, monkeypatch, capfd):
    monkeypatch.setattr(collection, "default", lambda: store.containers)
    words = ["--rootfs", str(root), "--health-cmd", "true", "--health-interval", "100ms", "--", "sleep", "1000"]
    assert cli.main(["run", "-d", "--name", "web", *words]) == 0
    held = store.containers.get("web")
    held.wait_for(healthy=True, timeout=PATIENCE)
    capfd.readouterr()
    assert cli.main(["ps"]) == 0
    assert "running (healthy)" in capfd.readouterr().out
    assert cli.main(["create", "--no-healthcheck", *words]) == 125
    assert cli.main(["run", *words]) == 125
    assert "with -d" in capfd.readouterr().err
