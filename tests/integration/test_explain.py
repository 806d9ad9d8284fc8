"""`explain` tells what `run` does, in data and in text, and does none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import pycgroups as pc
from pycgroups import Mount
from tests import leaks

pytestmark = pytest.mark.requires("userns", "busybox", "gcc")


@pytest.fixture
def everything(root, scratch):
    """Options that use nearly every kind of step."""
    return {
        "rootfs": root,
        "hostname": "box",
        "domainname": "nis",
        "cwd": "/made",
        "umask": 0o027,
        "ulimits": {"nofile": 64},
        "oom_score_adj": 500,
        "caps_drop": ["CHOWN"],
        "securebits": ["noroot"],
        "read_only": True,
        "mounts": [Mount.tmpfs("/t", size="1M"), Mount.bind(scratch, "/b", read_only=True)],
        "dns": ["192.0.2.1"],
        "sysctls": {"net.ipv4.ip_default_ttl": "42"},
        "masked_paths": ["/proc/kcore"],
        "readonly_paths": ["/proc/sys"],
        "tty": True,
        "annotations": {"a": "b"},
    }


def test_the_text_names_every_step(everything):
    text = str(pc.explain(["prog", "with space"], **everything))
    for piece in (
        '"hostname": "box"',
        "hostname       box",
        "domainname     nis",
        "mkdir          /made mode 755",
        "umask          027",
        "rlimit         resource",
        "oom score      500",
        "securebits     0x1",
        "mount          /t",
        "mount          /b",
        "mount          /proc",
        "mask           /proc/kcore (if there)",
        "readonly       /proc/sys (if there)",
        "sysctl         net/ipv4/ip_default_ttl 42",
        "chdir          /made",
        "seccomp        ",
        "no new privs",
        "keyring",
        "lo up",
        "pivot",
        "caps           effective",
        "bounding       0x",
        "exec           prog argv=['prog', 'with space']",
    ):
        assert piece in text, piece


def test_the_order_is_the_safe_one(everything):
    names = [step.name for step in pc.explain(["true"], **everything).plan.steps]
    for first, second in (
        ("tree", "pivot"),
        ("mask", "readonly"),
        ("readonly", "pivot"),
        ("pivot", "keyring"),
        ("bounding", "ids"),
        ("ids", "caps"),
        ("caps", "no new privs"),
        ("no new privs", "seccomp"),
        ("seccomp", "exec"),
    ):
        assert len(names) - 1 - names[::-1].index(first) < names.index(second), (first, second)
    assert names[-1] == "exec"


def test_the_data_is_json_and_an_oci_config(everything):
    data = json.loads(json.dumps(pc.explain(["true"], **everything).to_json()))
    spec = data["spec"]
    assert spec["ociVersion"] == "1.2.0"
    assert spec["process"]["args"] == ["true"]
    assert spec["root"]["readonly"] is True
    assert {space["type"] for space in spec["linux"]["namespaces"]} >= {"user", "pid", "mount", "network"}
    assert [mount["destination"] for mount in spec["mounts"]][-2:] == ["/t", "/b"]
    assert data["plan"]["main"][-1].startswith("exec")


def test_it_touches_nothing(everything, root):
    before = leaks.holdings(), sorted(os.listdir(root)), os.listdir("/proc/self/task")
    pc.explain(["true"], memory="64M", pids=5, require_limits=False, **everything)
    pc.explain(["true"], disk="1M")
    assert (leaks.holdings(), sorted(os.listdir(root)), os.listdir("/proc/self/task")) == before


@pytest.mark.requires("strace")
@pytest.mark.slow_in_vm("all of it is traced")
def test_it_makes_no_system_call_that_changes_anything(root):
    code = """
import sys, pycgroups as pc
pc.explain(["true"], rootfs=sys.argv[1])
open("/dev/null").close()
pc.explain(["sh"], rootfs=sys.argv[1], memory="64M", pids=5, require_limits=False, hostname="other")
pc.explain(["sh"], disk="5M")
"""
    changing = "clone,clone3,fork,vfork,mount,umount2,move_mount,open_tree,fsopen,mkdir,mkdirat,unlink,unlinkat"
    changing += ",rename,renameat2,write,pwrite64,symlinkat,memfd_create,unshare,setns,kill,execve,chmod"
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        f"trace={changing}",
        "-o",
        "/dev/stdout",
        sys.executable,
        "-B",
        "-c",
        code,
        root,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    calls = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]
    assert [call for call in calls if not call.startswith("execve(")] == []
    assert len(calls) == 1


def test_control_characters_are_quoted(root):
    text = str(pc.explain(["echo", "\x1b[31m"], rootfs=root, cwd="/\x1b]52;c;x\x07").plan)
    assert "\x1b" not in text
    assert "\0" not in text


def test_it_raises_what_run_raises(root, scratch):
    for options, kind in (
        ({"memory": "nonsense"}, pc.InvalidConfig),
        ({"rootfs": scratch / "missing"}, pc.NotFound),
        ({"rootfs": root, "user": "nobody-knows"}, pc.InvalidConfig),
        ({"landlock": ["/"]}, pc.InvalidConfig),
    ):
        with pytest.raises(kind):
            pc.explain(["true"], **options)


def test_what_is_explained_is_what_is_run(inside, root):
    """Mounts of the plan are those of /proc/self/mountinfo, in the same order."""
    options = {"mounts": [Mount.tmpfs("/tmp"), Mount.tmpfs("/tmp/below", size="1M")], "hostname": "box"}
    planned = [step.path for step in pc.explain(["true"], rootfs=root, **options).plan.setup if step.name == "mount"]
    found = inside(["cat", "/proc/self/mountinfo"], **options).stdout.splitlines()
    points = [line.split()[4] for line in found]
    assert [path for path in points if path in planned and not path.startswith("/dev/")] == [
        path for path in planned if not path.startswith("/dev/")
    ]
    assert set(planned) <= set(points)


@pytest.mark.requires("limits")
def test_limits_are_in_the_spec(root):
    options = {"memory": "64M", "cpus": 1.5, "pids": 20}
    resources = pc.explain(["true"], rootfs=root, require_limits=False, **options).spec.to_json()["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 64 << 20}
    assert resources["pids"] == {"limit": 20}
    assert resources["cpu"]["quota"] / resources["cpu"]["period"] == 1.5


@pytest.mark.requires("root")
def test_a_device_for_reading_alone(root, nothing_left):
    explained = pc.explain(["true"], rootfs=root, devices=["/dev/kmsg:r"])
    *_, last = explained.to_json()["spec"]["linux"]["resources"]["devices"]
    assert last == {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    number = sum("join" in str(step).split() for step in explained.plan.setup)
    assert number == (1 if pc.cgroups.info().hierarchy != "v2" else 0)
