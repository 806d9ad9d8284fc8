"""Names of groups: what users may choose, and what is made up. Pure."""

from __future__ import annotations

import os

from pycgroups.errors import invalid

MADE_UP = "run."
"""How made-up names begin; no other name may."""

_LONGEST = 255  # NAME_MAX, bytes
_DEEPEST = 16
# Interface files begin so: a group called "memory.max" would collide (cgroup-v2.rst, "Avoid Name Collisions").
_CONTROLLERS = (
    *("blkio", "cgroup", "cpu", "cpuacct", "cpuset", "devices", "dmem", "freezer", "hugetlb", "io", "memory"),
    *("misc", "net_cls", "net_prio", "perf_event", "pids", "rdma"),
)
_RESERVED = ("notify_on_release", "release_agent", "tasks")


def fresh() -> str:
    """Make up a name: unique, and telling people who made the group."""
    return f"{MADE_UP}{os.getpid()}.{os.urandom(4).hex()}"


def check(name: str) -> None:
    """Accept "a" and "a/b/c", of printable characters without spaces.

    Raises:
        InvalidConfig: anything else: "", "/a", "a//b", "..", ".a", newlines, names of interface files.
    """
    parts = name.split("/") if isinstance(name, str) else [""]
    if len(parts) > _DEEPEST or not all(map(_good, parts)):
        allowed = (
            f"at most {_DEEPEST} parts joined by '/', each 1 to {_LONGEST} bytes, printable, without spaces, "
            f"not beginning with '.' or {MADE_UP!r}, and no name of a cgroup file"
        )
        raise invalid("name", name, allowed)


def _good(part: str) -> bool:
    return (
        part.isprintable()
        and not any(character.isspace() for character in part)
        and 0 < len(part.encode()) <= _LONGEST
        and not part.startswith((".", MADE_UP))
        and not ("." in part and part.partition(".")[0] in _CONTROLLERS)
        and part not in _RESERVED
    )
