"""The most memory in use at once, from a moment of one's own choice (cgroup-v2.rst, "memory.peak"; Linux 6.12)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Self

from pycgroups.errors import CgroupError, Unsupported

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory

_FILE = "memory.peak"
_LONGEST = 64  # characters of a number, amply
# No such file before 5.19; until 6.12 it could not be written to: root gets so far as to be told by the write.
_CANNOT = (errno.ENOENT, errno.EACCES, errno.EINVAL)


class MemoryPeak:
    """A reader of memory.peak. A write to it resets what is read through the same descriptor, and for nobody else.

    v1 has nothing like it: its memory.max_usage_in_bytes is reset for everybody.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, directory: Directory | None) -> None:
        """Begin at what is in use now; `Cgroup.memory_peak` is for users."""
        self._fd = -1
        if directory is None:
            raise _unsupported(None)
        self._path = f"{directory.path}/{_FILE}"
        try:
            self._fd = directory.open(_FILE, os.O_RDWR)
            self.reset()
        except CgroupError as error:
            self.close()
            directory.check()
            if error.errno in _CANNOT:
                raise _unsupported(self._path) from None
            raise

    def read(self) -> int:
        """Bytes that were in use at once at most since the last reset by this reader.

        Raises:
            CgroupError: the group was removed.
        """
        try:
            return int(os.pread(self._fd, _LONGEST, 0))
        except OSError as error:
            raise CgroupError(operation="read", path=self._path, errno=error.errno) from None

    def reset(self) -> None:
        """Begin anew, at what is in use now.

        Raises:
            CgroupError: the group was removed.
        """
        try:
            os.write(self._fd, b"reset")
        except OSError as error:
            raise CgroupError(operation="reset", path=self._path, errno=error.errno) from None

    def close(self) -> None:
        """Close the descriptor, once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _unsupported(path: str | None) -> Unsupported:
    return Unsupported(
        "this group has no memory.peak that each reader can reset",
        operation="reset the peak of memory",
        path=path,
        hint="it needs Linux 6.12 with cgroup v2 alone, and a group with a memory limit",
    )
