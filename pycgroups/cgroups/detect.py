"""What cgroup hierarchies there are, and where this process is in each: the only code that finds out.

From `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`) and `/proc/self/cgroup` (`cgroups(7)`, "/proc files").
It is read once per process; `forget()` when it turns out to be out of date.
"""

from __future__ import annotations

import os

from pycgroups.cgroups.files import read_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import cache
    from typing import NamedTuple
else:
    from pycgroups.caches import cache
    from pycgroups.records import NamedTuple

V1 = 1
V2 = 2

_SYSTEMD_RUNS = "/run/systemd/system"
_NAMESPACE = "/proc/self/ns/cgroup"
_FIRST_NAMESPACE = 0xEFFFFFFB  # PROC_CGROUP_INIT_INO, include/linux/proc_ns.h
# What runs a container leaves one of these in it. The first has its name as text.
_CONTAINER = "/run/systemd/container"  # https://systemd.io/CONTAINER_INTERFACE
_CONTAINERS = {"/run/.containerenv": "podman", "/.dockerenv": "docker", "/dev/lxd/sock": "lxc"}


class Hierarchy(NamedTuple):
    """One mounted cgroup hierarchy.

    Attributes:
        version: 1 or 2.
        controllers: names of its controllers, v1's blkio by its name on v2, "io"; on v2 those that the topmost
            visible cgroup has.
        mount: where it is mounted.
        own: directory of the cgroup that this process is in, at or below `mount`.
        read_only: nothing can be changed by way of this mount.
        partial: what is mounted is not the whole hierarchy but a cgroup of it, by a namespace or a bind mount.
        root: the cgroup that appears at `mount`, by its name in /proc/PID/cgroup.
    """

    version: int
    controllers: frozenset[str]
    mount: str
    own: str
    read_only: bool = False
    partial: bool = False
    root: str = "/"

    def directory_of(self, path: str) -> str | None:
        """Directory of a cgroup of /proc/PID/cgroup; None if it is not below this mount, or hidden."""
        return _directory_of(self.root, self.mount, path)


@cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Hierarchies in which this process can see its own cgroup; v1's first, then v2's. Cached."""
    return _match(_mounted(), read_path("/proc/self/cgroup"))


@cache
def named() -> tuple[Hierarchy, ...]:
    """Hierarchies of v1 that have a name and no controller, as systemd's: book-keeping. Cached."""
    return _match(_mounted(), read_path("/proc/self/cgroup"), named=True)


@cache
def everything() -> tuple[Hierarchy, ...]:
    """All hierarchies: v2's first, and those without a controller too. Cached."""
    return tuple(sorted((*hierarchies(), *named()), key=lambda each: -each.version))


def forget() -> None:
    """Look again at the next question: the cgroup of this process was removed or another was entered."""
    for cached in (_mounted, hierarchies, named, everything):
        cached.cache_clear()


def kind(found: tuple[Hierarchy, ...]) -> str:
    """Name the layout: "v1", "v2", "hybrid" (v1 controllers beside a v2 tree) or "none"."""
    versions = {hierarchy.version for hierarchy in found if hierarchy.version == V2 or hierarchy.controllers}
    return {frozenset(): "none", frozenset({V1}): "v1", frozenset({V2}): "v2"}.get(frozenset(versions), "hybrid")


def systemd_runs() -> bool:
    """Tell whether systemd is the init of this machine, or of the container around; `sd_booted(3)`."""
    return os.path.isdir(_SYSTEMD_RUNS)


def container() -> str | None:
    """Name what made the container around this process, "docker" for one; None outside, or if it does not tell."""
    named = read_path(_CONTAINER).strip()
    return named or next((name for path, name in _CONTAINERS.items() if os.path.exists(path)), None)


def namespaced() -> bool:
    """Tell whether this process is in a cgroup namespace other than the machine's; `cgroup_namespaces(7)`."""
    try:
        return os.stat(_NAMESPACE).st_ino != _FIRST_NAMESPACE
    except OSError:
        return False


def parse(mountinfo: str, own_cgroups: str, *, named: bool = False) -> tuple[Hierarchy, ...]:
    """Match the lines of the two files; what is not mounted, or not where this process is, is left out.

    So are hierarchies of v1 that have a name instead of controllers; or all others, if `named` is asked for.
    Of several mounts of a hierarchy the first that can be written to is taken, else the first.
    """
    return _match(_mounts(mountinfo), own_cgroups, named=named)


@cache
def _mounted() -> list[_Mount]:
    return _mounts(read_path("/proc/self/mountinfo"))


def _mounts(mountinfo: str) -> list[_Mount]:
    """Mounts of cgroups; those that can be written to first."""
    # A later mount at the same point hides an earlier one, of whatever kind.
    at = {mount.point: mount for mount in map(_mount, mountinfo.splitlines())}
    return sorted((mount for mount in at.values() if mount.version), key=lambda mount: mount.read_only)


def _match(mounts: list[_Mount], own_cgroups: str, *, named: bool = False) -> tuple[Hierarchy, ...]:
    found = []
    for line in own_cgroups.splitlines():
        number, names, path = line.split(":", 2)
        wanted = frozenset(names.split(",")) if names else frozenset()
        version = V2 if number == "0" else V1
        if named != (version == V1 and any(name.startswith("name=") for name in wanted)):
            continue
        for mount in mounts:
            if mount.version == version and wanted <= mount.options and (own := mount.directory_of(path)):
                found.append(_hierarchy(wanted, mount, own))
                break
    return tuple(sorted(found, key=lambda hierarchy: hierarchy.version))


class _Mount(NamedTuple):
    """One mount: `root` is the cgroup that appears at `point`. The version is 0, and no more known, of other kinds."""

    version: int
    root: str
    point: str
    options: frozenset[str]
    read_only: bool

    def directory_of(self, path: str) -> str | None:
        """Do as `Hierarchy.directory_of`."""
        return _directory_of(self.root, self.point, path)


def _directory_of(root: str, point: str, path: str) -> str | None:
    top = root.rstrip("/")
    below = path.removeprefix(top)
    # ".." stands for what is above the root of the cgroup namespace, which cannot be reached from here.
    if not f"{path}/".startswith(f"{top}/") or ".." in below.split("/"):
        return None
    directory = f"{point}{below}".rstrip("/")
    return directory if os.path.isdir(directory) else None


def _mount(line: str) -> _Mount:
    # 31 23 0:26 /root /mount/point rw,nosuid shared:4 - cgroup source rw,memory
    before, _, after = line.partition(" - ")
    _, _, _, root, point, own_options, *_ = before.split(" ")
    kind_of_fs, _, last = after.split(" ", 2) if after.count(" ") > 1 else ("", "", "")
    version = {"cgroup": V1, "cgroup2": V2}.get(kind_of_fs, 0)
    if not version:
        return _Mount(version, "", _unescape(point), frozenset(), read_only=False)
    options = frozenset(last.split(","))
    return _Mount(version, _unescape(root), _unescape(point), options, "ro" in options.union(own_options.split(",")))


def _unescape(field: str) -> str:
    r"""Decode the octal escapes of mountinfo: space, tab, newline and backslash are \040 \011 \012 \134."""
    first, *rest = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _hierarchy(names: frozenset[str], mount: _Mount, own: str) -> Hierarchy:
    partial = mount.root != "/"
    names = frozenset(name for name in names if not name.startswith("name="))
    if mount.version == V2:
        names = frozenset(read_path(f"{mount.point}/cgroup.controllers").split())
        partial = os.path.exists(f"{mount.point}/cgroup.type")  # which the real root alone has not
    elif "blkio" in names:
        names = names - {"blkio"} | {"io"}
    return Hierarchy(
        version=mount.version,
        controllers=names,
        mount=mount.point,
        own=own,
        read_only=mount.read_only,
        partial=partial,
        root=mount.root,
    )
