"""What a failed step becomes, and what is told about it; nothing is started."""

from __future__ import annotations

import errno
import os

import pytest

from pycgroups import errors
from pycgroups._native.calls import lib
from pycgroups.oci.runtime_spec import IdMapping
from pycgroups.runtime import hints, id_maps, launch
from pycgroups.runtime.steps import OPERATIONS, Step

EXEC = Step(lib.OP_EXEC, (2, 0, 1), (b"prog\0arg", b"", b"/bin/prog"))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR])
def test_a_program_that_is_not_there(number):
    error = launch.step_error(EXEC, number)
    assert type(error) is errors.CommandNotFound
    assert (error.path, error.errno, error.step) == ("prog", number, "exec")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOEXEC, errno.EPERM, errno.ELOOP, errno.ETXTBSY])
def test_a_program_that_cannot_run(number):
    assert type(launch.step_error(EXEC, number)) is errors.CommandNotExecutable


@pytest.mark.parametrize("number", [errno.E2BIG, errno.ENOMEM, errno.EAGAIN])
def test_what_the_program_is_not_to_blame_for(number):
    assert type(launch.step_error(EXEC, number)) is errors.LaunchError


def test_a_step_of_the_set_up():
    error = launch.step_error(Step(lib.OP_MOUNT, (0, 0), (b"/a\xff",)), errno.ELOOP)
    assert type(error) is errors.LaunchError
    assert (error.step, error.path, error.errno) == ("mount", "/a\udcff", errno.ELOOP)
    assert "symlink" in str(error.hint)
    assert os.strerror(errno.ELOOP) in str(error)
    assert "\\udcff" in str(error)


def test_a_failure_without_a_step():
    assert launch.step_error(None, errno.EAGAIN).step == "start of the program"


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
