"""Locks between processes: flock(2) on a file, held by a descriptor, so that they end with the process.

The lock is the open file's: a child that another thread forks meanwhile has it as well. So it is given back by
LOCK_UN, whoever else has the file open, and the child closes its copy at once, in case that this process is killed.
"""

from __future__ import annotations

import fcntl
import os
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol, Self

    class Holder(Protocol):
        """What holds a lock."""

        def let_go(self) -> None:
            """Close its descriptor, and leave the lock to whoever has a copy of it; may be called twice."""


holders: WeakSet[Holder] = WeakSet()
"""Those that have a lock, or wait for one."""


def _close_in_child() -> None:
    for holder in tuple(holders):
        holder.let_go()
    holders.clear()


os.register_at_fork(after_in_child=_close_in_child)


def unlock(fd: int) -> None:
    """Give back the lock of a descriptor, which is closed next: first this, for an exception may come in between."""
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:  # then it goes with the descriptor
        pass


class Lock:
    """A lock on a file, or on a directory; a context manager that holds it until its end.

    It is not handed to programs that are started meanwhile: the descriptor is close-on-exec.
    """

    fd = -1  # for `__del__`, where an exception comes before the first line of `__init__`
    is_handed_on = False
    """Another process has a copy of the descriptor, and with it the lock: here it is closed, and no more."""

    def __init__(self, path: str, *, shared: bool = False, dir_fd: int | None = None) -> None:
        """Name the file; it is made when it is not there.

        Args:
            path: of the file.
            shared: several may hold it at once, and nobody who wants it alone.
            dir_fd: the directory that the path is relative to.
        """
        self.path = path
        self.shared = shared
        self.dir_fd = dir_fd

    def take(self, *, wait: bool = True) -> bool:
        """Take it; tell whether that worked, which it always does when waiting.

        Raises:
            OSError: the file cannot be made or opened.
        """
        flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # not to wait for a FIFO
        while True:
            holders.add(self)  # first: who is forked in between has a copy
            self.fd = os.open(self.path, flags, 0o600, dir_fd=self.dir_fd)
            try:
                fcntl.flock(self.fd, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
                if self._is(self.fd):
                    return True
            except BlockingIOError:
                self.let_go()
                return False
            except BaseException:
                self.release()
                raise
            self.release()

    def _is(self, fd: int) -> bool:
        """Tell whether the file has its name yet: whoever had the lock may have removed it."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, dir_fd=self.dir_fd, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back; may be called twice."""
        if self.fd >= 0 and not self.is_handed_on:
            unlock(self.fd)
        self.let_go()

    def let_go(self) -> None:
        """Close the descriptor; likewise."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Do so, where an exception has come between, as Ctrl-C in a `with` that has just begun or ended."""
        self.release()

    def __enter__(self) -> Self:
        """Wait for it, unless it is taken already."""
        if self.fd < 0:
            self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()
