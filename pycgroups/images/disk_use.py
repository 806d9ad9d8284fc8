"""What takes how much of a store."""

from __future__ import annotations

import os

from pycgroups.images.cleaning import all_blobs, half_blobs, needed_by
from pycgroups.images.files import io_errors
from pycgroups.images.names import name_of
from pycgroups.images.users import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.images.cleaning import Needed
    from pycgroups.images.digest import Digest
    from pycgroups.images.store import ImageStore
else:
    from pycgroups.records import NamedTuple


class ImageUse(NamedTuple):
    """What one image takes of the disk.

    Attributes:
        name: its reference, or its digest when it has none.
        size: bytes of its blobs and its unpacked layers.
        unique: those of them that no other image has.
        digest: of its manifest or index; images of several names have one.
        containers: names of those that were made of it.
    """

    name: str
    size: int
    unique: int
    digest: str
    containers: tuple[str, ...]


class DiskUse(NamedTuple):
    """What takes how much of a store, in bytes.

    Attributes:
        images: each image.
        blobs: all blobs.
        layers: all unpacked layers.
        unneeded: of both, what `collect` would remove.
        unfinished: half fetched blobs.
        reclaimable: what would be removed with all images that no container was made of.
    """

    images: tuple[ImageUse, ...]
    blobs: int
    layers: int
    unneeded: int
    unfinished: int
    reclaimable: int


@io_errors("measure store")
def disk_use(store: ImageStore) -> DiskUse:
    """Look at what takes how much."""
    sizes = {digest: os.lstat(path).st_size for digest, path in all_blobs(store) if digest is not None}
    layers: dict[Digest, int] = {}
    for layer in (layer for layers_of_a_map in store.all_layers() for layer in layers_of_a_map.all()):
        layers[layer.chain] = layers.get(layer.chain, 0) + layer.size
    entries = {}
    for entry in store.names.all():
        entries[name_of(entry) or entry.digest] = (entry.digest, needed_by(store, entry))
    holders: dict[tuple[str, Digest], set[str]] = {}
    for digest, needed in entries.values():
        for key in _keys(needed):
            holders.setdefault(key, set()).add(digest)
    all_sizes = {
        **{("blob", one): size for one, size in sizes.items()},
        **{("layer", one): layers[one] for one in layers},
    }
    used = users(store.root)
    kept = {key for digest, needed in entries.values() if digest in used for key in _keys(needed)}
    unfinished = sum(os.lstat(path).st_size for path in half_blobs(store))
    images = tuple(
        ImageUse(
            name=name,
            size=sum(all_sizes.get(key, 0) for key in _keys(needed)),
            unique=sum(all_sizes.get(key, 0) for key in _keys(needed) if len(holders[key]) == 1),
            digest=digest,
            containers=tuple(used.get(digest, ())),
        )
        for name, (digest, needed) in entries.items()
    )
    return DiskUse(
        images=images,
        blobs=sum(sizes.values()),
        layers=sum(layers.values()),
        unneeded=sum(size for key, size in all_sizes.items() if key not in holders),
        unfinished=unfinished,
        reclaimable=sum(size for key, size in all_sizes.items() if key not in kept) + unfinished,
    )


def _keys(needed: Needed) -> list[tuple[str, Digest]]:
    return [*(("blob", one) for one in needed.blobs), *(("layer", one) for one in needed.chains)]
