"""What a container cannot do by cgroups and devices, and what becomes of cgroups that it has filled.

The limits themselves are in `test_cgroups` and its neighbours, the verdicts in `test_verdict`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import Mount
from pycgroups.oci.reading import part_of
from pycgroups.oci.resources import Resources
from tests.integration.bundles import QUIET, executed
from tests.waiting import PATIENCE, wait_for
from tests.worlds import features

pytestmark = pytest.mark.requires("userns", "busybox", "gcc")
needs_limits = pytest.mark.requires("limits")
for_root = pytest.mark.requires("root", "limits")

CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*QUIET, "ro"]}
WRITABLE = {**CGROUPS, "options": QUIET}
REFUSED = {"EROFS", "EACCES", "EPERM", "ENOENT"}


# -- the hierarchy from inside


def release_agents():
    return {path: path.read_text() for path in Path("/sys/fs/cgroup").glob("*/release_agent")}


@pytest.mark.parametrize(
    "options", [{}, {"caps_add": ["SYS_ADMIN"]}, {"caps_add": ["ALL"], "seccomp": "unconfined"}], ids=str
)
@pytest.mark.parametrize("words", [[], ["unshare"]], ids=str)
def test_the_kernel_starts_nothing_for_the_container(inside, options, words):
    """CVE-2022-0492: a cgroup that it mounts, as root of its user namespace or of one more."""
    before = release_agents()
    result = inside(["probe", "release-agent", "/mnt", *words], mounts=[Mount.tmpfs("/mnt")], **options)
    answers = [line.rsplit(" ", 1) for line in result.stdout.splitlines()]
    assert {answer for what, answer in answers if what in {"release_agent", "asked "}} <= REFUSED | {"EINVAL"}
    assert len(answers) >= 30
    assert release_agents() == before
    if not options:
        assert {answer for what, answer in answers if what != "unshare"} <= REFUSED, result.stdout


def test_no_limit_can_be_raised_by_default(inside):
    """It sees no cgroups but the name of its own, which is the top."""
    lines = inside(["cat", "/proc/self/cgroup"]).stdout.splitlines()
    assert {line.split(":", 2)[2] for line in lines} == {"/"}
    assert inside(["ls", "/sys/fs/cgroup"]).stdout == ""


FILES = ("cgroup.procs", "memory.max", "memory.limit_in_bytes", "pids.max", "devices.allow", "cgroup.subtree_control")


@needs_limits
def test_no_limit_can_be_raised_through_a_mount(bundle):
    """CVE-2023-25809: by the container's program or one that is executed."""
    bundle.config["mounts"].append(CGROUPS)
    bundle.config["linux"]["resources"] = {"pids": {"limit": 77}, "memory": {"limit": 64 << 20}}
    bundle.run("sleep", "1000")
    container = bundle.create()
    container.start()
    paths = " ".join(f"/sys/fs/cgroup/{name} /sys/fs/cgroup/*/{name}" for name in FILES)
    script = f"cat /proc/self/cgroup; echo; probe writes {paths}; mkdir /sys/fs/cgroup/new /sys/fs/cgroup/pids/new"
    text = executed(container, bundle.process("sh", "-c", f"{script} 2>/dev/null; true"))
    shown, _, answers = text.partition("\n\n")
    assert {line.split(":", 2)[2] for line in shown.splitlines()} == {"/"}
    assert {line.split()[-1] for line in answers.splitlines()} <= REFUSED
    with container.cgroup() as group:
        stats = group.stats()
    assert (stats.pids.limit, stats.memory.limit) == (77, 64 << 20)


# -- devices


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"caps_add": ["ALL"], "seccomp": "unconfined"},
        pytest.param({"userns": "host"}, marks=pytest.mark.requires("root")),
        pytest.param({"userns": "host", "caps_add": ["MKNOD"]}, marks=for_root),
        pytest.param({"userns": "host", "caps_add": ["MKNOD"], "memory": "64M"}, marks=for_root),
        pytest.param({"userns": "host", "caps_add": ["MKNOD"], "devices": ["/dev/tty0:r"]}, marks=for_root),
    ],
    ids=str,
)
def test_no_other_device_is_opened(facts, options):
    """Neither one that is there nor one that it makes."""
    if "devices" in options and not os.path.exists("/dev/tty0"):
        options = {**options, "devices": ["/dev/full:r"]}
    answers = facts("devices", "/dev", **options)
    assert len(answers) == 24
    assert set(answers.values()) <= {"EPERM", "ENOENT", "EACCES"}, answers
    assert facts("writes", "/dev/null", **options) == {"/dev/null": "ok"}  # the control


# -- where a group is


CLIMBING = ["../../x", "/../x", "a/../../../b", "/", "//", ".", "..", "a\0b", "/a/../../../../../b", "./.././x"]


@needs_limits
@pytest.mark.parametrize("path", CLIMBING)
def test_a_path_does_not_climb(bundle, path):
    """An error, or a group that is below what containers may have."""
    before = directories()
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.config["linux"]["resources"] = {"pids": {"limit": 50}}  # without a limit it may do without a group
    bundle.run("sleep", "1000")
    with contextlib.suppress(pc.Error):
        container = bundle.create("web")
        with container.cgroup() as group:
            assert group.paths
            for each in group.paths:
                assert Path(each).resolve().is_relative_to("/sys/fs/cgroup")
                assert ".." not in each.split("/")
                assert os.path.normpath(each) == each
                assert not (os.geteuid() and Path(each) in features.own_cgroup().parents)
                assert len(list(Path(each).glob("cgroup.procs"))) == 1
                assert Path(each, "cgroup.procs").read_text().split() == [str(container.state().pid)]
        container.delete(force=True)
    for each in sorted(directories() - before, reverse=True):  # a runtime leaves what is above its group
        assert Path(each).name in {"x", "a", "b", "web"}
        os.rmdir(each)


def directories():
    return {path for path, _, _ in os.walk("/sys/fs/cgroup")}


@needs_limits
@pytest.mark.parametrize("path", ["..", "../..", "a/../..", "memory:../..", "../other", "/../../..", "x\n", "nowhere"])
def test_exec_joins_no_group_outside(bundle, path):
    bundle.run("sleep", "1000")
    container = bundle.create()
    container.start()
    with pytest.raises(pc.Error):
        container.exec(bundle.process("true"), cgroups=[path])
    text = executed(container, bundle.process("cat", "/proc/self/cgroup"), cgroups=["/"])  # its own
    assert {line.split(":", 2)[2] for line in text.splitlines()} == {"/"}


# -- what is left


@contextlib.contextmanager
def filled(bundle, script):
    """A container that may write to its cgroups, and has a script that does."""
    bundle.config["mounts"].append(WRITABLE)
    bundle.shell(f"cd /sys/fs/cgroup; test -e freezer && cd freezer; {script}; echo done > /dev/shm/done; sleep 1000")
    container = bundle.create("web")
    container.start()
    with container.cgroup() as group:
        paths = group.paths
    look = bundle.process("sh", "-c", "until test -e /dev/shm/done; do sleep 0.1; done")
    executed(container, look)
    yield container
    container.delete(force=True)
    assert not [path for path in paths if os.path.exists(path)]


@for_root
def test_fifty_groups_inside_go_with_the_container(bundle):
    """crun#657: nested ones, with processes that have left the session."""
    script = """
        d=.; i=0
        while [ $i -lt 25 ]; do
            d=$d/deep; mkdir -p $d wide$i
            setsid sleep 1000 & echo $! > wide$i/cgroup.procs
            setsid sh -c 'setsid sleep 1000 & sleep 1000' & echo $! > $d/cgroup.procs
            i=$((i + 1))
        done"""
    with filled(bundle, script.strip()) as container, container.cgroup() as group:
        assert len([path for path in group.paths for _ in Path(path).rglob("cgroup.procs")]) >= 50
        assert len(container.processes()) >= 75


@for_root
def test_a_frozen_group_inside_goes_with_the_container(bundle):
    script = """
        mkdir cold; sleep 1000 & echo $! > cold/cgroup.procs
        if test -e cold/cgroup.freeze; then echo 1 > cold/cgroup.freeze; else echo FROZEN > cold/freezer.state; fi"""
    with filled(bundle, script.strip()) as container:
        assert len(container.processes()) >= 2


@needs_limits
@pytest.mark.parametrize("killed", [False, True])
def test_a_paused_container_is_deleted(bundle, killed):
    """runc#2105."""
    bundle.shell("while :; do :; done")
    container = bundle.create("web")
    container.start()
    pid = container.state().pid
    container.pause()
    if killed:
        container.kill(9)
    container.delete(force=True)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.requires("root", "cgroup_v1")
def test_what_cannot_be_killed_is_named(bundle, monkeypatch):
    """crun#868, runc#2105: a freezer above the container's holds its processes, as a hanging disk would."""
    from pycgroups.cgroups import tree

    monkeypatch.setattr(tree, "PATIENCE", 0.3)
    bundle.run("sleep", "1000")
    container = bundle.create("web")
    container.start()
    pid = container.state().pid
    above = Path("/sys/fs/cgroup/freezer") / bundle.cgroup.split("/")[1]
    (above / "freezer.state").write_text("FROZEN")
    try:
        with pytest.raises(pc.CgroupError, match=f"still has processes.*{pid}"):
            container.delete(force=True)
        assert os.path.exists(f"/proc/{pid}")
        assert container.state().status in {"running", "paused"}
    finally:
        (above / "freezer.state").write_text("THAWED")
    container.delete(force=True)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


@for_root
@pytest.mark.parametrize("frozen", [False, True])
def test_a_group_with_somebody_in_it_is_not_taken(bundle, frozen):
    """Nor one that is frozen; who is in it is neither killed nor limited."""
    with pc.Cgroup.create("taken") as group, subprocess.Popen(["sleep", "1000"]) as other:
        try:
            group.add(other.pid)
            if frozen:
                group.freeze()
            place = Path(group.paths[0])
            top = features.CGROUP if (features.CGROUP / "cgroup.procs").exists() else features.CGROUP / place.parts[4]
            bundle.config["linux"]["cgroupsPath"] = f"/{place.relative_to(top)}"
            bundle.config["linux"]["resources"] = {"pids": {"limit": 7}}
            bundle.run("sleep", "1000")
            before = {path: path.read_text() for path in place.glob("pids.max")}
            with pytest.raises(pc.AlreadyExists):
                bundle.create("web")
            assert other.poll() is None
            assert {path: path.read_text() for path in place.glob("pids.max")} == before
        finally:
            group.thaw()
            other.kill()


# -- limits that are none


BAD: list[tuple[str, object]] = [
    *(("memory", value) for value in (-2, 0, 2**64, "1Z", "", float("nan"), True, "64 M B", "-64M")),
    *(("pids", value) for value in (-2, 0, 2**64, "1G", float("nan"), True, 1.5, "")),
    *(("cpus", value) for value in (-1, 0, float("nan"), float("inf"), True, "", 1e-7)),
    *(("cpuset", value) for value in ("x", "-1", "0-", "1-0", "0-99999999", True, 7)),
    *(("cpu_weight", value) for value in (0, -1, 10001, True, "x")),
    *(("memory_swap", value) for value in (-2, True, "x")),
]


@pytest.mark.parametrize(("word", "value"), BAD, ids=str)
def test_a_bad_limit_is_no_run_without_one(inside, word, value):
    """youki#3634: what is not understood is not "no limit"."""
    with pytest.raises(pc.Error):
        inside(["true"], **{word: value})


RESOURCES = [
    {"memory": {"limit": -2}},
    {"memory": {"limit": 2**64}},
    {"memory": {"limit": True}},
    {"memory": {"limit": "64M"}},
    {"pids": {"limit": -2}},
    {"pids": {"limit": 2**64}},
    {"pids": {"limit": 1.5}},
    {"cpu": {"quota": -2}},
    {"cpu": {"quota": 1}},
    {"cpu": {"period": 1, "quota": 1}},
    {"cpu": {"cpus": "x"}},
    {"cpu": {"cpus": "0-"}},
    {"cpu": {"cpus": "0-99999999"}},
    {"cpu": {"shares": -1}},
]


@needs_limits
@pytest.mark.parametrize("resources", RESOURCES, ids=str)
def test_bad_resources_are_no_container_without_limits(bundle, resources):
    """At the creation and at an update, which then leaves the old ones."""
    (key,) = resources
    lacking = {"cpu": {"cpu", "cpuset"}}.get(key, {key}) - set(pc.cgroups.info().usable)
    if lacking:
        pytest.skip(f"this world cannot limit {lacking}")
    bundle.run("sleep", "1000")
    bundle.config["linux"]["resources"] = resources
    with pytest.raises(pc.Error):
        bundle.create("bad")
    assert not (bundle.state / "bad").exists()
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    container = bundle.create("web")
    container.start()
    with pytest.raises(pc.Error):
        container.update(part_of(Resources, resources, "resources"))
    with container.cgroup() as group:
        stats = group.stats()
    assert (stats.memory.limit, stats.pids.limit) == (64 << 20, 50)


@needs_limits
def test_no_processes_at_all_is_no_limit_at_all_nor_an_accident(bundle):
    """What runc has for 0: one, which is the container's own program."""
    bundle.config["linux"]["resources"] = {"pids": {"limit": 0}}
    bundle.run("sleep", "1000")
    container = bundle.create()
    with container.cgroup() as group:
        assert group.stats().pids.limit == 1


# -- hosts

RUNS = """
    import sys
    import pycgroups as pc
    print(pc.run(["echo", "ran"], rootfs=sys.argv[1], text=True).stdout.strip())
    for required in (True, False):
        try:
            result = pc.run(["true"], rootfs=sys.argv[1], memory="64M", pids=9, require_limits=required)
            print(result.returncode, sorted(result.unenforced))
        except pc.Unsupported as error:
            print("Unsupported", error.hint is not None)
"""
ALL_MISSING = ["ran", "Unsupported True", "0 ['memory', 'pids']"]
WORKS = ["ran", "0 []", "0 []"]
MOUNTS = "$(cut -d ' ' -f 5 /proc/self/mountinfo | grep ^/sys/fs/cgroup)"
HOSTS = {
    "umount -l /sys/fs/cgroup": ALL_MISSING,
    "mount -t tmpfs none /sys/fs/cgroup": ALL_MISSING,
    "mount --bind /proc/self /sys/fs/cgroup": ALL_MISSING,
    f"for at in {MOUNTS}; do mount -o remount,bind,ro $at; done": ALL_MISSING,
    "if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi": WORKS,
    "true": WORKS,
}


@pytest.mark.requires("root", "unshare", "limits")
@pytest.mark.parametrize("command", HOSTS)
def test_any_form_of_hierarchy(root, command):
    """Without a limit a run needs no cgroup; with one it is enforced, or it is an error, or told."""
    shell = ["unshare", "--mount", "sh", "-ec", f'{command}; exec "$@"', "sh", sys.executable, "-c"]
    done = subprocess.run(
        [*shell, textwrap.dedent(RUNS), root], stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout.splitlines() == HOSTS[command]
