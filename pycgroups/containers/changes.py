"""Waiting for a change in a directory: its files grow, come and go; inotify(7), or a look now and then."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.clock import seconds_until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

# With inotify, in case that nothing changes any more (who writes was killed); without: a user has 128 instances
# (fs.inotify.max_user_instances), and some file systems tell nothing.
_WATCHED, _UNWATCHED = 1.0, 0.05
_MASK = lib.IN_MODIFY | lib.IN_CREATE | lib.IN_MOVED_TO | lib.IN_DELETE
_MANY = 1 << 16


class Changes:
    """The changes of a directory since this was made, or since the last wait.

    Args:
        directory: an open one.
    """

    def __init__(self, directory: int) -> None:
        self._fd = calls.inotify_open()
        if self._fd >= 0 and calls.inotify_watch(self._fd, b"/proc/self/fd/%d" % directory, _MASK) < 0:
            self.close()
        self._poll = select.poll()
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLIN)

    def wait(self, deadline: float | None = None) -> None:
        """Wait for a change, a while, or until then (`time.monotonic`); it is only a hint."""
        most = _WATCHED if self._fd >= 0 else _UNWATCHED
        left = seconds_until(deadline)
        patience = most if left is None else min(left, most)
        if self._fd < 0:
            time.sleep(patience)
        elif self._poll.poll(patience * 1000):
            os.read(self._fd, _MANY)

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
