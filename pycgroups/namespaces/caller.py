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
        privileged: may open trees of its own mount namespace (CAP_SYS_ADMIN).
        nested: is itself in a user namespace that has not all ids.
        groups: that user namespace allows setgroups(2), and so those below it.
        leaves_groups: it may call setgroups(2) itself.
        subuids: ``(start, count)`` of subordinate user ids; subuid(5).
        subgids: the same for groups.
    """

    uid: int
    gid: int
    privileged: bool
    nested: bool
    groups: bool = True
    leaves_groups: bool = False
    subuids: tuple[tuple[int, int], ...] = ()
    subgids: tuple[tuple[int, int], ...] = ()

    @property
    def owns_mounts(self) -> bool:
        """Whether it may idmap the host's file systems, and unlock its mounts: in a user namespace nobody may."""
        return self.privileged and not self.nested


def caller() -> Caller:
    """Return the facts, looked up again when the process has changed its ids."""
    return _caller(os.geteuid(), os.getegid())


@lru_cache(maxsize=4)
def _caller(uid: int, gid: int) -> Caller:
    rights = own.rights()
    facts = Caller(uid, gid, rights.privileged, rights.nested, rights.groups, rights.leaves_groups)
    if uid == 0:
        return facts
    name = _account_name(uid)
    subuids, subgids = (_ranges(f"/etc/sub{kind}", f"/proc/self/{kind}_map", name, uid) for kind in ("uid", "gid"))
    both = bool(subuids and subgids)
    return facts._replace(subuids=subuids, subgids=subgids) if both else facts


def _ranges(path: str, map_: str, name: str, uid: int) -> tuple[tuple[int, int], ...]:
    """Return the account's ranges; in a container, of those in a file of another one's those that there are."""
    try:
        found = subordinate_ranges(name, uid, path)
    except OSError:  # a file that we may not read gives us nothing
        return ()
    own = _own(map_)
    return tuple(
        (first, size)
        for first, size in found
        if any(one.container_id <= first and first + size <= one.container_id + one.size for one in own)
    )


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
