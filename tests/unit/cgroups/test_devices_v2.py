"""How the program of a group is put in its place, with a stand-in for bpf(2)."""

from __future__ import annotations

import errno
import os

import pytest

from pycgroups._native import bpf
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v2 import devices
from pycgroups.cgroups.v2.devices import Devices
from pycgroups.errors import CgroupError, InvalidConfig
from pycgroups.oci.resources import DeviceRule, Resources

NULL = DeviceRule(allow=True, type="c", major=1, minor=3)


class Kernel:
    """Programs by id, those attached, and what was done."""

    def __init__(self, **names):
        self.names = {int(id_.removeprefix("id")): name for id_, name in names.items()}
        self.attached = list(self.names)
        self.descriptors = {}
        self.done = []
        self.load_error = 0

    def _descriptor(self, id_):
        fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.descriptors[fd] = id_
        return fd

    def bpf_load(self, _type, _place, name, _code):
        if self.load_error:
            return -self.load_error, "0: (61) r2 = *(u32 *)(r1 +0)\ninvalid bpf_context access\n"
        id_ = max(self.names, default=0) + 1
        self.names[id_] = name
        return self._descriptor(id_), ""

    def bpf_attached(self, _cgroup, _place):
        return 0, tuple(self.attached)

    def bpf_open_(self, id_):
        return self._descriptor(id_) if id_ in self.names else -errno.ENOENT

    def bpf_name(self, program):
        return self.names[self.descriptors[program]]

    def bpf_attach(self, _cgroup, _place, program, replaced):
        new, old = self.descriptors[program], self.descriptors.get(replaced)
        self.done.append(("attach", new, old))
        self.attached = [id_ for id_ in self.attached if id_ != old] + [new]
        return 0

    def bpf_detach(self, _cgroup, _place, program):
        self.done.append(("detach", self.descriptors[program]))
        self.attached.remove(self.descriptors[program])
        return 0


@pytest.fixture
def put(monkeypatch, tmp_path):
    before = set(os.listdir("/proc/self/fd"))

    def make(**names):
        kernel = Kernel(**names)
        for name in dir(Kernel):
            if name.startswith("bpf_"):
                monkeypatch.setattr(bpf, name.removeprefix("bpf_"), getattr(kernel, name))
        return kernel

    yield make
    assert set(os.listdir("/proc/self/fd")) == before, "no descriptor is left open"


def apply(path, *rules):
    with Directory(str(path)) as directory:
        Devices().apply(directory, Resources(devices=rules))


def test_the_first(put, tmp_path):
    kernel = put()
    apply(tmp_path, NULL)
    assert kernel.done == [("attach", 1, None)]
    assert kernel.names == {1: devices.NAME}


def test_ours_is_replaced_and_no_other(put, tmp_path):
    kernel = put(id3="somebody", id4=devices.NAME, id5="somebody")
    apply(tmp_path, NULL)
    assert kernel.done == [("attach", 6, 4)]
    assert kernel.attached == [3, 5, 6]


def test_everything_needs_no_program(put, tmp_path):
    kernel = put(id4=devices.NAME)
    apply(tmp_path, DeviceRule(allow=True))
    apply(tmp_path, DeviceRule(allow=True))
    assert kernel.done == [("detach", 4)]


def test_no_rules_change_nothing(put, tmp_path):
    kernel = put(id4=devices.NAME)
    apply(tmp_path)
    assert kernel.done == []


def test_wrong_rules(put, tmp_path):
    kernel = put()
    with pytest.raises(InvalidConfig):
        Devices().check("/parent", Resources(devices=(DeviceRule(allow=True, type="x"),)))
    with pytest.raises(InvalidConfig):
        apply(tmp_path, NULL, DeviceRule(allow=True, type="x"))
    assert kernel.done == []


def test_the_verifiers_words_are_in_the_error(put, tmp_path):
    kernel = put(id4=devices.NAME)
    kernel.load_error = errno.EINVAL
    with pytest.raises(CgroupError, match="invalid bpf_context access") as caught:
        apply(tmp_path, NULL)
    assert caught.value.operation == "bpf(BPF_PROG_LOAD)"
    assert caught.value.path == str(tmp_path)
    assert kernel.done == []


def test_usable_asks_the_kernel(put):
    kernel = put()
    assert devices.usable()
    kernel.load_error = errno.EPERM
    assert not devices.usable()
