"""Which repositories have a blob: hints that come and go."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pycgroups.images.digest import Digest
from pycgroups.images.repositories import Repositories

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


def test_the_newest_first(tmp_path: Path) -> None:
    known = Repositories(str(tmp_path))
    assert known.of(ONE) == ()
    for name in ("a.example/x", "localhost:5000/me/app", "a.example/x"):
        known.add(ONE, name)
    assert known.of(ONE) == ("localhost:5000/me/app", "a.example/x")
    assert known.of(TWO) == ()


def test_what_is_not_kept_is_forgotten(tmp_path: Path) -> None:
    known = Repositories(str(tmp_path))
    for blob in (ONE, TWO):
        known.add(blob, "a.example/x")
    known.keep({ONE})
    assert (known.of(ONE), known.of(TWO)) == (("a.example/x",), ())
    assert len(os.listdir(tmp_path)) == 1


def test_many_at_once(tmp_path: Path) -> None:
    known = Repositories(str(tmp_path))
    names = [f"a.example/x{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Repositories(str(tmp_path)).add(ONE, name), names))
    assert sorted(known.of(ONE)) == sorted(names)


def test_there_are_not_more_and_more(tmp_path: Path) -> None:
    known = Repositories(str(tmp_path))
    for number in range(1000):
        known.add(ONE, f"a.example/{'x' * 200}{number}")
    assert os.path.getsize(tmp_path / os.listdir(tmp_path)[0]) < 8192
    assert known.of(ONE)[0].endswith("999")


@pytest.mark.parametrize("text", [b"", b"a.exa", b"\xff\x00\n", b"a.example/../x\nhttps://a/b\na.example/X\n/x\nx\n"])
def test_what_is_damaged_is_passed_over(tmp_path: Path, text: bytes) -> None:
    known = Repositories(str(tmp_path))
    known.add(ONE, "a.example/x")
    path = tmp_path / os.listdir(tmp_path)[0]
    path.write_bytes(text)
    assert known.of(ONE) == ()
    known.add(ONE, "a.example/x")
    assert known.of(ONE) == ("a.example/x",)


def test_a_place_that_takes_nothing(tmp_path: Path) -> None:
    known = Repositories(str(tmp_path / "none"))
    known.add(ONE, "a.example/x")
    assert known.of(ONE) == ()
