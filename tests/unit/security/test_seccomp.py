"""The default profile: every call of Linux has a place in it, and the filter answers as documented."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.security import capabilities
from pycgroups.security.bpf import compile_filter
from pycgroups.security.seccomp import default_profile
from pycgroups.security.seccomp_profile import ALLOWED, BY_ARGUMENT, BY_CAPABILITY, REFUSED
from pycgroups.security.syscall_names import NAMES
from tests.unit.security.bpf_machine import (
    ALLOW,
    AUDIT_ARCHES,
    ENOSYS,
    EPERM,
    FOREIGN_ARCHES,
    MACHINE,
    decode,
    real_table,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT = frozenset(capabilities.DEFAULT)
GETPID_32, X32_BIT = 20, 0x40000000


@pytest.fixture(params=sorted(AUDIT_ARCHES))
def machine(request):
    return request.param


class Filter:
    """The default filter of a machine, to be asked about a call by name."""

    def __init__(self, machine: str) -> None:
        self.table = real_table(machine)
        self.numbers = self.table.numbers

    def __call__(self, name: str, *args: int, caps: frozenset[str] = DEFAULT) -> int:
        return self.by_number(self.numbers[name], *args, caps=caps)

    def by_number(self, number: int, *args: int, caps: frozenset[str] = DEFAULT, arch: int | None = None) -> int:
        code = decode(compile_filter(default_profile(caps), self.table))
        return run(code, self.table.audit_arch if arch is None else arch, number, args)


@pytest.fixture
def ask(machine):
    return Filter(machine)


def names(groups: Iterable[str]) -> list[str]:
    return [name for group in groups for name in group.split()]


def test_every_call_has_one_place():
    places = Counter([*names(ALLOWED.values()), *names(BY_ARGUMENT.values()), *names(REFUSED.values())])
    places.update(set(names(group for _, _, group in BY_CAPABILITY)) - {"clone", "clone3"})
    assert places == Counter(NAMES)


def test_every_call_of_these_headers_is_known(ask):
    assert set(ask.numbers) <= set(NAMES)


def test_capabilities_that_exist():
    assert {name for enough, _, _ in BY_CAPABILITY for name in enough.split()} <= capabilities.NUMBERS.keys()


# SEC-01: what a stranger's program tries.
FORBIDDEN = """
    mount umount2 pivot_root setns unshare kexec_load kexec_file_load open_by_handle_at name_to_handle_at bpf
    perf_event_open userfaultfd keyctl add_key request_key init_module finit_module delete_module swapon swapoff reboot
    settimeofday clock_settime acct quotactl quotactl_fd io_uring_setup io_uring_enter io_uring_register lookup_dcookie
    fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr sethostname setdomainname fanotify_init
    process_vm_readv process_vm_writev kcmp pidfd_getfd syslog vhangup iopl ioperm modify_ldt nfsservctl _sysctl
    sysfs ustat uselib mbind set_mempolicy get_mempolicy move_pages migrate_pages create_module query_module
"""


def test_forbidden_calls(ask):
    asked = [name for name in FORBIDDEN.split() if name in ask.numbers]
    assert len(asked) > 45
    assert {name: ask(name) for name in asked} == dict.fromkeys(asked, EPERM)


def test_ordinary_calls(ask):
    asked = [name for name in names(ALLOWED.values()) if name in ask.numbers]
    assert {name: ask(name, *[2**64 - 1] * 6) for name in asked} == dict.fromkeys(asked, ALLOW)


def test_calls_newer_than_the_profile(ask):
    assert {ask.by_number(number) for number in range(470, 601)} == {ENOSYS}


def test_other_architectures(ask, machine):
    every = frozenset(capabilities.NUMBERS)
    assert {ask.by_number(number, caps=every, arch=FOREIGN_ARCHES[machine]) for number in range(600)} == {ENOSYS}
    assert {ask.by_number(X32_BIT | number, caps=every) for number in range(600)} == {ENOSYS}


def test_clone_makes_threads_and_processes_but_no_namespaces(ask):
    threads, fork = 0x3D0F00, 0x1200011
    assert [ask("clone", flags) for flags in (threads, fork, 17)] == [ALLOW] * 3
    namespaces = [0x20000, *(1 << bit for bit in range(25, 31))]
    assert [ask("clone", flag | 17) for flag in namespaces] == [EPERM] * 7
    assert ask("clone3") == ENOSYS
    assert [ask(name, 0x10000000, caps=frozenset({"CAP_SYS_ADMIN"})) for name in ("clone", "clone3")] == [ALLOW] * 2


def test_kinds_of_sockets(ask):
    def families(name: str, caps: frozenset[str] = DEFAULT, high: int = 0) -> set[int]:
        return {family for family in range(64) if ask(name, high << 32 | family, caps=caps) == ALLOW}

    unix, inet, inet6, netlink, packet = 1, 2, 10, 16, 17
    assert families("socket") == families("socket", high=1) == {unix, inet, inet6, netlink, packet}
    assert families("socket", caps=frozenset()) == {unix, inet, inet6, netlink}
    assert families("socketpair") == {unix}
    assert ask("socket", 40) == EPERM


def test_personality(ask):
    allowed = [0, 8, 0x20000, 0x20008, 0xFFFFFFFF, 2**64 - 1]
    assert [ask("personality", value) for value in allowed] == [ALLOW] * len(allowed)
    assert [ask("personality", value) for value in (0x40000, 0x40008, 0x100000, 0x400000, 1)] == [EPERM] * 5


def test_typing_into_a_terminal(ask):
    assert [ask("ioctl", 0, request) for request in (0x5412, 0x541C, 1 << 32 | 0x5412)] == [EPERM] * 3
    assert [ask("ioctl", 0x5412, request) for request in (0x5401, 0x5413, 0)] == [ALLOW] * 3


@pytest.mark.parametrize(("enough", "opened"), [(c, n) for caps, _, n in BY_CAPABILITY for c in caps.split()])
def test_each_capability_opens_its_calls(ask, enough, opened):
    asked = [name for name in opened.split() if name in ask.numbers]
    assert {ask(name, caps=frozenset({enough})) for name in asked} <= {ALLOW}
    closed = {name for name in asked if name != "clone"}
    assert {ask(name, caps=frozenset()) for name in closed} <= {EPERM, ENOSYS}


@given(st.frozensets(st.sampled_from(sorted(capabilities.NUMBERS)), max_size=6))
def test_more_capabilities_never_refuse_more(caps):
    def allowed(caps: frozenset[str]) -> set[str]:
        profile = default_profile(caps)
        return {name for rule in profile.syscalls if rule.action == "SCMP_ACT_ALLOW" for name in rule.names}

    assert allowed(frozenset()) <= allowed(caps) <= allowed(frozenset(capabilities.NUMBERS))
    assert allowed(caps).isdisjoint(names(REFUSED.values()))


# Reads a filter, puts it on, tries what it is told to, and prints the error numbers.
PROBE = """
import ctypes, json, mmap, sys, threading
program, calls = bytes.fromhex(sys.stdin.readline()), json.loads(sys.stdin.readline())
libc = ctypes.CDLL(None, use_errno=True)

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

def call(number, *args):
    ctypes.set_errno(0)
    libc.syscall(*map(ctypes.c_long, (number, *args)))
    return ctypes.get_errno()

if program:
    assert libc.prctl(38, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS"
    assert libc.prctl(22, 2, ctypes.byref(Program(len(program) // 8, program))) == 0, "PR_SET_SECCOMP"

threads = [threading.Thread(target=int) for _ in range(50)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]

def call_32(number):  # mov eax, number; int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(b"\\xb8" + number.to_bytes(4, "little") + b"\\xcd\\x80\\xc3")
    return -ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()

status = open("/proc/self/status").read()
answers = [call_32(*args) if name == "int80" else call(name, *args) for name, *args in calls]
print(json.dumps({"mode": status.split("Seccomp:")[1].split()[0], "answers": answers}))
"""


def probe(program: bytes, calls: list[tuple[Any, ...]]) -> dict[str, Any]:
    text = f"{program.hex()}\n{json.dumps(calls)}\n"
    done = subprocess.run([sys.executable, "-c", PROBE], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_this_kernel_takes_the_filter():
    table = real_table()
    tries = {
        "getpid": ((), 0),
        "unshare": ((0x10000000,), 1),
        "mount": ((0, 0, 0, 0, 0), 1),
        "keyctl": ((0, -3, 0), 1),
        "io_uring_setup": ((1, 0), 1),
        "clone3": ((0, 0), 38),
        "clone": ((0x10000011, 0, 0, 0, 0), 1),
        "personality": ((0xFFFFFFFF,), 0),
        "socket": ((40, 1, 0), 1),
        "ptrace": ((1 << 20, 0), 3),  # ESRCH: the kernel's own answer
        "ioctl": ((0, 0x5412, 0), 1),
    }
    calls: list[tuple[Any, ...]] = [(table.numbers[name], *args) for name, (args, _) in tries.items()]
    told = probe(compile_filter(default_profile(DEFAULT), table), [*calls, (600,), (470,)])
    assert dict(zip(tries, told["answers"], strict=False)) == {name: errno for name, (_, errno) in tries.items()}
    assert told["answers"][-2:] == [38, 38]
    assert told["mode"] == "2"


@pytest.mark.skipif(MACHINE != "x86_64", reason="int 0x80 is x86")
def test_this_kernel_and_32_bit_calls():
    try:
        probe(b"", [("int80", GETPID_32)])
    except AssertionError:
        pytest.skip("this kernel has no IA32 emulation")
    program = compile_filter(default_profile(DEFAULT), real_table())
    assert probe(program, [("int80", GETPID_32)])["answers"] == [38]
