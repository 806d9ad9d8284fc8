"""What the README shows is so: each example that has an answer is run, and gives it."""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess

import pytest

import pycgroups as pc
from tests.subjects import TREE
from tests.worlds import features

pytestmark = pytest.mark.requires("userns", "host")

BLOCKS = re.findall(r"^```python\n(.*?)^```", (TREE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
EXAMPLES = [
    example for block in BLOCKS for example in doctest.DocTestParser().get_examples(block, "README.md") if example.want
]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.source.split("\n")[0] for example in EXAMPLES])
def test_an_example_gives_its_answer(example, store, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", os.path.dirname(store.containers._place.homes.path))
    if "memory=" in example.source and (reason := features.lack("limits")):
        pytest.skip(reason)
    told: list[str] = []
    test = doctest.DocTest([example], {"pc": pc, "subprocess": subprocess}, "README", None, None, None)
    doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not told, "".join(told)


@pytest.mark.requires("limits")
def test_the_first_example():
    """Its answers are in comments: a value, or words about it."""
    code, answers = BLOCKS[0].split("\n\n")[:2], BLOCKS[0].split("\n\n")[1].splitlines()[1:]
    names: dict[str, object] = {}
    exec("\n".join(code), names)
    compared = 0
    for expression, _, comment in (line.partition("#") for line in answers):
        value = eval(expression, names)
        try:
            expected = ast.literal_eval(comment.partition(";")[0].strip())
        except SyntaxError:
            continue
        assert value == expected, expression
        compared += 1
    assert compared == 3
