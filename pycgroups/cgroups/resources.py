"""`linux.resources`: what is asked for, which controllers it needs, and what to call it. Pure."""

from __future__ import annotations

from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from functools import lru_cache
    from typing import Any

    from pycgroups.cgroups.limits import Limits
    from pycgroups.oci.resources import Resources
else:
    from pycgroups.caches import lru_cache

OBSOLETE = frozenset({"memory.kernel", "memory.kernelTCP", "memory.useHierarchy", "blockIO.leafWeight"})
"""Ignored, as runc does, and `leaf_weight` of a device with them: they are listed in `Cgroup.unenforced`, and never an
error. The kernel has dropped them: cgroup-v1/memory.rst; leaf weights went with the CFQ scheduler in Linux 5.0."""

_CONTROLLERS = {
    "cpu.cpus": "cpuset",
    "cpu.mems": "cpuset",
    "network.classID": "net_cls",
    "network.priorities": "net_prio",
    "blockIO": "io",
    "hugepageLimits": "hugetlb",
}
_WORDS = {
    "memory.limit": "memory",
    "memory.swap": "memory_swap",
    "memory.reservation": "memory_low",
    "unified['memory.high']": "memory_high",
    "cpu.quota": "cpus",
    "cpu.period": "cpus",
    "cpu.shares": "cpu_weight",
    "unified['cpu.weight']": "cpu_weight",
    "cpu.cpus": "cpuset",
    "pids.limit": "pids",
    "blockIO.weight": "io_weight",
    "unified['io.weight']": "io_weight",
    "blockIO.throttleReadBpsDevice": "io_limits",
    "blockIO.throttleWriteBpsDevice": "io_limits",
    "blockIO.throttleReadIOPSDevice": "io_limits",
    "blockIO.throttleWriteIOPSDevice": "io_limits",
    "hugepageLimits": "hugepages",
}


@lru_cache(maxsize=64)
def given(resources: Resources) -> dict[str, str]:
    """Map the path of everything that is asked for ("memory.limit") to the controller that enforces it."""
    return {path: _controller(path, head) for path, head, _ in items(resources) if path not in OBSOLETE}


@lru_cache(maxsize=64)
def controllers(resources: Resources) -> frozenset[str]:
    """Name the controllers that enforce these, by their names on v2 (v1's blkio is "io" here)."""
    return frozenset(given(resources).values())


@lru_cache(maxsize=64)
def ignored(resources: Resources) -> tuple[str, ...]:
    """Paths of what is asked for and has no meaning any more."""
    return tuple(path for path, _, _ in items(resources) if path in OBSOLETE)


@lru_cache(maxsize=256)
def concerned(among: frozenset[str], resources: Resources) -> tuple[str, ...]:
    """Name those among some controllers that enforce any of these, in the order in which they are asked."""
    return tuple(sorted(among & controllers(resources)))


def controller_of_file(name: str) -> str:
    """Name the controller that an interface file is of: "memory.high" is of "memory"."""
    return name.partition(".")[0]


def names(paths: Iterable[str], limits: Limits | None) -> tuple[str, ...]:
    """Call what is at these paths as the caller did: by words, in their order, or else by "resources.PATH"."""
    if limits is not None:
        from pycgroups.cgroups.limits import NO_LIMITS, WORDS

    if limits is None or limits == NO_LIMITS:
        return tuple(f"resources.{path}" for path in paths)
    found = {_WORDS[path] for path in paths}
    return tuple(word for word in WORDS if word in found)


def items(resources: Resources) -> Iterator[tuple[str, str, Any]]:
    """Walk what is given: path, its first part or, in `unified`, the file, and the value."""
    for _, part, value in resources.given():
        if part == "unified":
            yield from ((f"unified[{name!r}]", name, text) for name, text in value)
        elif isinstance(value, Model):
            yield from ((f"{part}.{name}", part, inner) for _, name, inner in value.given())
        else:
            yield part, part, value


def _controller(path: str, head: str) -> str:
    if path.startswith("unified"):
        return controller_of_file(head)
    return _CONTROLLERS.get(path) or _CONTROLLERS.get(head, head)
