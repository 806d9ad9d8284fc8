"""What each controller writes, in which order, and what it cannot do, on fake directories."""

from __future__ import annotations

import errno
import os

import attrs
import pytest

from pycgroups.cgroups import Limits, swap
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.ranges import check
from pycgroups.cgroups.translate import of_limits
from pycgroups.cgroups.v1 import unified as unified1
from pycgroups.cgroups.v1.manager import Manager as Manager1
from pycgroups.cgroups.v2 import unified as unified2
from pycgroups.cgroups.v2.manager import Manager as Manager2
from pycgroups.errors import CgroupError, InvalidConfig
from pycgroups.oci.resources import (
    BlockIo,
    Cpu,
    HugepageLimit,
    InterfacePriority,
    Memory,
    Network,
    Pids,
    Rdma,
    Resources,
    ThrottleDevice,
    WeightDevice,
)

MIB = 1 << 20
DISK = {"major": 8, "minor": 0}
V1, V2 = Manager1.modules, Manager2.modules


@pytest.fixture
def group(fake):
    """An empty cgroup, open, in an empty one."""
    with Directory(str(fake.make("parent/group"))) as directory:
        yield directory


@pytest.fixture
def files(fake):
    """Make empty interface files, in the group and in its parent."""

    def make(*names):
        for name in names:
            for place in ("parent", "parent/group"):
                (fake.path / place / name).touch()

    return make


@pytest.fixture
def written(monkeypatch):
    """Every write that succeeded, in order."""
    writes = []
    write = Directory.write

    def record(directory, name, value):
        write(directory, name, value)
        writes.append((name, value))

    monkeypatch.setattr(Directory, "write", record)
    return writes


def throttles(**rates):
    fields = {
        "rbps": "throttle_read_bps_device",
        "wbps": "throttle_write_bps_device",
        "riops": "throttle_read_iops_device",
        "wiops": "throttle_write_iops_device",
    }
    return BlockIo(**{fields[word]: (ThrottleDevice(**DISK, rate=rate),) for word, rate in rates.items()})


BANDWIDTH = Resources(cpu=Cpu(quota=50_000, period=100_000, burst=1_000))
MEMORY = Resources(memory=Memory(limit=64 * MIB, swap=80 * MIB, reservation=MIB))
THROTTLES = throttles(rbps=1, wbps=2, riops=3, wiops=0)
EVERY_THROTTLE = Resources(block_io=THROTTLES)
WEIGHTED = (WeightDevice(**DISK, weight=1000),)
WEIGHTS = Resources(block_io=BlockIo(weight=10, weight_device=WEIGHTED))
EVERY_IO = attrs.evolve(THROTTLES, weight=10, weight_device=WEIGHTED)
PAGES = Resources(hugepage_limits=(HugepageLimit(page_size="2MB", limit=4 * MIB),))
NETWORK = Resources(network=Network(class_id=0x100001, priorities=(InterfacePriority(name="lo", priority=5),)))
RDMA = Resources(rdma=(("mlx4_0", Rdma(hca_handles=2, hca_objects=2000)), ("mlx4_1", Rdma(hca_handles=3))))

APPLIED = {
    "v1 memory": (
        *(V1["memory"], MEMORY),
        [
            ("memory.limit_in_bytes", str(64 * MIB)),
            ("memory.memsw.limit_in_bytes", str(80 * MIB)),
            ("memory.soft_limit_in_bytes", str(MIB)),
        ],
    ),
    "v2 memory": (
        *(V2["memory"], MEMORY),
        [("memory.max", str(64 * MIB)), ("memory.swap.max", str(16 * MIB)), ("memory.low", str(MIB))],
    ),
    "v1 any memory": (
        *(V1["memory"], Resources(memory=Memory(limit=-1))),
        [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
    ),
    "v2 any memory": (
        *(V2["memory"], Resources(memory=Memory(limit=-1, reservation=-1))),
        [("memory.max", "max"), ("memory.swap.max", "max"), ("memory.low", "max")],
    ),
    "v1 memory alone": (
        *(V1["memory"], Resources(memory=Memory(limit=MIB))),
        [("memory.limit_in_bytes", str(MIB))],
    ),
    "v2 memory alone": (V2["memory"], Resources(memory=Memory(limit=MIB)), [("memory.max", str(MIB))]),
    "v1 swap alone": (
        *(V1["memory"], Resources(memory=Memory(swap=MIB))),
        [("memory.memsw.limit_in_bytes", str(MIB))],
    ),
    "v2 any swap": (
        *(V2["memory"], Resources(memory=Memory(limit=MIB, swap=-1))),
        [("memory.max", str(MIB)), ("memory.swap.max", "max")],
    ),
    "v2 no swap": (
        *(V2["memory"], of_limits(Limits(memory=MIB))),
        [("memory.max", str(MIB)), ("memory.swap.max", "0")],
    ),
    "v1 swapping": (
        *(V1["memory"], Resources(memory=Memory(swappiness=0, disable_oom_killer=True))),
        [("memory.swappiness", "0"), ("memory.oom_control", "1")],
    ),
    "v1 what no kernel has": (V1["memory"], Resources(memory=Memory(kernel=5, kernel_tcp=5, use_hierarchy=True)), []),
    "v1 bandwidth": (
        *(V1["cpu"], BANDWIDTH),
        [("cpu.cfs_period_us", "100000"), ("cpu.cfs_burst_us", "1000"), ("cpu.cfs_quota_us", "50000")],
    ),
    "v2 bandwidth": (*(V2["cpu"], BANDWIDTH), [("cpu.max.burst", "1000"), ("cpu.max", "50000 100000")]),
    "v1 any bandwidth": (V1["cpu"], Resources(cpu=Cpu(quota=-1)), [("cpu.cfs_quota_us", "-1")]),
    "v2 any bandwidth": (V2["cpu"], Resources(cpu=Cpu(quota=-1)), [("cpu.max", "max")]),
    "v1 shares": (
        *(V1["cpu"], Resources(cpu=Cpu(shares=512, idle=0))),
        [("cpu.idle", "0"), ("cpu.shares", "512")],
    ),
    "v2 shares": (
        *(V2["cpu"], Resources(cpu=Cpu(shares=512, idle=0))),
        [("cpu.idle", "0"), ("cpu.weight", "59")],
    ),
    "v1 realtime": (
        *(V1["cpu"], Resources(cpu=Cpu(realtime_runtime=5, realtime_period=10))),
        [("cpu.rt_period_us", "10"), ("cpu.rt_runtime_us", "5")],
    ),
    "v1 cpuset": (
        *(V1["cpuset"], Resources(cpu=Cpu(cpus="0-1", mems="0"))),
        [("cpuset.mems", "0"), ("cpuset.cpus", "0-1")],
    ),
    "v2 cpuset": (
        *(V2["cpuset"], Resources(cpu=Cpu(cpus="0-1", mems="0"))),
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
    ),
    "v1 pids": (V1["pids"], Resources(pids=Pids(limit=7)), [("pids.max", "7")]),
    "v2 pids": (V2["pids"], Resources(pids=Pids(limit=7)), [("pids.max", "7")]),
    "v1 any pids": (V1["pids"], Resources(pids=Pids(limit=-1)), [("pids.max", "max")]),
    "v2 any pids": (V2["pids"], Resources(pids=Pids(limit=-1)), [("pids.max", "max")]),
    "v1 throttles": (
        *(V1["io"], EVERY_THROTTLE),
        [
            ("blkio.throttle.read_bps_device", "8:0 1"),
            ("blkio.throttle.write_bps_device", "8:0 2"),
            ("blkio.throttle.read_iops_device", "8:0 3"),
            ("blkio.throttle.write_iops_device", "8:0 0"),
        ],
    ),
    "v2 throttles": (*(V2["io"], EVERY_THROTTLE), [("io.max", "8:0 rbps=1 wbps=2 riops=3 wiops=max")]),
    "v1 weights": (*(V1["io"], WEIGHTS), [("blkio.bfq.weight", "10"), ("blkio.bfq.weight_device", "8:0 1000")]),
    "v2 weights": (
        *(V2["io"], WEIGHTS),
        [
            ("io.bfq.weight", "default 10"),
            ("io.weight", "default 1"),
            ("io.bfq.weight", "8:0 1000"),
            ("io.weight", "8:0 10000"),
        ],
    ),
    "v1 pages": (
        *(V1["hugetlb"], PAGES),
        [("hugetlb.2MB.limit_in_bytes", str(4 * MIB)), ("hugetlb.2MB.rsvd.limit_in_bytes", str(4 * MIB))],
    ),
    "v2 pages": (
        *(V2["hugetlb"], PAGES),
        [("hugetlb.2MB.max", str(4 * MIB)), ("hugetlb.2MB.rsvd.max", str(4 * MIB))],
    ),
    "v1 class": (V1["net_cls"], NETWORK, [("net_cls.classid", "1048577")]),
    "v1 priorities": (V1["net_prio"], NETWORK, [("net_prio.ifpriomap", "lo 5")]),
    "v1 rdma": (
        *(V1["rdma"], RDMA),
        [("rdma.max", "mlx4_0 hca_handle=2 hca_object=2000"), ("rdma.max", "mlx4_1 hca_handle=3")],
    ),
    "v2 rdma": (
        *(V2["rdma"], RDMA),
        [("rdma.max", "mlx4_0 hca_handle=2 hca_object=2000"), ("rdma.max", "mlx4_1 hca_handle=3")],
    ),
}


@pytest.mark.parametrize(("controller", "resources", "writes"), APPLIED.values(), ids=APPLIED)
def test_what_is_written_in_which_order(controller, resources, writes, *, group, files, written):
    check(resources)
    names = [name for name, _ in writes]
    # Those that are not asked for would be an error to write to; these two are looked for, and there with swap.
    files(*names, "memory.memsw.limit_in_bytes", "memory.swap.max")
    if hasattr(controller, "witness"):
        files(controller.witness)
    assert controller.check(os.path.dirname(group.path), resources) == []
    controller.apply(group, resources)
    assert written == writes


@pytest.mark.parametrize("controller", [modules[name] for modules in (V1, V2) for name in sorted(modules.names)])
def test_nothing_is_written_for_nothing(controller, group):
    assert controller.check(os.path.dirname(group.path), Resources()) == []
    controller.apply(group, Resources())
    controller.apply(group, Resources(memory=Memory(), cpu=Cpu(), block_io=BlockIo(), network=Network()))


# -- memory ---------------------------------------------------------------------------------------------------------


def test_raising_memory_on_v1_begins_with_the_sum(group, monkeypatch):
    """The kernel's rule: the limit of memory may not exceed that of memory and swap."""
    values = {"memory.limit_in_bytes": 1 << 20, "memory.memsw.limit_in_bytes": 1 << 20}

    def write(_directory, name, value):
        new = values | {name: int(value)}
        if new["memory.limit_in_bytes"] > new["memory.memsw.limit_in_bytes"]:
            raise CgroupError(operation="write", path=name, errno=errno.EINVAL)
        values.update(new)

    monkeypatch.setattr(Directory, "write", write)
    monkeypatch.setattr(Directory, "exists", lambda _directory, _name: True)
    for size in (8 * MIB, 2 * MIB):
        V1["memory"].apply(group, Resources(memory=Memory(limit=size, swap=size)))
        assert set(values.values()) == {size}


def test_a_missing_file_is_an_error_with_its_path(group):
    with pytest.raises(CgroupError) as caught:
        V2["memory"].apply(group, MEMORY)
    assert caught.value.path == f"{group.path}/memory.max"
    assert caught.value.errno == errno.ENOENT


def test_a_limit_below_what_is_in_use(group, files):
    files("memory.max")
    with open(f"{group.path}/memory.current", "w", encoding="ascii") as file:
        file.write("5000000\n")
    asked = Resources(memory=Memory(limit=MIB, check_before_update=True))
    with pytest.raises(CgroupError, match="5000000 bytes are in use") as caught:
        V2["memory"].apply(group, asked)
    assert caught.value.errno == errno.EBUSY
    V2["memory"].apply(group, Resources(memory=Memory(limit=-1, check_before_update=True)))
    V2["memory"].apply(group, Resources(memory=Memory(limit=MIB)))


@pytest.mark.parametrize("controller", [V1["memory"], V2["memory"]])
@pytest.mark.parametrize(
    ("limits", "swap_there", "lacking"),
    [
        (Limits(memory="1G"), True, ["memory.swap"]),
        (Limits(memory="1G"), False, []),
        (Limits(memory="1G", memory_swap=-1), True, []),
        (Limits(pids=1), True, []),
    ],
)
def test_swap_that_is_not_counted(fake, monkeypatch, *, controller, limits, swap_there, lacking):
    monkeypatch.setattr(swap, "_host_has_swap", lambda: swap_there)
    parent = fake.make("parent", memory_max="max\n", memory_limit_in_bytes="-1\n")
    assert [lack.path for lack in controller.check(str(parent), of_limits(limits))] == lacking
    for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
        (parent / name).touch()
    assert controller.check(str(parent), of_limits(limits)) == []


@pytest.mark.parametrize("controller", [V1["memory"], V2["memory"]])
@pytest.mark.parametrize("parent", ["removed", "made anew without the controller"])
def test_a_parent_that_vanished_is_no_missing_swap(controller, parent, fake):
    fake.make("made anew without the controller", cgroup_procs="")
    with pytest.raises(CgroupError) as caught:
        controller.check(f"{fake.path}/{parent}", of_limits(Limits(memory="1G")))
    assert caught.value.errno == errno.ENOENT


def test_swap_alone_is_no_limit_of_v2(fake):
    with pytest.raises(InvalidConfig):
        V2["memory"].check(str(fake.path), Resources(memory=Memory(swap=5)))


# -- cpu ------------------------------------------------------------------------------------------------------------


def test_a_period_alone_keeps_the_quota_on_v2(group, files, written):
    files("cpu.max")
    with open(f"{group.path}/cpu.max", "w", encoding="ascii") as file:
        file.write("50000 100000\n")
    V2["cpu"].apply(group, Resources(cpu=Cpu(period=200_000)))
    assert written == [("cpu.max", "50000 200000")]


def test_bandwidth_that_agrees_only_in_another_order(group, monkeypatch):
    """The kernel's rule: the burst may not exceed the quota."""
    values = {"cpu.cfs_burst_us": 0, "cpu.cfs_quota_us": 1000}

    def write(_directory, name, value):
        new = values | {name: int(value)}
        if new["cpu.cfs_burst_us"] > new["cpu.cfs_quota_us"]:
            raise CgroupError(operation="write", path=name, errno=errno.EINVAL)
        values.update(new)

    monkeypatch.setattr(Directory, "write", write)
    monkeypatch.setattr(Directory, "exists", lambda _directory, _name: True)
    for quota, burst in ((9000, 8000), (2000, 1500), (50000, 50000)):
        V1["cpu"].apply(group, Resources(cpu=Cpu(quota=quota, burst=burst)))
        assert values == {"cpu.cfs_burst_us": burst, "cpu.cfs_quota_us": quota}
    with pytest.raises(CgroupError):
        V1["cpu"].apply(group, Resources(cpu=Cpu(quota=1000, burst=2000)))


def test_realtime_above_the_parents(group, monkeypatch):
    def write(_directory, name, _value):
        raise CgroupError(operation="write", path=name, errno=errno.EINVAL)

    monkeypatch.setattr(Directory, "write", write)
    monkeypatch.setattr(Directory, "exists", lambda _directory, _name: True)
    with pytest.raises(CgroupError, match=r"each group above needs"):
        V1["cpu"].apply(group, Resources(cpu=Cpu(realtime_runtime=5)))


# -- cpuset -----------------------------------------------------------------------------------------------------------


def test_the_rest_of_a_cpuset_is_the_parents_on_v1(group, fake, files, written):
    files("cpuset.cpus", "cpuset.mems")
    fake.make("parent", cpuset_cpus="0-3\n", cpuset_mems="0\n")
    V1["cpuset"].apply(group, Resources(cpu=Cpu(cpus="1")))
    assert written == [("cpuset.mems", "0"), ("cpuset.cpus", "1")]
    V1["cpuset"].apply(group, Resources(cpu=Cpu(cpus="2")))
    assert written[2:] == [("cpuset.cpus", "2")]


@pytest.mark.parametrize(
    ("controller", "cpus", "mems"),
    [
        (V1["cpuset"], "cpuset.effective_cpus", "cpuset.effective_mems"),
        (V2["cpuset"], "cpuset.cpus.effective", "cpuset.mems.effective"),
    ],
)
def test_cpus_that_are_not_there(controller, cpus, mems, fake):
    parent = fake.make("parent")
    (parent / cpus).write_text("0-1\n")
    (parent / mems).write_text("0\n")
    assert controller.check(str(parent), Resources(cpu=Cpu(cpus="1", mems="0"))) == []
    with pytest.raises(InvalidConfig, match="allowed: 0-1") as caught:
        controller.check(str(parent), Resources(cpu=Cpu(cpus="1-2")))
    assert caught.value.path == "cpuset"
    with pytest.raises(InvalidConfig, match="allowed: 0") as caught:
        controller.check(str(parent), Resources(cpu=Cpu(mems="1")))
    assert caught.value.path == "resources.cpu.mems"


# -- what is not there -------------------------------------------------------------------------------------------------

LACKING = [
    (V1["cpu"], Resources(cpu=Cpu(idle=1, burst=5, realtime_runtime=5, realtime_period=5))),
    (V2["cpu"], Resources(cpu=Cpu(idle=1, burst=5, realtime_runtime=5, realtime_period=5))),
    (V1["memory"], Resources(memory=Memory(reservation=5))),
    (V2["memory"], Resources(memory=Memory(swappiness=5, disable_oom_killer=True))),
    (V1["io"], Resources(block_io=EVERY_IO)),
    (V2["io"], Resources(block_io=EVERY_IO)),
    (V1["hugetlb"], PAGES),
    (V2["hugetlb"], PAGES),
]


@pytest.mark.parametrize(("controller", "resources"), LACKING)
def test_what_is_not_there_is_told_and_left_out(controller, resources, group, files, written):
    if hasattr(controller, "witness"):
        files(controller.witness)
    lacks = controller.check(os.path.dirname(group.path), resources)
    ((part, fields),) = resources.to_json().items()
    paths = [f"{part}.{name}" for name in fields] if isinstance(fields, dict) else [part]
    assert sorted(lack.path for lack in lacks) == sorted(paths)
    assert all(lack.why and lack.hint for lack in lacks)
    controller.apply(group, resources)
    assert written == []


def test_the_oom_killer_that_stays_on(group, files):
    files("memory.max")
    assert V2["memory"].check(os.path.dirname(group.path), Resources(memory=Memory(disable_oom_killer=False))) == []


# -- files by name ---------------------------------------------------------------------------------------------------

FILES = Resources(unified=(("memory.high", "5"), ("io.max", "8:0 rbps=1\n8:1 rbps=2\n"), ("pids.new", "1")))


def test_files_by_name(group, files, written):
    files("memory.high", "io.max")
    controllers = frozenset({"memory", "io", "pids"})
    (lack,) = unified2.check(os.path.dirname(group.path), controllers, FILES)
    assert lack.path == "unified['pids.new']"
    unified2.apply(group, controllers, FILES)
    assert written == [("memory.high", "5"), ("io.max", "8:0 rbps=1"), ("io.max", "8:1 rbps=2")]


def test_files_of_other_controllers_are_left_to_them(group, written):
    controllers = frozenset({"cpu"})
    assert unified2.check(os.path.dirname(group.path), controllers, FILES) == []
    unified2.apply(group, controllers, FILES)
    assert written == []


def test_files_by_name_are_not_of_v1():
    assert [lack.path for lack in unified1.check(frozenset({"memory", "cpu"}), FILES)] == ["unified['memory.high']"]
    assert unified1.check(frozenset({"io", "cpu"}), of_limits(Limits(io_weight=100, cpu_weight=100))) == []
    alone = Resources(unified=(("io.weight", "default 100"),))
    assert [lack.path for lack in unified1.check(frozenset({"io"}), alone)] == ["unified['io.weight']"]


def test_files_by_name_come_last(group, files, written):
    files("cgroup.controllers", "cgroup.procs", "io.weight", "io.bfq.weight", "io.stat")
    manager = Manager2(Directory(group.path), frozenset({"io"}))
    manager.apply(of_limits(Limits(io_weight=250)))
    manager.close()
    assert written == [
        ("io.bfq.weight", "default 113"),
        ("io.weight", "default 1041"),
        ("io.weight", "default 250"),
    ]
