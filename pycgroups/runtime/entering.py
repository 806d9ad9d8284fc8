"""The plan of a process that joins a container which is there: `exec`, and hooks in the container. Pure."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.runtime.plan import NAMESPACES
from pycgroups.runtime.program import TERMINAL, Manner, Slots, program, set_groups
from pycgroups.runtime.steps import Plan, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.oci.runtime_spec import Linux, Process
    from pycgroups.oci.uncommon import Hook
    from pycgroups.runtime.steps import Terminal


def make_exec(
    process: Process,
    linux: Linux,
    kinds: Sequence[str],
    *,
    joins: int = 0,
    manner: Manner,
    terminal: Terminal | None = None,
    groups: bool = True,
    leaves_groups: bool = False,
    root: str = "",
) -> Plan:
    """Plan a further process of a container.

    Args:
        process: the program.
        linux: the container's own, of which it gets what no namespace has.
        kinds: the namespaces to join; the launch hands over a pidfd of a process that is in them.
        joins: how many cgroup files the launch hands over before that.
        manner: how it is started; an init is no process 1 here, but ends all that the program has started with it.
        terminal: make a pty in the container.
        groups: the container's user namespace allows setgroups(2).
        leaves_groups: the caller may call that itself, and leaves its groups before it is where nobody may.
        root: where the container's root is, if that is not the one of its mount namespace.
    """
    setup = [
        *_affinity(process, "initial"),
        *(Step(lib.OP_JOIN, (slot,)) for slot in range(joins)),
        *_affinity(process, "final"),
    ]
    if process.oom_score_adj is not None and not manner.init:  # by the host's /proc: the container need not have one
        setup.append(Step(lib.OP_OOM_SCORE, (1,), (str(process.oom_score_adj).encode(),)))
    setup += _enter(kinds, joins, groups=groups, leaves_groups=leaves_groups)
    if manner.init:
        manner = manner._replace(supervised=True)
        setup.append(Step(lib.OP_DEATH, (lib.PLAN_END_SIGNAL,)))
    setup += [Step(lib.OP_SESSION, (0,)), Step(lib.OP_UMASK, (0,))]
    if root:
        setup.append(Step(lib.OP_CHROOT, texts=(os.fsencode(root),)))
    setup.append(Step(lib.OP_ROOT))
    if linux.personality is not None or linux.memory_policy is not None:
        from pycgroups.runtime import scheduling  # few ask for it

        setup += scheduling.linux_steps(linux)
    if terminal:
        setup.append(terminal.step(TERMINAL, process.user))
    given = joins + bool(kinds)
    main = program(process, manner, Slots(handed=given), terminal=terminal is not None, groups=groups)
    plan = _plan(setup, main, given + manner.handed)
    return plan._replace(init=manner.init, supervised=manner.init, inherits=manner.inherits)


def make_inner_hook(
    hook: Hook,
    process: Process,
    linux: Linux,
    kinds: Sequence[str],
    *,
    manner: Manner,
    groups: bool,
    leaves_groups: bool,
    root: str = "",
) -> Plan:
    """Plan a hook that is a program of the container's own, and so is trusted with no more rights than that has."""
    plan = make_exec(process, linux, kinds, manner=manner, groups=groups, leaves_groups=leaves_groups, root=root)
    return plan._replace(main=(*plan.main[:-1], _exec(hook, process.env if hook.env is None else hook.env)))


def make_hook(
    hook: Hook,
    env: Sequence[str],
    kinds: Sequence[str],
    cwd: str,
    *,
    root: Sequence[int] = (),
    groups: bool = True,
    leaves_groups: bool = False,
) -> Plan:
    """Plan a hook: a program of the host, in some namespaces of the container, with the rights that it has there.

    In a user namespace it is root of that, as with runc: who is in there may have rights over it, and must not have
    those of the caller by it.

    Args:
        hook: what.
        env: its environment.
        kinds: the namespaces to join.
        cwd: its directory, if it may enter that.
        root: the ids that it has in a user namespace, where 0 is not mapped.
        groups: as for `make_exec`.
        leaves_groups: likewise.
    """
    setup = [*_enter(kinds, 0, groups=groups, leaves_groups=leaves_groups, root=root), Step(lib.OP_SESSION, (0,))]
    main = (
        Step(lib.OP_CHDIR, texts=(os.fsencode(cwd),), optional=True),
        Step(lib.OP_DEATH, (9,)),
        Step(lib.OP_READY, (-1, 0, 0, 0, -1)),
        _exec(hook, env),
    )
    return _plan(setup, main, int(bool(kinds)))


def _exec(hook: Hook, env: Sequence[str]) -> Step:
    argv = hook.args or (hook.path,)
    texts = tuple(b"\0".join(map(os.fsencode, words)) for words in (argv, env, (hook.path,)))
    return Step(lib.OP_EXEC, (len(argv), len(env), 1), texts)


def _affinity(process: Process, when: str) -> list[Step]:
    cpus = getattr(process.exec_cpu_affinity, when, None)
    if not cpus:
        return []
    from pycgroups.runtime import scheduling  # few ask for it

    return [scheduling.affinity(cpus)]


def _enter(
    kinds: Sequence[str], slot: int, *, groups: bool, leaves_groups: bool, root: Sequence[int] = ()
) -> list[Step]:
    """Join namespaces, and where a user namespace is among them become its root."""
    if "user" not in kinds:
        return _join(kinds, slot)
    left = [set_groups(())] if leaves_groups and not groups else []
    return [*left, *_join(kinds, slot), Step(lib.OP_BECOME_ROOT, (int(groups), *root))]


def _join(kinds: Sequence[str], slot: int) -> list[Step]:
    """Join all in one go, by the pidfd of a process: the kernel takes a user namespace first; setns(2), Linux 5.8."""
    if not kinds:
        return []
    steps = [Step(lib.OP_SETNS, (slot, sum(NAMESPACES[kind] for kind in kinds)), (", ".join(kinds).encode(),))]
    if "pid" in kinds:  # of which only children are
        steps.append(Step(lib.OP_FORK))
    return steps


def _plan(setup: Sequence[Step], main: tuple[Step, ...], given: int) -> Plan:
    return Plan(
        namespaces=0, prepare=(), setup=tuple(setup), main=main, given=given, idmaps=(), init=False, keep_caps=0
    )
