"""A compiler from a seccomp profile to classic BPF, the language of seccomp filters.

    ld arch; jeq NATIVE ----no----> ret ENOSYS        32-bit code on a 64-bit kernel
    ld nr
    jge PIVOT ──┬── jge ... ── ret ALLOW              a search tree over ranges of numbers with one decision
                └── jge ... ── ld args[i] ... ret     conditions are leaves of it

The shape is the cost of a start: the kernel runs a new filter once for every number of both architectures, to learn
which calls are always allowed and need no filter later (seccomp_cache_prepare in kernel/seccomp.c), and it compiles
every instruction to machine code. Figures are in docs/explanation/seccomp.md.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html; bpf_check_classic in net/core/filter.c.
"""

from __future__ import annotations

import struct
import sys

from pycgroups._native import calls
from pycgroups.errors import InvalidConfig
from pycgroups.security.seccomp_policy import NO_SUCH_CALL, read_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from functools import cache, lru_cache

    from pycgroups.oci.runtime_spec import Seccomp, SyscallArg
    from pycgroups.security.seccomp_policy import Decision
else:
    from pycgroups.caches import cache, lru_cache

# linux/bpf_common.h and linux/filter.h
LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: A = the word at offset k of struct seccomp_data
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K: A &= k
JUMP = 0x05  # BPF_JMP | BPF_JA: skip k instructions
IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K: skip jt instructions if A == k, else jf
IF_GREATER = 0x25
IF_GREATER_OR_EQUAL = 0x35
RETURN = 0x06  # BPF_RET | BPF_K

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS, linux/bpf_common.h
_REACH = 255  # jt and jf are bytes

# struct seccomp_data, linux/seccomp.h
_NUMBER, _ARCH, _ARGS = 0, 4, 16
_LOW, _HIGH = (0, 4) if sys.byteorder == "little" else (4, 0)

_HALF = 0xFFFFFFFF
_TESTS = {
    "EQ": IF_EQUAL,
    "NE": IF_EQUAL,
    "MASKED_EQ": IF_EQUAL,
    "GT": IF_GREATER,
    "LE": IF_GREATER,
    "GE": IF_GREATER_OR_EQUAL,
    "LT": IF_GREATER_OR_EQUAL,
}

_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k


class SyscallTable:
    """The numbers of the system calls of one architecture; make one for a process, since it is a key by identity.

    Attributes:
        audit_arch: ``AUDIT_ARCH_*`` of linux/audit.h.
        numbers: name to number.
    """

    __slots__ = ("audit_arch", "numbers")

    def __init__(self, *, audit_arch: int, numbers: Mapping[str, int]) -> None:
        self.audit_arch = audit_arch
        self.numbers = numbers


@cache
def syscall_table() -> SyscallTable:
    """Return the system calls of this architecture, as the kernel headers at build time have them."""
    return SyscallTable(audit_arch=calls.lib.NATIVE_AUDIT_ARCH, numbers=calls.syscall_numbers())


def compile_filter(profile: Seccomp, table: SyscallTable) -> bytes:
    """Return the filter for this profile: an array of ``struct sock_filter`` for seccomp(2).

    What a profile means in detail is told in `pycgroups.security.seccomp_policy`. Calls of any other architecture
    than the table's, and those of x32, get ENOSYS. The outcome is kept for the next call.

    Raises:
        InvalidConfig: the profile is wrong, with the key path, or needs more than 4096 instructions.
    """
    try:
        return _compile_once(profile, table)
    except TypeError:  # not hashable: a list somewhere, and the checks tell where
        return _compile(profile, table)


def _compile(profile: Seccomp, table: SyscallTable) -> bytes:
    program = _Program()
    first = program.tree(read_policy(profile, table.numbers))
    program.prologue(table.audit_arch, first)
    return program.to_bytes()


_compile_once = lru_cache(maxsize=64)(_compile)


class _Program:
    """Instructions, the last one first: jumps only go forward, so each one's target is there before it.

    An index counts from the end of the program. Every method that emits returns the index where to enter.
    """

    def __init__(self) -> None:
        self.code: list[tuple[int, int, int, int]] = []
        self.returns: dict[int, int] = {}

    def emit(self, code: int, k: int, jt: int = 0, jf: int = 0) -> int:
        self.code.append((code, jt, jf, k))
        return len(self.code) - 1

    def ret(self, value: int) -> int:
        """Return the nearest ``ret value``, a new one if none is in reach."""
        index = self.returns.get(value)
        if index is None or len(self.code) - index > _REACH:
            index = self.returns[value] = self.emit(RETURN, value)
        return index

    def near(self, target: int) -> int:
        """Return a place that leads to the target, in reach of the next jump even if one more comes before it."""
        if len(self.code) - target <= _REACH:
            return target
        code, _, _, k = self.code[target]
        return self.ret(k) if code == RETURN else self.emit(JUMP, len(self.code) - target - 1)

    def jump(self, code: int, k: int, then: int, otherwise: int) -> int:
        then, otherwise = self.near(then), self.near(otherwise)
        here = len(self.code)
        return self.emit(code, k, here - then - 1, here - otherwise - 1)

    def prologue(self, audit_arch: int, first: int) -> None:
        foreign = self.ret(NO_SUCH_CALL)
        # A load has no target: it runs into the next instruction, which is the one emitted last.
        if first != len(self.code) - 1:
            self.emit(JUMP, len(self.code) - first - 1)
        native = self.emit(LOAD, _NUMBER)
        self.jump(IF_EQUAL, audit_arch, native, foreign)
        self.emit(LOAD, _ARCH)

    def tree(self, ranges: list[tuple[int, Decision]]) -> int:
        """Emit the search for the range of the number."""
        if len(ranges) == 1:
            return self.decision(ranges[0][1])
        middle = len(ranges) // 2
        upper = self.tree(ranges[middle:])
        lower = self.tree(ranges[:middle])
        return self.jump(IF_GREATER_OR_EQUAL, ranges[middle][0], upper, lower)

    def decision(self, decision: Decision) -> int:
        """Emit the branches, the last one first: each goes on to the one after it if a condition fails."""
        branches, otherwise = decision
        entry = self.ret(otherwise)
        for conditions, verdict in reversed(branches):
            failed, entry = entry, self.ret(verdict)
            for condition in reversed(conditions):
                entry = self.condition(condition, entry, failed)
        return entry

    def condition(self, condition: SyscallArg, then: int, otherwise: int) -> int:
        """Emit a comparison of 64 bits in two halves: the high ones decide, or else the low ones do."""
        operator = condition.op.removeprefix("SCMP_CMP_")
        mask, value = 2**64 - 1, condition.value
        if operator == "MASKED_EQ":
            mask, value = condition.value, condition.value_two & condition.value
        if operator in {"NE", "LT", "LE"}:  # the opposites of EQ, GE and GT
            then, otherwise = otherwise, then
        test = _TESTS[operator]
        entry = self.jump(test, value & _HALF, then, otherwise)
        entry = self.load(condition.index, _LOW, mask & _HALF)
        if mask <= _HALF and value <= _HALF:
            return entry
        entry = self.jump(IF_EQUAL, value >> 32, entry, otherwise)
        if test != IF_EQUAL:
            entry = self.jump(IF_GREATER, value >> 32, then, entry)
        return self.load(condition.index, _HIGH, mask >> 32)

    def load(self, index: int, half: int, mask: int) -> int:
        if mask != _HALF:
            self.emit(AND, mask)
        return self.emit(LOAD, _ARGS + 8 * index + half)

    def to_bytes(self) -> bytes:
        if len(self.code) > MAX_INSTRUCTIONS:
            raise InvalidConfig(
                f"needs a filter of {len(self.code)} instructions, allowed: {MAX_INSTRUCTIONS} (BPF_MAXINSNS)",
                operation="option",
                path="seccomp.syscalls",
                hint="use fewer rules with conditions",
            )
        return b"".join(_INSTRUCTION.pack(*instruction) for instruction in reversed(self.code))
