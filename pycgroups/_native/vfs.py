"""Typed functions over system calls on mounts, files and loop devices that module os has not.

They return what the kernel returned, a negative errno included, where nothing else is said.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native.calls import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def open_inside(root: bytes, path: bytes) -> int:
    """Open a file for reading, its path resolved as if `root` were "/"; a descriptor or -errno.

    Regular files and directories alone, -ENXIO for others: to open a device can already do something.
    """
    found = int(lib.spawn_find_inside(root, path))
    if found < 0:
        return found
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return -errno.ENXIO
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or errno.EIO)
    finally:
        os.close(found)


def bind(source: str, target: str) -> int:
    """`mount(2)` with MS_BIND; 0 or -errno."""
    return int(lib.mount_bind(os.fsencode(source), os.fsencode(target)))


def unbind(target: str) -> int:
    """`umount2(2)`, of what others may have open, and not through a symlink; 0 or -errno."""
    return int(lib.mount_detach(os.fsencode(target)))


def overlay(layers: Sequence[bytes]) -> int:
    """Mount directories as one, the topmost first, read-only and attached nowhere: a descriptor or -errno."""
    return int(lib.overlay_open(b"".join(layer + b"\0" for layer in layers), len(layers)))


def overlay_upper(layers: Sequence[bytes], upper: bytes, work: bytes, *, user: bool) -> int:
    """Mount directories as one, below one that takes what is written, attached nowhere: a descriptor or -errno."""
    return int(lib.overlay_open_upper(b"".join(layer + b"\0" for layer in layers), len(layers), upper, work, user))


def mount(kind: str, *options: str, attributes: int) -> int:
    """Mount a file system, attached nowhere: a descriptor or -errno."""
    packed = b"\0".join(os.fsencode(option) for option in options)
    return int(lib.open_file_system(kind.encode(), packed, len(packed), attributes))


def map_ids(mounted: int, userns: int, *, recursive: bool = False) -> int:
    """Show a mount that is attached nowhere through the id map of a user namespace; mount_setattr(2). 0 or -errno.

    With `recursive` all that is mounted below as well.
    """
    return int(lib.set_attr(mounted, 0, 0, 0, userns, recursive))


def free_loop(control: int) -> int:
    """Find a loop device that nobody has, by /dev/loop-control: its number or -errno."""
    return int(lib.loop_free(control))


def attach_loop(device: int, file: int, sector: int) -> int:
    """Let a loop device be a file, until nobody has it open or mounted any more; 0 or -errno. Linux 5.8.

    Args:
        device: that.
        file: for writing.
        sector: the bytes of its sectors: 512 to those of a page.
    """
    return int(lib.loop_attach(device, file, sector))


def is_loop_of(device: int, file: os.stat_result) -> int:
    """Tell whether a loop device is this file: 1 or 0; -ENXIO when it is none."""
    return int(lib.loop_is(device, file.st_dev, file.st_ino))


def open_in_root(root: int, path: bytes, flags: int, *, links: bool = True) -> int:
    """`openat2(2)` of a path resolved as if the directory were "/", through no magic link; a descriptor or -errno.

    Args:
        root: the directory.
        path: absolute or not.
        flags: of open(2); it is close-on-exec in any case.
        links: whether a symlink on the way is followed, and at the end without O_NOFOLLOW; otherwise -ELOOP.
    """
    if b"\0" in path:
        return -errno.EINVAL
    return int(lib.open_in_root(root, path, flags, 0, 0 if links else lib.RESOLVE_NO_SYMLINKS))


def is_mounted(directory: int, name: bytes = b"") -> bool:
    """Tell whether something is mounted at a name in a directory, as far as the kernel tells (Linux 5.8).

    Without a name: where the descriptor is of.
    """
    return int(lib.is_mounted(directory, name)) > 0


def file_system(fd: int) -> int:
    """Tell the type of the file system that a file is in; statfs(2). Or -errno."""
    return int(lib.file_system(fd))


def sync_file_system(fd: int) -> None:
    """`syncfs(2)`.

    Raises:
        OSError: what was to be written could not be.
    """
    if lib.syncfs(fd) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))


def punch_hole(fd: int, at: int, size: int) -> int:
    """`fallocate(2)` with FALLOC_FL_PUNCH_HOLE: the bytes are zeros, and take no room; 0 or -errno."""
    return int(lib.punch_hole(fd, at, size))
