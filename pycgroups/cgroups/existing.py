"""Groups that are there already: where the directories of a group are, given its name or one of them."""

from __future__ import annotations

import os

from pycgroups.cgroups import detect, names, places
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.places import Place
from pycgroups.errors import NotFound, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.cgroups.detect import Hierarchy


def by_name(name: str) -> list[Place]:
    """Find the directories of a group that pycgroups made, in this process or in one that is where this one is.

    Raises:
        InvalidConfig: no name of a group.
        NotFound: there is none.
    """
    names.check(name.removeprefix(names.MADE_UP))
    return _ours(name) or _none(name)


def by_path(path: str) -> list[Place]:
    """Find the directories of a group by one of them: the same path in each hierarchy.

    Raises:
        InvalidConfig: not a directory of a cgroup.
        NotFound: it does not exist.
    """
    path = os.path.normpath(path)
    if not os.path.isdir(path):
        _none(path)
    home = next((each for each in detect.hierarchies() if _inside(path, each.mount)), None)
    if home is None:
        raise invalid("path", path, "a directory below the mount of a cgroup hierarchy that this process is in")
    for _, shared in places.shared_directories():
        if path.startswith(f"{shared}/"):
            return _ours(path.removeprefix(f"{shared}/"))
    below = path.removeprefix(home.mount)
    # The top of all is no group, and to be in one hierarchy's is not to be in another's.
    found = detect.hierarchies() if below else (home,)
    return _first(_place(each, each.mount + below) for each in found)


def current() -> list[Place]:
    """Find the directories of the cgroup that this process is in, asked anew.

    Raises:
        NotFound: it sees none.
    """
    detect.forget()
    found = [_place(hierarchy, hierarchy.own) for hierarchy in detect.hierarchies()]
    return _first(found) or _none("/proc/self/cgroup")


def _ours(name: str) -> list[Place]:
    """Look where groups are made, which is below or above the own cgroup of each hierarchy."""
    wanted = [f"{shared}/{name}" for _, shared in places.shared_directories()]
    return _first(next(filter(None, (_place(each, path) for path in wanted)), None) for each in detect.hierarchies())


def _place(hierarchy: Hierarchy, path: str) -> Place | None:
    if not _inside(path, hierarchy.mount) or not os.path.isdir(path):
        return None
    if hierarchy.version == detect.V2:
        return Place(detect.V2, path, frozenset(read_path(f"{path}/cgroup.controllers").split()))
    return Place(detect.V1, path, hierarchy.controllers)


def _first(found: Iterable[Place | None]) -> list[Place]:
    """Put v2's first, which kills best, as groups have it that are made."""
    return sorted(filter(None, found), key=lambda place: -place.version)


def _inside(path: str, top: str) -> bool:
    return f"{path}/".startswith(f"{top}/")


def _none(name: str) -> list[Place]:
    raise NotFound("no such cgroup", operation="open cgroup", path=name)
