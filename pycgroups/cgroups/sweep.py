"""Groups whose creator died are found and removed.

Whoever makes a group holds a shared lock (`flock(2)`) on its directory for as long as it lives; the kernel lets
go of it however the process ends. A group of ours whose lock can be had alone has lost its creator. Ours are
known by a made-up name, or, where the user chose it, by an extended attribute.

A child that the creator forked without exec shares the lock, and delays the sweep until it ends too.
Below a group whose creator lives nothing is swept: what is there may be the container's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import time

from pycgroups.cgroups import detect, names, places, tree
from pycgroups.cgroups.files import Directory
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 1.0  # seconds per group: an orphan that does not die shall not hold up the living
_MARKS = ("user.pycgroups", "trusted.pycgroups")  # v2 takes "user." (kernel 5.7), v1 only "trusted.", from root


def lock(directory: Directory) -> None:
    """Hold a group, or one above it, until its descriptor is closed.

    Raises:
        CgroupError: EAGAIN; a sweeper was faster and is about to remove it.
    """
    try:
        fcntl.flock(directory.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        raise CgroupError(operation="lock", path=directory.path, errno=error.errno) from None


def mark(directory: Directory) -> None:
    """Note that a group with a name of the user's choice is ours. What cannot be marked is never swept."""
    for name in _MARKS:
        with contextlib.suppress(OSError):
            os.setxattr(directory.fd, name, b"1")
            return


def abandoned(directory: Directory) -> bool:
    """Tell whether a group is ours and nobody else holds it; if so, its lock is now exclusive."""
    if not _ours(directory):
        return False
    try:
        fcntl.flock(directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@functools.cache
def sweep() -> None:
    """Remove what dead processes left where this one makes groups; once per process."""
    for version, shared in [*places.shared_directories(), *_scopes()]:
        try:
            with os.scandir(shared) as entries:
                paths = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # not there, or another user's
        for path in paths:
            reclaim(version, path)
        with contextlib.suppress(CgroupError):
            tree.try_rmdir(shared)


def _scopes() -> Iterator[tuple[int, str]]:
    """Version and path of every scope of systemd's that has a group of ours, in whichever slice; see `scope`."""
    if os.geteuid() == 0 and detect.systemd_runs():
        for hierarchy in detect.hierarchies():
            if hierarchy.version == detect.V2:
                yield from ((detect.V2, path) for path in _scopes_below(hierarchy.mount))


def _scopes_below(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith(".slice"):
                yield from _scopes_below(entry.path)
            elif entry.name.startswith(f"{places.SHARED}-") and entry.name.endswith(".scope"):
                yield entry.path


def reclaim(version: int, path: str) -> bool:
    """Remove one group, with its processes, if its creator is dead; tell whether it is gone."""
    try:
        with Directory(path) as directory:
            if not abandoned(directory):
                return False
            tree.remove(directory, places.MANAGERS[version].kill_all, time.monotonic() + _PATIENCE)
    except FileNotFoundError:
        return True
    except (OSError, CgroupError):
        return False
    return True


def _ours(directory: Directory) -> bool:
    if os.path.basename(directory.path).startswith(names.MADE_UP):
        return True
    for name in _MARKS:
        with contextlib.suppress(OSError):
            return bool(os.getxattr(directory.fd, name))
    return False
