"""Which id map a container gets: the policy behind ``userns="auto"``."""

from __future__ import annotations

from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.namespaces.caller import own_map
from pycgroups.namespaces.idmap import IdMap, resolve_auto, resolve_keep_id
from pycgroups.namespaces.ranges import FIRST
from pycgroups.oci.runtime_spec import IdMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.namespaces.caller import Caller


def choose_map(config: ContainerConfig, caller: Caller) -> IdMap:
    """Decide the id map of a container. A range that is leased at the start shows as beginning at `ranges.FIRST`.

    Root: 65536 ids of the container's own, far from the host's accounts. An ordinary user: themselves as the
    container's root, and their subordinate ids from 1 on; but when the container shows the host's root and no
    directory of theirs is to be written, the subordinate ids alone, so that the program is a stranger even to
    the files of the user who started it. Without subordinate ids: just themselves.

    Raises:
        Unsupported: ``userns="host"`` without the rights that a container needs then; "keep-id" for root.
    """
    if config.userns.kind == "map":
        return config.userns
    if config.userns.kind == "host":
        if not caller.privileged:
            raise Unsupported(
                "a container without a user namespace needs root (CAP_SYS_ADMIN)",
                operation="option",
                path="userns",
                hint='leave userns at "auto"',
            )
        return config.userns
    if caller.uid == 0 and caller.nested:
        return own_map()
    if config.userns.kind == "keep-id":
        if caller.uid == 0:
            raise Unsupported(
                "root's own id is no less than root inside",
                operation="option",
                path="userns",
                hint='"auto", by which root of the container is nobody on the host; or "host"',
            )
        return resolve_keep_id(caller.uid, caller.gid, caller.subuids, caller.subgids)
    if caller.uid != 0 and caller.subuids and is_stranger(config):
        return IdMap(uids=_from_zero(caller.subuids), gids=_from_zero(caller.subgids))
    return resolve_auto(caller.uid, caller.gid, caller.subuids, caller.subgids, FIRST)


def is_stranger(config: ContainerConfig) -> bool:
    """Tell whether the container shows nothing of the host that its user should own inside."""
    return (
        config.image == "host"
        and config.workspace is None
        and not any(mount.kind in {"bind", "overlay"} for mount in (*config.mounts, *config.volumes))
    )


def is_leased(config: ContainerConfig, caller: Caller) -> bool:
    """Tell whether the map is a range that must be leased (`pycgroups.namespaces.ranges`)."""
    return config.isolation == "container" and config.userns.kind == "auto" and caller.uid == 0 and not caller.nested


def _from_zero(ranges: tuple[tuple[int, int], ...]) -> tuple[IdMapping, ...]:
    inside, result = 0, []
    for start, count in ranges:
        result.append(IdMapping(inside, start, count))
        inside += count
    return tuple(result)


def shift(mappings: tuple[IdMapping, ...], first: int) -> tuple[IdMapping, ...]:
    """Move a map that was made for `ranges.FIRST` to the leased range."""
    return tuple(IdMapping(each.container_id, each.host_id - FIRST + first, each.size) for each in mappings)


def shift_outside(mappings: tuple[IdMapping, ...], first: int) -> tuple[IdMapping, ...]:
    """Move the map of one mount likewise; host ids that are not of the range stay."""
    return tuple(
        IdMapping(each.container_id, each.host_id - FIRST + first, each.size) if each.host_id >= FIRST else each
        for each in mappings
    )


def outside(mappings: tuple[IdMapping, ...], inside: int, option: str) -> int:
    """Return the host's id of an id inside.

    Raises:
        InvalidConfig: it is not in the map.
    """
    for each in mappings:
        if each.container_id <= inside < each.container_id + each.size:
            return each.host_id + inside - each.container_id
    raise InvalidConfig(
        f"id {inside} is not in the container's id map",
        operation="option",
        path=option,
        hint="an account without subordinate ids (subuid(5)) can only be 0 inside",
    )
