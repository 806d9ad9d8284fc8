"""Ranges of host ids for root's containers: each running container has one of its own.

Each range is one byte of a lock file in /run; whoever holds the lock on the byte has the range. The lock is that of
an open file (fcntl(2), "Open file description locks"): it goes with the descriptor, however its holder ends, and
nothing needs to be cleaned up.
"""

from __future__ import annotations

import fcntl
import os
import struct
from itertools import count

from pycgroups.errors import Error

# Above what systemd gives to its containers (systemd.io/UIDS-GIDS), below 2**31, where some programs see a sign.
FIRST = 0x70000000
SIZE = 65536
RANGES = 4096

_turn = count(os.getpid())


class Range:
    """A range of `SIZE` ids from ``first`` on, until it is closed."""

    def __init__(self, first: int, fd: int) -> None:
        """Hold the descriptor that has the lock."""
        self.first = first
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor that has the lock: whoever holds a copy of it holds the range."""
        return self._fd

    def let_go(self) -> None:
        """Close the descriptor; the range stays taken as long as somebody has a copy."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Give the range back, also when a child that another thread has forked holds a copy of the descriptor."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                _lock(fd, (self.first - FIRST) // SIZE, fcntl.F_UNLCK)
            except OSError:
                pass  # closed, it is given back all the same
            os.close(fd)


def lease(directory: str = "/run/pycgroups") -> Range:
    """Take a range that no other container on this host has.

    Raises:
        Error: all 4096 ranges are taken, or the directory cannot be used.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd = os.open(f"{directory}/ids", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Error(operation="open the ranges of ids", path=error.filename, errno=error.errno) from None
    try:
        start = next(_turn)  # not all processes and threads ask for the same first
        for number in range(start, start + RANGES):
            if _lock(fd, number % RANGES, fcntl.F_WRLCK):
                return Range(FIRST + number % RANGES * SIZE, fd)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    raise Error(f"all {RANGES} ranges of ids are taken", operation="take a range of ids", path=directory)


def _lock(fd: int, byte: int, kind: int) -> bool:
    try:
        # struct flock of the kernel on 64-bit machines: l_type, l_whence, l_start, l_len, l_pid
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True
