"""The page that names the attacks and the tests which show what becomes of them names only tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).parents[2]
PAGE = TREE / "docs/explanation/cases.md"


def named() -> set[tuple[str, str]]:
    return set(re.findall(r"(test_\w+\.py)::(test_\w+)", PAGE.read_text()))


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in sorted(named())
        if f"\ndef {name}(" not in (TREE / "tests/integration" / file).read_text()
    ]
    assert missing == []


def test_every_row_names_one() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    without = [row for row in rows if "::" not in row and not row.startswith(("| ---", "| hole", "| what "))]
    assert len(rows) > 40
    assert without == []
