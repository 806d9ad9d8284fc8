"""The compiled filter decides as the profile says: compared with a plain reading of it, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule
from pycgroups.security.bpf import SyscallTable, compile_filter
from pycgroups.security.seccomp_policy import OPERATORS, filter_flags
from tests.unit.security.bpf_machine import ALLOW, ENOSYS, EPERM, Code, decode, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ARCH = 0xC000003E
TABLE = SyscallTable(audit_arch=ARCH, numbers={f"call{n}": n for n in (*range(60), *range(70, 75), 300, 440)})
NUMBERS = sorted({n + d for n in TABLE.numbers.values() for d in (-1, 0, 1)} - {-1})
NUMBERS += [0x3FFFFFFF, 0x40000000, 0x40000001, 0x80000000, 0xFFFFFFFF]

RETURNS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": ALLOW,
}
WITH_DATA = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
COMPARE: dict[str, Callable[[int, int, int], bool]] = {
    "SCMP_CMP_EQ": lambda arg, value, _: arg == value,
    "SCMP_CMP_NE": lambda arg, value, _: arg != value,
    "SCMP_CMP_LT": lambda arg, value, _: arg < value,
    "SCMP_CMP_LE": lambda arg, value, _: arg <= value,
    "SCMP_CMP_GT": lambda arg, value, _: arg > value,
    "SCMP_CMP_GE": lambda arg, value, _: arg >= value,
    "SCMP_CMP_MASKED_EQ": lambda arg, mask, value: arg & mask == value & mask,
}


def plainly(profile: Seccomp, arch: int, number: int, args: tuple[int, ...]) -> int:
    """Read the profile rule by rule."""
    if arch != ARCH or number >= 0x40000000:
        return ENOSYS
    name = f"call{number}"
    rules = [rule for rule in profile.syscalls if name in rule.names and name in TABLE.numbers]
    for rule in [*(rule for rule in rules if rule.args), *(rule for rule in rules if not rule.args)]:
        held = [COMPARE[arg.op](args[arg.index], arg.value, arg.value_two) for arg in rule.args]
        if all(held) or (any(held) and len({arg.index for arg in rule.args}) < len(rule.args)):
            return returned(rule.action, rule.errno_ret)
    named = [TABLE.numbers[name] for rule in profile.syscalls for name in rule.names if name in TABLE.numbers]
    newer = name not in TABLE.numbers or (named and not rules and number > max(named))
    if profile.default_action == "SCMP_ACT_ERRNO" and newer:
        return ENOSYS
    return returned(profile.default_action, profile.default_errno_ret)


def returned(action: str, data: int | None) -> int:
    return RETURNS[action] | ((1 if data is None else data) if action in WITH_DATA else 0)


def check(profile: Seccomp, calls: Iterable[tuple[int, ...]], numbers: Iterable[int] = NUMBERS) -> Code:
    code = decode(compile_filter(profile, TABLE))
    for number in numbers:
        for args in calls:
            assert run(code, ARCH, number, args) == plainly(profile, ARCH, number, args), (number, args)
    return code


def rule(name: str = "call1", action: str = "SCMP_ACT_ALLOW", *args: SyscallArg, **words: Any) -> SyscallRule:
    return SyscallRule(names=(name,), action=action, args=args, **words)


def arg(index: int, op: str, value: Any, value_two: int = 0) -> SyscallArg:
    return SyscallArg(index=index, op=f"SCMP_CMP_{op}", value=value, value_two=value_two)


# Around the seam between the two halves of 64 bits.
WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33, 2**63, 2**64 - 2, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
ARGS = st.lists(
    st.builds(SyscallArg, index=st.integers(0, 5), value=WORDS, value_two=WORDS, op=st.sampled_from(sorted(OPERATORS))),
    max_size=3,
).map(tuple)
ACTIONS = st.sampled_from(sorted(RETURNS)).flatmap(
    lambda action: st.tuples(st.just(action), st.none() | st.integers(0, 4095) if action in WITH_DATA else st.none())
)
RULES = st.builds(
    lambda names, action, args: SyscallRule(names=tuple(names), action=action[0], errno_ret=action[1], args=args),
    st.lists(st.sampled_from([*TABLE.numbers, "no_such_call"]), min_size=1, max_size=20)
    | st.lists(st.sampled_from(["call1", "call2", "call4"]), min_size=1, max_size=2),  # many rules for one call
    ACTIONS,
    ARGS,
)
PROFILES = st.builds(
    lambda action, rules: Seccomp(default_action=action[0], default_errno_ret=action[1], syscalls=tuple(rules)),
    ACTIONS,
    st.lists(RULES, max_size=12),
)


@given(PROFILES, st.data())
def test_the_filter_decides_as_the_profile_says(profile, data):
    told = [value for rule in profile.syscalls for arg in rule.args for value in (arg.value, arg.value_two)]
    near = st.sampled_from(sorted({(value + d) % 2**64 for value in [*told, 0] for d in (-1, 0, 1)}))
    calls = data.draw(st.lists(st.tuples(*[near | WORDS] * 6), min_size=1, max_size=4))
    code = check(profile, calls)
    assert {run(code, arch, number) for arch in (0, ARCH ^ 1, 0x40000003) for number in NUMBERS} == {ENOSYS}


@pytest.mark.parametrize("op", sorted(COMPARE))
@pytest.mark.parametrize("value", [0, 5, 2**32 - 1, 2**32, 2**32 + 5, 2**64 - 1])
@pytest.mark.parametrize("value_two", [0, 5, 2**32, 2**32 + 5])
def test_each_comparison_looks_at_64_bits(op, value, value_two):
    rules = (rule("call1", "SCMP_ACT_ALLOW", arg(0, op[9:], value, value_two)),)
    words = [high << 32 | low for high in (0, 1, 2, 2**32 - 1) for low in (0, 4, 5, 6, 2**32 - 1)]
    check(Seccomp(default_action="SCMP_ACT_KILL", syscalls=rules), [(word,) for word in words], [0, 1, 2])


def test_the_first_branch_that_holds():
    rules = tuple(rule("call1", "SCMP_ACT_ERRNO", arg(0, "LE", bound), errno_ret=bound) for bound in (3, 9, 6))
    code = check(Seccomp(default_action="SCMP_ACT_KILL", syscalls=rules), [(value,) for value in range(12)])
    assert [run(code, ARCH, 1, (value,)) & 0xFFFF for value in range(0, 12, 3)] == [3, 3, 9, 9]


def test_two_conditions_on_one_argument_are_a_choice():
    either = rule("call1", "SCMP_ACT_ALLOW", arg(0, "EQ", 1), arg(0, "EQ", 7), arg(1, "EQ", 5))
    code = check(Seccomp(default_action="SCMP_ACT_KILL", syscalls=(either,)), [(1, 0), (7, 0), (0, 5), (2, 4)])
    assert [
        run(code, ARCH, 1, args) == returned("SCMP_ACT_ALLOW", None) for args in ((1, 0), (7, 0), (0, 5), (2, 4))
    ] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("count", range(118, 134))
def test_jumps_of_all_lengths_around_a_byte(count, odd):
    """Each condition is two instructions, one with a mask that cuts is three, and all have the same target."""
    big = [arg(0, "MASKED_EQ", 0xFFFFFFFF, n) for n in range(count)] + [arg(0, "MASKED_EQ", 0xF0, 0xF0)] * odd
    rules = [rule("call2", "SCMP_ACT_LOG", condition) for condition in big]
    rules += [rule("call0", "SCMP_ACT_LOG"), rule("call1", "SCMP_ACT_TRAP")]
    profile = Seccomp(default_action="SCMP_ACT_KILL", syscalls=tuple(rules))
    check(profile, [(value,) for value in (0, 1, count - 1, count, 0xF0, 0xFFF)], range(5))


def test_jumps_longer_than_a_byte():
    """Leaves of some 20 instructions each, for all calls: the tree's jumps are hundreds of instructions long."""
    rules = tuple(
        rule(name, "SCMP_ACT_ERRNO", *(arg(i, "GT", number << 31) for i in range(4)), errno_ret=number)
        for name, number in TABLE.numbers.items()
    )
    profile = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=rules)
    calls = [tuple(number << 31 for _ in range(6)) for number in (0, 1, 30, 299, 301, 441)]
    code = check(profile, calls)
    assert len(code) > 1000


def test_many_conditions_on_one_call():
    rules = tuple(rule("call1", "SCMP_ACT_ERRNO", arg(1, "EQ", n << 30), errno_ret=n) for n in range(800))
    code = check(Seccomp(default_action="SCMP_ACT_LOG", syscalls=rules), [(0, n << 30) for n in (0, 1, 400, 799, 800)])
    assert len(code) > 3000


def test_a_filter_too_long_for_the_kernel():
    rules = tuple(rule("call1", "SCMP_ACT_ERRNO", arg(1, "EQ", n << 30), errno_ret=1) for n in range(10_000))
    with pytest.raises(InvalidConfig, match=r"seccomp\.syscalls.*allowed: 4096"):
        compile_filter(Seccomp(default_action="SCMP_ACT_LOG", syscalls=rules), TABLE)


def test_ten_thousand_equal_rules_are_one():
    profile = Seccomp(default_action="SCMP_ACT_LOG", syscalls=(rule(),) * 10_000)
    assert len(check(profile, [()])) < 20


def test_an_unconditional_rule_does_not_hide_a_refusal():
    rules = (rule(), rule("call1", "SCMP_ACT_ERRNO", arg(0, "EQ", 7)), rule("call1", "SCMP_ACT_LOG"))
    code = decode(compile_filter(Seccomp(default_action="SCMP_ACT_KILL", syscalls=rules), TABLE))
    assert [run(code, ARCH, 1, (value,)) for value in (6, 7)] == [ALLOW, EPERM]


def test_calls_newer_than_the_profile_do_not_exist():
    """As runc has it, so that a C library falls back: above the highest number named, or without a name."""
    for errno in (None, 1, 13):
        profile = Seccomp(default_action="SCMP_ACT_ERRNO", default_errno_ret=errno, syscalls=(rule("call74"),))
        code = decode(compile_filter(profile, TABLE))
        known = 0x50000 | (errno or 1)
        answers = [run(code, ARCH, number) for number in (0, 65, 73, 74, 75, 300, 440, 441)]
        assert answers == [known, ENOSYS, known, ALLOW, ENOSYS, ENOSYS, ENOSYS, ENOSYS]


def test_a_killing_profile_kills_whatever_it_does_not_know():
    code = decode(compile_filter(Seccomp(default_action="SCMP_ACT_KILL_PROCESS", syscalls=(rule(),)), TABLE))
    assert {run(code, ARCH, number) for number in (0, 2, 65, 440, 441, 0x3FFFFFFF)} == {0x80000000}


def test_the_profile_of_one_answer():
    code = decode(compile_filter(Seccomp(default_action="SCMP_ACT_ALLOW"), TABLE))
    assert {run(code, ARCH, number) for number in NUMBERS if number < 0x40000000} == {ALLOW}
    assert run(code, ARCH, 0x40000000) == ENOSYS


def test_compiled_once():
    first = Seccomp(default_action="SCMP_ACT_LOG")
    assert compile_filter(first, TABLE) is compile_filter(attrs.evolve(first), TABLE)


def test_flags():
    names = ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG")
    assert filter_flags(Seccomp(default_action="SCMP_ACT_LOG", flags=names)) == 3


def profile(**words: Any) -> Seccomp:
    return Seccomp(**{"default_action": "SCMP_ACT_ALLOW", **words})


def named(names: Any) -> SyscallRule:
    return SyscallRule(names=names, action="SCMP_ACT_ALLOW")


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (profile(default_action="SCMP_ACT_DENY"), "defaultAction"),
        (profile(default_action=""), "defaultAction"),
        (profile(default_action=None), "defaultAction"),
        (profile(default_errno_ret=1), "defaultErrnoRet"),
        (profile(default_action="SCMP_ACT_ERRNO", default_errno_ret=4096), "defaultErrnoRet"),
        (profile(default_action="SCMP_ACT_ERRNO", default_errno_ret=-1), "defaultErrnoRet"),
        (profile(default_action="SCMP_ACT_TRACE", default_errno_ret=65536), "defaultErrnoRet"),
        (profile(default_action="SCMP_ACT_ERRNO", default_errno_ret=True), "defaultErrnoRet"),
        (profile(architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_Z80")), "architectures[1]"),
        (profile(architectures=("x86_64",)), "architectures[0]"),
        (profile(architectures="SCMP_ARCH_X86_64"), "architectures"),
        (profile(flags=("SECCOMP_FILTER_FLAG_NEW_LISTENER",)), "flags[0]"),
        (profile(flags=[0]), "flags"),
        (profile(syscalls=[rule()]), "syscalls"),
        (profile(syscalls=None), "syscalls"),
        (profile(syscalls=({"names": ["read"], "action": "SCMP_ACT_ALLOW"},)), "syscalls[0]"),
        (profile(syscalls=(rule(), rule("call1", "ALLOW"))), "syscalls[1].action"),
        (profile(syscalls=(rule(errno_ret=1),)), "syscalls[0].errnoRet"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_ERRNO", errno_ret="1"),)), "syscalls[0].errnoRet"),
        (profile(syscalls=(named(()),)), "syscalls[0].names"),
        (profile(syscalls=(named("read"),)), "syscalls[0].names"),
        (profile(syscalls=(named(("read", 1)),)), "syscalls[0].names[1]"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(6, "EQ", 1)),)), "syscalls[0].args[0].index"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(-1, "EQ", 1)),)), "syscalls[0].args[0].index"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(0, "EQ", 2**64)),)), "syscalls[0].args[0].value"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(0, "EQ", 10**5000)),)), "syscalls[0].args[0].value"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(0, "EQ", 1.0)),)), "syscalls[0].args[0].value"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(0, "EQ", 1, -1)),)), "syscalls[0].args[0].valueTwo"),
        (profile(syscalls=(rule("call1", "SCMP_ACT_LOG", arg(0, "IN", 1)),)), "syscalls[0].args[0].op"),
        (profile(syscalls=(rule("no_such_call", "SCMP_ACT_LOG", arg(0, "IN", 1)),)), "syscalls[0].args[0].op"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_profiles_name_the_key(wrong, path):
    with pytest.raises(InvalidConfig) as caught:
        compile_filter(wrong, TABLE)
    assert caught.value.path == f"seccomp.{path}"
    assert "allowed: " in str(caught.value)


@pytest.mark.parametrize("wrong", [None, "default", {"defaultAction": "SCMP_ACT_ALLOW"}])
def test_something_else_than_a_profile(wrong):
    with pytest.raises(InvalidConfig, match=r"seccomp: got .*, allowed: a Seccomp"):
        compile_filter(wrong, TABLE)
