"""The plan of a program without namespaces: short, and nothing in it touches the host."""

from __future__ import annotations

import struct

import pytest

from pycgroups._native.calls import lib
from pycgroups.oci import runtime_spec as oci
from pycgroups.runtime.process_plan import make_process_plan
from pycgroups.runtime.program import Manner


def plan(*, joins=0, groups=True, no_new_privileges=True, linux=None, **manner):
    process = oci.Process(
        args=("prog",),
        cwd="/",
        env=("PATH=/bin",),
        user=oci.User(uid=5, gid=6),
        no_new_privileges=no_new_privileges,
        oom_score_adj=7,
    )
    spec = oci.Spec(process=process, root=oci.Root(path="/"), linux=linux or oci.Linux())
    return make_process_plan(spec, manner=Manner(**manner), joins=joins, groups=groups)


def names(steps):
    return [step.name for step in steps]


def test_the_steps():
    made = plan(joins=2, seccomp_filter=b"x" * 8)
    assert made.prepare == ()
    assert names(made.setup) == ["join", "join", "death", "session"]
    assert names(made.main) == [
        *("session", "keyring", "oom score", "umask", "bounding", "groups", "ids", "caps", "ambient", "chdir", "death"),
        *("ready", "no new privs", "seccomp", "exec"),
    ]
    assert (made.namespaces, made.given, made.init, made.supervised) == (0, 2, True, True)


def test_who_is_told_of_whose_death():
    """The helper by a signal that it can act on: it has others to kill. The program is just killed."""
    made = plan()
    assert [step.args for step in made.setup if step.op == lib.OP_DEATH] == [(lib.PLAN_END_SIGNAL,)]
    main = names(made.main)
    assert main.index("death") > main.index("ids")  # which would clear it
    assert [step.args for step in made.main if step.op == lib.OP_DEATH] == [(9,)]


@pytest.mark.parametrize("words", [{"groups": False}, {"bounding": False}, {"keyring": False}])
def test_what_takes_rights_can_be_left_out(words):
    (step,) = words
    assert step in names(plan().main)
    assert step not in names(plan(**words).main)


def test_a_spec_with_namespaces_is_none():
    with pytest.raises(AssertionError):
        plan(linux=oci.Linux(namespaces=(oci.NamespaceSpec("pid", None),)))


def test_encoding():
    flags = struct.unpack_from("=3I", plan().encode())[2]
    assert flags == lib.PLAN_INIT
