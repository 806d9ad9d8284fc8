"""The mount points that a root file system lacks, made for criu, which mounts and makes none.

Whoever filled the root may have put symlinks in the way: each part is looked for, and made, inside it.
"""

from __future__ import annotations

import errno
import os

from pycgroups._native import vfs
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.oci.runtime_spec import Mount, Spec


def make(root: str, bundle: str, spec: Spec) -> None:
    """Make those that are missing, and stay.

    Raises:
        Error: the file system refused.
    """
    for place, mount in _to_be_there(spec):
        source = os.path.join(bundle, mount.source or "")
        bound = mount.type == "bind" or not {"bind", "rbind"}.isdisjoint(mount.options)
        _make(root, place, directory=not bound or os.path.isdir(source))


def _to_be_there(spec: Spec) -> Iterator[tuple[str, Mount]]:
    """Leave out what is in a tmpfs: that comes back with all that was in it."""
    inside: list[str] = []
    for mount in spec.mounts:
        place = os.path.normpath(f"/{mount.destination}")
        if not any(place.startswith(f"{above}/") for above in inside):
            yield place, mount
        if mount.type == "tmpfs":
            inside.append(place)


def _make(root: str, place: str, *, directory: bool) -> None:
    parts = place.strip("/").split("/")
    for depth, part in enumerate(parts, 1):
        path = "/" + "/".join(parts[:depth])
        if _is_there(root, path):
            continue
        above = vfs.open_inside(os.fsencode(root), os.fsencode(os.path.dirname(path)))
        if above < 0:
            raise Error(operation="make mount point", path=f"{root}{path}", errno=-above)
        try:
            if depth < len(parts) or directory:
                os.mkdir(part, 0o755, dir_fd=above)
            else:
                os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=above))
        except OSError as error:
            raise Error(operation="make mount point", path=f"{root}{path}", errno=error.errno) from None
        finally:
            os.close(above)


def _is_there(root: str, path: str) -> bool:
    fd = vfs.open_inside(os.fsencode(root), os.fsencode(path))
    if fd >= 0:
        os.close(fd)
    return fd != -errno.ENOENT
