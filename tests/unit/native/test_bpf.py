"""The calls of bpf(2), as far as they answer anybody."""

from __future__ import annotations

import errno

from pycgroups._native import bpf
from pycgroups._native.calls import lib

TYPE, PLACE = lib.BPF_PROG_TYPE_CGROUP_DEVICE, lib.BPF_CGROUP_DEVICE


def test_a_name_has_15_characters():
    assert bpf.load(TYPE, PLACE, "x" * 16, bytes(8)) == (-errno.ENAMETOOLONG, "")


def test_a_program_has_instructions():
    error, _ = bpf.load(TYPE, PLACE, "x" * 15, b"")
    assert error in {-errno.E2BIG, -errno.EPERM}


def test_no_cgroup():
    error, ids = bpf.attached(-1, PLACE)
    assert error in {-errno.EBADF, -errno.EPERM}
    assert ids == ()
    assert bpf.attach(-1, PLACE, -1, None) in {-errno.EBADF, -errno.EPERM}
    assert bpf.detach(-1, PLACE, -1) in {-errno.EBADF, -errno.EPERM}


def test_no_program():
    assert bpf.open_(0) in {-errno.ENOENT, -errno.EPERM}
    assert bpf.name(-1) == ""
