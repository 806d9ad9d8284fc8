"""What each controller writes and checks, on fake directories."""

from __future__ import annotations

import errno

import pytest

from pycgroups.cgroups import Limits, swap
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1.cpu import Cpu as Cpu1
from pycgroups.cgroups.v1.cpuacct import Cpuacct
from pycgroups.cgroups.v1.cpuset import Cpuset as Cpuset1
from pycgroups.cgroups.v1.memory import Memory as Memory1
from pycgroups.cgroups.v1.pids import Pids as Pids1
from pycgroups.cgroups.v2.cpu import Cpu as Cpu2
from pycgroups.cgroups.v2.cpuset import Cpuset as Cpuset2
from pycgroups.cgroups.v2.io import Io
from pycgroups.cgroups.v2.memory import Memory as Memory2
from pycgroups.cgroups.v2.pids import Pids as Pids2
from pycgroups.errors import CgroupError, InvalidConfig

ALL = Limits(memory="64M", memory_swap="80M", cpus=0.5, cpuset="0-1", pids=7)
MIB = 1 << 20


@pytest.fixture
def group(fake):
    """An empty directory, open; files are added by the tests."""
    with Directory(str(fake.make("parent/group"))) as directory:
        yield directory


@pytest.fixture
def files(fake):
    def make(**contents):
        fake.make("parent/group", **contents)
        return fake.path / "parent/group"

    return make


@pytest.mark.parametrize(
    ("controller", "written"),
    [
        (Memory1(), {"memory.limit_in_bytes": 64 * MIB, "memory.memsw.limit_in_bytes": 80 * MIB}),
        (Memory2(), {"memory.max": 64 * MIB, "memory.swap.max": 16 * MIB}),
        (Cpu1(), {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": 50000}),
        (Cpu2(), {"cpu.max": "50000 100000"}),
        (Cpuset1(), {"cpuset.cpus": "0-1", "cpuset.mems": "0"}),
        (Cpuset2(), {"cpuset.cpus": "0-1"}),
        (Pids1(), {"pids.max": 7}),
        (Pids2(), {"pids.max": 7}),
        (Cpuacct(), {}),
        (Io(), {}),
    ],
)
def test_apply(controller, written, group, fake):
    fake.make("parent", cpuset_cpus="0-3\n", cpuset_mems="0\n")
    for name in written:
        (fake.path / "parent/group" / name).touch()
    controller.apply(group, Limits())
    assert all((fake.path / "parent/group" / name).read_text() == "" for name in written)
    controller.apply(group, ALL)
    # A regular file keeps the tail of a longer value that was there; the kernel's files do not.
    for name, value in written.items():
        assert (fake.path / "parent/group" / name).read_text().startswith(str(value))


def test_any_amount_of_swap(group, files):
    path = files(memory_max="", memory_swap="")
    (path / "memory.swap.max").touch()
    Memory2().apply(group, Limits(memory="64M", memory_swap=-1))
    assert (path / "memory.swap.max").read_text() == "max"


def test_no_swap(group, files):
    path = files(memory_max="")
    (path / "memory.swap.max").touch()
    Memory2().apply(group, Limits(memory="64M"))
    assert (path / "memory.swap.max").read_text() == "0"


def test_raising_memory_on_v1_begins_with_the_sum(group, monkeypatch):
    """The kernel's rule: the limit of memory may not exceed that of memory and swap."""
    values = {"memory.limit_in_bytes": 1 << 20, "memory.memsw.limit_in_bytes": 1 << 20}

    def write(_directory, name, value):
        new = values | {name: int(value)}
        if new["memory.limit_in_bytes"] > new["memory.memsw.limit_in_bytes"]:
            raise CgroupError(operation="write", path=name, errno=errno.EINVAL)
        values.update(new)

    monkeypatch.setattr(Directory, "write", write)
    for size in (8 * MIB, 2 * MIB):
        Memory1().apply(group, Limits(memory=size))
        assert set(values.values()) == {size}


def test_a_missing_file_is_an_error_with_its_path(group):
    with pytest.raises(CgroupError) as caught:
        Memory2().apply(group, ALL)
    assert caught.value.path == f"{group.path}/memory.max"
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("controller", [Memory1(), Memory2()])
@pytest.mark.parametrize(
    ("limits", "swap_there", "unenforced"),
    [
        (Limits(memory="1G"), True, ("memory_swap",)),
        (Limits(memory="1G"), False, ()),
        (Limits(memory="1G", memory_swap=-1), True, ()),
        (Limits(pids=1), True, ()),
    ],
)
def test_swap_that_is_not_counted(fake, monkeypatch, *, controller, limits, swap_there, unenforced):
    monkeypatch.setattr(swap, "_host_has_swap", lambda: swap_there)
    parent = fake.make("parent", memory_max="max\n", memory_limit_in_bytes="-1\n")
    assert controller.check(str(parent), limits) == unenforced
    for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
        (parent / name).touch()
    assert controller.check(str(parent), limits) == ()


@pytest.mark.parametrize(
    ("controller", "name"), [(Cpuset1(), "cpuset.effective_cpus"), (Cpuset2(), "cpuset.cpus.effective")]
)
def test_cpus_that_are_not_there(controller, name, fake):
    parent = fake.make("parent")
    (parent / name).write_text("0-1\n")
    assert controller.check(str(parent), Limits(cpuset="1")) == ()
    with pytest.raises(InvalidConfig, match="allowed: 0-1") as caught:
        controller.check(str(parent), Limits(cpuset="1-2"))
    assert caught.value.path == "cpuset"


@pytest.mark.parametrize("controller", [Memory1(), Memory2()])
@pytest.mark.parametrize("parent", ["removed", "made anew without the controller"])
def test_a_parent_that_vanished_is_no_missing_swap(controller, parent, fake):
    fake.make("made anew without the controller", cgroup_procs="")
    with pytest.raises(CgroupError) as caught:
        controller.check(f"{fake.path}/{parent}", Limits(memory="1G"))
    assert caught.value.errno == errno.ENOENT
