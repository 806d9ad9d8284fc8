"""The strict profile: what it allows, and that it is a part of what the default profile allows."""

from __future__ import annotations

import pytest

from pycgroups.security.bpf import compile_filter
from pycgroups.security.seccomp import default_profile
from pycgroups.security.strict import ALLOWED, BY_ARGUMENT, BY_OLDER_ONES, strict_profile
from pycgroups.security.syscall_names import NAMES
from tests.unit.security.bpf_machine import ALLOW, AUDIT_ARCHES, ENOSYS, EPERM, FOREIGN_ARCHES, decode, real_table, run

THREAD, FORK = 0x3D0F00, 0x1200011
WRITE_ONLY, CREATE, TRUNCATE, TEMPORARY = 0o1, 0o100, 0o1000, 0o20200000
CLOSE_ON_EXEC, DIRECTORY = 0o2000000, 0o200000


@pytest.fixture(params=sorted(AUDIT_ARCHES))
def machine(request):
    return request.param


@pytest.fixture
def table(machine):
    return real_table(machine)


@pytest.fixture
def ask(table):
    code = decode(compile_filter(strict_profile(), table))
    return lambda name, *args: run(code, table.audit_arch, table.numbers[name], args)


def words(*tables):
    return [name for table in tables for group in table.values() for name in group.split()]


def test_every_name_is_known_and_has_one_place():
    names = words(ALLOWED, BY_ARGUMENT, BY_OLDER_ONES)
    assert len(names) == len(set(names))
    assert set(names) <= set(NAMES)


def test_all_else_is_refused(ask, table):
    others = set(table.numbers) - set(words(ALLOWED, BY_ARGUMENT, BY_OLDER_ONES))
    assert {name: ask(name) for name in others if ask(name) not in {EPERM, ENOSYS}} == {}
    for name in (
        "socket",
        "socketpair",
        "pipe2",
        "kill",
        "ptrace",
        "mount",
        "unshare",
        "unlinkat",
        "mkdirat",
        "chroot",
    ):
        assert ask(name) == EPERM, name


def test_nothing_that_the_default_profile_refuses(ask, table):
    code = decode(compile_filter(default_profile(frozenset()), table))
    for name, number in table.numbers.items():
        for args in ((), (0, 0, 0), (1, 1), (15, 0x5401, 0), (THREAD,), (FORK,), (0, 0x5412)):
            if ask(name, *args) == ALLOW:
                assert run(code, table.audit_arch, number, args) == ALLOW, (name, args)


def test_files_are_opened_to_be_read(ask):
    reading = (0, CLOSE_ON_EXEC, DIRECTORY | CLOSE_ON_EXEC)
    writing = (WRITE_ONLY, 0o2, 0o3, CREATE, TRUNCATE, TEMPORARY, WRITE_ONLY | CREATE | 1 << 32)
    assert {ask("openat", 0, 0, flags) for flags in reading} == {ALLOW}
    assert {ask("openat", 0, 0, flags) for flags in writing} == {EPERM}
    assert ask("openat2") == ENOSYS


def test_threads_are_made_and_no_processes(ask):
    assert ask("clone", THREAD) == ALLOW
    assert [ask("clone", flags) for flags in (FORK, 17, THREAD | 0x10000000)] == [EPERM] * 3
    assert ask("clone3") == ENOSYS


def test_limits_are_looked_at(ask):
    assert ask("prlimit64", 0, 3, 0, 0x7FFFFFFF) == ALLOW
    assert [ask("prlimit64", *args) for args in ((1, 3, 0, 1), (0, 3, 1 << 32, 0), (0, 3, 8, 0))] == [EPERM] * 3


def test_what_can_be_done_to_descriptors(ask):
    assert {ask("fcntl", 1, command) for command in (0, 1, 2, 3, 1030)} == {ALLOW}
    assert {ask("fcntl", 1, command) for command in (4, 8, 1024, 1033)} == {EPERM}
    assert {ask("ioctl", 1, request) for request in (0x5401, 0x5413)} == {ALLOW}
    assert {ask("ioctl", 1, request) for request in (0x5402, 0x5412, 0x8912)} == {EPERM}


def test_other_architectures(table, machine):
    code = decode(compile_filter(strict_profile(), table))
    assert {run(code, FOREIGN_ARCHES[machine], number) for number in range(500)} == {ENOSYS}
    assert {run(code, table.audit_arch, 0x40000000 | number) for number in range(500)} == {ENOSYS}
