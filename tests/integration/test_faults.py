"""Every system call that the library makes fails once: an error of its own or success, and nothing left."""

from __future__ import annotations

import os
import random

import pytest

from tests import tracing
from tests.subjects import nursery
from tests.waiting import PATIENCE
from tests.worlds import features

LIMITS = {} if features.lack("limits") else {"memory": "64M", "pids": 32}
COMMAND = ["true"]
# What can fail so. Not close(2), which closes even then, and no stat(2): getpwent(3) would lose a file of its own.
CALLS = (
    "openat,openat2,pipe2,memfd_create,socketpair,clone3,fcntl,write,sendmsg,sendto,recvmsg,poll,mkdir,rmdir,open_tree,"
    "mount_setattr,fsopen,fsconfig,fsmount,move_mount,getdents64,flock,ioctl,read,faccessat2,pidfd_open,"
    "pidfd_send_signal,rt_sigprocmask,vfork,mmap,mremap,brk,munmap"
)
OF_MALLOC = {"mmap", "mremap", "brk", "munmap"}
ERRORS = ("EMFILE", "ENOMEM", "ENOSPC", "EPERM")

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("hundreds of starts; the faults are in calls that both versions make"),
]


@pytest.fixture(scope="module")
def nest():
    with nursery() as made:
        yield made


def run_traced(nest, log, *faults, **options):
    subject = nest.subject()
    with tracing.attached(subject.pid, log, *faults):
        subject.run(COMMAND, **options)
        return subject.pid, subject.outcome()


def groups_of(pid):
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path).startswith(f"run.{pid}.")]


def check(nest, log, case, options):
    call, number, error = case
    faults = f"--trace={call}", f"--inject={call}:error={error}:when={number}"
    pid, outcome = run_traced(nest, log, *faults, **options)
    facts = (tracing.injected(log), outcome)
    assert outcome, facts
    if "error" in outcome:
        assert outcome["own"] or (outcome["error"] == "MemoryError" and call in OF_MALLOC), facts
    else:
        assert outcome["returncode"] == 0, facts
    assert outcome["fds"] == outcome["children"] == [], facts
    assert nest.wait_until_empty(PATIENCE) == [], facts
    if groups_of(pid):  # it was the removal that failed
        assert outcome["error"] == "CgroupError", facts
        _, outcome = run_traced(nest, log, "--trace=none", **LIMITS)
        assert outcome, facts
        assert groups_of(pid) == [], facts


@pytest.mark.requires("strace")
@pytest.mark.parametrize(
    "everyday", [pytest.param(40, id="some"), pytest.param(10**6, marks=pytest.mark.long, id="all")]
)
@pytest.mark.parametrize("options", [LIMITS, *([{"namespaces": {"pid": "host"}}] if LIMITS else [])], ids=str)
def test_a_system_call_fails(nest, tmp_path, everyday, options):
    log = tmp_path / "log"
    for _ in range(2):  # the second time the directory of all groups is there
        _, outcome = run_traced(nest, log, f"--trace={CALLS}", **options)
        assert outcome
        assert outcome.get("returncode") == 0, outcome
    cases = [
        (call, number, error)
        for call, count in tracing.calls(log).items()
        for number in range(1, count + 1)
        for error in ERRORS
    ]
    wanted = min(len(cases), everyday // 5 if features.IN_VM else everyday)
    for case in random.Random(0).sample(cases, wanted):
        check(nest, log, case, options)


@pytest.mark.requires("strace")
@pytest.mark.parametrize("limits", [{}, LIMITS] if LIMITS else [{}], ids=str)
@pytest.mark.parametrize("when", ["1", "2", "1+"])
@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
def test_the_program_may_not_be_killed(nest, tmp_path, limits, when, error):
    """When its time is up: by a security module, or a filter. It ends with the caller at the latest."""
    log = tmp_path / "log"
    subject = nest.subject()
    with tracing.attached(subject.pid, log, f"--inject=pidfd_send_signal:error={error}:when={when}"):
        subject.run(["sleep", "1000"], timeout=0.1, **limits)
        outcome = subject.outcome()
    assert outcome
    if when == "1+":
        assert "pidfd_send_signal" in tracing.injected(log)
        assert outcome["error"] in {"Error", "LaunchError", "CgroupError"}, outcome
    assert outcome.get("own") or outcome["reason"] == "timeout", outcome
    assert outcome["fds"] == [], outcome
    assert nest.wait_until_empty(PATIENCE) == []
    if groups_of(subject.pid):
        run_traced(nest, log, "--trace=none", **LIMITS)
        assert groups_of(subject.pid) == []
