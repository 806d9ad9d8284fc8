"""Block devices by path."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest

from pycgroups.cgroups import Limits, disks
from pycgroups.errors import InvalidConfig


def limits(path):
    return Limits(io_limits={path: {"rbps": 1}})


@pytest.fixture
def block_device(monkeypatch):
    """Let each path be that of the block device 8:1."""
    status = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 1))
    monkeypatch.setattr(os, "stat", lambda _path: status)


def test_none():
    assert disks.numbers(Limits(pids=5)) == ()


def test_a_disk(block_device, monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    assert disks.numbers(limits("/dev/sda")) == (("/dev/sda", (8, 1)),)


def test_a_partition(block_device, monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/sys/dev/block/8:1/partition")
    with pytest.raises(InvalidConfig, match="partition") as caught:
        disks.numbers(limits("/dev/sda1"))
    assert "lsblk" in str(caught.value.hint)


@pytest.mark.parametrize("path", ["/dev/null", "/", "/there/is/none", "/" + "x" * 5000])
def test_what_is_no_disk(path):
    with pytest.raises(InvalidConfig) as caught:
        disks.numbers(limits(path))
    assert caught.value.path == f"io_limits[{path!r}]"
