"""What of a store is needed, and what is not: found from what is on disk, each time.

names ──▶ manifests and indexes ──▶ configurations and packed layers
└────▶ chain ids ──▶ unpacked layers, and those below them
locks on unpacked layers ────────────────────────┘
"""

from __future__ import annotations

import os

from pycgroups.errors import Error, ImageError, ImageNotFound, InvalidConfig
from pycgroups.images.digest import Digest
from pycgroups.images.files import io_errors
from pycgroups.images.layers import chains_of
from pycgroups.images.locks import Lock
from pycgroups.images.removing import remove
from pycgroups.oci import image_spec as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from pycgroups.images.layers import Layer, Layers
    from pycgroups.images.store import ImageStore
    from pycgroups.oci.image_spec import Descriptor
else:
    from pycgroups.records import NamedTuple


DAMAGE = (ImageError, ImageNotFound, InvalidConfig)
"""What tells that an image is damaged, and not that it cannot be read now: then nothing may be taken for unused."""


class Freed(NamedTuple):
    """What was removed.

    Attributes:
        images: references, or digests of what had none.
        blobs: how many blobs.
        layers: how many unpacked layers.
        size: bytes of both.
    """

    images: tuple[str, ...]
    blobs: int
    layers: int
    size: int


class Needed(NamedTuple):
    """What an image takes: digests of blobs, chain ids of unpacked layers."""

    blobs: frozenset[Digest]
    chains: tuple[Digest, ...]


def needed_by(store: ImageStore, entry: Descriptor) -> Needed:
    """Return what an image needs, as far as it is here; what is damaged needs nothing more."""
    blobs: set[Digest] = set()
    chains: dict[Digest, None] = {}
    _walk(store, Digest.parse(entry.digest), blobs, chains)
    return Needed(frozenset(blobs), tuple(chains))


def _walk(store: ImageStore, digest: Digest, blobs: set[Digest], chains: dict[Digest, None]) -> None:
    if digest in blobs or store.blobs.size(digest) is None:
        return
    blobs.add(digest)
    try:
        document = store.document(digest)
        if isinstance(document, spec.Index):
            for inner in document.manifests:
                _walk(store, Digest.parse(inner.digest), blobs, chains)
            return
        blobs.update(Digest.parse(blob.digest) for blob in (document.config, *document.layers))
        if document.config.media_type in spec.CONFIGS:
            chains.update(dict.fromkeys(chains_of(store.config(document).rootfs.diff_ids)))
    except DAMAGE:
        return


# -- removing -------------------------------------------------------------------------------------------------------


@io_errors("collect garbage")
def collect(store: ImageStore, *, wait: bool = True) -> Freed | None:
    """Remove the blobs and the layers that no image needs and nobody uses.

    Args:
        store: where.
        wait: for those who add meanwhile; otherwise None is returned when there are some, and nothing is removed.
    """
    lock = store.removing()
    if not lock.take(wait=wait):
        return None
    with lock, store.inside:
        store.sweep()
        needed = [needed_by(store, entry) for entry in store.names.all()]
        kept = frozenset().union(*(each.blobs for each in needed))
        blobs, size = _collect_blobs(store, kept)
        store.repositories.keep(kept)
        chains = {chain for each in needed for chain in each.chains}
        collected = [_collect_layers(layers, chains) for layers in store.all_layers()]
        store.drop_empty()
        count, more = map(sum, zip(*collected, strict=True))
        return Freed((), blobs, count, size + more)


def _collect_blobs(store: ImageStore, needed: frozenset[Digest]) -> tuple[int, int]:
    count = size = 0
    for digest, path in all_blobs(store):
        if digest is None or digest not in needed:
            size += os.lstat(path).st_size
            remove(path)
            count += 1
    for path in half_blobs(store):
        lock = Lock(path)
        if lock.take(wait=False):
            with lock:
                size += os.lstat(path).st_size
                os.unlink(path)
    return count, size


def _collect_layers(all_layers: Layers, needed: set[Digest]) -> tuple[int, int]:
    """Remove from the top down: a layer that is used keeps those below it.

    Of one whose record is damaged nobody knows what is below it. As long as it is used nothing is removed, but what is
    known to be above it.
    """
    layers = {layer.chain: layer for layer in all_layers.all()}
    damaged = all_layers.chains() - layers.keys() - needed
    below = {chain: _below(layer, layers) for chain, layer in layers.items()}
    top_down = sorted(layers, key=lambda chain: len(below[chain]), reverse=True)
    above = [chain for chain in top_down if damaged.intersection(below[chain])]
    kept = set(needed)
    size, gone = 0, []
    for chain in dict.fromkeys([*above, *damaged, *top_down]):
        layer = layers.get(chain)
        if chain not in kept and (place := all_layers.take_away(chain)):
            gone.append(place)
            size += layer.size if layer is not None else 0
        elif layer is None:
            break
        elif layer.parent is not None:
            kept.add(layer.parent)
    all_layers.clear(*gone)
    return len(gone), size


def _below(layer: Layer, layers: dict[Digest, Layer]) -> list[Digest]:
    """Return the chain ids of those below a layer, as far as they are known."""
    below: list[Digest] = []
    parent = layer.parent
    while parent is not None and len(below) <= len(layers):
        below.append(parent)
        parent = layers[parent].parent if parent in layers else None
    return below


def all_blobs(store: ImageStore) -> Iterator[tuple[Digest | None, str]]:
    """Yield each file among the blobs with its digest; None when it is no blob's name."""
    for algorithm in ("sha256", "sha512"):
        directory = f"{store.blobs.root}/{algorithm}"
        if os.path.isdir(directory):
            for name in sorted(os.listdir(directory)):
                yield _digest(algorithm, name), f"{directory}/{name}"


def _digest(algorithm: str, name: str) -> Digest | None:
    try:
        return Digest.parse(f"{algorithm}:{name}")
    except Error:
        return None


def half_blobs(store: ImageStore) -> list[str]:
    """Return the files of blobs that were not fetched to their end."""
    return [f"{store.blobs.tmp}/{name}" for name in os.listdir(store.blobs.tmp) if name.startswith("blob-")]
