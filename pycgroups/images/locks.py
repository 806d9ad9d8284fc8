"""Locks between processes: flock(2) on a file, held by a descriptor, so that they end with the process."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Lock:
    """A lock on a file, or on a directory; a context manager that holds it until its end.

    It is not handed to programs that are started meanwhile: the descriptor is close-on-exec.
    """

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
        self.fd = -1

    def take(self, *, wait: bool = True) -> bool:
        """Take it; tell whether that worked, which it always does when waiting.

        Raises:
            OSError: the file cannot be made or opened.
        """
        flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # not to wait for a FIFO
        while True:
            fd = os.open(self.path, flags, 0o600, dir_fd=self.dir_fd)
            try:
                fcntl.flock(fd, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
                still = self._is(fd)
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            if still:
                self.fd = fd
                return True
            os.close(fd)

    def _is(self, fd: int) -> bool:
        """Tell whether the file has its name yet: whoever had the lock may have removed it."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, dir_fd=self.dir_fd, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back; may be called twice."""
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
