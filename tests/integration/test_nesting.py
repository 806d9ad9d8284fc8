"""Containers inside other containers: they run, or say what is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups as pc
from tests.podman import IMAGE, Podman
from tests.worlds import features

pytestmark = pytest.mark.requires("userns")

TREE = Path(__file__).parents[2]
RUN = """
import json, sys
import pycgroups as pc

def run(**options):
    try:
        script = "echo $$ $(cat /proc/sys/kernel/hostname)"
        done = pc.run(["/bin/sh", "-c", script], hostname="inner", text=True, **options)
        return done.stdout or done.stderr
    except pc.Error as error:
        return str(error)

print(json.dumps([run(rootfs=sys.argv[1]), run()]))
"""
RAN = "2 inner\n"  # the init is 1
PROC = "container its masks on /proc and /sys are in the way"


def inside(*command, root, env=None):
    """What comes of a run of a root file system, and of one of what is the host's root there."""
    words = [*map(str, command), sys.executable, "-c", RUN, root]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TREE, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


BWRAP = ("bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--unshare-user", "--unshare-pid")


@pytest.mark.requires("rootless", "bwrap")
def test_in_bubblewrap(root):
    assert inside(*BWRAP, "--proc", "/proc", root=root) == [RAN, RAN]


@pytest.mark.requires("rootless", "bwrap")
def test_where_proc_is_covered(root):
    covered = ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for told in inside(*BWRAP, *covered, root=root):
        assert PROC in told


@pytest.mark.requires("root")
@pytest.mark.skipif(
    os.environ.get("PYCGROUPS_TEST_WORLD") == "asan", reason="Python inside is without AddressSanitizer"
)
def test_in_a_container_of_our_own(root):
    def told(**options):
        command = [sys.executable, "-c", RUN, root]
        done = pc.run(command, volumes={root: root}, text=True, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    of_directory, of_host = told(privileged=True)
    assert of_directory == RAN
    assert of_host == RAN or "stacked more than two deep" in of_host  # where the host's root is an overlay already
    for error in told():
        assert "blocked here, by a container around" in error
    assert PROC in told(seccomp="unconfined")[0]


@pytest.mark.requires("unshare")
@pytest.mark.parametrize("kind", ["user", "net"])
def test_where_no_namespace_is_left(root, kind):
    limit = f'echo 0 >/proc/sys/user/max_{kind}_namespaces && exec "$@"'
    for error in inside("unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh", root=root):
        assert f"user.max_{kind}_namespaces" in error


@pytest.fixture(scope="module")
def podman(root):
    with Podman() as made:
        made.load(root)
        yield made


PYTHON = ("/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro", f"{TREE}:{TREE}:ro")
UNMASKED = ("--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL")


@pytest.mark.slow_in_vm("five starts of podman, and nothing of cgroups")
@pytest.mark.requires("podman")
def test_in_podman(podman, root, own_root):
    def told(*options):
        volumes = [f"--volume={volume}" for volume in (*PYTHON, f"{own_root}:{root}")]
        command = podman.command("run", "--rm", *options, *volumes, IMAGE)
        return inside(*command, root=root, env=podman.env)

    for error in told():
        assert PROC in error
    assert told(*UNMASKED) == [RAN, RAN]
    assert told("--privileged")[0] == RAN
    if features.lack("root") is None or features.lack("subuid") is None:
        assert told(*UNMASKED, "--user=1000") == [RAN, RAN]
