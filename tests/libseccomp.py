"""libseccomp, by which runc and crun compile a profile: the other compiler, to compare ours with.

Source: seccomp.h of libseccomp 2.6, seccomp_rule_add(3); the use of it is that of runc's
``libcontainer/seccomp/seccomp_linux.go``.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pycgroups.security.seccomp_policy import ACTIONS, NO_SUCH_CALL
from tests.unit.security.bpf_machine import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule

# enum scmp_compare, enum scmp_filter_attr
_COMPARE = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}
_ACT_BADARCH, _CTL_OPTIMIZE = 2, 8
_TREE = 2  # how it looks for the number of a call, where there are many
_KINDRED = {"x86_64": ("x86", "x32"), "aarch64": ("arm",)}
_WITH_DATA = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@cache
def library() -> ctypes.CDLL:
    """Load it, or skip the test."""
    try:
        loaded = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        pytest.skip(f"{error} (Debian: libseccomp2)")
    loaded.seccomp_init.restype = ctypes.c_void_p
    loaded.seccomp_init.argtypes = [ctypes.c_uint32]
    loaded.seccomp_release.restype = None
    loaded.seccomp_release.argtypes = [ctypes.c_void_p]
    loaded.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    loaded.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    loaded.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    loaded.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    loaded.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    loaded.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare))
    ]
    loaded.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return loaded


def number_of(name: str) -> int | None:
    """Return the number of a system call of this machine; None for one that it has none of, or does not know."""
    number = int(library().seccomp_syscall_resolve_name(name.encode()))
    return number if number >= 0 else None


def kindred(profile: Seccomp) -> list[str]:
    """Return the other architectures that a profile names whose programs this machine's kernel may run."""
    named = [word.removeprefix("SCMP_ARCH_").lower() for word in profile.architectures]
    return [word for word in _KINDRED[MACHINE] if word in named]


def verdict(action: str, data: int | None) -> int:
    """Return an action as a filter does."""
    if action not in _WITH_DATA:
        return ACTIONS[action]
    return ACTIONS[action] | (errno.EPERM if data is None else data)


class Compiled(NamedTuple):
    """What comes of a profile.

    Attributes:
        filter: an array of ``struct sock_filter``.
        refused: the numbers of calls with a rule that was not taken (EEXIST), since it contradicts another one. runc
            refuses the whole profile then.
    """

    filter: bytes
    refused: frozenset[int]


def alternatives(rule: SyscallRule) -> list[tuple[SyscallArg, ...]]:
    """Return the rules that one of a profile is: conditions on the same argument are each one of its own."""
    is_choice = len({arg.index for arg in rule.args}) < len(rule.args)
    return [(arg,) for arg in rule.args] if is_choice else [rule.args]


def compile_filter(profile: Seccomp, numbers: Mapping[str, int]) -> Compiled:
    """Compile a profile.

    As with runc: names that are unknown are passed over, so is a rule with the default action, and conditions on one
    argument are rules of their own. A call of an architecture that the profile does not name gets ENOSYS.

    Args:
        profile: what to compile.
        numbers: the system calls of this machine.
    """
    default = verdict(profile.default_action, profile.default_errno_ret)
    refused: set[int] = set()
    with _filter(default) as context:
        _check(library().seccomp_attr_set(context, _ACT_BADARCH, NO_SUCH_CALL))
        _check(library().seccomp_attr_set(context, _CTL_OPTIMIZE, _TREE))
        for word in kindred(profile):
            _check(library().seccomp_arch_add(context, library().seccomp_arch_resolve_name(word.encode())))
        for rule in profile.syscalls:
            action = verdict(rule.action, rule.errno_ret)
            if action == default:
                continue
            for number in (numbers[name] for name in rule.names if name in numbers):
                for args in alternatives(rule):
                    if not _is_added(context, action, number, args):
                        refused.add(number)
        return Compiled(_export(context), frozenset(refused))


@contextmanager
def _filter(default: int) -> Iterator[int]:
    context = library().seccomp_init(default)
    assert context
    try:
        yield context
    finally:
        library().seccomp_release(context)


def _is_added(context: int, action: int, number: int, args: tuple[SyscallArg, ...]) -> bool:
    """Add a rule; False if it is refused since another one has these conditions."""
    compare = [_Compare(arg.index, _COMPARE[arg.op], arg.value, arg.value_two) for arg in args]
    array = (_Compare * len(compare))(*compare)
    result = library().seccomp_rule_add_array(context, action, number, len(compare), array)
    _check(0 if result == -errno.EEXIST else result)
    return bool(result == 0)


def _export(context: int) -> bytes:
    fd = os.memfd_create("filter", os.MFD_CLOEXEC)
    with open(fd, "rb") as file:
        _check(library().seccomp_export_bpf(context, fd))
        file.seek(0)
        return file.read()


def _check(result: int) -> None:
    assert result >= 0, os.strerror(-result)
