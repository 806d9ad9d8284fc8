"""`pycgroups.frozen` is what attrs is, as far as it goes: each class is made by both, and they do the same."""
# ruff: noqa: ARG005 (each takes both classes)

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys

import attrs
import pytest

import pycgroups as pc
from pycgroups import frozen as ours


def _number(value):
    return int(value)


def _positive(_, attribute, value):
    if value <= 0:
        raise ValueError(f"{attribute.name} is {value}")


def make(module):
    """Make the same two classes by a module's `frozen` and `field`."""

    class Base:
        __slots__ = ("_hash",)

    @module.frozen
    class Point(Base):
        """Two numbers."""

        x: int
        y: int = module.field(default=1, converter=_number, validator=_positive)

        @property
        def sum(self):
            return self.x + self.y

    @module.frozen(kw_only=True, cache_hash=True)
    class Shape(Base):
        """Points, and what is derived."""

        points: tuple[object, ...]
        name: str | None = module.field(default=None, metadata={"json": "n"})
        count: int = module.field(init=False, default=0)

        def __attrs_post_init__(self):
            object.__setattr__(self, "count", len(self.points))

        def to_text(self):
            return super().__repr__()

    return Point, Shape


Point, Shape = make(ours)
for one in (Point, Shape):
    one.__qualname__ = one.__name__  # so that it can be pickled
THEIRS = make(attrs)


def outcome(call):
    try:
        return call()
    except (AttributeError, TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda point, shape: attrs.astuple(point(1)),
        lambda point, shape: attrs.astuple(point(1, "2")),
        lambda point, shape: attrs.astuple(point(y="3", x=2)),
        lambda point, shape: point(1, 2).sum,
        lambda point, shape: point(),
        lambda point, shape: point(1, 2, 3),
        lambda point, shape: point(1, x=2),
        lambda point, shape: point(1, z=2),
        lambda point, shape: point(1, y="a"),
        lambda point, shape: point(1, y=0),
        lambda point, shape: shape((1,)),
        lambda point, shape: shape(points=(1,), count=2),
        lambda point, shape: attrs.asdict(shape(points=(point(1), point(2)), name="a")),
        lambda point, shape: attrs.asdict(attrs.evolve(shape(points=(1, 2)), points=(3,))),
        lambda point, shape: attrs.evolve(shape(points=(1, 2)), other=(3,)),
        lambda point, shape: point(1) == point(1, 1),
        lambda point, shape: point(1) == point(2),
        lambda point, shape: point(1) == 1,
        lambda point, shape: hash(point(1)) == hash(point(1)),
        lambda point, shape: {shape(points=()): 1}[shape(points=())],
        lambda point, shape: hash(shape(points=[])),
        lambda point, shape: setattr(point(1), "x", 2),
        lambda point, shape: setattr(point(1), "other", 2),
        lambda point, shape: delattr(point(1), "x"),
        lambda point, shape: repr(shape(points=(1,))).rpartition(".")[2],
        lambda point, shape: "Shape object at" in shape(points=()).to_text(),
        lambda point, shape: point.__match_args__,
        lambda point, shape: shape.__match_args__,
        lambda point, shape: point.__doc__,
        lambda point, shape: attrs.has(point),
        lambda point, shape: [
            (one.name, one.type, one.default, one.init, one.kw_only, dict(one.metadata)) for one in attrs.fields(shape)
        ],
        lambda point, shape: [
            (one.name, one.kind, one.default) for one in inspect.signature(point).parameters.values()
        ],
        lambda point, shape: [
            (one.name, one.kind, one.default) for one in inspect.signature(shape).parameters.values()
        ],
    ],
)
def test_both_do_the_same(call):
    assert outcome(lambda: call(Point, Shape)) == outcome(lambda: call(*THEIRS))


def test_errors_name_what_is_wrong():
    with pytest.raises(TypeError, match=r"Point\(\) misses 'x'"):
        Point(y=1)
    with pytest.raises(TypeError, match=r"Point\(\) got an unexpected keyword argument 'z'"):
        Point(1, z=2)
    with pytest.raises(TypeError, match=r"Point\(\) got multiple values for argument 'x'"):
        Point(1, x=2)
    with pytest.raises(TypeError, match=r"Point\(\) takes 2 positional arguments but 3 were given"):
        Point(1, 2, 3)


def test_a_default_is_taken_as_it_is():
    @ours.frozen
    class Strange:
        x: object = ours.field(default="0", converter=_number, validator=_positive)

    assert Strange().x == "0"


def test_evolve_and_fields_need_no_attrs():
    assert ours.evolve(Shape(points=(1,), name="a"), points=()) == Shape(points=(), name="a")
    assert [one.name for one in ours.fields(Shape)] == ["points", "name", "count"]


def test_copies():
    shape = Shape(points=(Point(1), Point(2)), name="a")
    hash(shape)
    for again in (copy.copy(shape), copy.deepcopy(shape), pickle.loads(pickle.dumps(shape))):
        assert again == shape
        assert hash(again) == hash(shape)
    assert "_hash" not in vars(shape)


def test_a_hash_that_is_kept_does_not_travel():
    """Texts have other hashes in another process."""
    code = (
        "import pickle, sys; from pycgroups.oci.resources import Resources;"
        "one = Resources(unified=(('memory.high', '1'),)); hash(one);"
        "sys.stdout.buffer.write(pickle.dumps(one))"
    )
    from pycgroups.oci.resources import Resources

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert {pickle.loads(answer.stdout): 1}[Resources(unified=(("memory.high", "1"),))] == 1


def test_a_run_loads_neither_attrs_nor_typing():
    code = "import sys, pycgroups.containers.job, pycgroups.containers.config; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-SEP", "-c", f"import sys; sys.path += {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert "pycgroups.containers.job" in loaded
    slow = {"attr", "attrs", "collections", "contextlib", "enum", "functools", "inspect", "re", "signal", "typing"}
    assert slow.isdisjoint(loaded), slow & {*loaded}


def test_a_repr_shows_what_is_set():
    assert repr(pc.Limits()) == "Limits()"
    assert repr(pc.Limits(memory="64M", cpus=2)) == "Limits(memory=67108864, cpus=2.0)"
    assert repr(pc.Healthcheck(test=["CMD", "true"])) == "Healthcheck(test=('CMD', 'true'))"
    shown = repr(pc.ContainerConfig(command=["true"], env={"A": "1"}, memory="64M"))
    assert "command=('true',), env=(('A', '1'),), memory=67108864, " in shown
    assert "None" not in shown
    assert "environment" not in shown
