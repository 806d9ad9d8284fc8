"""The calls of bpf(2), as far as they answer anybody."""

from __future__ import annotations

import errno

from pycgroups._native import calls

TYPE, PLACE = calls.lib.BPF_PROG_TYPE_CGROUP_DEVICE, calls.lib.BPF_CGROUP_DEVICE


def test_a_name_has_15_characters():
    assert calls.bpf_load(TYPE, PLACE, "x" * 16, bytes(8)) == (-errno.ENAMETOOLONG, "")


def test_a_program_has_instructions():
    error, _ = calls.bpf_load(TYPE, PLACE, "x" * 15, b"")
    assert error in {-errno.E2BIG, -errno.EPERM}


def test_no_cgroup():
    error, ids = calls.bpf_attached(-1, PLACE)
    assert error in {-errno.EBADF, -errno.EPERM}
    assert ids == ()
    assert calls.bpf_attach(-1, PLACE, -1, None) in {-errno.EBADF, -errno.EPERM}
    assert calls.bpf_detach(-1, PLACE, -1) in {-errno.EBADF, -errno.EPERM}


def test_no_program():
    assert calls.bpf_open(0) in {-errno.ENOENT, -errno.EPERM}
    assert calls.bpf_name(-1) == ""
