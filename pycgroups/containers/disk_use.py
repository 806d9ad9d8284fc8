"""What takes how much of a store's disk: images, containers, volumes; and what of that can be had back."""

from __future__ import annotations

import os

from pycgroups.containers.collection import IDLE, LIVE
from pycgroups.containers.volumes.users import users
from pycgroups.containers.volumes.volume import measure
from pycgroups.errors import Error, NotFound
from pycgroups.images.inside import Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    from pycgroups.containers.container import Container, Status
    from pycgroups.containers.store import Store
    from pycgroups.images.disk_use import ImageUse
else:
    from pycgroups.records import NamedTuple


class ContainerUse(NamedTuple):
    """What one container takes of the disk.

    Attributes:
        id: of the container.
        name: likewise.
        status: likewise, as `Container.status` has it.
        image: what it was asked to be made of, or "".
        size: bytes of what it has written, its log, and what is known of it, as du(1) counts. What it has written over
            the host's own root is in memory, and not counted.
    """

    id: str
    name: str
    status: Status
    image: str
    size: int


class VolumeUse(NamedTuple):
    """What one volume takes of the disk.

    Attributes:
        name: of the volume.
        containers: names of those that have it.
        size: bytes of its files, as du(1) counts.
    """

    name: str
    containers: tuple[str, ...]
    size: int


class Total(NamedTuple):
    """All things of a kind.

    Attributes:
        total: how many there are.
        active: how many of them are in use: images and volumes that a container has, containers that run.
        size: bytes of them all.
        reclaimable: bytes that would be free without the others, and without what is of no use in any case.
    """

    total: int
    active: int
    size: int
    reclaimable: int


class StoreUse(NamedTuple):
    """What takes how much of a store.

    Attributes:
        images: each image, by name.
        containers: each container, those made last first.
        volumes: each volume, by name.
        totals: of ``"images"``, ``"containers"`` and ``"volumes"``.
    """

    images: tuple[ImageUse, ...]
    containers: tuple[ContainerUse, ...]
    volumes: tuple[VolumeUse, ...]
    totals: dict[str, Total]


def store_use(store: Store) -> StoreUse:
    """Look at all of it."""
    images, of_images = _images(store)
    containers = measured(store.containers.list(all=True))
    volumes = _volumes(store)
    active = [each.status in LIVE for each in containers]
    held = [bool(each.containers) for each in volumes]
    totals = {"images": of_images, "containers": _total(containers, active), "volumes": _total(volumes, held)}
    return StoreUse(images, containers, volumes, totals)


def measured(containers: Sequence[Container], *, idle: bool = False) -> tuple[ContainerUse, ...]:
    """Measure containers; one that is removed meanwhile is left out.

    Args:
        containers: which.
        idle: of these, those alone that `Containers.prune` removes.
    """
    found = []
    with Inside() as inside:
        for each in containers:
            try:
                place, status, name = each.directory, each.status, each.name
            except NotFound:
                continue
            if idle and status not in IDLE:
                continue
            found.append(ContainerUse(each.id, name, status, _image_of(each), inside(measure, place)))
    return tuple(found)


def _image_of(container: Container) -> str:
    try:
        return str(container.config.image or "")
    except Error:  # it is damaged, or gone
        return ""


def _images(store: Store) -> tuple[tuple[ImageUse, ...], Total]:
    if not store.images.is_there:
        return (), Total(0, 0, 0, 0)
    use = store.images.df()
    active = {image.digest for image in use.images if image.containers}
    size = use.blobs + use.layers + use.unfinished
    return use.images, Total(len({image.digest for image in use.images}), len(active), size, use.reclaimable)


def _volumes(store: Store) -> tuple[VolumeUse, ...]:
    used = users(os.path.dirname(store.volumes.root))
    with store.volumes.inside:
        return tuple(
            VolumeUse(volume.name, tuple(used.get(volume.name, ())), volume.size()) for volume in store.volumes.list()
        )


def _total(uses: Sequence[ContainerUse | VolumeUse], active: Sequence[bool]) -> Total:
    sizes = [each.size for each in uses]
    idle = sum(size for size, is_active in zip(sizes, active, strict=True) if not is_active)
    return Total(len(uses), sum(active), sum(sizes), idle)
