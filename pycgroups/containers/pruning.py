"""What of a store nobody needs is removed."""

from __future__ import annotations

from contextlib import contextmanager

from pycgroups.containers.disk_use import measured
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from pycgroups.containers.container import Container
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
    failed: list[Error] = []
    gone: list[Container] = []
    with _later(failed):
        gone = store.containers.prune()
    size = sum(sizes.get(each.id, 0) for each in gone)
    names: tuple[str, ...] = ()
    with _later(failed):
        if volumes:
            names, freed = store.volumes.prune()
            size += freed
        else:
            store.volumes.sweep()
    images: tuple[str, ...] = ()
    if store.images.is_there:
        with _later(failed):
            unnamed = store.images.prune(all=all)
            images, size = unnamed.images, size + unnamed.size
    if failed:
        raise failed[0]
    return Pruned(tuple(each.id for each in gone), names, images, size)


@contextmanager
def _later(failed: list[Error]) -> Iterator[None]:
    """Note what goes wrong, and go on: the rest is to be removed all the same."""
    try:
        yield
    except Error as error:
        failed.append(error)
