"""What comes from inside may be any bytes; only plain data and exceptions are made of them."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import operator
import os
import pathlib
import pickle
import subprocess
import uuid

import pytest

import pycgroups as pc
from pycgroups.containers import plain


class Outer:
    class Inner(Exception):
        pass


PLAIN = [
    None,
    [True, 1, 2**70, 1.5, 1j, "text", b"bytes", bytearray(b"more"), (1, [2]), {"a": {3}}, frozenset({4})],
    [range(3), slice(1, 2), collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1])],
    [dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.timedelta(3)],
    [decimal.Decimal("1.50"), fractions.Fraction(1, 3), pathlib.Path("/a"), pathlib.PurePosixPath("b"), uuid.uuid4()],
]


@pytest.mark.parametrize("value", PLAIN)
@pytest.mark.parametrize("protocol", [4, 5])
def test_plain_data_comes_back(value, protocol):
    assert plain.loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        OSError(2, "none", "/a"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        ExceptionGroup("some", [KeyError(1)]),
        Outer.Inner("nested"),
        subprocess.TimeoutExpired("cmd", 3),
        pc.InvalidConfig("why", operation="option", path="a"),
    ],
)
def test_exceptions_come_back(error):
    back = plain.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), repr(back)) == (str(error), repr(error))


class Calls:
    def __init__(self, function, *arguments):
        self.pickled = (function, arguments)

    def __reduce__(self):
        return self.pickled


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "true"),
        Calls(subprocess.Popen, ["true"]),
        Calls(eval, "1"),
        Calls(getattr, os, "system"),
        Calls(operator.attrgetter, "system"),
        [{"deep": Calls(open, "/dev/null")}],
        Outer(),
        os.uname(),
    ],
)
def test_nothing_else_is_called(value):
    with pytest.raises((pickle.UnpicklingError, TypeError), match=r"plain data|pickle"):
        plain.loads(pickle.dumps(value))


@pytest.mark.parametrize(
    "name", [("nothing_loaded", "Error"), ("os", "path.exists"), ("os", "no.such"), ("sys", "path")]
)
def test_names_that_are_no_exceptions(name):
    data = b"c" + "\n".join(name).encode() + b"\n."
    with pytest.raises(pickle.UnpicklingError, match="plain data"):
        plain.loads(data)
    assert "nothing_loaded" not in __import__("sys").modules
