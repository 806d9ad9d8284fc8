"""What is being written: files in a directory beside the place that they go to, moved there when all is complete.

The directory is locked (`flock(2)`) for as long as its maker lives. Whoever comes next removes those that nobody holds:
their makers were killed.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets

from pycgroups.errors import Error, ImageError
from pycgroups.images.digest import Digest, check
from pycgroups.images.files import io_errors, open_below, pieces
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pycgroups.oci.image_spec import Descriptor

PREFIX = ".pycgroups-"
"""What the name of each such directory begins with."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """A directory for files that are not yet complete. Methods may be called by several threads at once."""

    def __init__(self, parent: str, *, mode: int = 0o666) -> None:
        """Make it, and remove those of the dead.

        Args:
            parent: the directory in which it is made.
            mode: of the files, before the umask.

        Raises:
            Error: it cannot be made.
        """
        self._mode = mode
        self._numbers = itertools.count()
        self.parent = -1
        try:
            self.parent = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _sweep(self.parent)
            self._name, self.fd = _make(self.parent)
        except OSError as error:
            if self.parent >= 0:
                os.close(self.parent)
            raise Error(operation="write in", path=parent, errno=error.errno) from None
        self.path = f"{parent}/{self._name}"

    def write(self, chunks: Iterable[bytes], *, sync: bool = True) -> str:
        """Write a file; return its name.

        Args:
            chunks: its content, in pieces of any size.
            sync: through to the disk, for what is to be moved out of here.

        Raises:
            Error: it cannot be written; nothing of it is left.
        """
        name = str(next(self._numbers))
        with io_errors("write in", self.path):
            fd = os.open(name, _NEW, self._mode, dir_fd=self.fd)
            try:
                for chunk in chunks:
                    write_all(fd, chunk)
                if sync:
                    os.fsync(fd)
            except BaseException:
                os.unlink(name, dir_fd=self.fd)
                raise
            finally:
                os.close(fd)
        return name

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        with io_errors("read", self.path):
            fd = open_below(self.fd, name)
        try:
            yield from pieces(fd, 0, os.fstat(fd).st_size, self.path)
        finally:
            os.close(fd)

    def move(self, name: str, new: str, directory: int | None = None) -> None:
        """Move a file out to where it is to be, in the place of one that is there.

        Args:
            name: of the file.
            new: its name there.
            directory: a descriptor; by default of the directory that the staging is in. Not synchronised: a caller
                may have many files to move.
        """
        directory = self.parent if directory is None else directory
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=directory)

    def discard(self) -> None:
        """Remove it, with what is still in it.

        Raises:
            Error: it cannot be removed.
        """
        try:
            with io_errors("remove", self.path):
                _empty(self.fd)
                os.rmdir(self._name, dir_fd=self.parent)
        finally:
            os.close(self.fd)
            os.close(self.parent)


def checked(blob: Descriptor, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the bytes of a blob, and fail at their end if they are not what its descriptor says.

    Raises:
        ImageError: they are more or fewer.
        DigestMismatch: they are others.
    """
    digest = Digest.parse(blob.digest)
    made, size = digest.hash(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > blob.size:
            break
        made.update(chunk)
        yield chunk
    if size != blob.size:
        more = f"more than {blob.size}" if size > blob.size else f"{size}"
        raise ImageError(f"{more} bytes, its descriptor says {blob.size}", operation="read", path=name)
    check(made.hexdigest(), digest, operation="read", path=name)


def _make(parent: int) -> tuple[str, int]:
    while True:
        name = f"{PREFIX}{secrets.token_hex(8)}"
        os.mkdir(name, 0o700, dir_fd=parent)
        try:
            fd = _claimed(parent, name)
        except BaseException:
            os.rmdir(name, dir_fd=parent)
            raise
        if fd is not None:
            return name, fd


def _claimed(parent: int, name: str) -> int | None:
    """Lock a directory that is new; None if another process has swept it away before that."""
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _sweep(parent: int) -> None:
    """Remove the directories whose makers are gone."""
    for name in os.listdir(parent):
        if name.startswith(PREFIX):
            try:
                _remove_unlocked(parent, name)
            except OSError as error:  # in use, another's, or gone meanwhile
                if error.errno not in _NOT_OURS:
                    raise


_NOT_OURS = {
    errno.EWOULDBLOCK,
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENOTEMPTY,
    errno.EISDIR,
}


def _remove_unlocked(parent: int, name: str) -> None:
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(fd)
        os.rmdir(name, dir_fd=parent)
    finally:
        os.close(fd)


def _empty(directory: int) -> None:
    for name in os.listdir(directory):
        os.unlink(name, dir_fd=directory)
