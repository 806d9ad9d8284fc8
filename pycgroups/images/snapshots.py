"""How the layers of an image become one root: joined by overlayfs, or copied where that is not to be had.

    ROOT/tmp/root-…         a copy, of one container
    ROOT/tmp/root-….lock    held by who runs that container

A copy costs time and space for each container, and has no limit of its own; `overlay` is tried first. What
``$PYCGROUPS_SNAPSHOTS`` asks for, ``overlay`` or ``copy``, is done, or is an error.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

from pycgroups._native import vfs
from pycgroups.errors import Error, Unsupported, invalid
from pycgroups.images.files import io_errors
from pycgroups.images.locks import Lock
from pycgroups.images.removing import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from pycgroups.images.collection import Root
    from pycgroups.images.store import ImageStore

    Way = Literal["overlay", "copy"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
VARIABLE = "PYCGROUPS_SNAPSHOTS"
REFUSALS = frozenset({errno.ENODEV, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP})
"""What the kernel says when it has no overlayfs, or none for this user, for these layers or their file system."""


def asked() -> Way | None:
    """Return the way that the environment asks for, or None.

    Raises:
        InvalidConfig: it is none.
    """
    way = os.environ.get(VARIABLE, "")
    if way not in {"", "overlay", "copy"}:
        raise invalid(f"${VARIABLE}", way, "'overlay' or 'copy', or nothing")
    return way or None  # type: ignore[return-value]


def is_refused(error: Error) -> bool:
    """Tell whether what failed was to join layers by overlayfs, for no fault of theirs."""
    refused = (error.operation, error.path) == ("fs", "overlay") and error.errno in REFUSALS
    return refused or error.operation == "mount overlay"  # more layers than an older kernel takes


@contextmanager
def shown(root: Root, store: ImageStore, name: str) -> Iterator[int]:
    """Show layers to this process, read-only; yield a descriptor of their root.

    Args:
        root: the layers.
        store: for a copy.
        name: of the image, for errors.

    Raises:
        Unsupported: they cannot be mounted, and a copy is not allowed.
        Error: there is no room for a copy, or the layers cannot be opened.
    """
    way = asked()
    mounted = -errno.EOPNOTSUPP if way == "copy" else _mounted(root.directory, root.layers)
    if mounted < 0 and (way == "overlay" or -mounted not in REFUSALS):
        hint = "as root; or pycgroups.run(..., image=...) with the program that is to look at it"
        raise Unsupported(operation="mount image", path=name, errno=-mounted, hint=hint)
    copy = Copy(store)
    try:
        if mounted < 0:
            copy.make(root)
            mounted = _mounted(copy.path, (".",))
        if mounted < 0:  # this process may not mount
            mounted = _opened(copy.path)
        yield mounted
    finally:
        if mounted >= 0:
            os.close(mounted)
        copy.release()


def _mounted(directory: str, layers: Sequence[str]) -> int:
    """Mount layers as one, the topmost first: a descriptor or -errno."""
    fd = _opened(directory)
    try:
        return vfs.overlay([b"/proc/self/fd/%d/%s" % (fd, os.fsencode(path)) for path in layers])
    finally:
        os.close(fd)


@io_errors("open layers")
def _opened(directory: str) -> int:
    return os.open(directory, _DIRECTORY)


class Copy:
    """The files of an image, in a directory of their own, until it is released.

    Whoever dies leaves it to the next who copies, adds or removes: `ImageStore.sweep`.

    Attributes:
        path: the directory.
    """

    def __init__(self, store: ImageStore) -> None:
        """Name a place in a store; nothing is made."""
        self.path = f"{store.layers.tmp}/root-{os.urandom(8).hex()}"
        self._store = store
        self._lock = Lock(f"{self.path}.lock")

    @io_errors("copy layers")
    def make(self, root: Root) -> None:
        """Copy the layers; when that fails, it is still to be released.

        Raises:
            Error: there is no room for them, or they cannot be read.
        """
        from pycgroups.images.flatten import flatten  # most have overlayfs

        inside = self._store.inside
        with self._store.adding():
            self._store.sweep()
        self._lock.take()
        layers = [f"{root.directory}/{layer}" for layer in root.layers]
        inside.apart(flatten, layers, self.path, "kept" if inside.has_all_ids else "caller")

    @io_errors("remove copy")
    def release(self) -> None:
        """Remove it; may be called again, as when an exception came between.

        Raises:
            Error: it cannot be removed. What is left is to be swept up.
        """
        if self._lock.fd < 0:
            return
        try:
            self._store.inside(remove, self.path)
            os.unlink(self._lock.path)
        except (Error, OSError):
            self._lock.release()
            raise
        self._lock.release()
