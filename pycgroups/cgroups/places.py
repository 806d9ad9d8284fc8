"""Where this process may make groups: for each controller a directory, in the hierarchy that has it.

There is one directory named "pycgroups", shared by all processes that are where this one is, and below it a
directory per group:

    v1   MOUNT/OWN_CGROUP/pycgroups/GROUP                 in the hierarchy of each controller
    v2   MOUNT/OWN_CGROUP_OR_ABOVE/pycgroups/GROUP        once, see `v2.manager.find`

On a hybrid host a group has both: the v1 controllers, and a directory in the v2 tree even where that has no
controller, since it counts CPU time, kills all at once and admits a process as it is born.
"""

from __future__ import annotations

import os

from pycgroups.cgroups import detect, tree
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1 import manager as v1
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import cache, lru_cache
    from typing import NamedTuple

    from pycgroups.cgroups.manager import Manager
else:
    from pycgroups.caches import cache, lru_cache
    from pycgroups.records import NamedTuple

SHARED = "pycgroups"
MANAGERS = {detect.V1: v1.Manager, detect.V2: v2.Manager}
LIMITABLE = frozenset({"cpu", "cpuset", "memory", "pids"})
"""Controllers that a host is expected to have for limits."""
DEVICES = "devices"
"""The controller of device nodes; on v2 a program, which the kernel does not list among the controllers."""

OF_V1_ALONE = frozenset({"cpuacct", "freezer"})
"""What v2 does without a controller."""


class Place(NamedTuple):
    """A directory to make groups in.

    Attributes:
        version: 1 or 2.
        path: the directory; its last part is "pycgroups".
        controllers: what groups in it have.
    """

    version: int
    path: str
    controllers: frozenset[str]


@cache
def places(needed: frozenset[str]) -> tuple[Place, ...]:
    """Find the directories for groups that need some controllers, as many of these as there are. Cached.

    Nothing is made. The v2 one, if any, comes first: it kills best.
    """
    found = detect.hierarchies()
    on_v1 = any(DEVICES in hierarchy.controllers for hierarchy in found if hierarchy.version == detect.V1)
    if DEVICES in needed and not _can_limit_devices(on_v1=on_v1):
        needed -= {DEVICES}
    programs = frozenset() if on_v1 else needed & {DEVICES}
    unified = [
        place for hierarchy in found if hierarchy.version == detect.V2 for place in _on_v2(hierarchy, needed, programs)
    ]
    wanted = needed if unified else needed | OF_V1_ALONE
    legacy = [
        Place(detect.V1, path, hierarchy.controllers - ({DEVICES} - needed))
        for hierarchy in found
        if hierarchy.version == detect.V1 and hierarchy.controllers & wanted and (path := v1.find(hierarchy, SHARED))
    ]
    return (*unified, *legacy)


def _can_limit_devices(*, on_v1: bool) -> bool:
    from pycgroups.cgroups.v1 import devices as v1_devices
    from pycgroups.cgroups.v2 import devices as v2_devices

    return v1_devices.usable() if on_v1 else v2_devices.usable()


def _on_v2(hierarchy: detect.Hierarchy, needed: frozenset[str], programs: frozenset[str]) -> list[Place]:
    found = v2.find(hierarchy, needed & hierarchy.controllers)
    return [Place(detect.V2, f"{found[0]}/{SHARED}", found[1] | programs)] if found else []


@lru_cache(maxsize=64)  # each container is a place of its own
def offered(found: tuple[Place, ...]) -> frozenset[str]:
    """Name the controllers that a group in all of these has, and that we know; "cgroup" has v2's own files."""
    known = (place.controllers & MANAGERS[place.version].modules.names for place in found)
    core = {"cgroup"} if any(place.version == detect.V2 for place in found) else frozenset()
    return frozenset().union(core, *known)


def shared_directories() -> list[tuple[int, str]]:
    """Version and path of every directory where processes like this one may have made groups."""
    shared = []
    # The freezer first: elsewhere nothing dies that it holds.
    for hierarchy in sorted(detect.hierarchies(), key=lambda hierarchy: "freezer" not in hierarchy.controllers):
        above = v2.upwards(hierarchy) if hierarchy.version == detect.V2 else [hierarchy.own]
        shared += [(hierarchy.version, f"{path}/{SHARED}") for path in above]
    return shared


@cache
def prepare(place: Place) -> None:
    """Make the shared directory, once per process; `_leave` removes it.

    Raises:
        CgroupError: it cannot be made.
    """
    if place.version == detect.V2:
        with opened(os.path.dirname(place.path)) as above:
            v2.prepare(above, place.controllers)
    # 0711: other users need not know the names of groups, and could keep a group from being made by its lock.
    make_directory(place.path, 0o711)
    with opened(place.path) as directory:
        hand_down(place, directory)
    if not _to_leave:
        import atexit  # few have a place to leave

        atexit.register(_leave)
    _to_leave.add(place.path)


def hand_down(place: Place, directory: Directory) -> None:
    """Make a directory at or below a place fit to have groups below it."""
    if place.version == detect.V2:
        v2.prepare(directory, place.controllers)
    else:
        v1.prepare(directory, place.controllers)


def make_directory(path: str, mode: int = 0o755) -> bool:
    """Make a cgroup; False if it is there.

    Raises:
        CgroupError: it cannot be made.
    """
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    except OSError as error:
        raise CgroupError(operation="mkdir", path=path, errno=error.errno) from None
    return True


def opened(path: str) -> Directory:
    """Open a cgroup.

    Raises:
        CgroupError: it cannot be opened.
    """
    try:
        return Directory(path)
    except OSError as error:
        raise CgroupError(operation="open", path=path, errno=error.errno) from None


def held(place: Place, *, to_enter: bool = True) -> Manager:
    """Open a group that is there, `to_enter` it or not.

    Raises:
        CgroupError: it cannot be opened.
    """
    directory = opened(place.path)
    try:
        return MANAGERS[place.version](directory, place.controllers, to_enter=to_enter)
    except BaseException:
        directory.close()
        raise


def forget() -> None:
    """Look again at the next question: a directory vanished, or this process was moved."""
    detect.forget()
    places.cache_clear()
    prepare.cache_clear()


_to_leave: set[str] = set()


def _leave() -> None:
    """Remove what `prepare` made, unless another process has groups there; who finds it gone makes it again."""
    for path in _to_leave:
        try:
            tree.try_rmdir(path)
        except CgroupError:
            continue  # at exit nobody is left to tell
