"""Room in the own cgroup of this process: what has processes hands no controllers down, so it moves into a leaf.

a.service/              delegated to this user; this process was in it, alone
    self/               where it is now
    pycgroups/GROUP/    groups, limited
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.cgroups import detect, places
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v2.manager import writable

if TYPE_CHECKING:
    from pycgroups.cgroups.detect import Hierarchy

_SELF = "self"


def offers(found: tuple[Hierarchy, ...]) -> frozenset[str]:
    """Name the controllers that the own cgroup could hand down, if this process, alone in it, moved into a leaf."""
    for hierarchy in found:
        if hierarchy.version == detect.V2 and writable(hierarchy.own):
            alone = read_path(f"{hierarchy.own}/cgroup.procs").split() == [str(os.getpid())]
            return frozenset(read_path(f"{hierarchy.own}/cgroup.controllers").split()) if alone else frozenset()
    return frozenset()


def enter() -> None:
    """Move this process, with all its threads, into a leaf of its own cgroup.

    Raises:
        CgroupError: the kernel refuses.
    """
    own = next(hierarchy.own for hierarchy in detect.hierarchies() if hierarchy.version == detect.V2)
    places.make_directory(f"{own}/{_SELF}")
    with places.opened(f"{own}/{_SELF}") as leaf:
        leaf.write("cgroup.procs", "0")
    places.forget()
