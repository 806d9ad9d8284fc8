"""Two who remove the same tree at once: both find in the end that it is gone."""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from pycgroups.errors import Error
from pycgroups.images.removing import remove_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_tree_at_once(tmp_path: Path) -> None:
    for round_ in range(20):
        for number in range(20):
            (tmp_path / f"tree{round_}/{number}/a/b").mkdir(parents=True)
            (tmp_path / f"tree{round_}/{number}/a/file").touch()
        errors: list[BaseException] = []
        ready = threading.Barrier(3)

        def remove(name: str, ready: threading.Barrier = ready, errors: list[BaseException] = errors) -> None:
            fd = os.open(tmp_path, os.O_RDONLY)
            try:
                ready.wait(10)
                remove_tree(fd, name)
            except BaseException as error:  # noqa: BLE001 (told below)
                errors.append(error)
            finally:
                os.close(fd)

        threads = [threading.Thread(target=remove, args=(f"tree{round_}",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("times", "is_gone"), [(1, True), (1000, False)])
def test_a_file_that_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, *, is_gone: bool
) -> None:
    (tmp_path / "tree/a").mkdir(parents=True)
    rmdir, left = os.rmdir, [times]

    def after_a_file(name: str, *, dir_fd: int) -> None:
        if left[0] and name == "a":
            left[0] -= 1
            (tmp_path / "tree/a/file").touch()
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", after_a_file)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with nullcontext() if is_gone else pytest.raises(Error, match="ENOTEMPTY"):
            remove_tree(fd, "tree")
    finally:
        os.close(fd)
    assert (tmp_path / "tree").exists() != is_gone
