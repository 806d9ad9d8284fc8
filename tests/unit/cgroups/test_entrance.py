"""What is opened of a container's cgroup for a process that is executed there, on fake directories."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from pycgroups.cgroups import detect, entrance
from pycgroups.cgroups.entrance import Entrance
from pycgroups.errors import CgroupError


@pytest.fixture
def paths(fake, hierarchies):
    """The directories of a group in a tree of v2 and two hierarchies of v1."""
    found = []
    for version, name, controllers in ((2, "unified", ""), (1, "cpu", "cpu"), (1, "freezer", "freezer")):
        mount = str(fake.make(name))
        found.append(detect.Hierarchy(version, frozenset(controllers.split()), mount, mount))
    hierarchies(*found)
    fake.make("unified/a", cgroup_procs="", cgroup_events="populated 1\nfrozen 0\n")
    fake.make("cpu/a", tasks="")
    fake.make("freezer/a", tasks="", freezer_state="THAWED\n")
    return [f"{fake.path}/{name}/a" for name in ("unified", "cpu", "freezer")]


def opened(fds):
    return [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]


def refusing(monkeypatch, name, number):
    """Have a file be refused that is opened."""
    real = os.open

    def refuse(path, *rest, **options):
        if os.fspath(path).endswith(name):
            raise OSError(number, os.strerror(number), path)
        return real(path, *rest, **options)

    monkeypatch.setattr(entrance.os, "open", refuse)


def test_each_hierarchy_has_its_door(paths):
    unified, cpu, freezer = paths
    with Entrance(paths) as door:
        assert opened([door.clone_fd]) == [unified]
        assert opened(door.join_fds) == [f"{cpu}/tasks", f"{freezer}/tasks"]
        assert not door.frozen
        fds = [door.clone_fd, *door.join_fds]
    assert (door.clone_fd, door.join_fds) == (-1, [])
    for fd in fds:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize(
    ("where", "files"), [("unified", {"cgroup_events": "frozen 1\n"}), ("freezer", {"freezer_state": "FROZEN\n"})]
)
def test_either_freezer_holds_it_up(fake, paths, where, files):
    fake.make(f"{where}/a", **files)
    with Entrance(paths) as door:
        assert door.frozen


@pytest.mark.parametrize("gone", ["unified/a", "cpu/a", "freezer/a"])
def test_all_of_it_is_entered_or_nothing(fake, paths, gone):
    shutil.rmtree(f"{fake.path}/{gone}")
    with pytest.raises(CgroupError, match=f"enter cgroup .*{gone}"):
        Entrance(paths)


def test_what_is_in_no_hierarchy_is_not_entered(paths):
    with pytest.raises(CgroupError, match="/no/cgroup"):
        Entrance([*paths, "/no/cgroup"])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("freezer/a/tasks", errno.EMFILE),
        ("cpu/a/tasks", errno.EROFS),
        ("unified/a", errno.EACCES),
        ("freezer/a", errno.EACCES),
    ],
)
def test_what_is_refused_is_an_error_that_leaves_nothing_open(paths, monkeypatch, name, number):
    before = os.listdir("/proc/self/fd")
    refusing(monkeypatch, name, number)
    with pytest.raises(CgroupError, match=name):
        Entrance(paths)
    assert os.listdir("/proc/self/fd") == before
