"""A table of devices as an eBPF program for a cgroup v2: the kernel runs it at each open and mknod. Pure.

In another notation::

    type = ctx->access_type & 0xffff; access = ctx->access_type >> 16
    if type != BLOCK goto the next type
        if major != 8 goto the next entry               for each entry of the table;
        if minor != 0 goto the next entry               a number that is every one is not looked at
        access &= ~allowed; goto verdict
    ...
    verdict: return access == 0                         every kind of access that was asked for is allowed

The numbers must be those of an entry, so jumps only lead forward, and the kernel's verifier looks at each instruction
once or twice.

Source: "Device controller" in Documentation/admin-guide/cgroup-v2.rst; struct bpf_cgroup_dev_ctx in linux/bpf.h;
the instructions: https://docs.kernel.org/bpf/standardization/instruction-set.html (RFC 9669).
"""

from __future__ import annotations

import struct
from itertools import groupby

from pycgroups.cgroups.device_rules import ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.cgroups.device_rules import Entry

# Opcodes: class, operation and source of linux/bpf.h and linux/bpf_common.h. K: with a constant.
LOAD = 0x61  # BPF_LDX | BPF_W | BPF_MEM: dst = *(u32 *)(src + off)
AND = 0x57  # BPF_ALU64 | BPF_AND | BPF_K
SHIFT_RIGHT = 0x77  # BPF_ALU64 | BPF_RSH | BPF_K
MOVE = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
COPY = 0xBF  # BPF_ALU64 | BPF_MOV | BPF_X: dst = src
JUMP = 0x05  # BPF_JMP | BPF_JA: skip off instructions
IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K: skip off instructions if dst == imm
UNLESS_EQUAL = 0x55  # BPF_JMP | BPF_JNE | BPF_K
EXIT = 0x95  # BPF_JMP | BPF_EXIT: return r0

_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_RESULT, _CONTEXT, _ACCESS, _TYPE, _MAJOR, _MINOR = range(6)  # registers; r1 is where the kernel has the context
_ACCESS_TYPE, _MAJOR_AT, _MINOR_AT = 0, 4, 8  # offsets in struct bpf_cgroup_dev_ctx

_INSTRUCTION = struct.Struct("=BBhi")  # struct bpf_insn: code, dst and src in four bits each, off, imm

_Instruction = tuple[int, int, int, int, int]  # code, dst, src, off, imm


def compile_table(table: Sequence[Entry]) -> bytes:
    """Return the program: an array of ``struct bpf_insn``, for a little-endian machine, as all that we know are."""
    verdict = [
        (MOVE, _RESULT, 0, 0, 1),
        (IF_EQUAL, _ACCESS, 0, 1, 0),
        (MOVE, _RESULT, 0, 0, 0),
        (EXIT, 0, 0, 0, 0),
    ]
    # From the end to the beginning: then the length of what is jumped over is known.
    backwards: list[_Instruction] = []
    for type_, entries in groupby(reversed(table), lambda entry: entry.type):
        end = len(backwards)
        for entry in entries:
            backwards += reversed(_entry(entry, to_verdict=len(backwards)))
        backwards.append((UNLESS_EQUAL, _TYPE, 0, len(backwards) - end, _TYPES[type_]))
    start = [
        (LOAD, _ACCESS, _CONTEXT, _ACCESS_TYPE, 0),
        (LOAD, _MAJOR, _CONTEXT, _MAJOR_AT, 0),
        (LOAD, _MINOR, _CONTEXT, _MINOR_AT, 0),
        (COPY, _TYPE, _ACCESS, 0, 0),
        (AND, _TYPE, 0, 0, 0xFFFF),
        (SHIFT_RIGHT, _ACCESS, 0, 0, 16),
    ]
    code = [*start, *reversed(backwards), *verdict]
    return b"".join(_INSTRUCTION.pack(op, dst | src << 4, off, imm) for op, dst, src, off, imm in code)


def _entry(entry: Entry, to_verdict: int) -> list[_Instruction]:
    numbers = [(_MAJOR, entry.major), (_MINOR, entry.minor)]
    tests = [(register, number) for register, number in numbers if number is not None]
    code: list[_Instruction] = []
    for index, (register, number) in enumerate(tests):
        code.append((UNLESS_EQUAL, register, 0, len(tests) - index + 1, number))
    return [*code, (AND, _ACCESS, 0, 0, ALL & ~entry.access), (JUMP, 0, 0, to_verdict, 0)]
