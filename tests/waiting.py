"""Wait in a test for what others do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_for(true: Callable[[], object], timeout: float = 30) -> None:
    """Ask until it is true; fail when the time (seconds) is over."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
