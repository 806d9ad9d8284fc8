"""Races: something of a root changes while a container is started, again and again."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SECONDS = 60

rounds = pytest.mark.parametrize("count", [30, pytest.param(3000, marks=pytest.mark.long)])


class Flipper:
    """Exchanges two names all the time, from another thread (CVE-2021-30465); a context manager."""

    def __init__(self, one: Path, other: Path) -> None:
        self.names = os.fsencode(one), os.fsencode(other)
        self.stop = False
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        one, other = self.names
        while not self.stop:
            _libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop = True
        self.thread.join()


def turns(count: int) -> Iterator[int]:
    """So many, or for a minute."""
    begin = time.monotonic()
    for number in range(count):
        yield number
        if number % 10 == 9 and time.monotonic() - begin > _SECONDS:
            return
