"""Which user and group ids of a container are which on the host: `IdMap`; user_namespaces(7).

An `IdMap` is a map (`parse`, `single`), the word "host" (no user namespace), or one of the words "auto" and "keep-id",
which `resolve_auto` and `resolve_keep_id` turn into maps once the caller's ids and subordinate ids are known.
"""

from __future__ import annotations

import os
from itertools import pairwise

from pycgroups.errors import InvalidConfig
from pycgroups.oci.runtime_spec import IdMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from attrs import frozen
else:
    from pycgroups.frozen import frozen

# The last id is 2**32 - 2: (uid_t)-1 means "leave alone" to chown(2) and setresuid(2), and is never an id.
END_OF_IDS = 2**32 - 1
# UID_GID_MAP_MAX_EXTENTS of the kernel, since 4.15.
MAX_EXTENTS = 340
# What root's containers get: as many ids as a Debian system expects to have, nobody (65534) included.
AUTO_SIZE = 65536

_FORMAT = "INSIDE:OUTSIDE:COUNT[,INSIDE:OUTSIDE:COUNT...]"


@frozen
class IdMap:
    """A map of user and group ids, or a marker for one that is decided later.

    Attributes:
        kind: ``"map"``, ``"auto"``, ``"keep-id"`` or ``"host"``; none but the first has mappings.
        uids: the mappings of user ids, each ``(container_id, host_id, size)``.
        gids: the mappings of group ids.

    Raises:
        InvalidConfig: mappings overlap, are empty, too many (340) or beyond the last id (2**32 - 2).
    """

    kind: Literal["map", "auto", "keep-id", "host"] = "map"
    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse what the kernel would refuse, with a better text than its EINVAL."""
        if self.kind == "map":
            _check(self.uids, "uid")
            _check(self.gids, "gid")

    @classmethod
    def parse(cls, uids: str, gids: str | None = None) -> IdMap:
        """Read ``"0:100000:65536[,...]"``: inside, outside, count, as in newuidmap(1).

        Args:
            uids: the map of user ids.
            gids: the map of group ids; left out, it is the same as that of user ids.

        Raises:
            InvalidConfig: not of this form, or not a map that the kernel takes.
        """
        uid_mappings = _parse(uids, "uid")
        return cls(uids=uid_mappings, gids=uid_mappings if gids is None else _parse(gids, "gid"))

    @classmethod
    def single(cls) -> IdMap:
        """Map the caller, and nobody else, to root inside; every account may do this by itself."""
        return cls(uids=(IdMapping(0, os.geteuid(), 1),), gids=(IdMapping(0, os.getegid(), 1),))

    @classmethod
    def auto(cls) -> IdMap:
        """Leave the choice to the start of the container; see `resolve_auto`."""
        return cls(kind="auto")

    @classmethod
    def keep_id(cls) -> IdMap:
        """Give the caller the same user and group id inside as outside, and subordinate ids to the others.

        As ``podman run --userns=keep-id``; for ordinary users. The program is the caller by default (``user``), and
        what it writes into a bind mount is theirs. Without subordinate ids (subuid(5)) there is nobody else inside, not
        even root.
        """
        return cls(kind="keep-id")

    @classmethod
    def host(cls) -> IdMap:
        """Make no user namespace: ids inside are the host's."""
        return cls(kind="host")


def resolve_auto(
    caller_uid: int,
    caller_gid: int,
    subuid_ranges: tuple[tuple[int, int], ...],
    subgid_ranges: tuple[tuple[int, int], ...],
    base: int,
) -> IdMap:
    """Decide what `IdMap.auto` means for a caller.

    Root gets 65536 ids from ``base`` on, so that no id inside is one of the host's accounts. An account with
    subordinate ids (subuid(5)) is root inside, its subordinate ids follow from 1 on. Any other account is
    alone in its map.

    Args:
        caller_uid: the effective user id.
        caller_gid: the effective group id.
        subuid_ranges: ``(start, count)`` of each range of subordinate user ids.
        subgid_ranges: the same for groups.
        base: the first host id for root's containers.

    Raises:
        InvalidConfig: the ranges overlap each other or the caller's own id.
    """
    if caller_uid == 0:
        mappings = (IdMapping(0, base, AUTO_SIZE),)
        return IdMap(uids=mappings, gids=mappings)
    if not subuid_ranges or not subgid_ranges:
        subuid_ranges = subgid_ranges = ()
    return IdMap(uids=_lay_out(caller_uid, subuid_ranges), gids=_lay_out(caller_gid, subgid_ranges))


def resolve_keep_id(
    caller_uid: int,
    caller_gid: int,
    subuid_ranges: tuple[tuple[int, int], ...],
    subgid_ranges: tuple[tuple[int, int], ...],
) -> IdMap:
    """Decide what `IdMap.keep_id` means for a caller: their ids are themselves, subordinate ids are all around.

    Args:
        caller_uid: the effective user id.
        caller_gid: the effective group id.
        subuid_ranges: ``(start, count)`` of each range of subordinate user ids.
        subgid_ranges: the same for groups.

    Raises:
        InvalidConfig: the ranges overlap each other or the caller's own id.
    """
    if not subuid_ranges or not subgid_ranges:
        subuid_ranges = subgid_ranges = ()
    return IdMap(uids=_lay_around(caller_uid, subuid_ranges), gids=_lay_around(caller_gid, subgid_ranges))


def _lay_around(caller: int, ranges: tuple[tuple[int, int], ...]) -> tuple[IdMapping, ...]:
    mappings = [IdMapping(caller, caller, 1)]
    inside = 0
    for start, count in ranges:
        below = max(0, min(count, caller - inside))
        above = count - below
        if below:
            mappings.append(IdMapping(inside, start, below))
        if above:
            mappings.append(IdMapping(max(inside + below, caller + 1), start + below, above))
        inside = mappings[-1].container_id + mappings[-1].size
    return tuple(sorted(mappings, key=lambda mapping: mapping.container_id))


def _lay_out(caller: int, ranges: tuple[tuple[int, int], ...]) -> tuple[IdMapping, ...]:
    mappings = [IdMapping(0, caller, 1)]
    inside = 1
    for start, count in ranges:
        mappings.append(IdMapping(inside, start, count))
        inside += count
    return tuple(mappings)


def is_single(idmap: IdMap) -> bool:
    """Tell whether a map has one user and one group alone."""
    return all(sum(mapping.size for mapping in mappings) == 1 for mappings in (idmap.uids, idmap.gids))


def covers(mappings: tuple[IdMapping, ...], others: tuple[IdMapping, ...]) -> bool:
    """Tell whether each id that the others map is mapped to the same one here."""
    for other in others:
        inside, end, shift = other.container_id, other.container_id + other.size, other.host_id - other.container_id
        while inside < end:
            for each in mappings:
                if (
                    each.container_id <= inside < each.container_id + each.size
                    and each.host_id - each.container_id == shift
                ):
                    inside = each.container_id + each.size
                    break
            else:
                return False
    return True


def subordinate_ranges(name: str, uid: int, path: str = "/etc/subuid") -> tuple[tuple[int, int], ...]:
    """Read an account's ranges from ``/etc/subuid`` or ``/etc/subgid``; none when the file is not there.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse_subordinate(file, name, uid)
    except FileNotFoundError:
        return ()


def parse_subordinate(lines: Iterable[str], name: str, uid: int) -> tuple[tuple[int, int], ...]:
    """Return ``(start, count)`` of each line ``OWNER:START:COUNT`` whose owner is the name or the uid.

    Lines of another form and empty ranges are passed over, as newuidmap(1) does; subuid(5).
    """
    owners = {name, str(uid)}
    ranges = []
    for line in lines:
        owner, _, numbers = line.strip().partition(":")
        start, _, count = numbers.partition(":")
        if owner in owners and _is_id(start) and _is_id(count) and int(count) > 0:
            ranges.append((int(start), int(count)))
    return tuple(ranges)


def _parse(text: str, kind: str) -> tuple[IdMapping, ...]:
    if not isinstance(text, str):
        raise _invalid(kind, f"got a value of type {type(text).__name__}, allowed: {_FORMAT}")
    mappings = []
    for part in text.split(","):
        numbers = part.split(":")
        if len(numbers) != 3 or not all(map(_is_id, numbers)):  # noqa: PLR2004 (the three of _FORMAT)
            raise _invalid(kind, f"got {part[:80]!r}, allowed: {_FORMAT}")
        mappings.append(IdMapping(*map(int, numbers)))
    return tuple(mappings)


def _is_id(text: str) -> bool:
    """Decimal and short: int() also takes other scripts' digits, signs, spaces and underscores."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(END_OF_IDS))


def _check(mappings: tuple[IdMapping, ...], kind: str) -> None:
    if not 1 <= len(mappings) <= MAX_EXTENTS:
        raise _invalid(kind, f"got {len(mappings)} mappings, allowed: 1 to {MAX_EXTENTS}")
    for mapping in mappings:
        first, last = min(mapping.container_id, mapping.host_id), max(mapping.container_id, mapping.host_id)
        if first < 0 or mapping.size < 1 or last + mapping.size > END_OF_IDS:
            allowed = f"a COUNT from 1 on, and ids from 0 to {END_OF_IDS - 1}"
            raise _invalid(kind, f"got {_shown(mapping)}, allowed: {allowed}")
    _check_overlap([(mapping.container_id, mapping) for mapping in mappings], kind, "inside")
    _check_overlap([(mapping.host_id, mapping) for mapping in mappings], kind, "outside")


def _check_overlap(starts: list[tuple[int, IdMapping]], kind: str, side: str) -> None:
    starts.sort(key=lambda start: start[0])
    for (first, mapping), (second, other) in pairwise(starts):
        if first + mapping.size > second:
            raise _invalid(kind, f"{_shown(mapping)} and {_shown(other)} overlap {side}")


def _shown(mapping: IdMapping) -> str:
    return f"{mapping.container_id}:{mapping.host_id}:{mapping.size}"


def _invalid(kind: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=f"userns.{kind}s")
