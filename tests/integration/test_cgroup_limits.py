"""Every limit on the real kernel, by words and in OCI's: read back from its file, and for some the effect."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import errors
from pycgroups.cgroups import Cgroup, places
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
)
from tests.waiting import PATIENCE

MIB = 1 << 20

pytestmark = pytest.mark.requires("limits")
root = pytest.mark.requires("root")
v1 = pytest.mark.requires("root", "cgroup_v1")
v2 = pytest.mark.requires("cgroup_v2")


def files(group, *names):
    """Contents of those of some files that the group has, by their names; spaces as they are, ends stripped."""
    paths = (Path(path, name) for path in group.paths for name in names)
    return {path.name: path.read_text().strip() for path in paths if path.exists()}


@contextlib.contextmanager
def nothing_made():
    """See that what is refused leaves no group of this process."""
    before = groups()
    yield
    assert groups() == before


def groups():
    found = (Path(path).glob(f"run.{os.getpid()}.*") for _, path in places.shared_directories())
    return [path for paths in found for path in paths]


@pytest.fixture
def disk(tmp_path):
    """Set up a block device of this test's own: the path of a loop device over 4 MiB."""
    (tmp_path / "disk").write_bytes(bytes(4 * MIB))
    if not os.path.exists("/dev/loop-control"):
        subprocess.run(["modprobe", "loop"], check=True, timeout=PATIENCE)
    command = ["losetup", "--find", "--show", str(tmp_path / "disk")]
    path = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout.strip()
    yield path
    subprocess.run(["losetup", "--detach", path], check=True, timeout=PATIENCE)


def numbers(path):
    status = os.stat(path)
    return {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}


# -- by words ---------------------------------------------------------------------------------------------------------


def test_memory_low_and_weights():
    with Cgroup.create(memory="64M", memory_low="16M", cpu_weight=100) as group:
        low = files(group, "memory.soft_limit_in_bytes", "memory.low")
        assert list(low.values()) == [str(16 * MIB)]
        assert files(group, "cpu.shares", "cpu.weight") in ({"cpu.shares": "1024"}, {"cpu.weight": "100"})
        for weight, shares in ((1, "10"), (10_000, "102400")):
            group.set(cpu_weight=weight)
            assert files(group, "cpu.shares", "cpu.weight") in ({"cpu.shares": shares}, {"cpu.weight": str(weight)})
        assert list(files(group, "memory.soft_limit_in_bytes", "memory.low").values()) == [str(16 * MIB)]


@v2
def test_memory_high_slows_down_and_does_not_kill():
    code = "import sys; b = bytearray(12 << 20); sys.stdout.write('alive')"
    result = pc.run(
        [sys.executable, "-S", "-c", code], memory_high="16M", memory="64M", timeout=PATIENCE, image="host", text=True
    )
    assert (result.reason, result.stdout) == ("exited", "alive")
    with Cgroup.create(memory_high="16M") as group:
        assert files(group, "memory.high", "memory.max") == {"memory.high": str(16 * MIB), "memory.max": "max"}
        group.set(memory_high="8M")
        assert files(group, "memory.high") == {"memory.high": str(8 * MIB)}


@v1
def test_memory_high_is_not_of_v1():
    with nothing_made(), pytest.raises(errors.Unsupported, match=r"limit memory_high: .*cgroup v1 has no memory\.high"):
        Cgroup.create(memory_high="16M", pids=5)
    with Cgroup.create(memory_high="16M", pids=5, require_limits=False) as group:
        assert group.unenforced == ("memory_high",)
        assert files(group, "pids.max") == {"pids.max": "5"}


@root
def test_io_weight():
    with Cgroup.create(io_weight=250) as group:
        assert files(group, "blkio.bfq.weight", "blkio.weight", "io.weight") in (
            {"blkio.bfq.weight": "113"},
            {"blkio.weight": "113"},
            {"io.weight": "default 250"},
        )


@root
def test_io_limits(disk):
    device = "{major}:{minor}".format(**numbers(disk))
    with Cgroup.create(io_limits={disk: {"rbps": "1M", "wiops": 20}}) as group:
        written = files(group, "io.max", "blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device")
        assert written in (
            {"io.max": f"{device} rbps={MIB} wbps=max riops=max wiops=20"},
            {
                "blkio.throttle.read_bps_device": f"{device} {MIB}",
                "blkio.throttle.write_iops_device": f"{device} 20",
            },
        )
        group.set(io_limits={disk: {"rbps": "2M"}})
        read = files(group, "io.max", "blkio.throttle.read_bps_device")
        assert read in (
            {"io.max": f"{device} rbps={2 * MIB} wbps=max riops=max wiops=20"},
            {"blkio.throttle.read_bps_device": f"{device} {2 * MIB}"},
        )


@root
def test_io_limits_slow_down(disk):
    """Reads past the page cache, which is charged to whoever filled it."""
    code = f"""
        import mmap, os, sys, time
        sys.stdin.readline()
        disk = os.open({disk!r}, os.O_RDONLY | os.O_DIRECT)
        buffer = mmap.mmap(-1, 1 << 18)
        start = time.monotonic()
        for _ in range(8):
            os.readv(disk, [buffer])
        print(time.monotonic() - start)
    """
    command = [sys.executable, "-S", "-c", textwrap.dedent(code)]
    with (
        Cgroup.create(io_limits={disk: {"rbps": "1M"}}) as group,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        group.add(child.pid)
        try:
            assert float(child.communicate(b"go\n", timeout=PATIENCE)[0]) > 1
        finally:
            child.kill()


@root
@pytest.mark.parametrize("path", ["/dev/null", "/", "/dev/there-is-none", "/dev/" + "x" * 300])
def test_disks_that_are_none(path):
    with nothing_made(), pytest.raises(errors.InvalidConfig) as caught:
        Cgroup.create(pids=5, io_limits={path: {"rbps": 1}})
    assert caught.value.path == f"io_limits[{path!r}]"


@root
def test_hugepages():
    with Cgroup.create(hugepages={"2M": "4M"}) as group:
        limits = files(group, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")
        assert set(limits.values()) == {str(4 * MIB)}
    with nothing_made(), pytest.raises(errors.Unsupported, match=r"limit hugepages: there are no huge pages of 16MB"):
        Cgroup.create(hugepages={"16M": "4M"})
    with Cgroup.create(hugepages={"16M": "4M"}, pids=5, require_limits=False) as group:
        assert group.unenforced == ("hugepages",)


@root
def test_words_of_a_run(disk):
    code = "import os; print(os.cpu_count())"
    options = {"cpu_weight": 50, "memory_low": "1M", "io_limits": {disk: {"wbps": "1M"}}, "hugepages": {"2M": 0}}
    result = pc.run([sys.executable, "-S", "-c", code], memory="64M", timeout=PATIENCE, **options)
    assert (result.reason, result.returncode, result.unenforced) == ("exited", 0, ())
    resources = pc.explain(["true"], memory="64M", **options).spec.to_json()["linux"]["resources"]
    assert resources["cpu"] == {"shares": 512}
    assert resources["blockIO"] == {"throttleWriteBpsDevice": [{**numbers(disk), "rate": MIB}]}


# -- in OCI's words ---------------------------------------------------------------------------------------------------


@root
def test_oci_resources(disk):
    resources = Resources(
        memory=Memory(limit=64 * MIB, swap=64 * MIB, reservation=32 * MIB, check_before_update=True),
        cpu=Cpu(shares=512, quota=20_000, period=50_000, burst=10_000, cpus="0", mems="0"),
        pids=Pids(limit=-1),
        block_io=BlockIo(throttle_read_iops_device=(ThrottleDevice(**numbers(disk), rate=7),)),
        hugepage_limits=(HugepageLimit(page_size="2MB", limit=0),),
    )
    with Cgroup.create(resources=resources) as group:
        assert group.unenforced == ()
        assert files(group, "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.max", "memory.low") in (
            {"memory.limit_in_bytes": str(64 * MIB), "memory.soft_limit_in_bytes": str(32 * MIB)},
            {"memory.max": str(64 * MIB), "memory.low": str(32 * MIB)},
        )
        assert files(group, "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.shares") in (
            {},
            {
                "cpu.cfs_quota_us": "20000",
                "cpu.cfs_period_us": "50000",
                "cpu.cfs_burst_us": "10000",
                "cpu.shares": "512",
            },
        )
        assert files(group, "cpu.max", "cpu.max.burst", "cpu.weight") in (
            {},
            {"cpu.max": "20000 50000", "cpu.max.burst": "10000", "cpu.weight": "59"},
        )
        assert files(group, "cpuset.cpus", "cpuset.mems") == {"cpuset.cpus": "0", "cpuset.mems": "0"}
        assert files(group, "pids.max") == {"pids.max": "max"}
        group.set(resources=Resources(cpu=Cpu(idle=1), pids=Pids(limit=9)))
        assert files(group, "cpu.idle", "pids.max") == {"cpu.idle": "1", "pids.max": "9"}
        group.set(resources=Resources(cpu=Cpu(idle=0), memory=Memory(limit=-1)))
        assert files(group, "memory.max", "memory.swap.max") in ({}, {"memory.max": "max", "memory.swap.max": "max"})
        group.set(resources=Resources(cpu=Cpu(quota=-1)))
        assert files(group, "cpu.max", "cpu.cfs_quota_us") in ({"cpu.max": "max 50000"}, {"cpu.cfs_quota_us": "-1"})


def test_words_or_resources_not_both():
    with nothing_made(), pytest.raises(errors.InvalidConfig, match="not both"):
        Cgroup.create(memory="1G", resources=Resources(pids=Pids(limit=5)))
    with Cgroup.create(pids=5) as group:
        with pytest.raises(errors.InvalidConfig, match="not both"):
            group.set(pids=6, resources=Resources(pids=Pids(limit=7)))
        assert files(group, "pids.max") == {"pids.max": "5"}
        group.set(resources=Resources(pids=Pids(limit=7)))
        assert files(group, "pids.max") == {"pids.max": "7"}


@pytest.mark.parametrize(
    ("path", "resources"),
    [
        ("resources.pids.limit", Resources(pids=Pids(limit=0))),
        ("resources.memory.limit", Resources(memory=Memory(limit=-5))),
        ("resources.unified", Resources(unified=(("cgroup.procs", "0"),))),
        (
            "resources.blockIO.throttleReadBpsDevice[0]",
            Resources(block_io=BlockIo(throttle_read_bps_device=(ThrottleDevice(major=99, minor=9, rate=5),))),
        ),
        ("resources.unified", Resources(unified=(("../cgroup.procs", "0"),))),
        ("resources.hugepageLimits[0].pageSize", Resources(hugepage_limits=(HugepageLimit(page_size="/", limit=1),))),
    ],
)
def test_bad_resources(path, resources):
    with nothing_made(), pytest.raises(errors.InvalidConfig) as caught:
        Cgroup.create(resources=resources)
    assert caught.value.path == path


def test_what_no_kernel_limits_is_told():
    with Cgroup.create(resources=Resources(memory=Memory(limit=64 * MIB, kernel=MIB))) as group:
        assert group.unenforced == ("resources.memory.kernel",)


@v1
def test_what_only_v1_has():
    resources = Resources(memory=Memory(limit=64 * MIB, swap=-1, swappiness=10, disable_oom_killer=True))
    with Cgroup.create(resources=resources) as group:
        assert files(group, "memory.swappiness") == {"memory.swappiness": "10"}
        assert "oom_kill_disable 1" in files(group, "memory.oom_control")["memory.oom_control"]
        group.set(resources=Resources(memory=Memory(disable_oom_killer=False)))
        assert "oom_kill_disable 0" in files(group, "memory.oom_control")["memory.oom_control"]


@v1
def test_realtime_that_the_groups_above_do_not_have():
    if not Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        pytest.skip("this kernel has no realtime groups")
    with nothing_made(), pytest.raises(errors.CgroupError, match="each group above needs"):
        Cgroup.create(resources=Resources(cpu=Cpu(realtime_runtime=1000)))


@v1
def test_files_of_v2_on_v1():
    with nothing_made(), pytest.raises(errors.Unsupported) as caught:
        Cgroup.create(resources=Resources(unified=(("memory.high", "5"),)))
    assert caught.value.path == "resources.unified['memory.high']"
    assert "systemd.unified_cgroup_hierarchy" in str(caught.value.hint)


@v2
@pytest.mark.parametrize(
    ("path", "resources"),
    [
        ("cpu.realtimeRuntime", Resources(cpu=Cpu(realtime_runtime=5))),
        ("memory.swappiness", Resources(memory=Memory(swappiness=5))),
        ("memory.disableOOMKiller", Resources(memory=Memory(disable_oom_killer=True))),
        ("network.classID", Resources(network=Network(class_id=5))),
        (
            "network.priorities",
            Resources(network=Network(priorities=(InterfacePriority(name="lo", priority=1),))),
        ),
        ("unified['memory.moon']", Resources(unified=(("memory.moon", "5"),))),
        ("unified['moon.max']", Resources(unified=(("moon.max", "5"),))),
    ],
)
def test_what_v2_cannot(path, resources):
    with nothing_made(), pytest.raises(errors.Unsupported) as caught:
        Cgroup.create(resources=resources)
    assert caught.value.path == f"resources.{path}"
    assert caught.value.hint
    with Cgroup.for_limits(resources=resources, require_limits=False) as group:
        assert group.unenforced == (f"resources.{path}",)


@v2
def test_files_by_name():
    unified = (("memory.oom.group", "1"), ("memory.min", "4096"), ("pids.max", "11"), ("cgroup.max.depth", "3"))
    with Cgroup.create(resources=Resources(pids=Pids(limit=5), unified=unified)) as group:
        assert files(group, *dict(unified)) == dict(unified)
    with nothing_made(), pytest.raises(errors.CgroupError, match=r"memory\.min"):
        Cgroup.create(resources=Resources(unified=(("memory.min", "moon"),)))


@v2
@root
def test_what_only_some_machines_have():
    """The files are there, the devices are not."""
    resources = Resources(rdma=(("mlx4_0", Rdma(hca_handles=2)),))
    with nothing_made(), pytest.raises(errors.CgroupError, match=r"rdma\.max.*no such device"):
        Cgroup.create(resources=resources)
    with nothing_made(), pytest.raises(errors.CgroupError, match=r"io\.max.*ENODEV"):
        Cgroup.create(resources=Resources(unified=(("io.max", "99:9 rbps=5"),)))
    with nothing_made(), pytest.raises(errors.CgroupError, match=r"misc\.max"):
        Cgroup.create(resources=Resources(unified=(("misc.max", "moon 5"),)))


def test_a_limit_below_what_is_in_use():
    code = "import sys; b = bytearray(32 << 20); print(flush=True); sys.stdin.readline()"
    gate = ["/bin/sh", "-c", 'read go; exec "$@"', "gate", sys.executable, "-S", "-c", code]
    with (
        Cgroup.create(memory="64M") as group,
        subprocess.Popen(gate, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        try:
            group.add(child.pid)
            assert child.stdin
            assert child.stdout
            os.write(child.stdin.fileno(), b"go\n")
            assert child.stdout.readline() == b"\n"
            with pytest.raises(errors.CgroupError, match="EBUSY"):
                group.set(resources=Resources(memory=Memory(limit=MIB, check_before_update=True)))
            assert child.poll() is None
        finally:
            child.kill()


@v2
@pytest.mark.parametrize(
    ("name", "value"),
    [("memory.zswap.max", "1048576"), ("memory.zswap.writeback", "0"), ("io.latency", "7:0 target=1000")],
)
def test_what_only_some_kernels_have(name, value):
    """zswap: Linux 5.19 and 6.8, if built in; io.latency likewise."""
    with Cgroup.create(memory="64M") as group:
        there = Path(group.paths[0], name).exists()
    asked = Resources(unified=((name, value),))
    told = contextlib.nullcontext() if there else pytest.raises(errors.Unsupported, match=re.escape(name))
    with told, Cgroup.create(resources=asked) as group:
        assert files(group, name) == {name: value}
