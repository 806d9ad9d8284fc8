"""What a seccomp profile says about each system call number of one architecture, with every check of the profile.

Where the OCI specification leaves room, a profile means what it means to runc, unless that is unsafe:

- Names that this architecture, or the headers of the build, do not know are skipped.
- With ``SCMP_ACT_ERRNO`` as default action, a call that is newer than the profile gets ENOSYS: one whose number is
  above all that the profile names, or has no name here (https://github.com/opencontainers/runc/pull/2750).
- Rules with conditions on one call are asked in the order of the profile, then the first rule without any, then
  the default action. (libseccomp forgets the conditions where a rule without any exists.)
- All conditions of a rule must hold. Two on the same argument are an error: runc would be content with one of them.
- Only the machine's own architecture can make calls; ``architectures`` is checked and gives no others.

Source: config-linux.md, section "Seccomp"; seccomp(2), "Return values of a filter".
"""

from __future__ import annotations

import errno

from pycgroups.errors import InvalidConfig, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule

    # The conditions of a rule, and what the filter returns if they hold.
    Branch = tuple[tuple[SyscallArg, ...], int]
    # What the filter returns for a call: that of the first branch whose conditions all hold, else the last item.
    Decision = tuple[tuple[Branch, ...], int]

# What a filter returns: linux/seccomp.h, SECCOMP_RET_*. The low 16 bits are free for data.
RET_ERRNO = 0x00050000
RET_TRACE = 0x7FF00000
ACTIONS: dict[str, int] = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": RET_ERRNO,
    "SCMP_ACT_TRACE": RET_TRACE,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
}
NOTIFY = "SCMP_ACT_NOTIFY"
NO_SUCH_CALL = RET_ERRNO | errno.ENOSYS

# The data of an action, and the largest: the kernel cuts an error number at MAX_ERRNO, linux/err.h.
_LARGEST_DATA = {RET_ERRNO: 4095, RET_TRACE: 0xFFFF}

# All compare 64 bits, unsigned. ``MASKED_EQ`` is ``(argument & value) == (valueTwo & value)``: seccomp_rule_add(3).
OPERATORS = frozenset("SCMP_CMP_" + name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))

# fmt: off
ARCHITECTURES = frozenset("SCMP_ARCH_" + name for name in (
    "AARCH64", "ARM", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32",
    "PARISC", "PARISC64", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X", "SH", "SHEB", "X32", "X86", "X86_64",
))
# fmt: on

# linux/seccomp.h, SECCOMP_FILTER_FLAG_*; those that a profile may ask for.
FLAGS: dict[str, int] = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1 << 0,
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 1 << 2,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 1 << 5,
}
# A filter that makes calls wait for somebody else is installed with this one, and by a process of one thread: with both
# flags a failure would tell of a thread.
_NEW_LISTENER, _TSYNC = 1 << 3, FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]

# x86_64 marks calls of x32, which see 64-bit structures as 32-bit ones, by this bit of the number: asm/unistd.h.
X32_BIT = 0x40000000


def filter_flags(profile: Seccomp) -> int:
    """Return the flags of the profile as seccomp(2) takes them, with the one for a listener where it needs that.

    Raises:
        InvalidConfig: a flag is unknown.
    """
    bits = _flags(profile)
    return bits & ~_TSYNC | _NEW_LISTENER if has_listener(profile) else bits


def _flags(profile: Seccomp) -> int:
    bits = 0
    _check_tuple("flags", profile.flags, "str")
    for position, name in enumerate(profile.flags):
        bits |= FLAGS[_one_of(f"flags[{position}]", name, FLAGS)]
    return bits


def has_listener(profile: Seccomp) -> bool:
    """Tell whether somebody else decides on some system calls; seccomp_unotify(2)."""
    return profile.default_action == NOTIFY or any(rule.action == NOTIFY for rule in profile.syscalls)


def read_policy(profile: Seccomp, numbers: Mapping[str, int]) -> list[tuple[int, Decision]]:
    """Check the whole profile and return what it says about each number: where a decision begins, from 0 on.

    Args:
        profile: what was asked for.
        numbers: the number of each system call, by name.

    Raises:
        InvalidConfig: names the key path of what is wrong.
    """
    if not _is(profile, "Seccomp"):
        raise _invalid("", profile, "a Seccomp")
    _flags(profile)
    _check_tuple("architectures", profile.architectures, "str")
    for position, name in enumerate(profile.architectures):
        _one_of(f"architectures[{position}]", name, ARCHITECTURES)
    default = _verdict(profile.default_action, profile.default_errno_ret, "defaultAction", "defaultErrnoRet")
    unknown = NO_SUCH_CALL if profile.default_action == "SCMP_ACT_ERRNO" else default
    decisions = _decisions(profile, numbers, default)
    newest = max(decisions or numbers.values(), default=0)
    for number in numbers.values():
        decisions.setdefault(number, ((), default if number <= newest else unknown))
    return _ranges(decisions, ((), unknown))


def _decisions(profile: Seccomp, numbers: Mapping[str, int], default: int) -> dict[int, Decision]:
    """Gather the rules of each call that the profile names."""
    branches: dict[int, dict[tuple[SyscallArg, ...], int]] = {}
    _check_tuple("syscalls", profile.syscalls, "SyscallRule")
    for position, rule in enumerate(profile.syscalls):
        names, alternatives, verdict = _rule(f"syscalls[{position}]", rule)
        for number in (numbers[name] for name in names if name in numbers):
            for conditions in alternatives:
                branches.setdefault(number, {}).setdefault(conditions, verdict)
    return {number: _decision(found, default) for number, found in branches.items()}


def _decision(branches: dict[tuple[SyscallArg, ...], int], default: int) -> Decision:
    otherwise = branches.pop((), default)
    return tuple(branches.items()), otherwise


def _ranges(decisions: dict[int, Decision], unknown: Decision) -> list[tuple[int, Decision]]:
    """Join neighbours of one mind; what has no name, and what lies above, is unknown."""
    after = {number + 1: unknown for number in decisions}
    edges = {0: unknown} | after | decisions | {X32_BIT: ((), NO_SUCH_CALL)}
    ranges: list[tuple[int, Decision]] = []
    for start in sorted(edges):
        if not ranges or edges[start] != ranges[-1][1]:
            ranges.append((start, edges[start]))
    return ranges


def _rule(key: str, rule: SyscallRule) -> tuple[tuple[str, ...], list[tuple[SyscallArg, ...]], int]:
    """Return names, conditions and verdict.

    All conditions of a rule have to hold; where two are about the same argument, one of them, as with runc.
    """
    verdict = _verdict(rule.action, rule.errno_ret, f"{key}.action", f"{key}.errnoRet")
    _check_tuple(f"{key}.names", rule.names, "str")
    if not rule.names:
        raise _invalid(f"{key}.names", rule.names, "at least one name")
    _check_tuple(f"{key}.args", rule.args, "SyscallArg")
    for position, arg in enumerate(rule.args):
        _check_condition(f"{key}.args[{position}]", arg)
    is_choice = len({arg.index for arg in rule.args}) < len(rule.args)
    return rule.names, [(arg,) for arg in rule.args] if is_choice else [rule.args], verdict


def _check_condition(key: str, arg: SyscallArg) -> None:
    _integer(f"{key}.index", arg.index, 5)
    _one_of(f"{key}.op", arg.op, OPERATORS)
    _integer(f"{key}.value", arg.value, 2**64 - 1)
    _integer(f"{key}.valueTwo", arg.value_two, 2**64 - 1)


def _verdict(action: str, data: int | None, action_key: str, data_key: str) -> int:
    verdict = ACTIONS[_one_of(action_key, action, ACTIONS)]
    if data is None:
        return verdict | errno.EPERM if verdict in _LARGEST_DATA else verdict
    if verdict not in _LARGEST_DATA:
        raise _invalid(data_key, data, f"nothing: {action} returns no error number")
    return verdict | _integer(data_key, data, _LARGEST_DATA[verdict])


def _one_of(key: str, value: object, allowed: Mapping[str, int] | frozenset[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise _invalid(key, value, ", ".join(sorted(allowed)))
    return value


def _integer(key: str, value: object, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise _invalid(key, value, f"an integer from 0 to {largest}")
    return value


def _check_tuple(key: str, value: object, kind: str) -> None:
    if not isinstance(value, tuple):
        raise _invalid(key, value, f"a tuple of {kind}")
    for position, item in enumerate(value):
        if not _is(item, kind):
            raise _invalid(f"{key}[{position}]", item, f"a {kind}")


def _is(value: object, kind: str) -> bool:
    return type(value).__name__ == kind


def _invalid(key: str, value: object, allowed: str) -> InvalidConfig:
    return invalid(f"seccomp.{key}".rstrip("."), value, allowed)
