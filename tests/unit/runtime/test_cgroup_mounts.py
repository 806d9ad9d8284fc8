"""What a container is to see of cgroups."""

from __future__ import annotations

import pytest

from pycgroups.cgroups import detect
from pycgroups.cgroups.detect import Hierarchy
from pycgroups.runtime import cgroup_mounts
from pycgroups.runtime.cgroup_mounts import Shown

TOP = "/sys/fs/cgroup"


@pytest.fixture
def hosts(monkeypatch):
    def have(*mounts):
        found = tuple(
            Hierarchy(
                version=2 if mount in {TOP, f"{TOP}/unified"} else 1, controllers=frozenset(), mount=mount, own=mount
            )
            for mount in mounts
        )
        monkeypatch.setattr(detect, "everything", lambda: found)

    return have


def test_one_tree_is_the_mount_itself(hosts):
    hosts(TOP)
    assert cgroup_mounts.shown([f"{TOP}/a/b"]) == (Shown("", f"{TOP}/a/b"),)


def test_hierarchies_have_the_names_of_their_mounts(hosts):
    hosts(f"{TOP}/unified", f"{TOP}/memory", f"{TOP}/cpu,cpuacct", f"{TOP}/systemd")
    paths = [f"{TOP}/memory/a", f"{TOP}/cpu,cpuacct/a", f"{TOP}/unified/a"]
    assert cgroup_mounts.shown(paths) == tuple(map(Shown, ("memory", "cpu,cpuacct", "unified"), paths))


def test_one_hierarchy_of_v1_is_not_the_mount_itself(hosts):
    hosts(f"{TOP}/memory")
    assert cgroup_mounts.shown([f"{TOP}/memory/a"]) == (Shown("memory", f"{TOP}/memory/a"),)


def test_a_name_that_begins_like_another(hosts):
    hosts(f"{TOP}/cpu", f"{TOP}/cpuset")
    assert cgroup_mounts.shown([f"{TOP}/cpuset/a"]) == (Shown("cpuset", f"{TOP}/cpuset/a"),)


def test_the_top_itself(hosts):
    hosts(TOP)
    assert cgroup_mounts.shown([TOP]) == (Shown("", TOP),)


def test_without_a_cgroup_all_is_shown():
    assert cgroup_mounts.shown([]) == (Shown("", TOP),)


def test_links_to_hierarchies_of_several_controllers():
    assert cgroup_mounts.links("cpu,cpuacct") == ("cpu", "cpuacct")
    assert cgroup_mounts.links("memory") == ()
    assert cgroup_mounts.links("") == ()
