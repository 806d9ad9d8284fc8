"""Hard limits above those that a process inherits.

To raise one takes CAP_SYS_RESOURCE in the first user namespace: setrlimit(2). A process that is in another one has it
no more, so its creator allows it as much before it sets its limits itself.
"""

from __future__ import annotations

from pycgroups._native.calls import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.runtime.steps import Plan

_INFINITY = -1


def beyond(plan: Plan) -> list[tuple[int, int]]:
    """Say which hard limits of a plan with a user namespace are above our own: resource, limit."""
    steps = [step for step in plan.main if step.op == lib.OP_RLIMIT]
    if not (steps and _has_user_namespace(plan)):
        return []
    from resource import getrlimit

    wanted = [(step.args[0], step.args[2]) for step in steps]
    return [(which, hard) for which, hard in wanted if _is_above(hard, getrlimit(which)[1])]


def allow(pid: int, limits: list[tuple[int, int]]) -> None:
    """Raise hard limits of a process, as far as we may; it finds out itself what is missing."""
    if not limits:
        return
    from resource import prlimit

    for which, hard in limits:
        try:
            soft, before = prlimit(pid, which)
            if _is_above(hard, before):
                prlimit(pid, which, (soft, hard))
        except PermissionError:
            continue


def _has_user_namespace(plan: Plan) -> bool:
    joined = (step.args[1] for step in plan.setup if step.op == lib.OP_SETNS)
    return any(kinds & lib.CLONE_NEWUSER for kinds in (plan.namespaces, *joined))


def _is_above(limit: int, other: int) -> bool:
    return other != _INFINITY and (limit == _INFINITY or limit > other)
