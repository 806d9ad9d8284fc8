"""Block devices by path."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest

from pycgroups.cgroups import Limits, disks
from pycgroups.errors import InvalidConfig
from pycgroups.oci.resources import BlockIo, Resources, ThrottleDevice


def limits(path):
    return Limits(io_limits={path: {"rbps": 1}})


@pytest.fixture
def sda(fake, monkeypatch):
    """Let each path be that of the block device 8:1; sysfs has 8:0, and 8:1 as the test likes."""
    status = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 1))
    fake.make("block/8:0")
    monkeypatch.setattr(disks, "_DEVICES", f"{fake.path}/block")
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: status if path == "/dev/sda1" else look(path, **how))
    return fake


def test_none():
    assert disks.numbers(Limits(pids=5)) == ()
    disks.check(Resources())


def test_a_disk(sda):
    sda.make("block/8:1")
    assert disks.numbers(limits("/dev/sda1")) == (("/dev/sda1", (8, 1)),)


def test_a_partition(sda):
    sda.make("block/8:1", partition="1\n")
    with pytest.raises(InvalidConfig, match="partition") as caught:
        disks.numbers(limits("/dev/sda1"))
    assert "lsblk" in str(caught.value.hint)


def test_a_node_without_a_device(sda):
    with pytest.raises(InvalidConfig, match="no block device 8:1"):
        disks.numbers(limits("/dev/sda1"))


def test_numbers(sda):
    there, none = ThrottleDevice(major=8, minor=0, rate=5), ThrottleDevice(major=8, minor=1, rate=5)
    disks.check(Resources(block_io=BlockIo(weight=10, throttle_read_bps_device=(there,))))
    with pytest.raises(InvalidConfig, match="no block device 8:1") as caught:
        disks.check(Resources(block_io=BlockIo(throttle_read_iops_device=(there, none))))
    assert caught.value.path == "resources.blockIO.throttleReadIOPSDevice[1]"


def test_a_host_without_sysfs(monkeypatch):
    monkeypatch.setattr(disks, "_DEVICES", "/there/is/none")
    disks.check(Resources(block_io=BlockIo(throttle_read_iops_device=(ThrottleDevice(major=9, minor=9, rate=5),))))


@pytest.mark.parametrize("path", ["/dev/null", "/", "/there/is/none", "/" + "x" * 5000])
def test_what_is_no_disk(path):
    with pytest.raises(InvalidConfig) as caught:
        disks.numbers(limits(path))
    assert caught.value.path == f"io_limits[{path!r}]"
