"""A group is made at a place that somebody else chose: `linux.cgroupsPath` of an OCI runtime.

It outlives the process that makes it, is never swept, and is found again by the list of its directories:
see `pycgroups.cgroups.placed`::

    group = create("/machine/web", "web", spec.linux.resources)    # where the manager is cgroupfs
    ... clone with group.clone_fd; the child writes to group.join_fds; keep group.paths; group.let_go()

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

from pycgroups.cgroups import by_path, detect, given, places, resources, tree, unenforced
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.held import Held
from pycgroups.cgroups.v1 import devices as v1_devices
from pycgroups.cgroups.v1 import manager as v1
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import AlreadyExists, CgroupError, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.oci.resources import Resources

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Placing(Held):
    """A group that is being made. As a context manager it lets go of it.

    Attributes:
        unit: the scope of systemd's that it is in, or "".
    """

    __slots__ = ("unit",)

    def __init__(self, name: str) -> None:
        """Not for users: `create` makes it."""
        super().__init__(name)
        self.unit = ""

    def hold(self, place: Place) -> Manager:
        """Open one of its directories.

        Raises:
            CgroupError: it cannot be opened.
        """
        self._managers.append(places.held(place))
        return self._managers[-1]

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

    def remove(self) -> None:
        """Remove it, and kill what is in it.

        Raises:
            CgroupError: it cannot be removed.
        """
        from pycgroups.cgroups import placed  # what is made is seldom removed at once

        paths = self.paths
        self.let_go()
        placed.remove(paths, self.unit)

    def __enter__(self) -> Self:
        """Let go of it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.let_go()


def create(
    path: str | None,
    id_: str,
    wanted: Resources | None,
    optional: Limits | None = None,
    words: Limits | None = None,
) -> Placing:
    """Make a group, or take one that is there and empty.

    Args:
        path: as `linux.cgroupsPath` has it.
        id_: the container's, its place where there is no path.
        wanted: the limits, `linux.resources`.
        optional: as for `Placing.limit`.
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
    group = Placing(path)
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


def _make(group: Placing, hierarchy: Hierarchy, path: str, made: list[str]) -> None:
    """Make a directory in one hierarchy, and those above it; what is new is added to `made`."""
    if hierarchy.version == detect.V2:
        _check_entry(hierarchy.own, path)
    new = _make_one(path, made) if _is_fit(hierarchy, os.path.dirname(path)) else None
    if new is None:
        new = _make_from_top(hierarchy, path, made)
    if not new:
        _check_writable(path)
    manager = group.hold(by_path.place_in(hierarchy, path))
    if hierarchy.version == detect.V1:
        v1.prepare(manager.directory, hierarchy.controllers)
    _check_free(manager, new=new)


def _is_fit(hierarchy: Hierarchy, above: str) -> bool:
    """Tell whether a directory hands down all that it can, as far as that is told by one look."""
    if hierarchy.version == detect.V1:
        return v1.is_fit(above, hierarchy.controllers)
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
        if hierarchy.version == detect.V1 and above != path:
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
