"""More mounts than a plan has slots: who performs it finds in each slot what is to be mounted from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig
from pycgroups.oci import runtime_spec as oci
from pycgroups.runtime.plan import make_plan
from pycgroups.runtime.rootfs import Directory, Layer, Layered
from tests.unit.runtime.test_plan import spec

BIND, OPEN, CLOSED = ("bind",), (), ("ro",)  # options of a bind mount, of a tmpfs, and of a read-only one


def mounts(kinds):
    return tuple(
        oci.Mount(destination=f"/{at}", type="none" if options is BIND else "tmpfs", source=f"/s{at}", options=options)
        for at, options in enumerate(kinds)
    )


def planned(kinds, *, privileged, namespaces=("pid", "mount"), rootfs=None):
    wanted = spec(namespaces=namespaces, mounts=mounts(kinds))
    return make_plan(wanted, rootfs or Directory(path="/r", devices=True), privileged=privileged)


def parts(plan):
    """What the library hands over, part by part: source by slot."""
    trees = [(step.args[0], step.path) for step in plan.prepare]
    yield dict(trees[: plan.first_part])
    trees = trees[plan.first_part :]
    while trees:
        first = trees[0][0]
        count = next((at for at, (slot, _) in enumerate(trees) if slot != first + at), len(trees))
        yield dict(trees[:count])
        trees = trees[count:]


def performed(plan):
    """Perform it as steps.c does; what is mounted where, and what of that is read-only at the end."""
    handed = parts(plan)
    slots = next(handed)
    at: dict[str, str] = {}
    closed: set[str] = set()
    for step in plan.setup:
        slot = step.args[0] if step.args else -1
        if step.op == lib.OP_TAKE:
            part = next(handed)
            assert min(part) == slot
            slots |= part
        elif step.op == lib.OP_TREE and step.args[1] & lib.TREE_INSIDE:
            slots[slot] = at[step.path]
        elif step.op == lib.OP_TREE:
            slots[slot] = step.path
        elif step.op == lib.OP_FS:
            slots[slot] = step.texts[1].partition(b"source=")[2].partition(b"\0")[0].decode()
        elif step.op == lib.OP_MOUNT:
            at[step.path] = slots[slot]
        elif step.op == lib.OP_ATTR and step.args[1] & lib.MOUNT_ATTR_RDONLY:
            closed.add(slots[slot])
    assert next(handed, None) is None
    return at, closed


KINDS = st.lists(st.sampled_from([BIND, OPEN, CLOSED]), min_size=1, max_size=20)


@given(KINDS, st.integers(1, 80), st.booleans(), st.sampled_from([("pid", "mount"), ("pid", "mount", "user")]))
def test_each_mount_is_the_one_that_was_asked_for(kinds, times, privileged, namespaces):
    kinds *= times
    plan = planned(kinds, privileged=privileged, namespaces=namespaces)
    assert all(0 <= step.args[0] < lib.PLAN_SLOTS for step in plan.prepare)
    assert plan.given + plan.first_part <= lib.PLAN_PASSED_MAX
    at, closed = performed(plan)
    assert [at[f"/{number}"] for number in range(len(kinds))] == [f"/s{number}" for number in range(len(kinds))]
    assert closed >= {f"/s{number}" for number, options in enumerate(kinds) if options is CLOSED}
    assert not closed & {f"/s{number}" for number, options in enumerate(kinds) if options is not CLOSED}


@pytest.mark.parametrize("privileged", [True, False])
def test_an_error_of_any_of_them_tells_where_it_was_to_be(privileged):
    plan = planned([BIND] * 600, privileged=privileged)
    trees = [index for index, step in enumerate(plan.steps) if step.op == lib.OP_TREE and step.path[:2] == "/s"]
    assert [plan.destination(index) for index in trees] == [f"/{number}" for number in range(600)]


def test_layers_are_held_and_their_number_is_limited():
    layers = tuple(Layer(source=f"/l{number}", at=f"/l{number}", overlay=number % 2 == 1) for number in range(300))
    with pytest.raises(InvalidConfig, match="layers"):
        planned([BIND], privileged=True, rootfs=Layered(layers=layers))
    fewer = Layered(layers=layers[:120])
    at, _ = performed(planned([BIND] * 200, privileged=True, rootfs=fewer))
    assert [at[f"/{number}"] for number in range(200)] == [f"/s{number}" for number in range(200)]


@pytest.mark.parametrize("place", ["/t/399", "/t/"])
def test_what_is_mounted_over_one_that_there_was_no_slot_for_stays_as_it_is(place):
    many = [oci.Mount(destination=f"/t/{at}", type="tmpfs", source=f"/s{at}", options=CLOSED) for at in range(400)]
    over = oci.Mount(destination=place, type="tmpfs", source="over", options=OPEN)
    wanted = spec(namespaces=("pid", "mount"), mounts=(*many, over))
    plan = make_plan(wanted, Directory(path="/r", devices=True), privileged=True)
    _, closed = performed(plan)
    assert "over" not in closed
    covered = [step.path for step in plan.setup if step.op == lib.OP_TREE]
    assert ("/t/398" in covered, "/t/399" in covered) == (place == "/t/399", False)
