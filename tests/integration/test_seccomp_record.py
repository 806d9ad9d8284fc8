"""The smallest profile that a program needs, by running it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import pytest

import pycgroups as pc
from pycgroups.errors import InvalidConfig

pytestmark = pytest.mark.requires("userns")


@pytest.fixture
def recorded(root):
    return functools.partial(pc.seccomp.record, rootfs=root)


def allowed(profile):
    return {name for rule in profile.syscalls if rule.action == "SCMP_ACT_ALLOW" for name in rule.names}


@pytest.mark.parametrize(
    "command",
    [
        ["echo", "hello"],
        ["sort"],
        ["sh", "-c", "mkdir /dev/shm/x && echo a > /dev/shm/x/y && cat /dev/shm/x/y; rm -r /dev/shm/x"],
        ["sh", "-c", "for i in 1 2 3; do sh -c 'echo $0' $i; done"],
        ["probe", "touch-in-child", "1"],
        ["probe", "threads"],
        ["ls", "/"],
    ],
    ids=lambda command: command[-1],
)
def test_the_same_program_runs_with_it(inside, recorded, command):
    profile = recorded(command, input=b"b\na\n")
    plain, confined = inside(command, input="b\na\n"), inside(command, input="b\na\n", seccomp=profile)
    assert (confined.returncode, confined.stderr) == (0, "")
    assert sorted(confined.stdout) == sorted(plain.stdout)


def test_and_another_one_does_not(inside, recorded):
    profile = recorded(["echo", "hello"])
    assert allowed(profile) >= {"execve", "write", "exit_group"}
    assert len(allowed(profile)) < 40
    for command in (["mkdir", "/dev/shm/x"], ["ls", "/"], ["sh", "-c", "sh -c true & wait"]):
        result = inside(command, seccomp=profile)
        assert result.returncode != 0
        assert "not permitted" in result.stderr


def test_python_and_a_socket():
    computes = ["python3", "-c", "import json; print(json.dumps([6 * 7]))"]
    profile = pc.seccomp.record(computes)
    assert pc.run(computes, seccomp=profile).stdout == b"[42]\n"
    result = pc.run(["python3", "-c", "import socket; socket.socket()"], seccomp=profile, text=True)
    assert result.returncode != 0
    assert "PermissionError" in result.stderr


@pytest.mark.slow_in_vm("starts Python at the recorder's pace")
def test_only_the_families_of_sockets_that_were_made():
    makes = "import socket, sys; socket.socket(getattr(socket, sys.argv[1])).close()"
    profile = pc.seccomp.record(["python3", "-c", makes, "AF_UNIX"])
    assert pc.run(["python3", "-c", makes, "AF_UNIX"], seccomp=profile).returncode == 0
    assert pc.run(["python3", "-c", makes, "AF_INET"], seccomp=profile).returncode != 0


def test_what_is_refused_stays_so(inside, recorded):
    """Of the default profile; of none the mount is recorded. Threads: a refused clone3 must be no EPERM."""
    command = ["sh", "-c", "mount -t tmpfs none /tmp || true"]
    assert "mount" not in allowed(recorded(command))
    free = recorded(command, seccomp="unconfined")
    assert "mount" in allowed(free)
    assert free.default_action == "SCMP_ACT_ERRNO"
    makes = ["python3", "-c", "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"]
    assert pc.run(makes, seccomp=pc.seccomp.record(makes)).stdout == b"1\n"
    assert "socket" not in allowed(recorded(["echo"], seccomp="strict"))


@pytest.mark.parametrize(
    "options", [{"no_new_privileges": False}, {"init": False}, {"user": 0, "umask": 0o77}], ids=str
)
def test_what_the_start_needs_is_in_it(inside, recorded, options):
    profile = recorded(["echo", "hello"], **options)
    assert inside(["echo", "hello"], seccomp=profile, **options).stdout == "hello\n"


def test_it_is_a_profile_in_the_oci_form(inside, recorded, scratch):
    profile = recorded(["echo", "hello"])
    (scratch / "profile.json").write_text(json.dumps(profile.to_json()))
    assert pc.ContainerConfig(command="true", seccomp=scratch / "profile.json").seccomp == profile
    assert inside(["echo", "hello"], seccomp=scratch / "profile.json").stdout == "hello\n"


def test_a_program_that_fails(recorded):
    with pytest.raises(pc.CalledProcessError) as caught:
        recorded(["sh", "-c", "echo no >&2; exit 3"])
    assert (caught.value.returncode, caught.value.stderr) == (3, b"no\n")
    assert "execve" in allowed(recorded(["false"], check=False))
    with pytest.raises(pc.TimeoutExpired):
        recorded(["sleep", "1000"], timeout=0.5)
    with pytest.raises(pc.CommandNotFound):
        recorded(["nonsense"])


def test_calls_that_somebody_else_answers_are_not_recorded(recorded):
    with pytest.raises(InvalidConfig, match="seccomp"):
        recorded(["true"], seccomp={"defaultAction": "SCMP_ACT_NOTIFY"})


@pytest.mark.slow_in_vm("four starts of Python")
def test_the_command(root, scratch):
    def pycgroups(*words):
        command = [sys.executable, "-m", "pycgroups", words[0], *map(str, words[1:])]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    profile = scratch / "profile.json"
    done = pycgroups("record", "--output", profile, "--rootfs", root, "sh", "-c", "echo hello; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "")
    done = pycgroups("run", "--seccomp", profile, "--rootfs", root, "sh", "-c", "echo hello; mkdir /dev/shm/x")
    assert (done.returncode, done.stdout) == (1, "hello\n")
    assert "not permitted" in done.stderr
    before = profile.read_text()
    assert pycgroups("record", "-o", profile, "--rootfs", root, "nonsense").returncode == 127
    assert profile.read_text() == before
    assert pycgroups("record", "-o", scratch / "no/where", "--rootfs", root, "true").returncode == 125
