"""Challenges: read in one pass, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.images.registry.challenges import Challenge, parse


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
        (["Basic"], [Challenge("basic", {})]),
        (
            ['Bearer realm="https://a/t?x=1",service="r",scope="repository:a/b:pull,push"'],
            [Challenge("bearer", {"realm": "https://a/t?x=1", "service": "r", "scope": "repository:a/b:pull,push"})],
        ),
        (['BEARER Realm = "x" ,\tservice=y'], [Challenge("bearer", {"realm": "x", "service": "y"})]),
        (["Bearer realm=https://a/t"], [Challenge("bearer", {"realm": "https://a/t"})]),
        (
            ['Negotiate, Basic realm="a, b", Bearer realm="c"'],
            [Challenge("negotiate", {}), Challenge("basic", {"realm": "a, b"}), Challenge("bearer", {"realm": "c"})],
        ),
        (
            ['Basic realm="x"', 'Bearer realm="y"'],
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})],
        ),
        ([r'Basic realm="a\"b\\"'], [Challenge("basic", {"realm": 'a"b\\'})]),
        (['Bearer realm="a",realm="b"'], [Challenge("bearer", {"realm": "a"})]),
        (['Bearer realm="a'], [Challenge("bearer", {"realm": "a"})]),
        (['realm="a"'], []),
        ([""], []),
        ([',,,===""\''], [Challenge("'", {})]),
        (["Bearer realm=" + "x" * 10_000], []),
    ],
)
def test_challenges(headers, found):
    assert parse(headers) == found


@given(st.text(st.sampled_from('Basicrealm=", \\\t;:/') | st.characters(), max_size=200))
def test_any_header_is_read(text):
    for challenge in parse([text]):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme


@pytest.mark.parametrize("pattern", ['a="\\', "a=", "a,", '"', "a ", '\\"', "=" * 2])
def test_it_takes_a_step_for_each_character(pattern, monkeypatch):
    from pycgroups.images.registry import challenges

    monkeypatch.setattr(challenges, "_LONGEST_HEADER", 10**9)
    steps = []

    class Counted(challenges._Scanner):
        def _peek(self):
            steps.append(1)
            return super()._peek()

    text = pattern * (20_000 // len(pattern))
    Counted(text).challenges()
    assert len(steps) <= 8 * len(text) + 100
