"""A group at a place that somebody else chose: `linux.cgroupsPath` of an OCI runtime.

It outlives the process that makes it, is never swept, and is found again by the list of its directories::

    group = create("/machine/web", "web", spec.linux.resources)    # where the manager is cgroupfs
    ... clone with group.clone_fd; the child writes to group.join_fds; keep group.paths; group.let_go()

    with open_(paths) as group:                                    # in another process, later
        group.freeze(), group.stats(), group.remove() ...

Where the path leads, as with runc (libcontainer/cgroups):

    "/a/b"          in each hierarchy below its mount
    "a/b"           v1: below the own cgroup; v2: beside it, for what has processes hands no controllers down
    None            the container's id, likewise

On v1 there is a directory in every hierarchy, those without a controller included. On v2, and beside v1 where the tree
can be written to, there is one, and all controllers are handed down to it. Directories above stay when it is removed.

Who may not limit, rootless, gets a group without directories, unless there is a limit to be enforced.
"""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups import detect, given, places, resources, tree, unenforced
from pycgroups.cgroups.files import GONE, read_path
from pycgroups.cgroups.group import Cgroup
from pycgroups.cgroups.places import Place
from pycgroups.cgroups.v1 import devices as v1_devices
from pycgroups.cgroups.v1 import manager as v1
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import AlreadyExists, CgroupError, InvalidConfig, NotFound, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.unit import Unit
    from pycgroups.cgroups.words import Words
    from pycgroups.oci.resources import Resources

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Placed(Cgroup):
    """A group that is not ours to remove: as a context manager it lets go of it.

    Attributes:
        unit: the scope of systemd's that it is in, or "".
    """

    __slots__ = ("unit",)

    def __init__(self, name: str) -> None:
        """Not for users: `create` and `open_` make it."""
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
            CgroupError: the kernel refuses one; those written before it are in force.
        """
        if resources is None:
            super().set(**words)
        else:
            self.change(resources)

    def change(self, asked: Resources, words: Limits | None = None) -> None:
        """Change limits as `set` does; errors name them as they are in `words`, if they were asked for so."""
        self._change(words, given.for_change(asked))

    def limit(self, asked: Resources, optional: Limits | None = None, words: Limits | None = None) -> None:
        """Write the first limits.

        Args:
            asked: what they are.
            optional: the same by words, if those that cannot be enforced are only to be noted, in `unenforced`.
            words: the same, by which errors name them.

        Raises:
            Unsupported: the group has no controller for one of them, or this kernel cannot enforce it.
            CgroupError: the kernel refuses one.
        """
        if optional is not None:
            self.unenforced = unenforced.among(self._managers, optional, asked)
        else:
            self._check(asked, words)
        for manager in self._managers:
            manager.apply(asked)

    def _check(self, asked: Resources, words: Limits | None) -> None:
        have = frozenset({"cgroup"} if self.clone_fd is not None else ()).union(
            *(m.controllers for m in self._managers)
        )
        if missing := resources.controllers(asked) - have:
            path = ", ".join(unenforced.unplaced(have, words, asked))
            raise unenforced.without(missing, operation="limit", path=path)
        unenforced.check_change(self._managers, words, asked, known=())


def create(
    path: str | None,
    id_: str,
    wanted: Resources | None,
    optional: Limits | None = None,
    words: Limits | None = None,
) -> Placed:
    """Make a group, or take one that is there and empty.

    Args:
        path: as `linux.cgroupsPath` has it.
        id_: the container's, its place where there is no path.
        wanted: the limits, `linux.resources`.
        optional: as for `Placed.limit`.
        words: likewise.

    Raises:
        InvalidConfig: the path leads nowhere.
        AlreadyExists: there are processes in it, or it is frozen.
        Unsupported: a limit cannot be enforced here; with what would help.
        CgroupError: the kernel refuses something. What was made is removed again.
    """
    path = path or id_
    if "\0" in path or not path.strip("/."):
        raise invalid("linux.cgroupsPath", path, "a path below the root")
    privileged = v1_devices.usable()
    asked = given.for_new(wanted, devices=privileged)
    made: list[str] = []
    group = Placed(path)
    try:
        for hierarchy in detect.everything():  # v2 first, which kills best
            try:
                _make(group, hierarchy, _directory(hierarchy, path), made)
            except CgroupError as error:
                if error.errno not in _REFUSED or (privileged and not _is_extra(hierarchy)):
                    raise
        group.limit(asked, optional, words)
    except BaseException:
        group.let_go()
        for directory in reversed(made):
            try:
                tree.try_rmdir(directory)
            except CgroupError:
                continue  # what went wrong before is what matters
        raise
    return group


def planned(path: str | None, id_: str) -> tuple[str, ...]:
    """Name the directories that `create` will make, as far as it can; nothing is made.

    Who writes them down first can remove what is left if it dies in the middle: see `discard`.
    """
    return tuple(_directory(hierarchy, path or id_) for hierarchy in detect.everything())


def discard(paths: Iterable[str]) -> None:
    """Remove directories in which nobody is; all else is left alone."""
    for path in paths:
        try:
            tree.try_rmdir(path)
        except CgroupError:
            continue


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
                group.hold(place_of(path), to_enter=to_enter)
                group.name = group.name or path
            except CgroupError as error:
                if error.errno not in GONE:
                    raise
    except BaseException:
        group.let_go()
        raise
    return group


def is_frozen(paths: Iterable[str]) -> bool:
    """Tell whether every process of a group stands still, by those of its directories that know, and can be seen."""
    found = detect.everything()
    for path in paths:
        home = _home(found, path)
        if home is None:
            continue
        if home.version == detect.V2:
            if "frozen 1" in read_path(f"{path}/cgroup.events"):
                return True
        elif "freezer" in home.controllers and read_path(f"{path}/freezer.state").strip() == "FROZEN":
            return True
    return False


def having(controller: str, paths: Iterable[str]) -> Iterator[str]:
    """Name those directories of a group that have a controller.

    Raises:
        CgroupError: ENOENT; one is in no hierarchy.
    """
    return (path for path in paths if controller in place_of(path).controllers)


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
        there = os.path.isdir(above + below) and (not colon or controller in place_of(above).controllers)
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


def _is_extra(hierarchy: Hierarchy) -> bool:
    """Tell whether groups can do without a hierarchy: v2's beside v1."""
    return hierarchy.version == detect.V2 and any(each.version == detect.V1 for each in detect.hierarchies())


def _directory(hierarchy: Hierarchy, path: str) -> str:
    below = os.path.normpath(f"/{path.lstrip('/')}")
    if path.startswith("/"):
        return hierarchy.mount + below
    above = os.path.dirname(hierarchy.own)
    on_v2 = hierarchy.version == detect.V2 and hierarchy.own != hierarchy.mount
    return (above if on_v2 and v2.writable(above) else hierarchy.own) + below


def _make(group: Placed, hierarchy: Hierarchy, path: str, made: list[str]) -> None:
    """Make a directory in one hierarchy, and those above it; what is new is added to `made`."""
    if hierarchy.version == detect.V2:
        _check_entry(hierarchy.own, path)
    new = _make_one(path, made) if _is_fit(hierarchy, os.path.dirname(path)) else None
    if new is None:
        new = _make_from_top(hierarchy, path, made)
    if not new:
        _check_writable(path)
    _check_free(group.hold(_place(hierarchy, path)), new=new)


def _is_fit(hierarchy: Hierarchy, above: str) -> bool:
    """Tell whether a directory hands down all that it can, as far as that is told by one look."""
    if hierarchy.version == detect.V1:
        return "cpuset" not in hierarchy.controllers
    return hierarchy.controllers <= {*read_path(f"{above}/cgroup.subtree_control").split()}


def _make_one(path: str, made: list[str]) -> bool | None:
    """Make a directory, most of which are beside others: whether it is new; None if there is none above it."""
    try:
        new = places.make_directory(path)
    except CgroupError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    if new:
        made.append(path)
    return new


def _make_from_top(hierarchy: Hierarchy, path: str, made: list[str]) -> bool:
    """Do so with all that are above it, and have each hand down what it can."""
    new, above = False, hierarchy.mount
    for part in path.removeprefix(f"{above}/").split("/"):
        if hierarchy.version == detect.V2:
            with places.opened(above) as directory:
                v2.hand_down_all(directory)
        above = f"{above}/{part}"
        if new := places.make_directory(above):
            made.append(above)
        if hierarchy.version == detect.V1 and "cpuset" in hierarchy.controllers:
            with places.opened(above) as directory:
                v1.prepare(directory, hierarchy.controllers)
    return new


def _check_entry(own: str, path: str) -> None:
    """Look whether a process of v2 may move there: that takes the right to write above both places.

    Raises:
        CgroupError: it may not.
    """
    _check_writable(os.path.commonpath((own, path)))


def _check_writable(path: str) -> None:
    """Look whether this user may move processes in a directory: another's, of the same name, is none of his.

    Raises:
        CgroupError: he may not.
    """
    procs = f"{path}/cgroup.procs"
    if not os.access(procs, os.W_OK, effective_ids=True):
        raise CgroupError(operation="enter", path=procs, errno=errno.EACCES)


def _check_free(manager: Manager, *, new: bool) -> None:
    """Refuse a group that is in use, and one in which a process would never wake up.

    Raises:
        AlreadyExists: it is.
    """
    path = manager.directory.path
    if not new and (pids := tree.processes(manager.directory)):
        raise AlreadyExists(
            f"container's cgroup is not empty: {len(pids)} processes",
            operation="create cgroup",
            path=path,
            hint="another container has it, or somebody else: choose another linux.cgroupsPath",
        )
    if manager.frozen():
        raise AlreadyExists(
            "container's cgroup unexpectedly frozen", operation="create cgroup", path=path, hint="thaw it first"
        )


def _home(found: Iterable[Hierarchy], path: str) -> Hierarchy | None:
    """Find the hierarchy that a directory is in."""
    return next((each for each in found if path.startswith(f"{each.mount}/")), None)


def place_of(path: str) -> Place:
    """Say what a directory is.

    Raises:
        CgroupError: ENOENT; it is in no hierarchy.
    """
    home = _home(detect.everything(), path)
    if home is None:
        raise CgroupError(operation="open", path=path, errno=errno.ENOENT)
    return _place(home, path)


def _place(home: Hierarchy, path: str) -> Place:
    if home.version == detect.V1:
        return Place(detect.V1, path, home.controllers)
    on_v1 = any(places.DEVICES in each.controllers for each in detect.everything() if each.version == detect.V1)
    programs = frozenset() if on_v1 else frozenset({places.DEVICES})
    return Place(detect.V2, path, programs.union(read_path(f"{path}/cgroup.controllers").split()))
