"""The writable layer of a container with a limit (``disk``), where it outlives the runs: a file system of its own.

::

    ID/layer.ext4    the file that it is in: `pycgroups.runtime.loops`
    ID/layer/        empty; where those see it mounted who look at it from outside, in a namespace of their own
    in it            upper/ work/

A container that runs has it mounted in its own mount namespace alone, below its overlay. Who looks at it meanwhile
mounts it once more. It is to be had by root, with an image that is not copied; others have a tmpfs.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from pycgroups._native import vfs
from pycgroups.errors import Unsupported
from pycgroups.images import snapshots
from pycgroups.images.files import io_errors
from pycgroups.namespaces import own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pycgroups.containers.home import Home
    from pycgroups.namespaces.namespace import Namespace
    from pycgroups.runtime.steps import IdMaps

_FILE, PLACE = "layer.ext4", "layer"
_NO_ROOM = "what was just written may be lost: make room on the disk of the store, and write it again"


def is_there(home: Home) -> bool:
    """Tell whether a container has one."""
    return os.path.isfile(f"{home.path}/{_FILE}")


@io_errors("create layer")
def make(home: Home, size: int, mode: int | None = None) -> bool:
    """Make one for a new container; False, and nothing is there, where it is not to be had.

    Args:
        home: its directory.
        size: bytes that it may write.
        mode: of its root directory; None to leave what is in the layer to others.

    Raises:
        Error: there is no room for it, say.
    """
    if not own.is_privileged() or snapshots.asked() == "copy":
        return False
    from pycgroups.runtime import loops  # most have no limit, or are no root's

    path = f"{home.path}/{_FILE}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        loops.make(file, size)
        with _mounted(path) as root:
            if mode is not None:
                with synced(f"/proc/self/fd/{root}"):
                    _make_directories(root, mode)
        os.fsync(file)
    except Unsupported:
        os.unlink(path)
        return False
    finally:
        os.close(file)
    os.mkdir(f"{home.path}/{PLACE}", 0o700)
    return True


@contextmanager
def _mounted(path: str) -> Iterator[int]:
    from pycgroups.runtime import loops

    fd = loops.mount(path)
    try:
        yield fd
    finally:
        os.close(fd)


def _make_directories(root: int, mode: int) -> None:
    """Make what overlayfs writes to."""
    for name, its_mode in (("work", 0o700), ("upper", mode)):
        os.mkdir(name, 0o700, dir_fd=root)
        os.chmod(name, its_mode, dir_fd=root)


@contextmanager
def synced(place: str | bytes) -> Iterator[None]:
    """Have on the disk what is written in the block.

    It may have less room than the layer, and does not tell before.

    Args:
        place: a directory of a layer that is mounted.

    Raises:
        Error: it could not be written, and may be lost.
    """
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # it is told of what fails from now on
    try:
        yield
        with io_errors("sync layer", os.fsdecode(place), _NO_ROOM):
            vfs.sync_file_system(fd)
    finally:
        os.close(fd)


@contextmanager
def mounted(home: Home, idmaps: IdMaps | None = None) -> Iterator[int]:
    """Mount it, attached nowhere; yield a descriptor.

    Args:
        home: the container's directory.
        idmaps: by which it is to be seen; None for the ids that are on disk.

    Raises:
        Unsupported: it is not to be had any more.
    """
    with _mounted(f"{home.path}/{_FILE}") as fd:
        if idmaps is not None:
            _map_ids(fd, idmaps)
        yield fd


def give_back(home: Home, mounted: int) -> None:
    """Give the room of what has been removed back to the store."""
    from pycgroups.runtime import loops

    loops.trim(mounted, f"{home.path}/{_FILE}")


def _map_ids(mounted: int, idmaps: IdMaps) -> None:
    from pycgroups.runtime import launch

    userns = launch.make_userns(*idmaps)
    try:
        result = vfs.map_ids(mounted, userns)
    finally:
        os.close(userns)
    if result < 0:
        raise Unsupported(operation="map ids", path=_FILE, errno=-result)


def shown(homes: Sequence[Home]) -> Namespace:
    """Make a mount namespace in which the layers of some containers, which may run, are mounted.

    Raises:
        Unsupported: as `mounted`.
    """
    from pycgroups.runtime.unsharing import with_mounts

    with ExitStack() as held:
        return with_mounts([(held.enter_context(mounted(home)), f"{home.path}/{PLACE}") for home in homes])
