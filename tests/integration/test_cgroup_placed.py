"""Groups at the place that linux.cgroupsPath names: they stay, and are found again by their directories."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.cgroups import detect, placed, placing
from pycgroups.errors import AlreadyExists, NotFound, Unsupported
from pycgroups.oci.resources import Cpu, DeviceRule, Memory, Pids, Resources
from tests import leaks
from tests.waiting import is_inside, wait_for

MIB = 1 << 20
LIMITS = Resources(memory=Memory(limit=64 * MIB, swap=64 * MIB), pids=Pids(limit=20), cpu=Cpu(shares=512))
NONE = Resources(devices=(DeviceRule(allow=False, access="rwm"),))

for_root = pytest.mark.requires("limits", "root")


def remove(path):
    """Remove what a runtime leaves: the directories above a group."""
    for hierarchy in detect.everything():
        for each in sorted(Path(hierarchy.mount + path).rglob("*"), reverse=True):
            if each.is_dir():
                each.rmdir()
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(hierarchy.mount + path)


@pytest.fixture
def above():
    """A path that nothing has."""
    path = f"/{leaks.OWN}-{uuid.uuid4().hex[:12]}"
    yield path
    remove(path)


def create(above, limits):
    """Make a group, and take hold of it."""
    with placing.create(f"{above}/web", "ID", limits) as group:
        return placed.open_(group.paths)


@pytest.fixture
def group(above):
    group = create(above, LIMITS)
    yield group
    group.remove()


@contextlib.contextmanager
def sleeping(group):
    with subprocess.Popen(pc.in_cgroup(group, ["sleep", "1000"])) as process:
        try:
            wait_for(lambda: is_inside(group, process.pid))
            yield process
        finally:
            process.kill()
            group.thaw()


def value(group, *names):
    """Text of the first of some files, wherever the group has it."""
    paths = (Path(path, name) for path in group.paths for name in names)
    return next(path for path in paths if path.exists()).read_text().strip()


def python(code, *wrapper):
    """Run code in a process of its own; each line it prints is JSON."""
    head = "import json, os\nfrom pycgroups import errors\nfrom pycgroups.cgroups import placed, placing\n"
    head += "from pycgroups.oci.resources import *\n"
    command = [*wrapper, sys.executable, "-c", head + textwrap.dedent(code)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return list(map(json.loads, done.stdout.splitlines()))


def opens(group, path):
    """Tell whether a process in the group may open a device node, which permissions do not keep from root."""
    code = f"import os; os.open({path!r}, os.O_RDONLY | os.O_NONBLOCK)"
    command = pc.in_cgroup(group, [sys.executable, "-c", code])
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0 or "PermissionError: [Errno 1]" in done.stderr, done.stderr
    return done.returncode == 0


@for_root
def test_the_limits_are_in_force(group):
    assert value(group, "memory.max", "memory.limit_in_bytes") == str(64 * MIB)
    assert value(group, "pids.max") == "20"
    hungry = pc.in_cgroup(group, [sys.executable, "-c", f"b'x' * {200 * MIB}"])
    assert subprocess.run(hungry, check=False).returncode == -9
    assert group.stats().memory.peak >= 60 * MIB
    assert group.sample().oom == 1


@for_root
def test_devices_of_the_config_come_first_and_those_of_every_container_are_there(above):
    rules = (DeviceRule(allow=False), DeviceRule(allow=True, type="c", major=1, minor=11, access="r"))
    for wanted, kmsg in ((NONE, False), (Resources(devices=rules), True), (None, False)):
        group = create(above, wanted)
        assert opens(group, "/dev/null")
        assert opens(group, "/dev/kmsg") == kmsg
        group.remove()


@pytest.mark.requires("limits", "root", "cgroup_v1")
def test_every_hierarchy_of_v1_has_a_directory(group, above):
    found = {path.removesuffix(f"{above}/web") for path in group.paths}
    assert found == {hierarchy.mount for hierarchy in (*detect.hierarchies(), *detect.named())}
    assert Path(detect.named()[0].mount + above, "web").is_dir()
    assert value(group, "cpuset.cpus")
    with sleeping(group) as process:
        places = {line.split(":", 2)[2] for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()}
    assert places == {f"{above}/web"}


@for_root
@pytest.mark.requires("cgroup_v1")
@pytest.mark.parametrize("flag", ["1", "0"])
def test_all_have_the_cpus_of_those_above(above, flag):
    """Of what is ours the kernel gives them to the groups inside; others' may not be so."""
    (mount,) = (each.mount for each in detect.everything() if "cpuset" in each.controllers)
    directory = Path(mount + above)
    first = create(above, NONE)
    assert (directory / "cgroup.clone_children").read_text() == "1\n"
    (directory / "cgroup.clone_children").write_text(flag)
    with placing.create(f"{above}/other", "ID", NONE) as group:
        second = placed.open_(group.paths)
    for name in ("cpuset.cpus", "cpuset.mems"):
        assert (directory / "other" / name).read_text() == (directory / name).read_text()
    for each in (second, first):
        each.remove()


@pytest.mark.requires("limits", "root", "cgroup_v2")
def test_all_controllers_are_handed_down_on_v2(group, above):
    (path,) = group.paths
    offered = Path("/sys/fs/cgroup/cgroup.controllers").read_text()
    assert Path(path, "cgroup.controllers").read_text() == offered
    assert Path(path).parent.name == above.strip("/")


@for_root
def test_it_outlives_its_creator_and_is_not_swept(above):
    (paths,) = python(f"""
        group = placing.create({f"{above}/web"!r}, "ID", Resources(pids=Pids(limit=7)))
        print(json.dumps(group.paths))
    """)
    python("import pycgroups as pc; pc.Cgroup.create(pids=5).remove()")
    with placed.open_(paths) as group:
        assert list(group.paths) == paths
        assert value(group, "pids.max") == "7"
        with sleeping(group) as process:
            assert group.processes() == (process.pid,)
            group.kill()
            assert process.wait() == -9
        group.remove()
    assert not any(Path(path).exists() for path in paths)
    with placed.open_(paths) as gone:
        assert gone.paths == gone.processes() == ()


@for_root
def test_limits_are_changed(group):
    with placed.open_(group.paths) as again:
        again.set(resources=Resources(memory=Memory(limit=32 * MIB, swap=0), pids=Pids(limit=9), cpu=Cpu(quota=50_000)))
    assert value(group, "memory.max", "memory.limit_in_bytes") == str(32 * MIB)
    assert value(group, "pids.max") == "9"
    assert value(group, "cpu.max", "cpu.cfs_quota_us") in {"50000 100000", "50000"}
    assert value(group, "cpu.weight", "cpu.shares") in {"59", "512"}, "what is left out stays"


@for_root
def test_who_is_inside_keeps_it(group, above):
    with sleeping(group), pytest.raises(AlreadyExists, match="container's cgroup is not empty"):
        placing.create(f"{above}/web", "ID", None)
    with placing.create(f"{above}/web", "ID", LIMITS) as again:
        assert again.paths == group.paths


@for_root
def test_frozen_is_an_error_and_no_deadlock(group, above):
    group.freeze()
    for path in (f"{above}/web", f"{above}/web/below"):
        with pytest.raises(AlreadyExists, match="frozen"):
            placing.create(path, "ID", None)
    group.thaw()
    placing.create(f"{above}/web", "ID", LIMITS).let_go()


@for_root
def test_a_frozen_group_is_removed_with_what_is_in_it(above):
    with placing.create(f"{above}/web", "ID", LIMITS) as made:
        paths = made.paths
    with placed.open_(paths) as group, subprocess.Popen(pc.in_cgroup(group, ["sleep", "1000"])) as process:
        wait_for(lambda: is_inside(group, process.pid))
        group.freeze()
        assert group.frozen
        group.remove()
        assert process.wait() == -9
    assert not any(Path(path).exists() for path in paths)


@for_root
def test_what_cannot_be_limited_leaves_nothing(above):
    with pytest.raises(Unsupported) as caught:
        placing.create(f"{above}/a/b", "ID", Resources(unified=(("nothing.max", "1"),)))
    assert "resources.unified['nothing.max']" in str(caught.value)
    assert not any(Path(hierarchy.mount + above).exists() for hierarchy in detect.everything())


@pytest.mark.requires("limits", "root", "cgroup_v2")
def test_who_joins_goes_where_the_first_process_went(group):
    """A container with an init of its own, as systemd, moves out of the way and hands controllers down."""
    inside = Path(group.paths[0], "init.scope")
    inside.mkdir()
    with sleeping(group) as process:
        Path(inside, "cgroup.procs").write_text(f"{process.pid}\n")
        Path(group.paths[0], "cgroup.subtree_control").write_text("+memory +pids")
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(pc.in_cgroup(group, ["true"]), check=True, stderr=subprocess.DEVNULL)
        with placed.open_(placed.beside(group.paths, process.pid)) as joined:
            assert joined.paths == (str(inside),)
            subprocess.run(pc.in_cgroup(joined, ["true"]), check=True)


@for_root
def test_a_group_inside(group):
    for path in group.paths:
        Path(path, "jobs").mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1 has none for a new group
            if Path(path, "jobs", name).exists():
                Path(path, "jobs", name).write_text(Path(path, name).read_text())
    with placed.open_(placed.sub(group.paths, "jobs")) as inside:
        assert inside.paths == tuple(f"{path}/jobs" for path in group.paths)
        with sleeping(inside) as process:
            assert group.processes() == (process.pid,)
    with pytest.raises(NotFound):
        placed.sub(group.paths, "none")


TRY = f"""
    for wanted in (None, Resources(pids=Pids(limit=9))):
        try:
            group = placing.create(None, {leaks.OWN!r}, wanted)
            print(json.dumps(list(group.paths)))
            group.remove()
        except errors.Unsupported as error:
            print(json.dumps(str(error)))
"""


@pytest.mark.requires("rootless", "no_limits")
@pytest.mark.parametrize("wrapper", [(), ("unshare", "--user", "--map-root-user")])
def test_without_a_cgroup_of_ones_own_there_is_none_until_there_is_a_limit(wrapper):
    without, limited = python(TRY, *wrapper)
    assert without == []
    assert limited.startswith("limit resources.pids.limit: ")
    assert "(hint: " in limited


@pytest.mark.requires("limits", "userns", "unshare")
def test_in_a_user_namespace_devices_are_left_alone():
    without, limited = python(TRY, "unshare", "--user", "--map-root-user")
    assert without == limited
    assert without
