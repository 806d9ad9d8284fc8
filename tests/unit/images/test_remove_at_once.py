"""Two who remove the same tree at once: both find in the end that it is gone."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

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
