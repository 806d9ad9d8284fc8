"""What this process can do with cgroups, to be shown to people."""

from __future__ import annotations

import os

import attrs

from pycgroups.cgroups import detect, hints, places


@attrs.frozen(kw_only=True)
class Info:
    """What this process can do with cgroups.

    Attributes:
        hierarchy: "v1", "v2", "hybrid" (v1 controllers beside a v2 tree) or "none".
        controllers: every controller that is mounted where this process can see it.
        usable: those of cpu, cpuset, memory and pids with which this process can limit groups of its own.
        writable: all four are usable.
        delegated: groups are made in a subtree that was handed to this ordinary user.
        paths: the directories that groups would be made in.
        hint: what would make the rest usable; None if nothing is missing.
    """

    hierarchy: str
    controllers: tuple[str, ...]
    usable: tuple[str, ...]
    writable: bool
    delegated: bool
    paths: tuple[str, ...]
    hint: str | None


def info() -> Info:
    """Look at this host's cgroups; makes and changes nothing."""
    found = detect.hierarchies()
    chosen = places.places(places.LIMITABLE)
    usable = places.offered(chosen) & places.LIMITABLE
    missing = places.LIMITABLE - usable
    return Info(
        hierarchy=detect.kind(found),
        controllers=tuple(sorted(frozenset().union(*(hierarchy.controllers for hierarchy in found)))),
        usable=tuple(sorted(usable)),
        writable=not missing,
        delegated=bool(usable) and os.geteuid() != 0,
        paths=tuple(place.path for place in chosen),
        hint=hints.for_missing(missing, found) if missing else None,
    )
