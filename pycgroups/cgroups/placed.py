"""A group at a place that somebody else chose, found again by the list of its directories: an OCI runtime's.

with open_(paths) as group:      # paths: as `placing.create` made them, perhaps in another process
    group.freeze(), group.stats(), group.remove() ...
"""

from __future__ import annotations

import os

from pycgroups.cgroups import by_path, detect, given, places, tree
from pycgroups.cgroups.files import GONE, read_path
from pycgroups.cgroups.group import Cgroup
from pycgroups.errors import CgroupError, InvalidConfig, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Unpack

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.cgroups.unit import Unit
    from pycgroups.cgroups.words import Words
    from pycgroups.oci.resources import Resources


class Placed(Cgroup):
    """A group that is not ours to remove: as a context manager it lets go of it.

    Attributes:
        unit: the scope of systemd's that it is in, or "".
    """

    __slots__ = ("unit",)

    def __init__(self, name: str) -> None:
        """Not for users: `open_` makes it."""
        super().__init__(name)
        self._created = False
        self.unit = ""

    def has(self, unit: Unit) -> None:
        """Note the scope that it is in."""
        self._scope, self.unit = unit, unit.name

    def hold(self, place: Place, *, to_enter: bool = True) -> Manager:
        """Open one of its directories, `to_enter` it or not.

        Raises:
            CgroupError: it cannot be opened.
        """
        self._managers.append(places.held(place, to_enter=to_enter))
        return self._managers[-1]

    def set(self, *, resources: Resources | None = None, **words: Unpack[Words]) -> None:
        """Change limits as `Cgroup.set` does, but understand `resources` as a config.json does; devices stay.

        Raises:
            Unsupported: the group cannot have one of them.
            CgroupError: as `Cgroup.set`.
        """
        if resources is None:
            super().set(**words)
        else:
            self.change(resources)

    def change(self, asked: Resources, words: Limits | None = None) -> None:
        """Change limits as `set` does; errors name them as they are in `words`, if they were asked for so."""
        self._change(words, given.for_change(asked))


def remove(paths: Sequence[str], unit: str = "") -> None:
    """Remove a group by its directories, with all that is in it. Most are empty, and need not be opened.

    Raises:
        CgroupError: it cannot be removed.
    """
    if unit or not all(map(tree.try_rmdir, reversed(paths))):
        with open_(paths, unit, to_enter=False) as group:
            group.remove()


def open_(paths: Iterable[str], unit: str = "", *, to_enter: bool = True) -> Placed:
    """Take hold of a group by its directories; those that are gone are left out.

    Args:
        paths: as `Placed.paths` had them.
        unit: as `Placed.unit` had it.
        to_enter: processes are to be started in it; without, on v1 half as many files are opened.

    Raises:
        CgroupError: one cannot be opened.
    """
    group = Placed("")
    if unit:
        from pycgroups.cgroups.unit import Unit  # few have one

        group.has(Unit(unit))
    try:
        for path in paths:
            try:
                group.hold(by_path.place_of(path), to_enter=to_enter)
                group.name = group.name or path
            except CgroupError as error:
                if error.errno not in GONE:
                    raise
    except BaseException:
        group.let_go()
        raise
    return group


def sub(paths: Sequence[str], name: str) -> tuple[str, ...]:
    """Name the directories of a group inside, for a process that is to join a container there: runc's `exec --cgroup`.

    Args:
        paths: of the container's, as `Placed.paths` had them.
        name: the path below it; in every hierarchy that has it, elsewhere it is the group itself. "memory:a/b" asks one
            hierarchy of v1 alone.

    Raises:
        InvalidConfig: the path climbs.
        NotFound: no hierarchy has it.
    """
    controller, colon, path = name.rpartition(":")
    if ".." in path.split("/"):
        raise InvalidConfig(f"{path} is not a sub cgroup path", operation="open cgroup", path=name)
    below = os.path.normpath(f"/{path.lstrip('/')}")
    found = []
    for above in paths:
        there = os.path.isdir(above + below) and (not colon or controller in by_path.place_of(above).controllers)
        found.append(os.path.normpath(above + below) if there else above)
    if below != "/" and found == [*paths]:
        raise NotFound("no such cgroup", operation="open cgroup", path="".join(paths[:1]) + below)
    return tuple(found)


def beside(paths: Iterable[str], pid: int) -> tuple[str, ...]:
    """Name the directories of the group that a process who joins a container is to be born in.

    On v2 what hands controllers down may have no processes, so where the container has groups of its own it is the one
    that its first process is in.

    Args:
        paths: of the container's, as `Placed.paths` had them.
        pid: of its first process.
    """
    unified = next((each for each in detect.hierarchies() if each.version == detect.V2), None)
    return tuple(
        path if unified is None or not path.startswith(f"{unified.mount}/") else _current(unified, path, pid)
        for path in paths
    )


def _current(unified: Hierarchy, path: str, pid: int) -> str:
    """Where a process is now in the tree of v2, if that is below a directory which hands controllers down."""
    if not read_path(f"{path}/cgroup.subtree_control").strip():
        return path
    lines = read_path(f"/proc/{pid}/cgroup").splitlines()
    own = next((unified.directory_of(line[3:]) for line in lines if line.startswith("0::")), None)
    return own if own is not None and own.startswith(f"{path}/") else path
