"""What `linux.resources` asks of which controller, how words become it, and conversions between units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import Limits, convert, ranges
from pycgroups.cgroups import resources as linux
from pycgroups.cgroups.translate import lifted, of_limits
from pycgroups.errors import InvalidConfig
from pycgroups.oci.reading import from_json
from pycgroups.oci.resources import BlockIo, Cpu, HugepageLimit, Memory, Pids, Resources, ThrottleDevice

MIB = 1 << 20


def of(**document):
    """Read resources from OCI's JSON."""
    pairs = {name: tuple(document.pop(name).items()) for name in ("unified",) if name in document}
    return Resources(**{**_fields(from_json(Resources, document, "resources")), **pairs})


def _fields(resources):
    return {field.name: getattr(resources, field.name) for field in Resources.__attrs_attrs__}


# -- taking limits away ---------------------------------------------------------------------------------------------


def test_limits_are_lifted_beside_others_that_are_set():
    asked = of_limits(Limits(cpu_weight=100, memory_low=MIB))
    assert lifted(asked, ["cpus", "memory", "memory_swap", "pids"]) == of(
        cpu={"shares": 1024, "quota": -1},
        memory={"limit": -1, "swap": -1, "reservation": MIB},
        pids={"limit": -1},
        unified={"cpu.weight": "100"},
    )
    assert lifted(asked, []) == asked
    with pytest.raises(InvalidConfig, match="cpuset"):
        lifted(asked, ["cpuset"])


# -- conversions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (512, 59), (1024, 100), (262144, 10000), (1 << 60, 10000)]
)
def test_cpu_weight(shares, weight):
    """The values that crun and runc have in their tests."""
    assert convert.cpu_weight(shares) == weight


@pytest.mark.parametrize(("weight", "shares"), [(1, 10), (50, 512), (100, 1024), (200, 2048), (10000, 102400)])
def test_cpu_shares(weight, shares):
    assert convert.cpu_shares(weight) == shares


@given(st.integers(2, 262144), st.integers(2, 262144))
def test_more_shares_are_no_less_weight(one, other):
    low, high = sorted((one, other))
    assert 1 <= convert.cpu_weight(low) <= convert.cpu_weight(high) <= 10000


@pytest.mark.parametrize(("blkio", "weight"), [(10, 1), (500, 4950), (1000, 10000)])
def test_io_weight(blkio, weight):
    assert convert.io_weight(blkio) == weight


@pytest.mark.parametrize(("weight", "blkio"), [(1, 10), (50, 50), (100, 100), (10000, 1000)])
def test_blkio_weight(weight, blkio):
    assert convert.blkio_weight(weight) == blkio


@given(st.integers(1, 10000))
def test_weights_stay_in_their_ranges(weight):
    assert convert.cpu_shares(weight) in convert.SHARES
    assert convert.blkio_weight(weight) in convert.BLKIO_WEIGHTS
    assert convert.io_weight(convert.blkio_weight(weight)) in convert.WEIGHTS


@pytest.mark.parametrize(
    ("limit", "both", "swap"),
    [
        (None, None, None),
        (5, None, None),
        (5, 5, 0),
        (5, 8, 3),
        (5, -1, -1),
        (-1, None, -1),
        (-1, 8, 8),
        (None, -1, -1),
    ],
)
def test_swap(limit, both, swap):
    assert convert.swap_max(limit, both) == swap


def test_swap_without_memory():
    with pytest.raises(InvalidConfig) as caught:
        convert.swap_max(None, 5)
    assert caught.value.path == "resources.memory.swap"


# -- words -----------------------------------------------------------------------------------------------------------


def test_nothing():
    assert of_limits(Limits()) == Resources()
    assert linux.controllers(Resources()) == frozenset()


def test_words():
    limits = Limits(
        memory="64M",
        memory_swap="80M",
        memory_low="16M",
        memory_high="32M",
        cpus=1.5,
        cpu_weight=100,
        cpuset="0",
        pids=7,
        io_weight=250,
        io_limits={"/dev/sda": {"rbps": "1M", "wiops": 9}},
        hugepages={"2M": "4M"},
    )
    assert of_limits(limits, (("/dev/sda", (8, 0)),)) == Resources(
        memory=Memory(limit=64 * MIB, swap=80 * MIB, reservation=16 * MIB),
        cpu=Cpu(shares=1024, quota=150_000, period=100_000, cpus="0"),
        pids=Pids(limit=7),
        block_io=BlockIo(
            weight=113,
            throttle_read_bps_device=(ThrottleDevice(major=8, minor=0, rate=MIB),),
            throttle_write_iops_device=(ThrottleDevice(major=8, minor=0, rate=9),),
        ),
        hugepage_limits=(HugepageLimit(page_size="2MB", limit=4 * MIB),),
        unified=(("memory.high", str(32 * MIB)), ("cpu.weight", "100"), ("io.weight", "default 250")),
    )


def test_no_swap_unless_asked():
    assert of_limits(Limits(memory="64M")).memory == Memory(limit=64 * MIB, swap=64 * MIB)
    assert of_limits(Limits(memory="64M", memory_swap=-1)).memory == Memory(limit=64 * MIB, swap=-1)
    assert of_limits(Limits(memory_low="64M")).memory == Memory(reservation=64 * MIB)


@given(st.floats(0.01, 8192))
def test_a_quota_is_never_too_small(cpus):
    cpu = of_limits(Limits(cpus=cpus)).cpu
    assert cpu is not None
    assert cpu.quota is not None
    assert cpu.quota >= 1000


numbers = st.integers(4096, 1 << 60)
weights = st.integers(1, 10000)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "memory_low": numbers,
            "memory_high": numbers,
            "cpus": st.floats(0.01, 8192),
            "cpu_weight": weights,
            "cpuset": st.just("0"),
            "pids": st.integers(1, 1 << 22),
            "io_weight": weights,
            "hugepages": st.just({"2M": "4M"}),
        },
    )
)
def test_words_make_resources_that_are_right(words):
    limits = Limits(**words)
    resources = of_limits(limits)
    ranges.check(resources)
    assert set(linux.names(linux.given(resources), limits)) == set(words) if words else linux.given(resources) == {}


# -- which controllers -----------------------------------------------------------------------------------------------


def test_controllers():
    resources = of(
        memory={"limit": 1, "kernel": 5, "useHierarchy": True},
        cpu={"quota": 1000, "cpus": "0", "mems": "0"},
        pids={"limit": 1},
        blockIO={"weight": 10, "leafWeight": 10},
        hugepageLimits=[{"pageSize": "2MB", "limit": 1}],
        network={"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
        devices=[{"allow": False}],
        unified={"misc.max": "x 1"},
    )
    assert linux.given(resources) == {
        "memory.limit": "memory",
        "cpu.quota": "cpu",
        "cpu.cpus": "cpuset",
        "cpu.mems": "cpuset",
        "pids.limit": "pids",
        "blockIO.weight": "io",
        "hugepageLimits": "hugetlb",
        "network.classID": "net_cls",
        "network.priorities": "net_prio",
        "devices": "devices",
        "unified['misc.max']": "misc",
    }
    assert linux.ignored(resources) == ("memory.kernel", "memory.useHierarchy", "blockIO.leafWeight")


def test_names():
    assert linux.names(["memory.limit", "cpu.idle"], Limits()) == ("resources.memory.limit", "resources.cpu.idle")
    assert linux.names(["cpu.quota", "cpu.period"], Limits(cpus=1)) == ("cpus",)


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"memory": {"limit": -1, "swap": -1, "reservation": 0, "swappiness": 100, "disableOOMKiller": True}},
        {"memory": {"limit": -1, "swap": 5}},
        {"cpu": {"shares": 2, "quota": -1, "period": 1000, "burst": 0, "cpus": "0-1,3", "mems": "0", "idle": 0}},
        {"cpu": {"realtimeRuntime": 1, "realtimePeriod": 1, "idle": 1}},
        {"pids": {"limit": -1}},
        {"blockIO": {"weight": 1000, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}},
        {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}},
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
        {"network": {"classID": 0, "priorities": [{"name": "eth0.5", "priority": 0}]}},
        {
            "unified": {
                "memory.high": "max",
                "hugetlb.2MB.max": "1",
                "cgroup.max.depth": "5",
                "io.max": "8:0 rbps=1\n8:1 wbps=1\n",
            }
        },
    ],
)
def test_right_values(document):
    ranges.check(of(**document))


@pytest.mark.parametrize(
    ("path", "document"),
    [
        *(("memory.limit", {"memory": {"limit": value}}) for value in (0, -2, 1 << 63)),
        *(("memory.swap", {"memory": {"limit": 5, "swap": value}}) for value in (0, -2, 4)),
        ("memory.reservation", {"memory": {"reservation": -2}}),
        *(("memory.swappiness", {"memory": {"swappiness": value}}) for value in (-1, 101)),
        *(("cpu.shares", {"cpu": {"shares": value}}) for value in (0, 1, -1, 262145)),
        *(("cpu.quota", {"cpu": {"quota": value}}) for value in (0, 999, -2)),
        *(("cpu.period", {"cpu": {"period": value}}) for value in (0, 999, -1, 1_000_001)),
        ("cpu.burst", {"cpu": {"burst": -1}}),
        ("cpu.idle", {"cpu": {"idle": 2}}),
        ("cpu.shares", {"cpu": {"idle": 1, "shares": 5}}),
        *(("cpu.cpus", {"cpu": {"cpus": value}}) for value in ("x", "0-", "0\n1", "9999")),
        ("cpu.mems", {"cpu": {"mems": "../0"}}),
        ("cpu.realtimeRuntime", {"cpu": {"realtimeRuntime": -2}}),
        *(("pids.limit", {"pids": {"limit": value}}) for value in (0, -2, 1 << 40)),
        *(("blockIO.weight", {"blockIO": {"weight": value}}) for value in (0, 9, 1001)),
        (
            "blockIO.throttleReadBpsDevice[0].rate",
            {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": -1}]}},
        ),
        (
            "blockIO.weightDevice[0].major",
            {"blockIO": {"weightDevice": [{"major": -8, "minor": 0, "weight": 10}]}},
        ),
        *(
            ("hugepageLimits[0].pageSize", {"hugepageLimits": [{"pageSize": value, "limit": 1}]})
            for value in ("", "2M", "2MB/../x", "../2MB", "2MB\n", "0MB")
        ),
        ("hugepageLimits[0].limit", {"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]}),
        ("network.classID", {"network": {"classID": 1 << 32}}),
        *(
            ("network.priorities[0].name", {"network": {"priorities": [{"name": value, "priority": 1}]}})
            for value in ("", "a b", "a/b", "a\nb", "x" * 65)
        ),
        *(
            ("unified", {"unified": {value: "1"}})
            for value in ("", "/", "../memory.max", "memory/max", "memory", ".", "..", ".x", "memory.", "a.b\n", "A.b")
        ),
        *(
            ("unified", {"unified": {f"cgroup.{value}": "1"}})
            for value in ("procs", "threads", "kill", "freeze", "type", "subtree_control", "events")
        ),
        *(("unified['memory.high']", {"unified": {"memory.high": value}}) for value in ("", " \n", "1\0", "1\x1b")),
    ],
)
def test_wrong_values(path, document):
    with pytest.raises(InvalidConfig) as caught:
        ranges.check(of(**document))
    assert caught.value.path == f"resources.{path}"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "resources", [{"pids": {"limit": 5}}, None, Resources(memory=Memory(limit=[1])), Resources(hugepage_limits=[])]
)
def test_what_is_no_resources(resources):
    with pytest.raises(InvalidConfig, match="tuples and no lists"):
        ranges.check(resources)


@pytest.mark.parametrize("value", ["1", 1.0, True, b"5"])
def test_values_of_a_wrong_type(value):
    with pytest.raises(InvalidConfig, match=r"resources\.memory\.limit"):
        ranges.check(Resources(memory=Memory(limit=value)))
