"""What is read of files, on fake directories: the kernel documents' examples, old kernels, hostile content."""

from __future__ import annotations

import errno
import os

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import Sample, stats
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1 import stats as v1
from pycgroups.cgroups.v2 import stats as v2
from pycgroups.errors import CgroupError

V1 = frozenset({"io", "cpu", "cpuacct", "hugetlb", "memory", "pids"})
V2 = frozenset({"cpu", "hugetlb", "io", "memory", "pids"})

MEMORY_STAT_V1 = """\
cache 1
rss 2
inactive_file 3
hierarchical_memory_limit 9223372036854771712
total_cache 7000
total_rss 5000
total_rss_huge 0
total_swap 300
total_pgfault 20
total_pgmajfault 2
total_inactive_file 4000
"""
MEMORY_STAT_V2 = """\
anon 5000
file 7000
kernel 900
kernel_stack 16384
inactive_file 4000
pgfault 20
pgmajfault 2
"""
BYTES_V1 = """\
8:0 Read 4096
8:0 Write 8192
8:0 Sync 4096
8:0 Async 0
8:0 Discard 512
8:0 Total 12800
254:16 Read 1
254:16 Write 0
254:16 Discard 0
Total 12801
"""
# cgroup-v2.rst, "io.stat", and a line with what io.cost adds.
IO_STAT = """\
8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021 cost.vrate=100.00 cost.usage=7
"""


@pytest.fixture
def group(fake):
    """A directory without any file but the one that is always there; files are added by the tests."""
    with Directory(str(fake.make("group", cgroup_procs=""))) as directory:
        yield directory


@pytest.fixture
def write(fake):
    """Write files of the group: by their names, or with `_` for the first `.`."""

    def write(files=None, **more):
        directory = fake.make("group", **more)
        for name, content in (files or {}).items():
            (directory / name).write_text(content)

    return write


def whole(module, group, controllers):
    return stats.make(module.read(group, controllers, whole=True), None)


def sample(module, group, controllers):
    return Sample.of(module.read(group, controllers, whole=False))


def test_cpu_v2(group, write):
    write(
        cpu_stat="usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\n"
        "core_sched.force_idle_usec 0\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n"
        "nr_bursts 0\nburst_usec 0\n"
    )
    assert whole(v2, group, frozenset()).cpu == stats.CpuStats(
        total=1.5, user=1.0, system=0.5, periods=10, throttled_periods=4, throttled_time=0.25
    )


def test_cpu_v2_without_the_controller(group, write):
    write(cpu_stat="usage_usec 3\nuser_usec 2\nsystem_usec 1\n")
    assert whole(v2, group, frozenset()).cpu == stats.CpuStats(total=3e-6, user=2e-6, system=1e-6)


def test_cpu_v1(group, write):
    write(
        cpuacct_usage="1010000000\n",
        cpuacct_stat="user 75\nsystem 25\n",
        cpu_stat="nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\nnr_bursts 0\nburst_time 0\n",
    )
    cpu = whole(v1, group, V1).cpu
    assert (cpu.total, cpu.user, cpu.system) == pytest.approx((1.01, 0.7575, 0.2525))
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_time) == (10, 4, 0.25)
    assert sample(v1, group, V1).cpu_time == cpu.total


def test_cpuacct_before_the_first_tick(group, write):
    write(cpuacct_usage="1000\n", cpuacct_stat="user 0\nsystem 0\n")
    assert whole(v1, group, V1).cpu == stats.CpuStats(total=1e-6)


def test_memory_v1(group, write, fake):
    write(
        {"memory.kmem.usage_in_bytes": "900\n", "memory.memsw.failcnt": "4\n"},
        memory_usage_in_bytes="13000\n",
        memory_max_usage_in_bytes="20000\n",
        memory_limit_in_bytes="65536\n",
        memory_failcnt="3\n",
        memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        memory_stat=MEMORY_STAT_V1,
    )
    fake.make("group/sub/sub", memory_oom_control="under_oom 0\noom_kill 3\n")
    fake.make("group/sub", memory_oom_control="under_oom 0\noom_kill 0\n")
    assert whole(v1, group, V1).memory == stats.MemoryStats(
        current=13000,
        peak=20000,
        limit=65536,
        swap=300,
        anon=5000,
        file=7000,
        kernel=900,
        working_set=9000,
        faults=20,
        major_faults=2,
        events=stats.MemoryEvents(max=7, oom_kill=5),
    )
    assert (sample(v1, group, V1).peak_memory, sample(v1, group, V1).oom) == (20000, 5)


def test_memory_v2(group, write):
    write(
        {"memory.swap.current": "300\n"},
        memory_current="13000\n",
        memory_peak="20000\n",
        memory_max="65536\n",
        memory_events="low 1\nhigh 2\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\nsock_throttled 0\n",
        memory_stat=MEMORY_STAT_V2,
    )
    assert whole(v2, group, V2).memory == stats.MemoryStats(
        current=13000,
        peak=20000,
        limit=65536,
        swap=300,
        anon=5000,
        file=7000,
        kernel=900,
        working_set=9000,
        faults=20,
        major_faults=2,
        events=stats.MemoryEvents(low=1, high=2, max=9, oom=4, oom_kill=3),
    )
    assert (sample(v2, group, V2).peak_memory, sample(v2, group, V2).oom) == (20000, 3)


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(v1, "memory.limit_in_bytes", "9223372036854771712\n"), (v2, "memory.max", "max\n")],
)
def test_no_limit(module, name, value, group, write):
    write({name: value})
    assert whole(module, group, V1 | V2).memory.limit is None


def test_the_working_set_is_never_negative(group, write):
    write(memory_current="100\n", memory_stat="inactive_file 4096\n")
    assert whole(v2, group, V2).memory.working_set == 0


def test_pids_v1_adds_up_what_subgroups_count(group, write, fake):
    write(pids_current="5\n", pids_peak="9\n", pids_max="max\n", pids_events="max 1\n")
    fake.make("group/sub", pids_events="max 2\n")
    assert whole(v1, group, V1).pids == stats.PidsStats(current=5, peak=9, limit=None, refused=3)
    assert (sample(v1, group, V1).processes_peak, sample(v1, group, V1).pids_hits) == (9, 3)


def test_pids_v2(group, write, fake):
    write(pids_current="5\n", pids_max="8\n", pids_events="max 5\n")
    fake.make("group/sub", pids_events="max 2\n")
    assert whole(v2, group, V2).pids == stats.PidsStats(current=5, peak=None, limit=8, refused=5)


def test_io_v1(group, write):
    write(
        {
            "blkio.throttle.io_service_bytes_recursive": BYTES_V1,
            "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\n8:0 Discard 3\nTotal 6\n",
        }
    )
    one, other = whole(v1, group, V1).io
    assert one == stats.IoStats(
        major=8, minor=0, read_bytes=4096, written_bytes=8192, reads=1, writes=2, discarded_bytes=512, discards=3
    )
    assert (other.major, other.minor, other.read_bytes, other.reads) == (254, 16, 1, None)
    assert sample(v1, group, V1).io_read is None


def test_io_v2(group, write):
    write(io_stat=IO_STAT)
    one, other = whole(v2, group, V2).io
    assert one == stats.IoStats(
        major=8,
        minor=16,
        read_bytes=1459200,
        written_bytes=314773504,
        reads=192,
        writes=353,
        discarded_bytes=0,
        discards=0,
    )
    assert (other.minor, other.discards) == (0, 3021)
    assert sample(v2, group, V2).io_read == 1459200 + 90430464
    write(io_stat="")
    assert sample(v2, group, V2).io_read == 0


@pytest.mark.parametrize(("module", "name"), [(v1, "blkio.throttle.io_serviced_recursive"), (v2, "io.stat")])
def test_io_of_nothing(module, name, group, write):
    write({name: "" if module is v2 else "Total 0\n"})
    assert whole(module, group, V1 | V2).io == ()


def test_io_of_devices_without_figures(group, write):
    write(io_stat="8:0\n\n \n8:16 \n8:32 rbytes=1\n")
    assert whole(v2, group, V2).io == (stats.IoStats(major=8, minor=32, read_bytes=1),)


def test_hugetlb_v1(group, write):
    for size in ("2MB", "1GB"):
        write(
            {
                f"hugetlb.{size}.usage_in_bytes": "2097152\n",
                f"hugetlb.{size}.max_usage_in_bytes": "4194304\n",
                f"hugetlb.{size}.limit_in_bytes": "9223372036852678656\n",
                f"hugetlb.{size}.failcnt": "1\n",
                f"hugetlb.{size}.rsvd.usage_in_bytes": "0\n",
            }
        )
    one, other = whole(v1, group, V1).hugetlb
    assert one == stats.HugetlbStats(page_size="1GB", current=2097152, peak=4194304, limit=None, refused=1)
    assert other.page_size == "2MB"


def test_hugetlb_v2(group, write):
    files = {"current": "2097152\n", "max": "4194304\n", "events": "max 3\n", "rsvd.current": "0\n"}
    write({f"hugetlb.2MB.{name}": content for name, content in files.items()})
    expected = stats.HugetlbStats(page_size="2MB", current=2097152, limit=4194304, refused=3)
    assert whole(v2, group, V2).hugetlb == (expected,)


@pytest.mark.parametrize(("module", "controllers"), [(v1, V1), (v2, V2), (v1, frozenset()), (v2, frozenset())])
def test_files_that_are_lacking_are_not_counted(module, controllers, group):
    found = whole(module, group, controllers)
    assert found.cpu == stats.CpuStats()
    assert found.memory == stats.MemoryStats()
    assert found.pids == stats.PidsStats()
    assert (found.io, found.hugetlb) == (((), ()) if controllers else (None, None))


FILES = (
    *("cpu.stat", "memory.current", "memory.events", "memory.max", "memory.peak", "memory.stat", "io.stat"),
    *("pids.current", "pids.events", "cpuacct.usage", "cpuacct.stat", "memory.oom_control", "memory.failcnt"),
    *("blkio.throttle.io_service_bytes_recursive", "hugetlb.2MB.current", "hugetlb.2MB.events"),
)
lines = st.sampled_from(
    (
        *(
            "usage_usec",
            "usage_usec ",
            "usage_usec -1",
            "usage_usec 1 2",
            "oom_kill x",
            "anon \u00b2",
            "max 1.5",
            "8:0",
        ),
        *("8:0 rbytes", "8:0 rbytes=", "8:0 rbytes=x", "x:y rbytes=1", "8: Read 1", "8:0 Read", "8:0 Read -1"),
        *("brand_new 7", "brand new 7", "", " ", "-1", "9" * 30, "\0", "user 1"),
    )
)


@given(contents=st.dictionaries(st.sampled_from(FILES), st.lists(lines, max_size=4).map("\n".join)))
def test_hostile_content(contents, tmp_path_factory):
    directory = tmp_path_factory.mktemp("group")
    for name, content in contents.items():
        (directory / name).write_text(content)
    with Directory(str(directory)) as group:
        for module in (v1, v2):
            found = attrs.asdict(whole(module, group, V1 | V2))
            sample(module, group, V1 | V2)
    assert all(value is None or value >= 0 for value in found["cpu"].values())


def test_a_file_longer_than_one_read(group, write):
    write(io_stat="".join(f"{minor // 256}:{minor % 256} rbytes=1 wbytes=2\n" for minor in range(1000)))
    assert sample(v2, group, V2).io_written == 2000


def test_a_group_that_vanished(group):
    group.check()
    os.unlink(f"{group.path}/cgroup.procs")
    with pytest.raises(CgroupError) as caught:
        group.check()
    assert (caught.value.errno, caught.value.path) == (errno.ENOENT, f"{group.path}/cgroup.procs")
