"""`pycgroups.records` is what `typing.NamedTuple` is, as far as it goes."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from pycgroups import records


class Ours(records.NamedTuple):
    x: int
    y: int = 2
    z: tuple[int, ...] = ()


class Theirs(typing.NamedTuple):
    x: int
    y: int = 2
    z: tuple[int, ...] = ()


def outcome(call, cls):
    try:
        return call(cls)
    except (TypeError, ValueError):  # which of the two, depends on the version of Python
        return TypeError


@pytest.mark.parametrize(
    "call",
    [
        lambda cls: tuple(cls(1)),
        lambda cls: tuple(cls(1, 2, (3,))),
        lambda cls: tuple(cls(z=(4,), x=1)),
        lambda cls: cls(),
        lambda cls: cls(1, 2, (), 4),
        lambda cls: cls(1, x=2),
        lambda cls: cls(1, w=2),
        lambda cls: cls(1)._replace(y=5).y,
        lambda cls: cls(1)._replace(w=5),
        lambda cls: cls._fields,
        lambda cls: cls._field_defaults,
        lambda cls: repr(cls(1)).partition("(")[2],
        lambda cls: hash(cls(1)) == hash(cls(1)),
        lambda cls: cls(1) == (1, 2, ()),
        lambda cls: copy.copy(cls(1)) == cls(1),
        lambda cls: pickle.loads(pickle.dumps(cls(1))) == cls(1),
        lambda cls: type(copy.deepcopy(cls(1))) is cls,
    ],
)
def test_both_do_the_same(call):
    assert outcome(call, Ours) == outcome(call, Theirs)
