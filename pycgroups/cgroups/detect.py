"""What cgroup hierarchies there are, and where this process is in each: the only code that finds out.

From `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`) and `/proc/self/cgroup` (`cgroups(7)`, "/proc files").
It is read once per process; `forget()` when it turns out to be out of date.
"""

from __future__ import annotations

import functools
import os

import attrs

from pycgroups.cgroups.files import read_path

V1 = 1
V2 = 2


@attrs.frozen(kw_only=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Attributes:
        version: 1 or 2.
        controllers: names of its controllers, v1's blkio by its name on v2, "io"; on v2 those that the topmost
            visible cgroup has.
        mount: where it is mounted.
        own: directory of the cgroup that this process is in, at or below `mount`.
    """

    version: int
    controllers: frozenset[str]
    mount: str
    own: str


@functools.cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Hierarchies in which this process can see its own cgroup; v1's first, then v2's. Cached."""
    return parse(read_path("/proc/self/mountinfo"), read_path("/proc/self/cgroup"))


def forget() -> None:
    """Look again at the next question: the cgroup of this process was removed or another was entered."""
    hierarchies.cache_clear()


def kind(found: tuple[Hierarchy, ...]) -> str:
    """Name the layout: "v1", "v2", "hybrid" (v1 controllers beside a v2 tree) or "none"."""
    versions = {hierarchy.version for hierarchy in found if hierarchy.version == V2 or hierarchy.controllers}
    return {frozenset(): "none", frozenset({V1}): "v1", frozenset({V2}): "v2"}.get(frozenset(versions), "hybrid")


def parse(mountinfo: str, own_cgroups: str) -> tuple[Hierarchy, ...]:
    """Match the lines of the two files; what is not mounted, or not where this process is, is left out."""
    mounts = [mount for mount in map(_mount, mountinfo.splitlines()) if mount]
    found = []
    for line in own_cgroups.splitlines():
        number, names, path = line.split(":", 2)
        wanted = frozenset(names.split(",")) if names else frozenset()
        version = V2 if number == "0" else V1
        if version == V1 and any(name.startswith("name=") for name in wanted):
            continue  # systemd's book-keeping: no controller
        for mount in mounts:
            if mount.version == version and wanted <= mount.options and (own := mount.directory_of(path)):
                found.append(_hierarchy(version, wanted, mount.point, own))
                break
    return tuple(sorted(found, key=lambda hierarchy: hierarchy.version))


@attrs.frozen
class _Mount:
    """One cgroup mount: `root` is the cgroup that appears at `point`."""

    version: int
    root: str
    point: str
    options: frozenset[str]

    def directory_of(self, path: str) -> str | None:
        """Directory of a cgroup of /proc/self/cgroup; None if it is not below this mount, or hidden."""
        top = self.root.rstrip("/")
        below = path.removeprefix(top)
        # ".." stands for what is above the root of the cgroup namespace, which cannot be reached from here.
        if not f"{path}/".startswith(f"{top}/") or ".." in below.split("/"):
            return None
        directory = f"{self.point}{below}".rstrip("/")
        return directory if os.path.isdir(directory) else None


def _mount(line: str) -> _Mount | None:
    # 31 23 0:26 /root /mount/point rw,nosuid shared:4 - cgroup source rw,memory
    before, _, after = line.partition(" - ")
    kind_of_fs, _, options = after.split(" ", 2) if after.count(" ") > 1 else ("", "", "")
    if kind_of_fs not in ("cgroup", "cgroup2"):
        return None
    _, _, _, root, point, *_ = before.split(" ")
    version = V2 if kind_of_fs == "cgroup2" else V1
    return _Mount(version, _unescape(root), _unescape(point), frozenset(options.split(",")))


def _unescape(field: str) -> str:
    r"""Decode the octal escapes of mountinfo: space, tab, newline and backslash are \040 \011 \012 \134."""
    first, *rest = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _hierarchy(version: int, names: frozenset[str], mount: str, own: str) -> Hierarchy:
    if version == V2:
        names = frozenset(read_path(f"{mount}/cgroup.controllers").split())
    elif "blkio" in names:
        names = names - {"blkio"} | {"io"}
    return Hierarchy(version=version, controllers=names, mount=mount, own=own)
