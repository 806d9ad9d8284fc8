"""Limits that cannot be enforced, on fake hierarchies: named as the caller wrote them."""

from __future__ import annotations

import pytest

from pycgroups.cgroups import Cgroup, Limits, detect
from pycgroups.errors import Unsupported
from pycgroups.oci.resources import Cpu, DeviceRule, Memory, Network, Pids, Resources


@pytest.fixture
def only_pids(fake, hierarchies):
    """A host that has the pids controller on v1, and no other."""
    fake.make("own")
    hierarchy = detect.Hierarchy(
        version=1, controllers=frozenset({"pids"}), mount=str(fake.path), own=f"{fake.path}/own"
    )
    hierarchies(hierarchy)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"memory": "1G", "cpu_weight": 5}, "memory, cpu_weight"),
        ({"memory_high": "1G", "pids": 5}, "memory_high"),
        ({"io_weight": 5}, "io_weight"),
        ({"hugepages": {"2M": 0}}, "hugepages"),
        ({"resources": Resources(cpu=Cpu(cpus="0", quota=1000))}, "resources.cpu.quota, resources.cpu.cpus"),
        ({"resources": Resources(network=Network(class_id=1))}, "resources.network.classID"),
        ({"resources": Resources(unified=(("misc.max", "x 1"),))}, "resources.unified['misc.max']"),
        ({"resources": Resources(unified=(("cgroup.max.depth", "1"),))}, "resources.unified['cgroup.max.depth']"),
    ],
)
def test_what_no_controller_enforces(words, path, only_pids):
    with pytest.raises(Unsupported) as caught:
        Cgroup.create(**words)
    assert caught.value.path == path
    assert caught.value.hint


def test_network_classes_are_of_v1(only_pids):
    with pytest.raises(Unsupported, match="net_cls: of cgroup v1 alone"):
        Cgroup.create(resources=Resources(network=Network(class_id=1)))


def test_names_of_what_is_not_enforced(hierarchies):
    hierarchies()
    limits = Limits(memory="1G", memory_high="1G", cpus=1, cpu_weight=5, io_weight=5)
    with Cgroup.for_limits(limits, require_limits=False) as group:
        assert group.unenforced == ("memory", "memory_high", "cpus", "cpu_weight", "io_weight")
    resources = Resources(memory=Memory(kernel=5, limit=5), pids=Pids(limit=5), devices=(DeviceRule(allow=False),))
    with Cgroup.for_limits(resources=resources, require_limits=False) as group:
        assert group.unenforced == (
            "resources.devices",
            "resources.memory.limit",
            "resources.pids.limit",
            "resources.memory.kernel",
        )
