"""What a container sees of cgroups where its config.json mounts them: its own group, in each hierarchy.

They are bound from the host's mounts, which works in every kind of namespace, and shows nothing above the group.
Source: config-linux.md, "Control groups".
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_TOP = "/sys/fs/cgroup"


class Shown(NamedTuple):
    """A directory of the host's, and its name in the mount: "memory", or "" for the mount itself."""

    name: str
    path: str


def shown(paths: Sequence[str]) -> tuple[Shown, ...]:
    """Say what is to be seen of a group's directories; without any, all that the host shows, to be read only."""
    from pycgroups.cgroups import detect

    if not paths:
        return (Shown("", _TOP),)
    mounts = [each.mount for each in detect.everything()]
    result = []
    for path in paths:
        mount = next(each for each in mounts if f"{path}/".startswith(f"{each}/"))
        result.append(Shown("" if len(mounts) == 1 and mount == _TOP else os.path.basename(mount), path))
    return tuple(result)


def links(name: str) -> tuple[str, ...]:
    """Name the links to a hierarchy of several controllers: "cpu" and "cpuacct" of "cpu,cpuacct"."""
    parts = name.split(",")
    return tuple(parts) if len(parts) > 1 else ()
