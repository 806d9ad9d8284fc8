"""The doctor, in every world: it never raises, tells the truth, and leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

import pycgroups as pc
from pycgroups._native import vfs
from tests.waiting import PATIENCE
from tests.worlds import features

NAMES = {
    "kernel",
    "namespaces",
    "user namespaces",
    "ids",
    "containers",
    "overlay",
    "cgroups",
    "limits",
    "seccomp",
    "idmapped mounts",
    "disk limits",
    "landlock",
    "security modules",
    "tools",
    "without namespaces",
}


def checks():
    return {check.name: check for check in pc.doctor().checks}


def test_every_check_is_there_and_tells_what_mends_it():
    found = checks()
    assert found.keys() >= NAMES
    for check in found.values():
        assert "check failed" not in check.why
        assert check.works is not False or (check.why and check.mend) or "see " in check.why, check


@pytest.mark.requires("userns")
def test_where_containers_run_it_says_so():
    found = checks()
    assert [found[name].works for name in ("kernel", "namespaces", "containers", "overlay", "seccomp")] == 5 * [True]


@pytest.mark.requires("landlock")
def test_landlock_and_what_is_without_namespaces():
    found = checks()
    assert [found[name].works for name in ("landlock", "without namespaces")] == [True, True]
    assert "TCP ports, scopes" in found["landlock"].detail


def test_limits_are_what_this_world_has():
    assert bool(checks()["limits"].works) is (features.lack("limits") is None)


def test_disk_limits_are_on_disk_where_there_are_loop_devices():
    found = checks()["disk limits"]
    assert found.works is (True if features.lack("loop") is None else None)
    assert found.detail.startswith("on disk" if found.works else "in memory")


@pytest.mark.requires("loop")
def test_disk_limits_without_loop_devices(monkeypatch):
    monkeypatch.setattr(vfs, "free_loop", lambda _control: -errno.ENODEV)
    found = checks()["disk limits"]
    assert (found.works, found.detail.startswith("in memory")) == (None, True)
    assert "/dev/loop-control: No such device" in found.why
    assert "modprobe" in found.mend


@pytest.mark.requires("no_subuid")
def test_an_account_without_subordinate_ids_is_told_how_to_get_some():
    found = checks()
    assert found["ids"].works is None
    assert "usermod --add-subuids" in found["ids"].mend


@pytest.mark.requires("rootless", "subuid")
def test_an_account_with_subordinate_ids():
    found = checks()
    assert (found["ids"].works, found["newuidmap"].works) == (True, True)


def run(*arguments, **options):
    command = [sys.executable, "-m", "pycgroups", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE, **options)


def test_the_command_prints_json():
    done = run("--json")
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1), done.stderr
    assert {check["name"] for check in answer["checks"]} >= NAMES


def test_the_command_prints_a_table():
    lines = run().stdout.splitlines()
    assert any(line.startswith("yes  kernel") for line in lines)


def test_the_command_draws_a_table_on_a_terminal():
    done = subprocess.run(
        ["script", "-qec", f"{sys.executable} -m pycgroups doctor", "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        timeout=PATIENCE,
    )
    assert "containers" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.requires("unshare", "userns")
def test_where_no_user_namespace_can_be_made_it_says_why():
    # Inside a user namespace without a map nobody may make another one.
    command = ["unshare", "--user", sys.executable, "-m", "pycgroups", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert found["user namespaces"]["works"] is False
    assert "map" in found["user namespaces"]["why"]
    assert found["containers"]["works"] is False
