"""What this process can do with cgroups, to be shown to people."""

from __future__ import annotations

import contextlib
import os

from pycgroups.cgroups import detect, hints, moving, places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import frozen
else:
    from pycgroups.frozen import frozen

_DELEGATED = ("user.delegate", "trusted.delegate")  # what systemd marks a delegated cgroup with


@frozen(kw_only=True)
class Info:
    """What this process can do with cgroups.

    Attributes:
        hierarchy: "v1", "v2", "hybrid" (v1 controllers beside a v2 tree) or "none".
        controllers: every controller that is mounted where this process can see it.
        usable: those of cpu, cpuset, memory and pids with which this process can limit groups of its own.
        writable: all four are usable.
        delegated: groups are made in a subtree that was handed to this ordinary user, or, by systemd's mark, to root.
        own: the cgroups that this process is in, one per hierarchy.
        paths: the directories that groups would be made in.
        by_moving: those of the usable ones that this process gets by moving, out of the way in its own cgroup or into a
            scope of the user's systemd, which the first group that needs them does; see `pycgroups.cgroups.moving`.
        read_only: mount points of hierarchies that are mounted read-only.
        namespaced: this process is in a cgroup namespace, and sees what is above it as "..".
        partial: of some hierarchy only a part is visible, as in a container.
        container: what runs the container around this process, "docker" for one, where that can be told.
        hint: what would make the rest usable; None if nothing is missing.
    """

    hierarchy: str
    controllers: tuple[str, ...]
    usable: tuple[str, ...]
    writable: bool
    delegated: bool
    own: tuple[str, ...]
    paths: tuple[str, ...]
    by_moving: tuple[str, ...]
    read_only: tuple[str, ...]
    namespaced: bool
    partial: bool
    container: str | None
    hint: str | None


def info() -> Info:
    """Look at this host's cgroups; makes and changes nothing."""
    found = detect.hierarchies()
    chosen = places.places(places.LIMITABLE)
    now = places.offered(chosen) & places.LIMITABLE
    usable = now | moving.offers(found) & places.LIMITABLE
    missing = places.LIMITABLE - usable
    return Info(
        hierarchy=detect.kind(found),
        controllers=tuple(sorted(frozenset().union(*(hierarchy.controllers for hierarchy in found)))),
        usable=tuple(sorted(usable)),
        writable=not missing,
        delegated=bool(now) and (os.geteuid() != 0 or any(_marked(place.path) for place in chosen)),
        own=tuple(hierarchy.own for hierarchy in found),
        paths=tuple(place.path for place in chosen),
        by_moving=tuple(sorted(usable - now)),
        read_only=tuple(hierarchy.mount for hierarchy in found if hierarchy.read_only),
        namespaced=detect.namespaced(),
        partial=any(hierarchy.partial for hierarchy in found),
        container=detect.container(),
        hint=hints.for_missing(missing, found) if missing else None,
    )


def _marked(path: str) -> bool:
    """Tell whether systemd has delegated this cgroup or one above it."""
    while (path := os.path.dirname(path)) != "/":
        for name in _DELEGATED:
            with contextlib.suppress(OSError):
                return os.getxattr(path, name) == b"1"
    return False
