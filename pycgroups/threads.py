"""A thread whose start a signal handler may interrupt: whoever started it still knows what it has to wait for."""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Thread:
    """A daemon thread. It begins, or somebody has cancelled it before and it never will."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        """Take what it is to do; nothing is started yet."""
        self._work = work
        self._turn = threading.Lock()  # of who comes first, the thread or `cancel`
        self._is_cancelled = False
        self._thread = threading.Thread(target=self._begin, name=name, daemon=True)

    def start(self) -> None:
        """Start it.

        Raises:
            RuntimeError: it cannot be started.
        """
        self._thread.start()

    def _begin(self) -> None:
        if self._turn.acquire(blocking=False):
            self._work()

    def cancel(self) -> bool:
        """Keep it from beginning; False if it has begun."""
        self._is_cancelled = self._is_cancelled or self._turn.acquire(blocking=False)
        return self._is_cancelled

    def join(self, timeout: float | None = None) -> bool:
        """Cancel it, or wait until it has ended; False if it goes on after so many seconds, or for ever.

        At the interpreter's end, where a generator may be closed that waits for it, none of these runs any more.
        """
        if self.cancel():
            return True
        if sys.is_finalizing():
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()
