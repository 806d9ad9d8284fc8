"""Who starts containers: the facts about this process that decide how."""

from __future__ import annotations

import os

from pycgroups.namespaces import own
from pycgroups.namespaces.idmap import IdMap, subordinate_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups.oci.runtime_spec import IdMapping
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple


class Caller(NamedTuple):
    """The account, and what it may do.

    Attributes:
        uid: effective user id.
        gid: effective group id.
        privileged: may open and idmap trees of its own mount namespace (CAP_SYS_ADMIN).
        nested: is itself in a user namespace that has not all ids.
        subuids: ``(start, count)`` of subordinate user ids; subuid(5).
        subgids: the same for groups.
    """

    uid: int
    gid: int
    privileged: bool
    nested: bool
    subuids: tuple[tuple[int, int], ...] = ()
    subgids: tuple[tuple[int, int], ...] = ()


def caller() -> Caller:
    """Return the facts, looked up again when the process has changed its ids."""
    return _caller(os.geteuid(), os.getegid())


@lru_cache(maxsize=4)
def _caller(uid: int, gid: int) -> Caller:
    privileged = own.is_privileged()
    if uid == 0:
        return Caller(uid=uid, gid=gid, privileged=privileged, nested=own.is_nested())
    name = _account_name(uid)
    subuids, subgids = (_ranges(path, name, uid) for path in ("/etc/subuid", "/etc/subgid"))
    both = bool(subuids and subgids)
    return Caller(
        uid=uid,
        gid=gid,
        privileged=privileged,
        nested=own.is_nested(),
        subuids=subuids if both else (),
        subgids=subgids if both else (),
    )


def _ranges(path: str, name: str, uid: int) -> tuple[tuple[int, int], ...]:
    try:
        return subordinate_ranges(name, uid, path)
    except OSError:  # a file that we may not read gives us nothing
        return ()


def _account_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def own_map() -> IdMap:
    """Map every id that this process has to itself: for root in a user namespace, which has no others to give."""
    return IdMap(uids=_own("/proc/self/uid_map"), gids=_own("/proc/self/gid_map"))


def _own(path: str) -> tuple[IdMapping, ...]:
    from pycgroups.oci.runtime_spec import IdMapping

    with open(path, encoding="ascii") as file:
        numbers = [[int(word) for word in line.split()] for line in file]
    return tuple(IdMapping(inside, inside, size) for inside, _, size in numbers)
