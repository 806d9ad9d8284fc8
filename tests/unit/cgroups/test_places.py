"""Where groups may be made, on fake hierarchies."""

from __future__ import annotations

import os
import pickle

import pytest

from pycgroups import cgroups
from pycgroups.cgroups import Cgroup, Limits, detect, hints, places
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1 import devices as v1_devices
from pycgroups.cgroups.v2 import devices as v2_devices
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import CgroupError, InvalidConfig, Unsupported
from pycgroups.oci.resources import DeviceRule

MEMORY = frozenset({"memory"})


def unified(fake, own, controllers="cpu memory pids"):
    return detect.Hierarchy(
        version=2,
        controllers=frozenset(controllers.split()),
        mount=str(fake.path),
        own=f"{fake.path}/{own}".rstrip("/"),
    )


def legacy(fake, name, *controllers):
    fake.make(f"{name}/own")
    mount = f"{fake.path}/{name}"
    return detect.Hierarchy(version=1, controllers=frozenset(controllers or (name,)), mount=mount, own=f"{mount}/own")


def test_the_deepest_without_processes(fake):
    fake.v2(".", type_="", procs="1\n")
    for name in ("user", "user/app"):
        fake.v2(name)
    fake.v2("user/app/own", procs="77\n")
    assert v2.find(unified(fake, "user/app/own"), MEMORY) == (f"{fake.path}/user/app", frozenset({"memory", "pids"}))


def test_the_real_root_may_have_processes(fake):
    fake.v2(".", type_="", procs="1\n77\n")
    assert v2.find(unified(fake, ""), MEMORY) == (str(fake.path), frozenset({"memory", "pids"}))


def test_the_top_of_a_namespace_may_not(fake):
    fake.v2(".", procs="1\n77\n")
    assert v2.find(unified(fake, ""), MEMORY) == (str(fake.path), frozenset())


def test_further_up_for_a_controller(fake):
    """Systemd hands the cpu controller down only where a unit asks for it."""
    fake.v2(".", type_="", procs="1\n")
    fake.v2("system", controllers="memory pids")
    fake.v2("system/own", controllers="memory pids", procs="77\n")
    hierarchy = unified(fake, "system/own")
    assert v2.find(hierarchy, MEMORY) == (f"{fake.path}/system", frozenset({"memory", "pids"}))
    assert v2.find(hierarchy, MEMORY | {"cpu"}) == (str(fake.path), frozenset({"cpu", "memory", "pids"}))


def test_not_where_it_may_not_write(fake):
    fake.make(".", cgroup_controllers="memory pids\n", cgroup_procs="")  # no cgroup.subtree_control to write to
    fake.v2("app", controllers="pids")
    fake.v2("app/own", controllers="", procs="77\n")
    assert v2.find(unified(fake, "app/own"), MEMORY) == (f"{fake.path}/app", frozenset({"pids"}))


def test_not_in_threaded_cgroups(fake):
    fake.v2(".", type_="", procs="1\n")
    fake.v2("threads", type_="domain threaded\n")
    fake.v2("threads/own", type_="threaded\n")
    assert v2.find(unified(fake, "threads/own"), MEMORY) == (str(fake.path), frozenset({"memory", "pids"}))


def test_nowhere(fake):
    fake.make("own")
    assert v2.find(unified(fake, "own"), MEMORY) is None


def test_v1_whether_the_shared_directory_is_there_or_not(fake, hierarchies, monkeypatch):
    """Other processes make and remove it, also between two looks at it."""
    writable = {f"{fake.path}/pids/own"}
    monkeypatch.setattr(os, "access", lambda path, _mode, **_: path in writable)
    hierarchies(legacy(fake, "pids"))
    assert places.places(frozenset({"pids"}))
    writable = {f"{fake.path}/pids/own/pycgroups"}
    hierarchies(legacy(fake, "pids"))
    assert places.places(frozenset({"pids"}))
    writable = set()
    hierarchies(legacy(fake, "pids"))
    assert not places.places(frozenset({"pids"}))


def test_v1_below_the_own_cgroup(fake, hierarchies):
    hierarchies(*(legacy(fake, name) for name in ("memory", "pids", "cpuset", "cpuacct")))
    found = places.places(frozenset({"memory", "pids"}))
    assert [place.path for place in found] == [
        f"{fake.path}/{name}/own/pycgroups" for name in ("memory", "pids", "cpuacct")
    ]
    assert places.offered(found) == {"memory", "pids", "cpuacct"}


def test_one_directory_for_controllers_mounted_together(fake, hierarchies):
    hierarchies(legacy(fake, "cpu,cpuacct", "cpu", "cpuacct"))
    (place,) = places.places(frozenset({"cpu"}))
    assert place.controllers == {"cpu", "cpuacct"}


def test_hybrid_takes_each_controller_where_it_is(fake, hierarchies):
    fake.v2(".", type_="", controllers="pids hugetlb", procs="1\n")
    hierarchies(legacy(fake, "memory"), legacy(fake, "cpuacct"), unified(fake, "", controllers="pids hugetlb"))
    found = places.places(frozenset({"memory", "pids"}))
    assert [(place.version, place.controllers) for place in found] == [
        (2, frozenset({"pids"})),
        (1, frozenset({"memory"})),
    ]


def test_controllers_are_handed_down_once(fake, hierarchies):
    fake.v2(".", type_="", procs="1\n")
    fake.v2("pycgroups", subtree="memory pids")
    hierarchies(unified(fake, ""))
    (place,) = places.places(MEMORY)
    places.prepare(place)
    places.prepare(place)
    # In a regular file the last write lies over the one before it.
    assert (fake.path / "cgroup.subtree_control").read_text() == "+pidsry"
    assert (fake.path / "pycgroups/cgroup.subtree_control").read_text() == "memory pids"


def test_info(fake, hierarchies):
    fake.v2(".", type_="", procs="1\n")
    hierarchies(unified(fake, ""))
    info = cgroups.info()
    assert info.hierarchy == "v2"
    assert info.usable == ("cpu", "memory", "pids")
    assert not info.writable
    assert info.hint is not None
    assert "cpuset" in info.hint
    assert info.paths == (f"{fake.path}/pycgroups",)


def test_info_without_cgroups(hierarchies):
    hierarchies()
    info = cgroups.info()
    assert (info.hierarchy, info.usable, info.writable, info.delegated) == ("none", (), False, False)


def test_limits_without_cgroups(hierarchies):
    hierarchies()
    with pytest.raises(Unsupported) as caught:
        Cgroup.create(memory="1G", pids=5)
    assert "memory, pids" in str(caught.value)
    assert caught.value.hint
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with Cgroup.for_limits(Limits(memory="1G", pids=5), require_limits=False) as group:
        assert group.unenforced == ("memory", "pids")


def test_bad_names_and_limits_come_first(hierarchies):
    hierarchies()
    for name in ("../x", "", "/a"):
        with pytest.raises(InvalidConfig):
            Cgroup.create(name)
    with pytest.raises(InvalidConfig):
        Cgroup.create(pids=0)


def test_nothing_is_made_for_a_limit_that_cannot_be(fake, hierarchies):
    hierarchies(legacy(fake, "pids"))
    with pytest.raises(Unsupported):
        Cgroup.create(pids=5, cpus=1)
    assert os.listdir(fake.path / "pids/own/pycgroups") == []


@pytest.fixture
def user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1234)


def test_hint_for_v1(fake, user):
    found = (legacy(fake, "memory"), legacy(fake, "cpuset"), legacy(fake, "pids"))
    hint = hints.for_missing(frozenset({"memory", "cpuset"}), found)
    assert hint.startswith(
        f"as root: install -d -o 1234 {fake.path}/memory/own/pycgroups {fake.path}/cpuset/own/pycgroups"
    )
    assert hint.endswith(
        f"&& chown 1234 {fake.path}/cpuset/own/pycgroups/cpuset.cpus {fake.path}/cpuset/own/pycgroups/cpuset.mems"
    )


@pytest.mark.parametrize(
    ("systemd", "own", "expected"),
    [
        (True, "user.slice/user@1234.service/app.slice", "Delegate=cpu cpuset io memory pids"),
        (False, "some/where", "/user-1234/self/cgroup.procs"),
    ],
)
def test_hints_for_users_on_v2(fake, user, *, systemd, own, expected):
    fake.make(own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detect, "_SYSTEMD_RUNS", str(fake.path) if systemd else f"{fake.path}/no")
        assert expected in hints.for_missing(MEMORY, (unified(fake, own),))


def test_hint_for_what_systemd_delegates_to_nobody(fake, user, monkeypatch):
    fake.make("own")
    monkeypatch.setattr(detect, "_SYSTEMD_RUNS", str(fake.path))
    hint = hints.for_missing(frozenset({"hugetlb"}), (unified(fake, "own", "hugetlb"),))
    assert "echo +hugetlb >" in hint


def test_hint_for_root_in_a_container(fake, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert f"mkdir {fake.path}/init" in hints.for_missing(MEMORY, (unified(fake, ""),))


def test_hint_for_a_controller_that_is_not_there(fake):
    assert "does not offer cpuset" in hints.for_missing(frozenset({"cpuset", "cpu"}), (unified(fake, ""),))


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(CgroupError, match="mkdir"):
        places.make_directory(f"{tmp_path}/none/group")


@pytest.fixture
def may(monkeypatch):
    """Let this process use device rules, or not."""

    def put(*, on_v1=False, on_v2=False):
        monkeypatch.setattr(v1_devices, "usable", lambda: on_v1)
        monkeypatch.setattr(v2_devices, "usable", lambda: on_v2)

    return put


DEVICES = frozenset({"devices"})


def test_devices_on_v2_are_no_controller_of_the_kernel(fake, hierarchies, may):
    may(on_v2=True)
    fake.v2(".", type_="", procs="1\n", subtree="cpu memory pids")
    hierarchies(unified(fake, ""))
    (place,) = places.places(DEVICES)
    assert "devices" in place.controllers
    fake.v2("pycgroups", subtree="cpu memory pids")
    with Directory(str(fake.path / "pycgroups")) as directory:
        places.hand_down(place, directory)
    assert (fake.path / "pycgroups/cgroup.subtree_control").read_text() == "cpu memory pids"
    assert "devices" not in places.offered(places.places(MEMORY))


def test_devices_are_v1s_where_it_has_them(fake, hierarchies, may):
    may(on_v1=True, on_v2=True)
    fake.v2("unified", type_="", procs="1\n", controllers="")
    tree = unified(fake, "unified", "")._replace(mount=f"{fake.path}/unified")
    hierarchies(legacy(fake, "devices"), tree)
    v2_place, v1_place = places.places(DEVICES)
    assert "devices" not in v2_place.controllers
    assert v1_place.controllers == DEVICES


@pytest.mark.parametrize("version", [1, 2])
def test_device_rules_where_they_cannot_be(version, fake, hierarchies, may):
    may(on_v1=version == 2, on_v2=version == 1)
    fake.v2(".", type_="", procs="1\n")
    hierarchies(legacy(fake, "devices") if version == 1 else unified(fake, ""))
    assert places.places(DEVICES) == () or not places.offered(places.places(DEVICES)) & DEVICES
    with pytest.raises(Unsupported, match="root of the host"):
        Cgroup.create(devices=[DeviceRule(allow=True)], require_limits=False)
    assert not os.path.exists(f"{fake.path}/pycgroups/run")


def test_a_cgroup_of_its_own_with_nobody_else_in_it(fake, hierarchies, user):
    """As a service with User= and Delegate= has it."""
    fake.make(".", cgroup_controllers="cpu memory pids\n")
    fake.v2("a.service", procs=f"{os.getpid()}\n")
    hierarchies(unified(fake, "a.service"))
    info = cgroups.info()
    assert info.usable == info.by_moving == ("cpu", "memory", "pids")
    with pytest.raises(CgroupError, match=r"open .*/self/cgroup\.procs"):  # no kernel is here that would make it
        Cgroup.create(pids=5)
    assert (fake.path / "a.service/self").is_dir()


def test_a_cgroup_of_its_own_with_others_in_it(fake, hierarchies, user):
    fake.make(".", cgroup_controllers="cpu memory pids\n")
    fake.v2("a.service", procs=f"1\n{os.getpid()}\n")
    fake.v2("a.service/pycgroups")
    hierarchies(unified(fake, "a.service"))
    info = cgroups.info()
    assert info.usable == info.by_moving == ()
    with pytest.raises(Unsupported) as caught:
        Cgroup.create(pids=5)
    assert f"mkdir {fake.path}/a.service/init" in caught.value.hint
