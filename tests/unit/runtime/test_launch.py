"""What a failed step becomes, and what is told about it; nothing is started."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from pycgroups import errors
from pycgroups._native.calls import ffi, lib
from pycgroups._native.spawning import Report
from pycgroups.oci.runtime_spec import IdMapping
from pycgroups.runtime import entering, hints, id_maps, launch
from pycgroups.runtime.program import candidates
from pycgroups.runtime.steps import Plan, Step
from pycgroups.runtime.wording import OPERATIONS

EXEC = Step(lib.OP_EXEC, (2, 0, 1), (b"prog\0arg", b"", b"/bin/prog"))


def plan(*steps):
    return Plan(namespaces=0, prepare=(), setup=steps, main=(), given=0, idmaps=(), init=True, keep_caps=0)


def step_error(step, number):
    return launch.step_error(plan(step), 0, number)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR])
def test_a_program_that_is_not_there(number):
    error = step_error(EXEC, number)
    assert type(error) is errors.CommandNotFound
    assert (error.path, error.errno, error.step) == ("prog", number, "exec")


@pytest.mark.parametrize(
    ("program", "env", "hint"),
    [
        ("prog", ("A=b", "PATH=/usr/bin::/sbin"), "PATH is /usr/bin:.:/sbin"),
        ("prog", ("PATH=/a\x1b[1m",), "PATH is '/a\\x1b[1m'"),
        ("prog", (), "there is no PATH to search"),
        ("/bin/prog", ("PATH=/usr/bin",), None),
        ("echo hi", ("PATH=/usr/bin",), "this is the name of one program, for there is no shell: give a list of words"),
    ],
)
def test_where_a_program_was_sought(program, env, hint):
    paths = b"\0".join(map(os.fsencode, candidates(program, env)))
    execute = Step(lib.OP_EXEC, (1, 0, 1), (os.fsencode(program), b"", paths))
    find = Step(lib.OP_FIND, (1,), (paths, os.fsencode(program)))
    assert [step_error(step, errno.ENOENT).hint for step in (execute, find)] == [hint, hint]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOEXEC, errno.EPERM, errno.ELOOP, errno.ETXTBSY])
def test_a_program_that_cannot_run(number):
    assert type(step_error(EXEC, number)) is errors.CommandNotExecutable


@pytest.mark.parametrize("number", [errno.E2BIG, errno.ENOMEM, errno.EAGAIN])
def test_what_the_program_is_not_to_blame_for(number):
    assert type(step_error(EXEC, number)) is errors.LaunchError


def test_a_step_of_the_set_up():
    error = step_error(Step(lib.OP_MOUNT, (0, 0), (b"/a\xff",)), errno.ELOOP)
    assert type(error) is errors.LaunchError
    assert (error.step, error.path, error.errno) == ("mount", "/a\udcff", errno.ELOOP)
    assert "symlink" in str(error.hint)
    assert os.strerror(errno.ELOOP) in str(error)
    assert "\\udcff" in str(error)


@pytest.mark.parametrize(
    ("at", "operation"), [(b"/data", "mount at /data: source"), (b"layer", "source of a mount")], ids=["path", "staged"]
)
def test_a_tree_is_named_by_where_it_is_mounted(at, operation):
    others = Step(lib.OP_MOUNT, (2, 0), (b"/other",)), Step(lib.OP_MOUNT, (2, 0), (b"/more",))
    tree, mount = Step(lib.OP_TREE, (3, 0), (b"/nothing",)), Step(lib.OP_MOUNT, (3, 0), (at,))
    error = launch.step_error(plan(others[0], tree, others[1], mount), 1, errno.ENOENT)
    assert (error.step, error.operation, error.path) == ("tree", operation, "/nothing")


def test_a_failure_without_a_step():
    assert launch.step_error(plan(), -1, errno.EAGAIN).step == "start of the program"


def test_every_hint_belongs_to_a_step_or_a_call():
    assert {op for op, _ in hints._STEPS} <= set(OPERATIONS)
    for hint in [*hints._STEPS.values(), *hints._CALLS.values()]:
        assert len(hint) > 15
    assert hints.for_call("clone3", errno.EPERM)
    assert hints.for_call("clone3", errno.EIO) is None


def test_the_callers_own_id_alone_needs_no_tool():
    own = (IdMapping(0, 1000, 1),)
    assert id_maps._is_own(own, 1000)
    assert not id_maps._is_own(own, 1001)
    assert not id_maps._is_own((IdMapping(0, 1000, 2),), 1000)
    assert not id_maps._is_own((*own, IdMapping(1, 5000, 1)), 1000)


def told(*kinds, init):
    """A helper that has said so much, and has ended; or has executed the program, where there is no init."""
    running = launch.Running(entering._plan([], (), 0)._replace(init=init))
    ours, theirs = socket.socketpair()
    running.spawned.out.control = ours.detach()
    with theirs:
        for kind in kinds:
            theirs.send(ffi.buffer(ffi.new("struct report *", {"kind": kind, "step": -1, "error": errno.EIO})))
    return running


def test_without_an_init_the_end_of_the_conversation_is_the_start():
    running = told(init=False)
    running.until_started()
    assert running.started
    running.let_go()


def test_with_an_init_it_is_told_and_what_comes_after_is_left():
    running = told(lib.REPORT_STARTED, lib.REPORT_EXITED, init=True)
    running.until_started()
    assert (running.started, running.report) == (True, None)
    assert not running.hear()
    assert running.report is not None
    running.let_go()


@pytest.mark.parametrize("init", [True, False])
def test_a_failure_before_the_start(init):
    running = told(lib.REPORT_FAILED, init=init)
    with pytest.raises(errors.LaunchError) as caught:
        running.until_started()
    assert caught.value.errno == errno.EIO
    running.let_go()


def test_with_an_init_an_end_without_a_word_is_no_start():
    running = told(init=True)
    with pytest.raises(errors.LaunchError, match="killed"):
        running.until_started()
    running.let_go()


def test_a_helper_whose_ids_cannot_be_mapped_is_told_to_give_up():
    """Else a supervisor would wait for an answer, and not end when it is to."""
    running = launch.Running(plan(Step(lib.OP_MAP, (9, 3, 0), (b"/run",))))
    read, write = os.pipe()
    with open(read, "rb") as answer, open(os.devnull, "rb") as none:
        running.maps[3] = os.dup(none.fileno())
        for fd in os.dup(none.fileno()), write:
            running._take(Report(**dict.fromkeys(Report._fields, 0) | {"kind": lib.REPORT_FD, "fd": fd}))
        running.close()
        assert answer.read() == b"\1"
    assert running.failure is not None
    assert running.failure.path == "/run"
