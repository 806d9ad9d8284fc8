"""Our compiler of seccomp profiles beside libseccomp, which runc and crun use: both filters decide the same.

Where they are not meant to, `Compared.opinion` says how they differ and why, and each is held to that. What libseccomp
makes of a rule alone is the measure of every rule; what it makes of the whole profile that of all together.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycgroups.oci.runtime_spec import Seccomp, SyscallRule
from pycgroups.security import capabilities
from pycgroups.security.bpf import compile_filter
from pycgroups.security.docker_profile import Host, read
from pycgroups.security.seccomp import default_profile
from pycgroups.security.seccomp_policy import ACTIONS, X32_BIT
from pycgroups.security.strict import strict_profile
from tests import libseccomp
from tests.libseccomp import verdict
from tests.unit.security import test_bpf as profiles
from tests.unit.security.bpf_machine import ENOSYS, FOREIGN_ARCHES, MACHINE, Code, decode, real_table, run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci.runtime_spec import SyscallArg

    Args = tuple[int, ...]

DEFAULT = frozenset(capabilities.DEFAULT)
MORE = DEFAULT | {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_CHROOT"}
NONE: frozenset[str] = frozenset()
PODMANS = Path("/usr/share/containers/seccomp.json")  # Docker's default profile, as podman and buildah ship it
NO_CALL = 0xFFFFFFFF  # -1, by which a tracer calls a system call off: ptrace(2), seccomp(2)
CALLS = [*range(600), *(X32_BIT + number for number in (-1, 0, 1, 59, 512, 547)), 2**31, NO_CALL - 1, NO_CALL]
_IN_ORDER = {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}


class Condition(NamedTuple):
    """A rule of one call with conditions."""

    args: tuple[SyscallArg, ...]
    verdict: int
    alone: Code  # libseccomp's filter for it, by which any other call is allowed

    def holds(self, arch: int, number: int, args: Args) -> bool:
        """Tell what libseccomp says of it."""
        return run(self.alone, arch, number, args) == ACTIONS["SCMP_ACT_KILL_PROCESS"]


class Rules:
    """What a profile says of one call."""

    def __init__(self) -> None:
        self.conditions: list[Condition] = []
        self.always: list[int] = []

    @cached_property
    def is_muddled(self) -> bool:
        """Whether libseccomp may get them wrong.

        It makes one tree of them, and where the order of numbers decides on its branches, one goes on in another with
        the wrong half of the argument loaded: with the rules "up to 1" and "from 2**32 + 1" the version 2.6
        lets 2 pass.
        """
        operators = {arg.op for condition in self.conditions for arg in condition.args}
        return len(self.conditions) > 1 and not operators <= _IN_ORDER


class Compared:
    """A profile compiled by both."""

    def __init__(self, profile: Seccomp) -> None:
        table = real_table()
        self.profile = profile
        self.arch, self.numbers = table.audit_arch, table.numbers
        self.default = verdict(profile.default_action, profile.default_errno_ret)
        self.ours = decode(compile_filter(profile, table))
        filter_, self.refused = libseccomp.compile_filter(profile, table.numbers)
        self.theirs = decode(filter_)
        self.rules: dict[int, Rules] = {}
        for rule in profile.syscalls:
            for name in rule.names:
                if name in self.numbers:
                    self.note(name, rule)
        self.newest = max(self.rules, default=max(self.numbers.values()))
        self.known = set(self.numbers.values())

    def note(self, name: str, rule: SyscallRule) -> None:
        rules, action = self.rules.setdefault(self.numbers[name], Rules()), verdict(rule.action, rule.errno_ret)
        for args in libseccomp.alternatives(rule):
            if not args:
                rules.always.append(action)
                continue
            sole = SyscallRule(names=(name,), action="SCMP_ACT_KILL_PROCESS", args=args)
            alone = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(sole,))
            code = decode(libseccomp.compile_filter(alone, self.numbers).filter)
            rules.conditions.append(Condition(args, action, code))

    def check(self, numbers: Iterable[int], calls: Iterable[Args]) -> None:
        calls = list(calls)
        for number in numbers:
            for args in calls:
                ours, theirs = self.opinion(number, args)
                assert run(self.ours, self.arch, number, args) == ours, (number, args)
                found = run(self.theirs, self.arch, number, args)
                assert theirs is None or found in theirs, (number, args, found, theirs)

    def opinion(self, number: int, args: Args) -> tuple[int, set[int] | None]:
        """Say what we have to answer, and what libseccomp: one of several, or None for anything."""
        if number >= X32_BIT:
            return ENOSYS, self.of_x32(number)
        rules = self.rules.get(number, Rules())
        held = [rule.verdict for rule in rules.conditions if rule.holds(self.arch, number, args)]
        ours, *_ = *held, *rules.always, self.unruled(number)
        if rules.is_muddled or number in self.refused:
            return ours, None
        return ours, self.of_libseccomp(held, rules.always)

    def unruled(self, number: int) -> int:
        """By a profile with ``SCMP_ACT_ERRNO`` for what it does not name, what is newer than it does not exist.

        As with runc, which patches libseccomp's filter for that.
        """
        is_newer = number not in self.known or (number not in self.rules and number > self.newest)
        return ENOSYS if is_newer and self.profile.default_action == "SCMP_ACT_ERRNO" else self.default

    def of_libseccomp(self, held: list[int], always: list[int]) -> set[int]:
        """Where a rule without conditions is, it forgets those with some; of several that hold any may count.

        A rule with the default action it does not take, and runc leaves that out.
        """
        held, always = ([action for action in some if action != self.default] for some in (held, always))
        return {*always[:1]} or {*held} or {self.default}

    def of_x32(self, number: int) -> set[int] | None:
        """No call of x32 exists with us, with libseccomp those of a profile that names it; and it passes -1 over.

        Machines that do not have x32 have no calls with such numbers.
        """
        if "x32" in libseccomp.kindred(self.profile):
            return None
        return {self.default} if number == NO_CALL or MACHINE != "x86_64" else {ENOSYS}

    def check_foreign(self) -> None:
        """A call of another architecture does not exist: with libseccomp, unless the profile names that."""
        named = libseccomp.kindred(self.profile)
        for number in CALLS:
            assert run(self.ours, FOREIGN_ARCHES[MACHINE], number) == ENOSYS
            assert run(self.theirs, FOREIGN_ARCHES[MACHINE], number) == ENOSYS or {"x86", "arm"} & {*named}
            assert run(self.ours, 0, number) == run(self.theirs, 0, number) == ENOSYS


def borders(profile: Seccomp) -> list[int]:
    """Return the numbers where a condition of a profile may change its mind."""
    told = {value for rule in profile.syscalls for arg in rule.args for value in (arg.value, arg.value_two)}
    return sorted({(value + d) % 2**64 for value in told | {0} for d in (-1, 0, 1, 2**32, -(2**32))})


def each_argument(values: Iterable[int]) -> list[Args]:
    """Return calls that have a value in one place, and 0 or all bits in the others."""
    places = range(6)
    return [
        tuple(value if place == there else other for place in places)
        for value in values
        for there in places
        for other in (0, 2**64 - 1)
    ]


def check(profile: Seccomp) -> None:
    compared = Compared(profile)
    compared.check_foreign()
    compared.check(CALLS, [(), (2**64 - 1,) * 6])
    compared.check(
        [number for number, rules in compared.rules.items() if rules.conditions], each_argument(borders(profile))
    )


def test_the_numbers_of_all_calls():
    """The headers of the build against libseccomp's own tables; it may be older, or newer."""
    for name, number in real_table().numbers.items():
        assert libseccomp.number_of(name) in {number, None}, name


@pytest.mark.parametrize(
    "caps", [NONE, DEFAULT, MORE, frozenset(capabilities.NUMBERS)], ids=["none", "some", "more", "all"]
)
def test_our_default_profile(caps):
    check(default_profile(caps))


def test_the_profile_of_pure_computing():
    check(strict_profile())


@pytest.mark.skipif(not PODMANS.exists(), reason=f"no {PODMANS} (Debian: golang-github-containers-common)")
@pytest.mark.parametrize("kernel", [(4, 7), (6, 12)], ids=["old", "new"])
@pytest.mark.parametrize("caps", [NONE, DEFAULT, MORE], ids=["none", "some", "more"])
def test_dockers_default_profile(caps, kernel):
    document = read(json.loads(PODMANS.read_text()), "seccomp")
    check(document.resolve(Host({"x86_64": "amd64", "aarch64": "arm64"}[MACHINE], caps, kernel)))


NAMES = st.sampled_from(["read", "open", "close", "ioctl", "clone", "socket", "clone3", "no_such_call"])
FEW = st.sampled_from(["read", "write"])  # several rules of one call
ANSWERS = profiles.ACTIONS.filter(lambda action: action[1] != 4095)  # the largest error, which libseccomp does not take
RULES = st.builds(
    lambda names, action, args: SyscallRule(names=tuple(names), action=action[0], errno_ret=action[1], args=args),
    st.lists(NAMES, min_size=1, max_size=4) | st.lists(FEW, min_size=1, max_size=2),
    ANSWERS,
    profiles.ARGS,
)
KINDRED = st.sampled_from(
    [(), ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")]
)
PROFILES = st.builds(
    lambda action, rules, kindred: Seccomp(
        default_action=action[0], default_errno_ret=action[1], syscalls=tuple(rules), architectures=kindred
    ),
    ANSWERS,
    st.lists(RULES, max_size=8),
    KINDRED,
)


@settings(deadline=None)
@given(PROFILES, st.data())
def test_any_profile(profile, data):
    compared = Compared(profile)
    calls = data.draw(
        st.lists(st.tuples(*[st.sampled_from(borders(profile)) | profiles.WORDS] * 6), min_size=1, max_size=4)
    )
    numbers = {number + d for number in compared.rules for d in (-1, 0, 1)} - {-1} | {compared.newest, 599}
    compared.check(sorted(numbers), calls)
    compared.check([X32_BIT, X32_BIT + 1, NO_CALL], calls[:1])


@pytest.mark.parametrize("op", sorted(profiles.COMPARE))
@pytest.mark.parametrize("value", [0, 5, 2**32 - 1, 2**32, 2**32 + 5, 2**64 - 1])
def test_each_comparison(op, value):
    for value_two in (0, 5, 2**32 - 1, 2**32, 2**32 + 5, 2**64 - 1):
        rule = profiles.rule("read", "SCMP_ACT_ERRNO", profiles.arg(0, op.removeprefix("SCMP_CMP_"), value, value_two))
        profile = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,))
        Compared(profile).check([0], [(near,) for near in borders(profile)])
