"""Plans of what joins a container that is there."""

from __future__ import annotations

import pytest

from pycgroups._native.calls import lib
from pycgroups.oci import runtime_spec as oci
from pycgroups.oci.uncommon import CpuAffinity, Hook, MemoryPolicy, Personality
from pycgroups.runtime import entering, hooks
from pycgroups.runtime.plan import NAMESPACES
from pycgroups.runtime.program import TERMINAL, Manner
from pycgroups.runtime.steps import Terminal

KINDS = ("user", "ipc", "pid", "mount")
MANNER = Manner(init=False, home=True)


def process(**options):
    return oci.Process(**{"args": ("prog", "arg"), "env": ("PATH=/bin",), **options})


def make(kinds=KINDS, *, of=None, linux=None, manner=MANNER, **options):
    return entering.make_exec(of or process(), linux or oci.Linux(), kinds, manner=manner, **options)


def names(steps):
    return [step.name for step in steps]


def test_namespaces_are_joined_at_once_and_then_only_a_child_is_in_them():
    plan = make(joins=2)
    joined = [(step.args, step.path) for step in plan.setup if step.name == "setns"]
    assert joined == [((2, sum(NAMESPACES[kind] for kind in KINDS)), "user, ipc, pid, mount")]
    found = names(plan.setup)
    assert found[:2] == ["join", "join"]
    assert found[found.index("setns") :] == ["setns", "fork", "become root", "session", "umask", "root"]
    assert (plan.namespaces, plan.prepare, plan.given, plan.init) == (0, (), 3, False)


def test_without_a_pid_namespace_nothing_forks():
    assert "fork" not in names(make(("mount",)).setup)
    assert "become root" not in names(make(("mount",)).setup)


def test_a_container_where_groups_cannot_be_set():
    plan = make(groups=False)
    assert next(step for step in plan.setup if step.name == "become root").args == (0,)
    assert "groups" not in names(plan.main)
    assert "groups" not in names(plan.setup)  # an ordinary user keeps those of before


def test_groups_that_cannot_be_left_there_are_left_before():
    setup = make(groups=False, leaves_groups=True).setup
    assert names(setup)[:2] == ["groups", "setns"]
    assert setup[0].args == (0,)
    assert "groups" not in names(make(groups=True, leaves_groups=True).setup)
    assert "groups" not in names(make(("mount",), groups=False, leaves_groups=True).setup)


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        (CpuAffinity(initial="0"), ["call", "join"]),
        (CpuAffinity(final="0"), ["join", "call"]),
        (CpuAffinity(initial="0", final="1"), ["call", "join", "call"]),
        (None, ["join"]),
    ],
)
def test_cpus_before_and_after_the_cgroup(affinity, expected):
    plan = make(joins=1, of=process(exec_cpu_affinity=affinity))
    assert names(plan.setup)[: len(expected)] == expected
    assert "call" not in names(plan.setup)[len(expected) :]


def test_what_has_no_namespace_is_taken_from_the_container():
    linux = oci.Linux(personality=Personality(domain="LINUX32"), memory_policy=MemoryPolicy(mode="MPOL_LOCAL"))
    calls = [step.path for step in make(linux=linux).setup if step.name == "call"]
    assert calls == ["personality", "set_mempolicy"]


def test_its_own_terminal():
    plan = make(terminal=Terminal(rows=3, columns=4), of=process(user=oci.User(uid=5, gid=6)))
    assert plan.setup[-1].args == (TERMINAL, 3, 4, 5)
    assert plan.setup[-1].op == lib.OP_CONSOLE
    assert names(plan.main)[0] == "terminal"


def test_what_is_handed_on_comes_after_the_namespaces():
    plan = make(joins=1, manner=MANNER._replace(handed=2))
    assert plan.given == 1 + 1 + 2
    (ready,) = (step for step in plan.main if step.name == "ready")
    assert ready.args[:2] == (1 + 1, 2)


def test_it_dies_with_who_waits_for_it():
    assert "death" in names(make().main)
    assert "death" not in names(make(manner=MANNER._replace(detached=True)).main)
    assert not {"find", "start"} & set(names(make().main))


def test_home():
    def homes(**options):
        return [(step.args, step.path) for step in make(of=process(**options)).main if step.name == "home"]

    assert homes(user=oci.User(uid=7)) == [((7,), "/etc/passwd")]
    assert homes(env=("HOME=/x",)) == []
    assert homes(env=("HOME=",)) == [((0,), "/etc/passwd")]
    assert homes(env=("HOMER=/x", "=HOME")) == [((0,), "/etc/passwd")]
    assert "home" not in names(make(manner=Manner(init=False)).main)


def test_a_hook():
    plan = entering.make_hook(Hook(path="/bin/hook", args=("name", "arg")), ["A=b"], ("mount", "pid"), "/bundle")
    assert names(plan.steps) == ["setns", "fork", "session", "chdir", "death", "ready", "exec"]
    assert plan.steps[-1].texts == (b"name\0arg", b"A=b", b"/bin/hook")
    assert plan.steps[-1].args == (2, 1, 1)
    alone = entering.make_hook(Hook(path="/bin/hook"), (), (), "/bundle")
    assert names(alone.steps) == ["session", "chdir", "death", "ready", "exec"]
    assert alone.steps[-1].texts == (b"/bin/hook", b"", b"/bin/hook")


def test_a_hook_in_a_user_namespace_is_its_root():
    def entered(**options):
        steps = entering.make_hook(Hook(path="/bin/hook"), (), ("user", "mount"), "/bundle", **options).setup
        return [(step.name, step.args) for step in steps if step.name in {"groups", "become root"}]

    assert entered() == [("become root", (1,))]
    assert entered(root=(7, 8)) == [("become root", (1, 7, 8))]
    assert entered(groups=False) == [("become root", (0,))]
    assert entered(groups=False, leaves_groups=True) == [("groups", (0,)), ("become root", (0,))]


def test_a_hook_is_not_seen_in_a_pid_namespace_of_those_who_may_trace_it():
    def apart(**paths):
        return hooks.apart([oci.NamespaceSpec(type=kind, path=path) for kind, path in paths.items()])

    assert apart(user="/u", pid="/p", mount=None) == {"pid"}
    assert apart(user=None, pid="/p") == apart(user="/u", pid=None) == apart() == frozenset()
