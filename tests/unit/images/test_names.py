"""The index of a store: names, and images without one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups.images.locks import Lock
from pycgroups.images.names import INDEX, LAYOUT, NAME, Names, name_of
from pycgroups.oci import image_spec as spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entry(letter: str) -> spec.Descriptor:
    return spec.Descriptor(media_type=spec.MANIFEST, digest="sha256:" + letter * 64, size=10)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def names(directory: int) -> Names:
    made = Names(directory, ".")
    made.begin()
    return made


def table(names: Names) -> list[tuple[str | None, str]]:
    return [(name_of(one), one.digest[7]) for one in names.all()]


def test_it_is_an_image_layout(names: Names, tmp_path: Path) -> None:
    names.set("docker.io/library/a:1", entry("a"))
    assert json.loads((tmp_path / LAYOUT).read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["schemaVersion"] == 2
    assert index["manifests"][0]["annotations"] == {NAME: "docker.io/library/a:1"}


def test_an_empty_store_has_no_names(names: Names) -> None:
    assert names.all() == ()


def test_a_name_that_is_given_again_leaves_an_image_without(names: Names) -> None:
    names.set("x", entry("a"))
    names.set("x", entry("b"))
    assert table(names) == [(None, "a"), ("x", "b")]
    names.set("x", entry("a"))
    assert sorted(table(names), key=str) == sorted([(None, "b"), ("x", "a")], key=str)


def test_an_image_with_another_name_needs_no_nameless_entry(names: Names) -> None:
    names.set("x", entry("a"))
    names.set("y", entry("a"))
    names.set("x", entry("b"))
    assert table(names) == [("y", "a"), ("x", "b")]


def test_the_same_again_changes_nothing(names: Names, tmp_path: Path) -> None:
    names.set("x", entry("a"))
    before = (tmp_path / INDEX).stat().st_ino
    names.set("x", entry("a"))
    assert (tmp_path / INDEX).stat().st_ino == before


def test_without_a_name_it_is_listed_once(names: Names) -> None:
    names.add(entry("a"))
    names.add(entry("a"))
    assert table(names) == [(None, "a")]


def test_another_process_sees_the_change(names: Names, directory: int) -> None:
    other = Names(directory, ".")
    assert other.all() == ()
    names.set("x", entry("a"))
    assert table(other) == [("x", "a")]


def test_an_error_while_changing_changes_nothing(names: Names) -> None:
    names.set("x", entry("a"))

    def fail() -> None:
        with names.changing() as entries:
            entries.clear()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert table(names) == [("x", "a")]


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"schemaVersion":2}', b"\0" * 100])
def test_a_damaged_index_is_told(names: Names, tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / INDEX).write_bytes(damaged)
    with pytest.raises(pc.Error):
        names.all()
    with pytest.raises(pc.Error):
        names.set("x", entry("a"))
    assert (tmp_path / INDEX).read_bytes() == damaged


def test_a_symlink_is_no_index(names: Names, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
    (tmp_path / INDEX).symlink_to("elsewhere")
    with pytest.raises(pc.ImageError, match="symbolic"):
        names.all()


def test_what_is_used_keeps_one_entry(names: Names) -> None:
    for name, letter in (("x", "a"), ("y", "a"), ("z", "b"), ("w", "c")):
        names.set(name, entry(letter))
    with names.changing() as entries:
        gone = [one for one in entries if name_of(one) != "w"]
        names.take(entries, gone, {entry("a").digest, entry("c").digest})
    assert table(names) == [("w", "c"), (None, "a")]
    with names.changing() as entries:
        names.take(entries, list(entries), {})
    assert table(names) == []


def test_nobody_changes_them_while_somebody_holds_them(names: Names, directory: int) -> None:
    with names.unchanged(), Names(directory, ".").unchanged():
        lock = Lock("index.lock", dir_fd=directory)
        assert not lock.take(wait=False)
    assert lock.take(wait=False)
    lock.release()
