"""What failed in a world is run once more, alone."""

from __future__ import annotations

import pytest

from tests.worlds import __main__ as worlds
from tests.worlds.__main__ import Outcome, World, again, report, try_again

WORLD = World(name="vm", tests=("tests/integration",), lacking=lambda: None)
ONE, TWO = "tests/integration/test_a.py::test_one[a (b)]", "tests/integration/test_a.py::test_two"
FAILED = Outcome(world="vm", passed=7, failed=2, failures=(f"{ONE} (call)", f"{TWO} (call)"), seconds=3)


@pytest.fixture
def runs(monkeypatch):
    """What is run again, and what comes of it."""
    asked: list[list[str]] = []
    outcomes: list[Outcome] = []

    def run(_, arguments):
        asked.append(arguments)
        return outcomes.pop()

    monkeypatch.setattr(worlds, "run", run)
    return asked, outcomes


def test_what_is_run_again():
    assert again([f"{ONE} (call)", f"{TWO} (call)", f"{TWO} (call)"]) == [ONE, TWO]
    assert again([f"{TWO} (teardown)", f"{TWO} (setup)"]) == ["tests/integration/test_a.py"]


def test_what_passes_then_is_named_and_does_not_fail_the_run(runs, capsys):
    asked, outcomes = runs
    outcomes.append(Outcome(passed=2, seconds=1))
    found = try_again(WORLD, FAILED, ["--long", "tests/integration"])
    assert asked == [["--long", ONE, TWO]]
    assert (found.passed, found.failed, found.failures, found.unsteady, found.seconds) == (
        *(7, 0, ()),
        *(FAILED.failures, 4),
    )
    report([found])
    assert f"unsteady in vm, passed alone: {ONE} (call)" in capsys.readouterr().out


@pytest.mark.parametrize("second", [Outcome(passed=1, failed=1), Outcome(skipped=2), Outcome(failed=1, note="killed")])
def test_what_fails_twice_has_failed(runs, second):
    runs[1].append(second)
    found = try_again(WORLD, FAILED, [])
    assert (found.failed, found.failures, found.unsteady) == (2, FAILED.failures, ())


@pytest.mark.parametrize(
    "first",
    [
        Outcome(passed=1),
        Outcome(failed=6, failures=(f"{ONE} (call)",) * 6),
        Outcome(failed=2, failures=(f"{ONE} (call)",), note="the session ended with exit code 3"),
    ],
)
def test_nothing_is_run_again(runs, first):
    assert try_again(WORLD, first, []) is first
    assert runs[0] == []
