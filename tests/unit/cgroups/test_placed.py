"""Groups at the place that linux.cgroupsPath names, on fake directories that get their files when they are made."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from pycgroups.cgroups import detect, given, placed, places, placing, tree
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v1 import devices as v1_devices
from pycgroups.errors import AlreadyExists, CgroupError, InvalidConfig, NotFound, Unsupported
from pycgroups.oci.resources import Cpu, DeviceRule, Memory, Pids, Resources

MIB = 1 << 20
V1_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "devices": ("devices.allow", "devices.deny"),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "cpu": ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
    "pids": ("pids.max",),
}


class Kernel:
    """What makes the files of a directory in a fake hierarchy, and takes them away."""

    def __init__(self):
        self.found = []
        self.refuses = {}

    def make(self, path, mode=0o755):
        home = next(each for each in self.found if path.startswith(f"{each.mount}/"))
        if home.mount in self.refuses:
            raise CgroupError(operation="mkdir", path=path, errno=self.refuses[home.mount])
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            return False
        except FileNotFoundError:
            raise CgroupError(operation="mkdir", path=path, errno=errno.ENOENT) from None
        for name, text in self.files(home, os.path.dirname(path)).items():
            with open(f"{path}/{name}", "w") as file:
                file.write(text)
        return True

    def files(self, home, above):
        if home.version == detect.V1:
            names = [name for controller in home.controllers for name in V1_FILES.get(controller, ())]
            state = {"freezer.state": "THAWED\n"} if "freezer" in home.controllers else {}
            listed = {"devices.list": "a *:* rwm\n"} if "devices" in home.controllers else {}
            return dict.fromkeys(["tasks", "cgroup.procs", *names], "") | state | listed
        with open(f"{above}/cgroup.subtree_control") as file:
            names = [word.lstrip("+") for word in file.read().split()]
        files = {"cgroup.controllers": " ".join(names), "cgroup.events": "populated 0\nfrozen 0\n"}
        limits = [file for name in names for file in (f"{name}.max", f"{name}.weight")]
        return files | dict.fromkeys(["cgroup.procs", "cgroup.subtree_control", "cgroup.kill", *limits], "")


@pytest.fixture
def kernel(fake, hierarchies, monkeypatch):
    """Hierarchies to make groups in; who asks is not privileged."""
    kernel = Kernel()

    def put(*found):
        kernel.found = [*found]
        hierarchies(*found)
        return kernel

    kernel.put = put
    monkeypatch.setattr(places, "make_directory", kernel.make)
    monkeypatch.setattr(tree, "try_rmdir", lambda path: shutil.rmtree(path) or True)
    monkeypatch.setattr(v1_devices, "usable", lambda: False)
    return kernel


def legacy(fake, *controllers, own=""):
    name = controllers[0]
    fake.make(f"{name}/{own}", tasks="", cgroup_procs="", cpuset_cpus="0-3\n", cpuset_mems="0\n")
    fake.make(name, cpuset_cpus="0-3\n", cpuset_mems="0\n")
    mount = f"{fake.path}/{name}"
    return detect.Hierarchy(
        version=1, controllers=frozenset(controllers), mount=mount, own=f"{mount}/{own}".rstrip("/")
    )


def unified(fake, own="", controllers="cpu memory pids"):
    fake.v2("unified", controllers=controllers, type_="")
    if own:
        fake.v2(f"unified/{own}", controllers=controllers)
    mount = f"{fake.path}/unified"
    return detect.Hierarchy(
        version=2, controllers=frozenset(controllers.split()), mount=mount, own=f"{mount}/{own}".rstrip("/")
    )


def made(fake, group):
    """Make a list of the directories, as they are below the fake ones, and let go of the group."""
    paths = below(fake, group.paths)
    group.let_go()
    return paths


def below(fake, paths):
    """Make a list of directories as they are below the fake ones."""
    return [os.path.relpath(path, fake.path) for path in paths]


def read(fake, path):
    return (fake.path / path).read_text()


@pytest.mark.parametrize(
    ("path", "memory", "tree"),
    [
        ("/a/b", "memory/a/b", "unified/a/b"),
        ("//a/../../b/", "memory/b", "unified/b"),
        ("a/b", "memory/own/a/b", "unified/user/a/b"),
        ("../../a", "memory/own/a", "unified/user/a"),
        (None, "memory/own/ID", "unified/user/ID"),
        ("", "memory/own/ID", "unified/user/ID"),
    ],
)
def test_where_a_path_leads(fake, kernel, path, memory, tree):
    fake.v2("unified/user", controllers="cpu")
    kernel.put(legacy(fake, "memory", own="own"), unified(fake, "user/own"))
    assert made(fake, placing.create(path, "ID", None)) == [tree, memory]


def test_below_the_own_cgroup_where_nothing_above_can_be_written_to(fake, kernel, monkeypatch):
    kernel.put(unified(fake, "own"))
    monkeypatch.setattr(placing.v2, "writable", lambda path: path.endswith("own"))
    assert made(fake, placing.create(None, "ID", None)) == ["unified/own/ID"]


@pytest.mark.parametrize("path", ["/", "/..", "a\0b", "."])
def test_a_path_that_leads_nowhere(fake, kernel, path):
    kernel.put(unified(fake))
    with pytest.raises(InvalidConfig, match=r"linux\.cgroupsPath"):
        placing.create(path, "ID", None)


def test_every_hierarchy_of_v1_is_used_with_and_without_a_limit_for_it(fake, kernel, monkeypatch):
    kernel.put(*(legacy(fake, name) for name in ("cpu", "freezer", "perf_event")))
    named = legacy(fake, "systemd")._replace(controllers=frozenset())
    monkeypatch.setattr(detect, "named", lambda: (named,))
    kernel.found.append(named)
    group = placing.create("/a", "ID", Resources(cpu=Cpu(shares=512)))
    assert len(group.join_fds) == 4
    assert group.clone_fd is None
    assert made(fake, group) == ["cpu/a", "freezer/a", "perf_event/a", "systemd/a"]
    assert read(fake, "cpu/a/cpu.shares") == "512"


def test_cpusets_have_what_those_above_have(fake, kernel):
    kernel.put(legacy(fake, "cpuset"))
    made(fake, placing.create("/a/b", "ID", None))
    assert [read(fake, f"cpuset/{path}/cpuset.cpus") for path in ("a", "a/b")] == ["0-3", "0-3"]
    assert read(fake, "cpuset/a/b/cpuset.mems") == "0"


def test_all_controllers_are_handed_down_on_v2(fake, kernel):
    kernel.put(unified(fake))
    made(fake, placing.create("/a/b", "ID", Resources(memory=Memory(limit=MIB), pids=Pids(limit=5))))
    assert read(fake, "unified/cgroup.subtree_control") == "+cpu +memory +pids"
    assert read(fake, "unified/a/cgroup.subtree_control") == "+cpu +memory +pids"
    assert read(fake, "unified/a/b/cgroup.subtree_control") == ""
    assert read(fake, "unified/a/b/memory.max") == str(MIB)
    assert read(fake, "unified/a/b/pids.max") == "5"


def test_nought_is_not_given(fake, kernel):
    kernel.put(legacy(fake, "memory"), legacy(fake, "cpu"), legacy(fake, "pids"))
    nought = Resources(
        memory=Memory(limit=0, swap=0, disable_oom_killer=False),
        cpu=Cpu(shares=0, quota=0, period=0),
    )
    with placing.create("/a", "ID", nought) as group, placed.open_(group.paths) as found:
        found.set(resources=nought)
    written = ("memory/a/memory.limit_in_bytes", "cpu/a/cpu.shares", "cpu/a/cpu.cfs_quota_us")
    assert [read(fake, file) for file in written] == ["", "", ""]


def test_no_processes_are_one(fake, kernel):
    """The container's own; and not any number, as with youki#3634."""
    kernel.put(legacy(fake, "pids"))
    made(fake, placing.create("/a", "ID", Resources(pids=Pids(limit=0))))
    assert read(fake, "pids/a/pids.max") == "1"


@pytest.mark.parametrize(
    "wanted", [Resources(pids=Pids(limit=-2)), Resources(memory=Memory(swap=-2)), Resources(cpu=Cpu(quota=-7))]
)
def test_less_than_no_limit_is_none(fake, kernel, wanted):
    kernel.put(legacy(fake, "memory"), legacy(fake, "cpu"), legacy(fake, "pids"))
    with pytest.raises(InvalidConfig, match="-1 for no limit"):
        placing.create("/a", "ID", wanted)


@pytest.mark.parametrize("name", ["../a", "a/b", ".a"])
def test_a_file_elsewhere_is_refused(fake, kernel, name):
    kernel.put(unified(fake))
    with pytest.raises(InvalidConfig, match=r"linux\.resources\.unified"):
        placing.create("/a", "ID", Resources(unified=((name, "1"),)))


def test_devices_of_every_container_are_allowed_on_top():
    asked = given.for_new(Resources(devices=(DeviceRule(allow=False, access="rwm"),)), devices=True)
    assert asked.devices[0].allow is False
    kept = {(rule.type, rule.major, rule.minor, rule.access) for rule in asked.devices[1:] if rule.allow}
    assert kept >= {("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 136, None, "rwm")}
    assert given.for_new(None, devices=True).devices == asked.devices[1:]


def test_no_devices_for_those_who_may_not_and_no_changes_of_them():
    rules = Resources(devices=(DeviceRule(allow=True),))
    assert given.for_new(rules, devices=False).devices == ()
    assert given.for_change(rules).devices == ()


def test_devices_are_written_for_root(fake, kernel, monkeypatch):
    kernel.put(legacy(fake, "devices"))
    monkeypatch.setattr(v1_devices, "usable", lambda: True)
    made(fake, placing.create("/a", "ID", Resources(devices=(DeviceRule(allow=False),))))
    assert read(fake, "devices/a/devices.deny") == "a"
    assert read(fake, "devices/a/devices.allow")


def test_root_without_a_way_to_limit_devices_is_an_error(fake, kernel, monkeypatch):
    kernel.put(legacy(fake, "memory"))
    monkeypatch.setattr(v1_devices, "usable", lambda: True)
    with pytest.raises(Unsupported, match="devices"):
        placing.create("/a", "ID", None)
    assert not (fake.path / "memory/a").exists()


def test_a_group_that_is_there_and_empty_is_taken(fake, kernel):
    kernel.put(legacy(fake, "memory"))
    made(fake, placing.create("/a", "ID", None))
    assert made(fake, placing.create("/a", "ID", None)) == ["memory/a"]


@pytest.mark.parametrize("where", ["memory/a", "memory/a/inside"])
def test_a_group_with_processes_is_not(fake, kernel, where):
    kernel.put(legacy(fake, "cpu"), legacy(fake, "memory"))
    made(fake, placing.create("/a", "ID", None))
    shutil.rmtree(fake.path / "cpu/a")
    fake.make(where, cgroup_procs="1\n2\n")
    with pytest.raises(AlreadyExists, match="container's cgroup is not empty"):
        placing.create("/a", "ID", None)
    assert (fake.path / "memory/a").exists()
    assert not (fake.path / "cpu/a").exists(), "what was made is taken back"


def test_a_frozen_group_is_not_on_v1(fake, kernel):
    kernel.put(legacy(fake, "freezer"))
    made(fake, placing.create("/a", "ID", None))
    fake.make("freezer/a", freezer_state="FROZEN\n")
    with pytest.raises(AlreadyExists, match="frozen"):
        placing.create("/a", "ID", None)


def test_a_frozen_group_is_not_on_v2(fake, kernel):
    kernel.put(unified(fake))
    made(fake, placing.create("/a", "ID", None))
    fake.make("unified/a", cgroup_events="populated 0\nfrozen 1\n")
    with pytest.raises(AlreadyExists, match="frozen"):
        placing.create("/a", "ID", None)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_rootless_without_limits_there_is_no_directory(fake, kernel, number):
    hierarchy = legacy(fake, "memory")
    kernel.put(hierarchy).refuses = {hierarchy.mount: number}
    group = placing.create("/a", "ID", Resources(devices=(DeviceRule(allow=False),)))
    assert (group.paths, group.clone_fd, group.join_fds) == ((), None, ())
    group.remove()


def test_rootless_limits_that_cannot_be_are_an_error_that_names_them(fake, kernel):
    memory, cpu = legacy(fake, "memory"), legacy(fake, "cpu")
    kernel.put(memory, cpu).refuses = {memory.mount: errno.EACCES}
    with pytest.raises(Unsupported) as error:
        placing.create("/a", "ID", Resources(memory=Memory(limit=MIB), cpu=Cpu(shares=2)))
    assert error.value.path == "resources.memory.limit"
    assert error.value.hint
    assert not (fake.path / "cpu/a").exists()


def test_rootless_the_hierarchies_that_can_be_are_used(fake, kernel):
    memory, cpu = legacy(fake, "memory"), legacy(fake, "cpu")
    kernel.put(memory, cpu).refuses = {memory.mount: errno.EACCES}
    assert made(fake, placing.create("/a", "ID", Resources(cpu=Cpu(shares=2)))) == ["cpu/a"]


def test_root_is_told_what_is_refused(fake, kernel, monkeypatch):
    memory = legacy(fake, "memory")
    monkeypatch.setattr(v1_devices, "usable", lambda: True)
    kernel.put(memory, legacy(fake, "devices")).refuses = {memory.mount: errno.EROFS}
    with pytest.raises(CgroupError, match="EROFS"):
        placing.create("/a", "ID", None)


def test_the_tree_of_v2_beside_v1_may_be_read_only(fake, kernel, monkeypatch):
    tree = unified(fake, controllers="")
    monkeypatch.setattr(v1_devices, "usable", lambda: True)
    kernel.put(legacy(fake, "devices"), tree).refuses = {tree.mount: errno.EROFS}
    assert made(fake, placing.create("/a", "ID", None)) == ["devices/a"]


def test_who_may_not_enter_on_v2_makes_nothing(fake, kernel, monkeypatch):
    kernel.put(unified(fake, "user/own"))
    monkeypatch.setattr(os, "access", lambda path, *_, **__: not path.endswith("unified/cgroup.procs"))
    assert made(fake, placing.create("/a", "ID", None)) == []
    assert not (fake.path / "unified/a").exists()


def test_an_unexpected_error_takes_back_what_was_made(fake, kernel):
    memory = legacy(fake, "memory")
    kernel.put(legacy(fake, "cpu"), memory).refuses = {memory.mount: errno.ENOSPC}
    with pytest.raises(CgroupError, match="ENOSPC"):
        placing.create("/a/b", "ID", None)
    assert not (fake.path / "cpu/a").exists()


def test_a_group_is_found_again_as_far_as_it_is_there(fake, kernel):
    kernel.put(legacy(fake, "memory"), unified(fake))
    group = placing.create("/a", "ID", None)
    paths = group.paths
    group.let_go()
    with placed.open_(paths) as again:
        assert again.paths == paths
        again.set(resources=Resources(memory=Memory(limit=MIB)))
    assert read(fake, "memory/a/memory.limit_in_bytes") == str(MIB)
    shutil.rmtree(fake.path / "memory/a")
    with placed.open_(paths) as again:
        assert made(fake, again) == ["unified/a"]
    shutil.rmtree(fake.path / "unified/a")
    with placed.open_(paths) as again:
        assert again.paths == again.processes() == ()
        again.remove()
    assert placed.open_(["/no/cgroup", "/"]).paths == ()


def test_a_block_lets_go_of_it(fake, kernel):
    kernel.put(legacy(fake, "memory"))
    with placing.create("/a", "ID", None) as group:
        assert group.paths
    assert group.paths == ()
    assert (fake.path / "memory/a").exists()


def test_a_group_inside(fake, kernel):
    kernel.put(legacy(fake, "memory"), legacy(fake, "cpu"))
    group = placing.create("/a", "ID", None)
    for path in ("memory/a/x", "cpu/a/x", "cpu/a/y"):
        kernel.make(f"{fake.path}/{path}")
    assert below(fake, placed.sub(group.paths, "x")) == ["memory/a/x", "cpu/a/x"]
    assert below(fake, placed.sub(group.paths, "/x/./")) == ["memory/a/x", "cpu/a/x"]
    assert below(fake, placed.sub(group.paths, "y")) == ["memory/a", "cpu/a/y"]
    assert below(fake, placed.sub(group.paths, "memory:x")) == ["memory/a/x", "cpu/a"]
    assert below(fake, placed.sub(group.paths, "/")) == ["memory/a", "cpu/a"]
    for name in ("z", "memory:y", "pids:x"):
        with pytest.raises(NotFound):
            placed.sub(group.paths, name)
    for name in ("..", "/x/../..", "memory:../x"):
        with pytest.raises(InvalidConfig, match="not a sub cgroup path"):
            placed.sub(group.paths, name)
    group.let_go()


def test_what_joins_goes_where_the_first_process_is(fake, kernel, monkeypatch):
    kernel.put(unified(fake))
    group = placing.create("/a", "ID", None)
    texts = {"/proc/5/cgroup": "1:name=x:/\n0::/a/init\n"}
    monkeypatch.setattr(placed, "read_path", lambda path: texts.get(path) or read_path(path))
    kernel.make(f"{fake.path}/unified/a/init")
    assert below(fake, placed.beside(group.paths, 5)) == ["unified/a"]
    fake.make("unified/a", cgroup_subtree_control="memory\n")
    assert below(fake, placed.beside(group.paths, 5)) == ["unified/a/init"]
    kernel.put(unified(fake)._replace(root="/outer"))  # a part of the tree is mounted
    texts["/proc/5/cgroup"] = "0::/outer/a/init\n"
    assert below(fake, placed.beside(group.paths, 5)) == ["unified/a/init"]
    texts["/proc/5/cgroup"] = "0::/outer/b\n"
    assert below(fake, placed.beside(group.paths, 5)) == ["unified/a"]
    group.let_go()
