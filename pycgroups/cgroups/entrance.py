"""Where a process enters a container's cgroup that is executed there: what is opened for that, and no more.

`placed.open_` takes hold of the same directories, to look at them, to change and to remove them.
"""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups import detect
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1 import manager as v1
from pycgroups.cgroups.v1.freezer import Freezer
from pycgroups.cgroups.v2 import freezer as v2_freezer
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from functools import lru_cache
    from typing import Self

    from pycgroups.cgroups.detect import Hierarchy
else:
    from pycgroups.caches import lru_cache

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_THREADS = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FREEZER = Freezer()


class Entrance:
    """An open one.

    Attributes:
        clone_fd: of the directory of v2, for CLONE_INTO_CGROUP (clone3(2), kernel 5.7); -1 if there is none.
        join_fds: what a process of one thread writes "0" to, to enter those of v1.
    """

    __slots__ = ("_freezer", "_unified", "clone_fd", "join_fds")

    def __init__(self, paths: Iterable[str]) -> None:
        """Open it, all of it: who enters a part has not the limits of the rest.

        Args:
            paths: of the group, as `Placed.paths` had them.

        Raises:
            CgroupError: one cannot be opened, or entered.
        """
        self.join_fds: list[int] = []
        self._unified: Directory | None = None
        self._freezer: Directory | None = None
        unified, freezer, threads = _doors(tuple(paths), detect.everything())
        try:
            self._unified = _directory(unified)
            self.clone_fd = -1 if self._unified is None else self._unified.fd
            self._freezer = _directory(freezer)
            for path in threads:
                self.join_fds.append(_open(path, _THREADS))
        except BaseException:
            self.close()
            raise

    @property
    def frozen(self) -> bool:
        """Whether who enters will stand still."""
        return bool(
            (self._unified is not None and v2_freezer.frozen(self._unified))
            or (self._freezer is not None and _FREEZER.frozen(self._freezer))
        )

    def close(self) -> None:
        """Close it."""
        self.clone_fd = -1
        while self.join_fds:
            os.close(self.join_fds.pop())
        for directory in (self._unified, self._freezer):
            if directory is not None:
                directory.close()

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


@lru_cache(64)  # a program may be executed a thousand times
def _doors(paths: tuple[str, ...], found: tuple[Hierarchy, ...]) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Name the directory of v2, that of the freezer of v1, and the files of v1.

    Raises:
        CgroupError: ENOENT; one is in no hierarchy.
    """
    unified = freezer = None
    threads = []
    for path in paths:
        home = next((each for each in found if path.startswith(f"{each.mount}/")), None)
        if home is None:
            raise _closed(path, errno.ENOENT)
        if home.version == detect.V2:
            unified = path
        else:
            freezer = path if "freezer" in home.controllers else freezer
            threads.append(f"{path}/{v1.THREADS}")
    return unified, freezer, tuple(threads)


def _directory(path: str | None) -> Directory | None:
    return None if path is None else Directory(path, _open(path, _DIRECTORY))


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags)
    except OSError as error:
        raise _closed(path, error.errno) from None


def _closed(path: str, number: int | None) -> CgroupError:
    hint = "mount it, for writing, where this process is" if number in {errno.ENOENT, errno.EROFS} else None
    return CgroupError(operation="enter cgroup", path=path, errno=number, hint=hint)
