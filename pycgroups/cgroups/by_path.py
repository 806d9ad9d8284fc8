"""Groups that are known by the paths of their directories: what these are, and whether they are frozen."""

from __future__ import annotations

import errno

from pycgroups.cgroups import detect, places
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.places import Place
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pycgroups.cgroups.detect import Hierarchy


def place_of(path: str) -> Place:
    """Say what a directory is.

    Raises:
        CgroupError: ENOENT; it is in no hierarchy.
    """
    home = _home(detect.everything(), path)
    if home is None:
        raise CgroupError(operation="open", path=path, errno=errno.ENOENT)
    return place_in(home, path)


def place_in(home: Hierarchy, path: str) -> Place:
    """Say what a directory of a hierarchy is."""
    if home.version == detect.V1:
        return Place(detect.V1, path, home.controllers)
    on_v1 = any(places.DEVICES in each.controllers for each in detect.everything() if each.version == detect.V1)
    programs = frozenset() if on_v1 else frozenset({places.DEVICES})
    return Place(detect.V2, path, programs.union(read_path(f"{path}/cgroup.controllers").split()))


def having(controller: str, paths: Iterable[str]) -> Iterator[str]:
    """Name those directories of a group that have a controller; those of v1 first, which tell it by where they are.

    Raises:
        CgroupError: ENOENT; one is in no hierarchy.
    """
    found = detect.everything()

    def is_elsewhere(path: str) -> bool:
        home = _home(found, path)
        return home is None or home.version == detect.V2

    return (path for path in sorted(paths, key=is_elsewhere) if controller in place_of(path).controllers)


def is_frozen(paths: Iterable[str]) -> bool:
    """Tell whether every process of a group stands still, by those of its directories that know, and can be seen."""
    return _says(paths, ("cgroup.events", "frozen 1"), ("freezer.state", "FROZEN"))


def is_told_to_freeze(paths: Iterable[str]) -> bool:
    """Tell whether a group is to stand still, which it does not for a moment when one of its processes is killed."""
    return _says(paths, ("cgroup.freeze", "1"), ("freezer.self_freezing", "1"))


def _says(paths: Iterable[str], on_v2: tuple[str, str], on_v1: tuple[str, str]) -> bool:
    """Tell whether a file of a freezer has a line, by a file and its line for each version."""
    found = detect.everything()
    for path in paths:
        home = _home(found, path)
        if home is None or (home.version == detect.V1 and "freezer" not in home.controllers):
            continue
        name, line = on_v2 if home.version == detect.V2 else on_v1
        if line in read_path(f"{path}/{name}").splitlines():
            return True
    return False


def _home(found: Iterable[Hierarchy], path: str) -> Hierarchy | None:
    """Find the hierarchy that a directory is in."""
    return next((each for each in found if path.startswith(f"{each.mount}/")), None)
