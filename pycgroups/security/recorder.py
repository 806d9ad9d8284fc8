"""What a program asks of the kernel, as the smallest profile that allows it.

A profile is recorded on top of another one. Whatever that allows waits for the recorder; whatever it refuses is refused
by the kernel as ever. The recorder finds the rule that allowed each call. In the end only those rules are left, each
with the names that were called; and of calls whose first concern is one of many things, only those things.
"""

from __future__ import annotations

from errno import EPERM
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule
from pycgroups.security.notification import CONTINUE, with_rules
from pycgroups.security.seccomp import CLONE_NAMESPACES, LOW_32_BITS, allow_if
from pycgroups.security.seccomp_policy import NOTIFY

if TYPE_CHECKING:
    from attrs import evolve

    from pycgroups.security.notification import Call, Continue
else:
    from pycgroups.frozen import evolve

_ALLOW, _ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"

# Of these calls it is the argument that says what they do: its position, and the bits that count.
_SELECTORS: dict[str, tuple[int, int]] = {
    "bpf": (0, LOW_32_BITS),  # command
    "clone": (0, CLONE_NAMESPACES),  # which namespaces are new
    "ioctl": (1, LOW_32_BITS),  # request
    "keyctl": (0, LOW_32_BITS),  # operation
    "personality": (0, LOW_32_BITS),
    "prctl": (0, LOW_32_BITS),  # option
    "ptrace": (0, LOW_32_BITS),  # request
    "socket": (0, LOW_32_BITS),  # address family
    "socketpair": (0, LOW_32_BITS),
    "unshare": (0, LOW_32_BITS),  # namespaces
}

# Calls that do not wait, and are in every recorded profile. A signal may end the waiting, and what never fails with
# EINTR elsewhere then does: signal(7). Programs check most calls and not these, all of which are harmless, and some of
# which are made by chance alone: when threads have to wait for each other, or a signal comes in between.
# fmt: off
_FREE = frozenset({
    "brk", "exit", "exit_group", "futex", "madvise", "mmap", "mprotect", "munmap", "restart_syscall", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "sched_yield",
})
# fmt: on


class Used(NamedTuple):
    """What was used of a profile: the position of the rule (None: its default), the call, and its selector's value."""

    rule: int | None
    name: str
    value: int | None


class Recorder:
    """Lets every call happen, and remembers it."""

    def __init__(self, base: Seccomp | None) -> None:
        """Take the profile to record on top of; None allows everything."""
        self._base = base or Seccomp(default_action=_ALLOW)
        self._conditional: dict[str, list[int]] = {}
        self._plain: dict[str, int] = {}
        self._used: set[Used] = set()
        self._is_first = True
        for position, rule in enumerate(self._base.syscalls):
            for name in rule.names:
                if rule.args:
                    self._conditional.setdefault(name, []).append(position)
                else:
                    self._plain.setdefault(name, position)

    def asking(self) -> Seccomp:
        """Return the profile by which what is allowed waits, but for the free calls."""
        rules = []
        for rule in self._base.syscalls:
            rules += _parted(rule) if rule.action == _ALLOW else [rule]
        if self._base.default_action != _ALLOW:
            return with_rules(self._base, tuple(rules))
        rules.append(SyscallRule(names=self._free_by_default(), action=_ALLOW))
        return with_rules(self._base, tuple(rules), NOTIFY)

    def _free_by_default(self) -> tuple[str, ...]:
        return tuple(sorted(_FREE - self._plain.keys()))

    def decide(self, call: Call) -> Continue:
        """Remember a call of the program's."""
        if call.name.isdigit():  # newer than this library: a profile cannot name it
            return CONTINUE
        rule = self._rule_for(call)
        selector = _SELECTORS.get(call.name) if rule is None or not self._base.syscalls[rule].args else None
        value = None if selector is None else call.args[selector[0]] & selector[1]
        self._used.add(Used(rule, call.name, value))
        return CONTINUE

    def note(self, call: Call) -> None:
        """Remember a call between the filter and the program; the first one only waits for us."""
        if not self._is_first:
            self.decide(call)
        self._is_first = False

    def _rule_for(self, call: Call) -> int | None:
        for position in self._conditional.get(call.name, ()):
            if _holds(self._base.syscalls[position].args, call.args):
                return position
        return self._plain.get(call.name)

    def recorded(self) -> Seccomp:
        """Return the smallest profile."""
        base = self._base
        rules = [rule if rule.action != _ALLOW else self._used_of(at, rule) for at, rule in enumerate(base.syscalls)]
        is_list = base.default_action != _ALLOW
        rules.append(self._used_of(None, SyscallRule(names=() if is_list else self._free_by_default(), action=_ALLOW)))
        return evolve(
            base,
            default_action=base.default_action if is_list else _ERRNO,
            default_errno_ret=base.default_errno_ret if is_list else EPERM,
            syscalls=(*(rule for rule in rules if rule.names), *self._selected()),
        )

    def _used_of(self, position: int | None, rule: SyscallRule) -> SyscallRule:
        used = {each.name for each in self._used if each.rule == position and each.value is None}
        return evolve(rule, names=tuple(sorted(used | _FREE.intersection(rule.names))))

    def _selected(self) -> list[SyscallRule]:
        """After the rules with conditions that there were: those are asked first, and may refuse more."""
        selected = sorted((each.name, each.value) for each in self._used if each.value is not None)
        return [allow_if(name, *_SELECTORS[name], value) for name, value in selected]


def _parted(rule: SyscallRule) -> list[SyscallRule]:
    """Part a rule that allows into the free calls and those that wait."""
    free = tuple(name for name in rule.names if name in _FREE)
    others = tuple(name for name in rule.names if name not in _FREE)
    parts = (evolve(rule, names=free), evolve(rule, names=others, action=NOTIFY))
    return [part for part in parts if part.names]


def _holds(conditions: tuple[SyscallArg, ...], args: tuple[int, ...]) -> bool:
    """As the filter does: all of them, or one of those that are about the same argument."""
    answers = [_is_so(condition, args[condition.index]) for condition in conditions]
    is_choice = len({condition.index for condition in conditions}) < len(conditions)
    return any(answers) if is_choice else all(answers)


def _is_so(condition: SyscallArg, argument: int) -> bool:
    value = condition.value
    return {
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_LT": argument < value,
        "SCMP_CMP_LE": argument <= value,
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_GE": argument >= value,
        "SCMP_CMP_GT": argument > value,
        "SCMP_CMP_MASKED_EQ": argument & value == condition.value_two & value,
    }[condition.op]
