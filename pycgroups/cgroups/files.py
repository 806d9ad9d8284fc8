"""Read and write the interface files of a cgroup; an error names the file.

An interface file is read whole and written in one `write(2)`: the kernel takes each write as one command.
"""

from __future__ import annotations

import errno
import os

from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_CHUNK = 4096
_CHILDLESS = 2  # st_nlink on kernfs is 2 and the number of subdirectories: nothing need be listed
_ALWAYS_THERE = "cgroup.procs"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

GONE = (errno.ENOENT, errno.ENODEV)
"""What the kernel says of a file whose cgroup was removed: before open, and after it."""


class Directory:
    """An open directory of a cgroup; files in it are reached from its descriptor, which cannot be renamed away.

    Attributes:
        path: where it was opened; for messages, and to remove it.
        fd: the open descriptor, close-on-exec.
        before: what files said before they were written, where that is to be noted. See `setback`.
    """

    __slots__ = ("_names", "_seen", "before", "fd", "path")

    def __init__(self, path: str, fd: int | None = None) -> None:
        """Open it.

        Raises:
            OSError: as `open(2)` has it.
        """
        self.path = path
        self.fd = os.open(path, _DIRECTORY) if fd is None else fd
        self._seen: set[str] = set()  # files that this kernel has
        self._names: tuple[str, ...] | None = None
        self.before: dict[str, str] | None = None

    def close(self) -> None:
        """Close the descriptor, once."""
        fd, self.fd = self.fd, -1  # in this order: a signal handler's exception may come between
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def open(self, name: str, flags: int) -> int:
        """Open an interface file.

        Raises:
            CgroupError: it cannot be opened.
        """
        try:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError as error:
            raise self._error("open", name, error) from None

    def read(self, name: str) -> str:
        """Text of an interface file.

        Raises:
            CgroupError: it cannot be read.
        """
        fd = self.open(name, os.O_RDONLY)
        try:
            text = _read(fd)
        except OSError as error:
            raise self._error("read", name, error) from None
        self._seen.add(name)
        return text

    def read_if_there(self, name: str) -> str:
        """Text of an interface file that only some kernels have; "" without it."""
        try:
            return self.read(name)
        except CgroupError as error:
            if error.errno in GONE:
                return ""
            raise

    def measure(self, name: str) -> str:
        """Text of a file that only some kernels have, to be counted with others; "" without it.

        Raises:
            CgroupError: it is gone but was there before: the files of a cgroup that is being removed go one by one.
        """
        text = self.read_if_there(name)
        if text or name not in self._seen:
            return text
        return self.read(name)

    def number(self, name: str) -> int | None:
        """Value of a file with one number; None without it, and for "max"."""
        text = self.measure(name).strip()
        return int(text) if text.isdecimal() else None

    def counts(self, name: str) -> dict[str, int]:
        """Value of a file with a name and a number in each line; empty without it. Other lines are passed over."""
        pairs = (line.partition(" ") for line in self.measure(name).splitlines())
        return {key: int(value) for key, _, value in pairs if value.isdecimal()}

    def check(self) -> None:
        """Make sure that what was read until now is of a cgroup that is still there.

        Raises:
            CgroupError: it was removed, so files that seemed to be lacking may have been there.
        """
        try:
            os.stat(_ALWAYS_THERE, dir_fd=self.fd)
        except OSError as error:
            raise self._error("read", _ALWAYS_THERE, error) from None

    def write(self, name: str, *values: str) -> None:
        """Write a value to an interface file, or several, one after the other.

        Raises:
            CgroupError: the kernel refuses one; the others are not written.
        """
        if self.before is not None and name not in self.before:
            self._note(self.before, name)
        fd = self.open(name, os.O_WRONLY)
        try:
            for value in values:
                os.write(fd, value.encode())
        except OSError as error:
            raise self._error(f"write {value!r} to", name, error) from None
        finally:
            os.close(fd)

    def _note(self, before: dict[str, str], name: str) -> None:
        try:
            before[name] = self.read(name)
        except CgroupError:  # it is not there, or only written to
            return

    def write_if_there(self, name: str, value: str) -> bool:
        """Write to a file that only some kernels have; tell whether it is there."""
        try:
            self.write(name, value)
        except CgroupError as error:
            if error.errno in GONE:
                return False
            raise
        return True

    def write_agreeing(self, values: list[tuple[str, str]]) -> None:
        """Write files whose values must agree at each moment: what is refused is tried again after the others.

        Raises:
            CgroupError: the kernel refuses one in either order.
        """
        refused = []
        for name, value in values:
            try:
                self.write(name, value)
            except CgroupError as error:
                if error.errno != errno.EINVAL:
                    raise
                refused.append((name, value))
        for name, value in refused:
            self.write(name, value)

    @property
    def names(self) -> tuple[str, ...]:
        """What was in it when this was first asked for: its files come and go with its controllers alone."""
        if self._names is None:
            self._names = tuple(os.listdir(self.fd))
        return self._names

    def exists(self, name: str) -> bool:
        """Tell whether there is an interface file of this name."""
        return os.access(name, os.F_OK, dir_fd=self.fd)

    def subgroups(self, *, open_ones: bool = False) -> Iterator[Directory]:
        """Open each child cgroup in turn; it is closed when the next one is asked for.

        Args:
            open_ones: pass over those that others have closed to this user.

        Raises:
            CgroupError: one cannot be opened.
        """
        if os.fstat(self.fd).st_nlink == _CHILDLESS:
            return
        with os.scandir(self.fd) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=self.fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                if open_ones and error.errno == errno.EACCES:
                    continue
                raise self._error("open", name, error) from None
            with Directory(f"{self.path}/{name}", fd) as child:
                yield child

    def _error(self, operation: str, name: str, error: OSError) -> CgroupError:
        return CgroupError(operation=operation, path=f"{self.path}/{name}", errno=error.errno)


def read_path(path: str) -> str:
    """Text of a file by path; "" if it cannot be read, for files that are looked at to learn what there is."""
    try:
        return _read(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return ""


def _read(fd: int) -> str:
    """Text up to the end, then close. A short read is not the end: seq files stop between two lines."""
    try:
        text = b""
        while chunk := os.read(fd, _CHUNK):
            text += chunk
    finally:
        os.close(fd)
    return text.decode()
