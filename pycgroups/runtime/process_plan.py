"""Spec -> launch plan without any namespace: nothing of the host is changed, and only the process is. Pure.

The helper stays, as in a container, but is PID 1 of nothing: it adopts what its descendants leave behind, and kills
them at the end. Whoever wants all to end tells it, and does not kill it: `pycgroups.runtime.launch.END`.
"""

from __future__ import annotations

from pycgroups._native.calls import lib
from pycgroups.runtime.program import Manner, Slots, program
from pycgroups.runtime.steps import Plan, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import Spec


def make_process_plan(spec: Spec, *, manner: Manner, joins: int, groups: bool) -> Plan:
    """Turn the process of a Spec into steps.

    Args:
        spec: whose process it is; it has no namespaces, and no mounts.
        manner: how it is started.
        joins: how many cgroup files the launch hands over, for the process to write itself into.
        groups: the caller may use setgroups(2).
    """
    assert spec.process is not None
    assert manner.init
    assert not spec.linux.namespaces
    assert not spec.mounts
    manner = manner._replace(supervised=True)
    setup = [Step(lib.OP_JOIN, (slot,)) for slot in range(joins)]
    # When the creator dies, the helper has still something to do.
    setup += [Step(lib.OP_DEATH, (lib.PLAN_END_SIGNAL,)), Step(lib.OP_SESSION, (0,))]
    return Plan(
        namespaces=0,
        prepare=(),
        setup=tuple(setup),
        main=program(spec.process, manner, Slots(), terminal=False, groups=groups),
        given=joins,
        idmaps=(),
        init=True,
        keep_caps=0,
        supervised=True,
    )
