from __future__ import annotations

import errno
import json

import pytest

from pycgroups import features, kernel
from pycgroups.errors import LaunchError
from pycgroups.security import landlock

CHECKS = (
    features.Check(name="one", works=True, detail="fine"),
    features.Check(name="three", works=None, detail="absent", why="not needed"),
    features.Check(name="two", works=False, why="broken", mend="hit it"),
)


def test_as_a_table():
    assert str(features.Doctor(checks=CHECKS)).splitlines() == [
        "yes  one    fine",
        "-    three  absent",
        "            why: not needed",
        "NO   two",
        "            why: broken",
        "            mend: hit it",
    ]


def test_as_json():
    answer = json.loads(json.dumps(features.Doctor(checks=CHECKS).to_json()))
    assert answer["ok"] is False
    assert answer["checks"][2] == {"name": "two", "works": False, "detail": "", "why": "broken", "mend": "hit it"}


def test_what_is_not_needed_is_no_failure():
    assert features.Doctor(checks=CHECKS[:2]).ok
    assert not features.Doctor(checks=CHECKS).ok


def test_a_check_that_raises_is_a_check():
    def look():
        yield CHECKS[0]
        raise ZeroDivisionError("oh")

    first, second = features._safely("broken", look)
    assert first is CHECKS[0]
    assert (second.works, second.why) == (None, "this check failed: ZeroDivisionError: oh")


@pytest.mark.parametrize(
    ("number", "running", "uid", "mend"),
    [
        (errno.ENODEV, (6, 12), 0, "modprobe overlay"),
        (errno.EINVAL, (6, 12), 0, "PYCGROUPS_STORE on ext4"),
        (errno.EINVAL, (5, 15), 0, "Linux 5.19"),
        (errno.EINVAL, (5, 15), 1000, "PYCGROUPS_STORE on ext4"),
    ],
)
def test_images_that_overlayfs_does_not_join(monkeypatch, number, running, uid, mend):
    monkeypatch.delenv("PYCGROUPS_SNAPSHOTS", raising=False)
    monkeypatch.setattr(features.os, "geteuid", lambda: uid)
    monkeypatch.setattr(kernel, "running", lambda: running)
    monkeypatch.setattr(features, "_try", lambda **_: LaunchError(step="fs", path="overlay", errno=number))
    (check,) = features._images()
    assert (check.works, check.detail) == (None, "copied for each container")
    assert errno.errorcode[number] in check.why
    assert mend in check.mend


def test_images_of_which_no_container_comes_that_far(monkeypatch):
    monkeypatch.delenv("PYCGROUPS_SNAPSHOTS", raising=False)
    monkeypatch.setattr(features, "_try", lambda **_: LaunchError(step="fs", path="proc", errno=errno.EPERM))
    (check,) = features._images()
    assert (check.works, check.detail) == (None, "fs proc")


@pytest.mark.parametrize(
    ("release", "numbers"),
    [("6.1.0-13-amd64", (6, 1)), ("5.12", (5, 12)), ("5.12-rc3", (5, 12)), ("6.18.44-fc", (6, 18)), ("strange", ())],
)
def test_versions(release, numbers):
    assert kernel.version(release) == numbers


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (
            {"/proc/sys/kernel/unprivileged_userns_clone": "0\n", "/proc/self/uid_map": "0 0 1"},
            "unprivileged_userns_clone",
        ),
        ({"/proc/sys/user/max_user_namespaces": "0\n", "/proc/self/uid_map": "0 0 1"}, "max_user_namespaces"),
        (
            {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n", "/proc/self/uid_map": "0 0 1"},
            "apparmor_restrict_unprivileged_userns",
        ),
        ({"/proc/self/status": "Seccomp:\t2\n", "/proc/self/uid_map": "0 0 1"}, "seccomp"),
        ({}, "unshare"),
    ],
)
def test_what_blocks_user_namespaces_is_named_with_what_mends_it(files, named, monkeypatch):
    monkeypatch.setattr(features, "_read", lambda path: files.get(path, ""))
    answer = features._what_blocks()
    assert answer is not None
    assert named in answer[1]


def test_nothing_known_blocks(monkeypatch):
    monkeypatch.setattr(features, "_read", lambda path: "0 0 1" if path.endswith("uid_map") else "")
    assert features._what_blocks() is None


def test_a_container_that_fails_before_its_overlay(monkeypatch):
    monkeypatch.setattr(features, "_try", lambda: LaunchError(step="clone3", errno=1, hint="see `pycgroups doctor`"))
    containers, overlay = features._containers()
    assert (containers.works, containers.detail, containers.mend) == (False, "clone3", "see user namespaces")
    assert overlay.works is None


def test_a_container_that_fails_at_its_overlay(monkeypatch):
    monkeypatch.setattr(features, "_try", lambda: LaunchError(step="fs", path="overlay", errno=19))
    _, overlay = features._containers()
    assert (overlay.works, overlay.mend) == (False, "as root: modprobe overlay")


def test_an_old_kernel(monkeypatch):
    monkeypatch.setattr(features, "OLDEST_KERNEL", (99, 1))
    (check,) = features._kernel()
    assert (check.works, "99.1" in check.why) == (False, True)


def test_no_seccomp(monkeypatch):
    monkeypatch.setattr(features, "_read", lambda _: "")
    (check,) = features._seccomp()
    assert check.works is False


@pytest.mark.parametrize(
    ("version", "works", "text"),
    [(7, True, "ABI 7: files"), (1, True, "ABI 1: files"), (-38, None, "built without"), (-95, None, "turned off")],
)
def test_landlock(monkeypatch, version, works, text):
    monkeypatch.setattr(landlock, "abi", lambda: version)
    (check,) = features._landlock()
    assert check.works is works
    assert text in check.detail + check.why
    assert works or check.mend
