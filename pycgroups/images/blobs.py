"""Blobs by their digests: the directory ``blobs`` of an OCI image layout; image-layout.md, "Blobs".

blobs/sha256/9f86…      whole, checked, never changed
tmp/blob-sha256-9f86…   being fetched; whoever writes it holds a lock on it, and goes on where another one stopped
"""

from __future__ import annotations

import fcntl
import os
import stat

from pycgroups.errors import DigestMismatch, ImageError, ImageNotFound
from pycgroups.images.digest import Digest, check
from pycgroups.images.files import NO_FILE, open_file
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.transport import Chunks
    from pycgroups.oci.image_spec import Descriptor

    State = tuple[int, int, int]

_PIECE = 2**20


class Blobs:
    """The blobs of one store."""

    def __init__(self, root: str, tmp: str, *, read_only: bool = False) -> None:
        """Take the directories, which are there.

        Args:
            root: has the directories ``sha256`` and ``sha512``, as far as there are blobs.
            tmp: where blobs are while they are fetched; on the same file system.
            read_only: nothing is ever put here.
        """
        self.root = root
        self.tmp = tmp
        self.read_only = read_only

    def path(self, digest: Digest) -> str:
        """Return where a blob is, or would be."""
        return f"{self.root}/{digest.algorithm}/{digest.encoded}"

    def size(self, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, or None when it is not here."""
        try:
            found = os.lstat(self.path(digest))
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def state(self, digest: Digest) -> State:
        """Return what changes when a blob's file does; blobs do not, but disks and people do it.

        Raises:
            ImageNotFound: it is not here.
        """
        path = self.path(digest)
        try:
            found = os.lstat(path)
        except FileNotFoundError as error:
            raise ImageNotFound("no such blob", operation="read", path=path, errno=error.errno) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def open(self, digest: Digest) -> int:
        """Open a blob for reading.

        Raises:
            ImageNotFound: it is not here.
            ImageError: something else is in its place.
        """
        path = self.path(digest)
        try:
            return open_file(path)
        except FileNotFoundError as error:
            raise ImageNotFound("no such blob", operation="open", path=path, errno=error.errno) from None
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            raise ImageError("no regular file", operation="open", path=path, errno=error.errno) from None

    def read(self, digest: Digest, most: int) -> bytes:
        """Return a small blob, checked.

        Raises:
            ImageNotFound: it is not here.
            ImageError: it is larger than ``most`` bytes.
            DigestMismatch: it was damaged.
        """
        with open(self.open(digest), "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ImageError(f"more than {most} bytes", operation="read", path=self.path(digest))
        made = digest.hash()
        made.update(data)
        check(made.hexdigest(), digest, operation="read", path=self.path(digest))
        return data

    def chunks(self, digest: Digest, start: int = 0) -> Iterator[bytes]:
        """Yield a blob in pieces, not checked.

        Raises:
            ImageNotFound: it is not here.
        """
        with open(self.open(digest), "rb", buffering=0) as file:
            file.seek(start)
            while piece := file.read(_PIECE):
                yield piece

    def checked(self, digest: Digest) -> Iterator[bytes]:
        """Yield a blob in pieces, and check it on the way.

        Raises:
            ImageNotFound: it is not here.
            DigestMismatch: it was damaged; after its last piece.
        """
        made = digest.hash()
        for piece in self.chunks(digest):
            made.update(piece)
            yield piece
        check(made.hexdigest(), digest, operation="read", path=self.path(digest))

    # -- putting ------------------------------------------------------------------------------------------------

    def put(self, blob: Descriptor, chunks: Chunks) -> None:
        """Fetch a blob, unless it is here; it is whole and checked, or not here at all.

        What an earlier try has left is kept and gone on with. Two processes that want the same fetch it once.

        Args:
            blob: which.
            chunks: yields its bytes from an offset on.

        Raises:
            DigestMismatch: what came is another one.
            ImageError: it does not fit on the disk, or cannot be written.
            Error: whatever ``chunks`` raises.
        """
        digest = Digest.parse(blob.digest)
        name = f"{self.tmp}/blob-{digest.algorithm}-{digest.encoded}"
        while self.size(digest) is None:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if _is_still(fd, name):
                    self._fetch(fd, name, digest, blob.size, chunks)
            finally:
                os.close(fd)

    def _fetch(self, fd: int, name: str, digest: Digest, size: int, chunks: Chunks) -> None:
        """Fill the file and put it in its place; what is broken, or does not fit on the disk, is taken away."""
        try:
            _fill(fd, digest, size, chunks)
            os.fsync(fd)
        except DigestMismatch:
            os.unlink(name)
            raise
        except OSError as error:
            os.unlink(name)
            raise ImageError(operation="write blob", path=name, errno=error.errno) from error
        os.makedirs(f"{self.root}/{digest.algorithm}", mode=0o700, exist_ok=True)
        os.rename(name, self.path(digest))


def _is_still(fd: int, name: str) -> bool:
    """Tell whether the file has its name yet: whoever had the lock may have put it in its place, or given it up."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(name))
    except FileNotFoundError:
        return False


def _fill(fd: int, digest: Digest, size: int, chunks: Chunks) -> None:
    made, done, name = digest.hash(), 0, str(digest)
    if os.fstat(fd).st_size > size:
        os.ftruncate(fd, 0)
    while piece := os.read(fd, _PIECE):
        made.update(piece)
        done += len(piece)
    for chunk in chunks(done) if done < size or not size else ():
        made.update(chunk)
        write_all(fd, chunk)
        done += len(chunk)
    if done != size:
        raise DigestMismatch(f"{done} bytes came, expected {size}", operation="fetch", path=name)
    check(made.hexdigest(), digest, operation="fetch", path=name)
