"""A classic-BPF machine for seccomp filters, with the checks of the kernel's loader, and the tables of this machine.

Source: bpf_check_classic in net/core/filter.c, seccomp_check_filter in kernel/seccomp.c.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest

from pycgroups.security.bpf import SyscallTable

Code = list[tuple[int, int, int, int]]
"Instructions: opcode, jt, jf, k."

ALLOW = 0x7FFF0000
EPERM = 0x50001
ENOSYS = 0x50026

AUDIT_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FOREIGN_ARCHES = {"x86_64": 0x40000003, "aarch64": 0x40000028}  # the 32-bit one that the same kernel may run
MACHINE = os.uname().machine


def real_table(machine: str = MACHINE) -> SyscallTable:
    """Read the numbers in the C headers, which is another way than the library's own."""
    header = Path(f"/usr/include/{machine}-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip(f"no {header} (Debian: linux-libc-dev)")
    defined = re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text())
    return SyscallTable(audit_arch=AUDIT_ARCHES[machine], numbers={name: int(number) for name, number in defined})


def decode(program: bytes) -> Code:
    """Read a program as the kernel would, or fail as it would."""
    code = list(struct.iter_unpack("=HBBI", program))
    assert 1 <= len(code) <= 4096
    assert code[-1][0] == 0x06, "the last instruction is a return"
    for here, (opcode, jt, jf, k) in enumerate(code):
        if opcode == 0x20:
            assert k % 4 == 0
            assert k < 64
        elif opcode == 0x05:
            assert here + 1 + k < len(code)
        elif opcode in {0x15, 0x25, 0x35}:
            assert here + 1 + max(jt, jf) < len(code)
        else:
            assert opcode in {0x06, 0x54}
    return code


def run(code: Code, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    """Return what the filter answers for one call."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *args, *[0] * (6 - len(args)))
    accumulator = here = 0
    while True:
        opcode, jt, jf, k = code[here]
        here += 1
        if opcode == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif opcode == 0x54:
            accumulator &= k
        elif opcode == 0x06:
            return k
        elif opcode == 0x05:
            here += k
        else:
            taken = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[opcode]
            here += jt if taken else jf
