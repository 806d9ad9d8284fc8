"""Which tests a world runs."""

from __future__ import annotations

import pytest

from tests.worlds.__main__ import ALL, TREE, WORLDS, World, _tests

SHORT = "tests/integration/test_run.py"
WORLD = World(name="vm", tests=ALL, short=(SHORT,), lacking=lambda: None)


@pytest.mark.parametrize(
    ("arguments", "tests"),
    [
        ([], [SHORT]),
        (["-k", "oom"], [SHORT]),
        (["--long"], [*ALL]),
        (["tests/integration/test_files.py::test_x"], ["tests/integration/test_files.py::test_x"]),
        (["tests"], [*ALL]),
        (["tests/unit"], []),
    ],
)
def test_the_short_ones_unless_others_are_asked_for(arguments, tests):
    assert _tests(WORLD, arguments) == tests


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_file_that_is_named_is_there(world):
    for name in (*world.tests, *world.short):
        assert (TREE / name.partition("::")[0]).exists()
