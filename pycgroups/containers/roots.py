"""The root of a container, as a directory: of a process that runs in it, or of its layers, mounted for the moment.

What works on files in it is a function of a module whose first arguments are those of `opened`: a descriptor, and
`Layers` or None. So the same function is called here, or in a child that is in the container's user namespace
(`pycgroups.namespaces.call`), where its ids are what they are in the container.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
from contextlib import contextmanager, nullcontext

from pycgroups._native import vfs
from pycgroups.containers.limited import synced
from pycgroups.errors import Error, NotFound, Unsupported
from pycgroups.images.files import io_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple


class Layers(NamedTuple):
    """The layers of a container that does not run, by absolute paths.

    A descriptor would not do: overlayfs takes no directory of another mount namespace's.

    Attributes:
        lower: those of its image, the topmost first.
        upper: what the container has changed.
        work: an empty directory beside that, which overlayfs uses.
        user: marks of overlayfs's are kept in attributes ``user.*``, as an ordinary user's are.
        own: the upper one is a file system of its own, `pycgroups.containers.limited`.
    """

    lower: tuple[bytes, ...]
    upper: bytes
    work: bytes
    user: bool = False
    own: bool = False


@contextmanager
def opened(root: int, layers: Layers | None) -> Iterator[int]:
    """Have the root of a container as an open directory. Layers are mounted once at a time: others wait.

    Args:
        root: that directory, if there are no layers.
        layers: of a container that is mounted nowhere, in no process's namespace either.

    Raises:
        Unsupported: this process may not mount them.
    """
    if layers is None:
        yield root
        return
    lock = os.open(layers.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fd = vfs.overlay_upper(layers.lower, layers.upper, layers.work, user=layers.user)
        if fd < 0:
            hint = "it takes CAP_SYS_ADMIN in the user namespace of this mount namespace, and layers overlayfs can use"
            raise Unsupported(operation="mount layers", path=layers.upper, errno=-fd, hint=hint)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # a child that another thread has forked meanwhile has it open, too
        os.close(lock)


@contextmanager
def written(root: int, layers: Layers | None) -> Iterator[int]:
    """Have it to change it; args and errors as for `opened`.

    What ends without an error is on the disk, if the layer is a file system of its own.

    Raises:
        Error: it could not be written; `pycgroups.containers.limited.synced`.
    """
    disk = synced(layers.upper) if layers is not None and layers.own else nullcontext()
    with opened(root, layers) as top, disk:
        yield top


def open_of_process(pidfd: int) -> tuple[int, int]:
    """Open the root directory of a process; a descriptor, and the process's id, which was its own at that moment.

    Raises:
        NotFound: it has ended.
        Error: this user may not look at it.
    """
    pid = _pid(pidfd)
    if pid > 0:
        try:
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            # ENOENT: it is about to end, and has given up its root.
            if error.errno != errno.ENOENT and not _has_ended(pidfd):
                raise Error(operation="open root", path=f"/proc/{pid}/root", errno=error.errno) from None
        else:
            if not _has_ended(pidfd):
                return root, pid
            os.close(root)
    raise NotFound("its process has ended", operation="open root")


def _pid(pidfd: int) -> int:
    """Return what /proc says of a pidfd: -1 when its process was reaped; pidfd_open(2)."""
    path = f"/proc/self/fdinfo/{pidfd}"
    with io_errors("read", path), open(path, encoding="ascii") as file:
        return next((int(line[4:]) for line in file if line.startswith("Pid:")), -1)


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
