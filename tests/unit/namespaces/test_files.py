"""Which namespaces of another process are not ours."""

from __future__ import annotations

import os

import pytest

from pycgroups import errors
from pycgroups.namespaces import files


@pytest.fixture
def ended():
    """A process that has ended, and that nobody has reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


def test_ones_own_are_not_among_them():
    assert files.others(os.getpid()) == ()


def test_a_kind_that_this_kernel_lacks_is_not_among_them(monkeypatch):
    monkeypatch.setattr(files, "_NAMES", (b"later", b"net"))
    assert files.others(os.getpid()) == ()


def test_who_has_ended_has_none(ended):
    with pytest.raises(errors.NotFound, match=f"/proc/{ended}/ns"):
        files.others(ended)


def test_who_is_gone_has_none():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(errors.NotFound):
        files.others(pid)
