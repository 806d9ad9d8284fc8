"""eBPF programs of cgroups: the functions of bpf.h, typed. They return what the kernel does, as those of `calls`."""

from __future__ import annotations

from pycgroups._native.calls import ffi, lib

_INSTRUCTION_BYTES = 8  # struct bpf_insn
_LOG_BYTES = 1 << 16


def load(type_: int, attach_type: int, name: str, code: bytes) -> tuple[int, str]:
    """Load an eBPF program for cgroups; a descriptor or -errno, and then what the verifier says."""
    count = len(code) // _INSTRUCTION_BYTES
    fd = lib.bpf_load(type_, attach_type, name.encode(), code, count, ffi.NULL, 0)
    if fd >= 0:
        return fd, ""
    log = ffi.new("char[]", _LOG_BYTES)
    again = lib.bpf_load(type_, attach_type, name.encode(), code, count, log, _LOG_BYTES)
    return (again if again >= 0 else fd), ffi.string(log).decode(errors="replace")  # ENOSPC: it has more to say


def attached(cgroup: int, attach_type: int) -> tuple[int, tuple[int, ...]]:
    """Ids of the programs attached to a cgroup itself; 0 or -errno, and the ids."""
    ids = ffi.new("uint32_t[]", lib.BPF_PROGRAMS_MOST)
    count = lib.bpf_attached(cgroup, attach_type, ids)
    return min(count, 0), tuple(ids[i] for i in range(max(count, 0)))


def open_(id_: int) -> int:
    """Open a program by its id; a descriptor or -errno."""
    return int(lib.bpf_open(id_))


def name(program: int) -> str:
    """Name that a program was loaded with; "" if it cannot be had."""
    text = ffi.new("char[]", lib.BPF_OBJ_NAME_LEN)
    return ffi.string(text).decode(errors="replace") if lib.bpf_name(program, text) == 0 else ""


def attach(cgroup: int, attach_type: int, program: int, replaced: int | None) -> int:
    """Attach a program beside those above, or put it in the place of another one in one go; 0 or -errno."""
    flags = lib.BPF_F_ALLOW_MULTI | (0 if replaced is None else lib.BPF_F_REPLACE)
    return int(lib.bpf_attach(cgroup, attach_type, program, flags, -1 if replaced is None else replaced))


def detach(cgroup: int, attach_type: int, program: int) -> int:
    """Take a program away from a cgroup; 0 or -errno."""
    return int(lib.bpf_detach(cgroup, attach_type, program))
