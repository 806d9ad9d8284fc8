"""What of a store nobody needs is removed."""

from __future__ import annotations

from pycgroups.containers.disk_use import measured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.containers.store import Store
else:
    from pycgroups.records import NamedTuple


class Pruned(NamedTuple):
    """What was removed.

    Attributes:
        containers: ids.
        volumes: names.
        images: references, or digests of what had none.
        size: bytes that were freed.
    """

    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    images: tuple[str, ...]
    size: int


def prune(store: Store, *, all: bool, volumes: bool) -> Pruned:  # noqa: A002 (docker's name)
    """See `Store.prune`. In this order: what containers had is nobody's when they have gone."""
    from pycgroups.cgroups import sweep

    sweep.sweep()
    sizes = {each.id: each.size for each in measured(store.containers.list(all=True), idle=True)}
    containers = [each.id for each in store.containers.prune()]
    size = sum(sizes.get(id_, 0) for id_ in containers)
    names: tuple[str, ...] = ()
    if volumes:
        names, freed = store.volumes.prune()
        size += freed
    else:
        store.volumes.sweep()
    images: tuple[str, ...] = ()
    if store.images.is_there:
        gone = store.images.prune(all=all)
        images, size = gone.images, size + gone.size
    return Pruned(tuple(containers), names, images, size)
