"""Which limits a creator has to allow; nothing is started."""

from __future__ import annotations

import resource

import pytest

from pycgroups._native.calls import lib
from pycgroups.runtime import rlimits
from pycgroups.runtime.steps import Plan, Step

CORE, INFINITY = resource.RLIMIT_CORE, -1
JOIN_USER = Step(lib.OP_SETNS, (0, lib.CLONE_NEWUSER), (b"user",))


def plan(hard, *, namespaces=0, setup=()):
    main = (Step(lib.OP_RLIMIT, (CORE, 0, hard)),)
    return Plan(namespaces=namespaces, prepare=(), setup=setup, main=main, given=0, idmaps=(), init=False, keep_caps=0)


@pytest.mark.parametrize(
    ("own", "hard", "above"),
    [(5, 5, False), (5, 6, True), (5, INFINITY, True), (INFINITY, 5, False), (INFINITY, INFINITY, False)],
)
def test_what_is_above_our_own(monkeypatch, own, hard, above):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, own))
    expected = [(CORE, hard)] if above else []
    assert rlimits.beyond(plan(hard, namespaces=lib.CLONE_NEWUSER)) == expected
    assert rlimits.beyond(plan(hard, setup=(JOIN_USER,))) == expected
    assert rlimits.beyond(plan(hard)) == []  # the process may do as much as we
