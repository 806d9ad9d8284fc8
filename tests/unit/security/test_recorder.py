"""From what a program asked for to the smallest profile: a part of the one that it ran with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule
from pycgroups.security.bpf import compile_filter
from pycgroups.security.notification import CONTINUE, Call, asking
from pycgroups.security.recorder import Recorder
from pycgroups.security.seccomp import default_profile
from pycgroups.security.strict import strict_profile
from tests.unit.security.bpf_machine import ALLOW, decode, real_table, run

NOTIFIED = 0x7FC00000
# fmt: off
FREE = {
    "brk", "exit", "exit_group", "futex", "madvise", "mmap", "mprotect", "munmap", "restart_syscall", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "sched_yield",
}
# fmt: on
TABLE = real_table()
BASES = (None, default_profile(frozenset()), default_profile(frozenset({"CAP_SYS_ADMIN"})), strict_profile())
OPERATORS = [f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")]
ACTIONS = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]
CALLS = ["read", "ioctl", "clone", "socket", "prctl", "mount", "openat"]

values = st.sampled_from([0, 1, 2, 3, 0x5401, 0x5412, 0x10000, 0x7E020000, 2**32 - 1, 2**32, 2**63])
conditions = st.lists(
    st.builds(SyscallArg, index=st.integers(0, 2), op=st.sampled_from(OPERATORS), value=values, value_two=values),
    max_size=2,
).map(tuple)
rules = st.builds(
    SyscallRule,
    names=st.lists(st.sampled_from(CALLS), min_size=1, max_size=3, unique=True).map(tuple),
    action=st.sampled_from(ACTIONS),
    args=conditions,
)
profiles = st.builds(Seccomp, default_action=st.sampled_from(ACTIONS), syscalls=st.lists(rules, max_size=5).map(tuple))
asked = st.lists(st.tuples(st.sampled_from(CALLS), st.lists(values, min_size=6, max_size=6).map(tuple)), max_size=6)


def call(name, args=()):
    return Call(-1, 0, 0, name, (*args, *[0] * (6 - len(args))))


def names_of(profile):
    return {name for rule in profile.syscalls for name in rule.names}


def answers(profile, calls):
    code = decode(compile_filter(profile, TABLE))
    return [run(code, TABLE.audit_arch, TABLE.numbers[name], args) for name, args in calls]


def recorded(base, calls):
    recorder = Recorder(base)
    for name, args in calls:
        assert recorder.decide(call(name, args)) is CONTINUE
    return recorder.recorded()


@given(st.one_of(st.sampled_from(BASES), profiles), asked, asked)
def test_it_allows_what_was_asked_for_and_nothing_that_was_refused(base, calls, others):
    plain = base or Seccomp(default_action="SCMP_ACT_ALLOW")
    waits = asking(Recorder(base).asking(), ())
    before = answers(plain, [*calls, *others])
    assert [answer == NOTIFIED for answer in answers(waits, [*calls, *others])] == [
        answer == ALLOW for answer in before
    ]
    done = [each for each, answer in zip(calls, before, strict=False) if answer == ALLOW]
    profile = recorded(base, done)
    assert set(answers(profile, done)) <= {ALLOW}
    refused = [each for each, answer in zip([*calls, *others], before, strict=True) if answer != ALLOW]
    assert ALLOW not in answers(profile, refused)


def test_nothing_else_is_allowed():
    profile = recorded(BASES[1], [("socket", (1, 2)), ("ioctl", (0, 0x5401)), ("clone", (0x1200011,)), ("read", (0,))])
    others = [("socket", (2, 2)), ("ioctl", (0, 0x5402)), ("clone", (0x10000011,)), ("write", (0,)), ("mount", ())]
    assert ALLOW not in answers(profile, others)
    assert set(answers(profile, [("socket", (1, 9)), ("ioctl", (3, 0x5401)), ("clone", (17,)), ("read", (9,))])) == {
        ALLOW
    }


def test_the_first_call_of_the_start_waits_for_us():
    recorder = Recorder(None)
    for name in ("read", "rt_sigprocmask", "execve"):
        recorder.note(call(name))
    assert names_of(recorder.recorded()) == {"execve", *FREE}


def test_a_call_without_a_name():
    recorder = Recorder(None)
    recorder.decide(call("470"))
    assert recorder.recorded() == recorded(None, [])


@pytest.mark.parametrize("base", BASES, ids=["none", "default", "admin", "strict"])
def test_free_calls_do_not_wait_and_are_allowed(base):
    """What no program expects to fail with EINTR."""
    free = [(name, ()) for name in sorted(FREE)]
    before = answers(base or Seccomp(default_action="SCMP_ACT_ALLOW"), free)
    assert before.count(ALLOW) >= len(FREE) - 1  # the strict profile has no rt_sigsuspend
    assert answers(asking(Recorder(base).asking(), ()), free) == answers(recorded(base, []), free) == before


def test_a_free_call_that_is_refused_stays_so():
    rule = SyscallRule(names=("mmap", "read"), action="SCMP_ACT_ERRNO")
    base = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,))
    for profile in (Recorder(base).asking(), recorded(base, [])):
        assert ALLOW not in answers(profile, [("mmap", ()), ("read", ())])
    assert names_of(recorded(Seccomp(default_action="SCMP_ACT_ERRNO"), [])) == set()


@pytest.mark.parametrize("base", BASES, ids=["none", "default", "admin", "strict"])
def test_asking_for_some_calls(base):
    profile = asking(base, ("mkdir", "mount"))
    calls = [(name, ()) for name in ("mkdirat", "read", "socket", "ptrace")]
    assert answers(profile, calls) == answers(base or Seccomp(default_action="SCMP_ACT_ALLOW"), calls)
    assert answers(profile, [("mount", ()), ("mount", (1, 2, 3))]) == [NOTIFIED] * 2


def test_rules_that_ask_stay():
    rule = SyscallRule(
        names=("kill",), action="SCMP_ACT_NOTIFY", args=(SyscallArg(index=1, op="SCMP_CMP_EQ", value=9),)
    )
    profile = asking(Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,)), ("kill", "mount"))
    assert answers(profile, [("kill", (1, 9)), ("kill", (1, 15)), ("mount", ())]) == [NOTIFIED, ALLOW, NOTIFIED]
