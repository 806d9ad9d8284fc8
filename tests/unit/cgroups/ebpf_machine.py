"""An eBPF machine for programs of cgroup devices, with the checks of the kernel's verifier that concern them.

Source: RFC 9669; cgroup_dev_is_valid_access in kernel/bpf/cgroup.c; struct bpf_cgroup_dev_ctx in linux/bpf.h.
"""

from __future__ import annotations

import struct

Code = list[tuple[int, int, int, int, int]]
"Instructions: opcode, destination, source, offset, constant."

_JUMPS = {0x05, 0x15, 0x55}
_FROM_CONSTANT = {0x57, 0x77, 0xB7}


def decode(program: bytes) -> Code:
    """Read a program as the kernel would, or fail as it would."""
    assert 0 < len(program) <= 8 * 1_000_000
    code = [(op, both & 15, both >> 4, off, imm) for op, both, off, imm in struct.iter_unpack("<BBhi", program)]
    assert code[-1][0] == 0x95, "the last instruction is an exit"
    for here, (opcode, to, source, offset, constant) in enumerate(code):
        assert to <= 9
        if opcode in _JUMPS:
            assert 0 <= offset < len(code) - here - 1, "jumps lead forward, to an instruction"
            assert source == 0
        elif opcode == 0x61:
            assert (source, constant) == (1, 0)
            assert offset in {0, 4, 8}
        elif opcode == 0xBF:
            assert (offset, constant) == (0, 0)
        else:
            assert opcode in {0x95, *_FROM_CONSTANT}
            assert (source, offset) == (0, 0)
            assert opcode != 0x77 or 0 <= constant < 64
    return code


def run(code: Code, type_: str, major: int, minor: int, access: int) -> int:
    """Return what the program answers: 1 to allow, 0 to deny."""
    context = struct.pack("<III", access << 16 | {"b": 1, "c": 2}[type_], major, minor)
    registers: dict[int, int] = {}  # one that was never written cannot be read
    here = 0
    while True:
        opcode, to, source, offset, constant = code[here]
        here += 1
        if opcode == 0x95:
            return registers[0]
        if opcode == 0x61:
            (registers[to],) = struct.unpack_from("<I", context, offset)
        elif opcode == 0xBF:
            registers[to] = registers[source]
        elif opcode == 0xB7:
            registers[to] = constant
        elif opcode == 0x57:
            registers[to] &= constant & (1 << 64) - 1
        elif opcode == 0x77:
            registers[to] >>= constant
        elif opcode == 0x05 or (registers[to] == constant) == (opcode == 0x15):
            here += offset
