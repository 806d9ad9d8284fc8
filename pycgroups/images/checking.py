"""What of a store is damaged: every blob hashed again, every image looked through; and how that is mended."""

from __future__ import annotations

import os

from pycgroups.errors import ImageError
from pycgroups.images.cleaning import DAMAGE, all_blobs, needed_by
from pycgroups.images.digest import Digest
from pycgroups.images.events import Advanced, Ended, Started
from pycgroups.images.files import io_errors
from pycgroups.images.names import INDEX, name_of
from pycgroups.images.removing import remove
from pycgroups.oci import image_spec as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.images.events import Progress
    from pycgroups.images.store import ImageStore
else:
    from pycgroups.records import NamedTuple


class Problem(NamedTuple):
    """Something that is wrong in a store.

    Attributes:
        what: ``"blob"``, ``"layer"``, ``"image"``, or ``"index"``: of the names of all images.
        name: its digest or its reference.
        message: what is wrong.
        images: who needs it.
    """

    what: str
    name: str
    message: str
    images: tuple[str, ...]


@io_errors("verify store")
def verify(store: ImageStore, progress: Progress | None = None) -> list[Problem]:
    """Read and hash every blob, and look whether each image has all that it needs.

    Args:
        store: where.
        progress: is told of each blob.

    Returns:
        What is wrong; nothing when all is well.
    """
    users: dict[Digest, list[str]] = {}
    try:
        entries = store.names.all()
    except ImageError as error:
        return [Problem("index", INDEX, str(error), ())]
    problems = []
    for entry in entries:
        name = name_of(entry) or entry.digest
        needed = needed_by(store, entry)
        for digest in needed.blobs:
            users.setdefault(digest, []).append(name)
        missing = [str(digest) for digest in sorted(needed.blobs) if store.blobs.size(digest) is None]
        if store.blobs.size(Digest.parse(entry.digest)) is None:
            missing.append(entry.digest)
        problems += [Problem("image", name, f"has not its blob {digest}", (name,)) for digest in missing]
    for found, path in all_blobs(store):
        if found is None:
            problems.append(Problem("blob", os.path.basename(path), "is no blob's name", ()))
            continue
        message = _hash_blob(store, found, progress)
        if message is not None:
            problems.append(Problem("blob", str(found), message, tuple(users.get(found, ()))))
    return problems + _verify_layers(store)


def _hash_blob(store: ImageStore, digest: Digest, progress: Progress | None) -> str | None:
    tell = progress or (lambda _event: None)
    tell(Started("verify", str(digest), store.blobs.size(digest) or 0))
    done = 0
    try:
        for chunk in store.blobs.checked(digest):
            done += len(chunk)
            tell(Advanced("verify", str(digest), done))
    except (ImageError, OSError) as error:
        tell(Ended("verify", str(digest), "failed"))
        return f"is damaged: {error}"
    tell(Ended("verify", str(digest), "done"))
    return None


def _verify_layers(store: ImageStore) -> list[Problem]:
    problems = []
    for layers in store.all_layers():
        known = {layer.chain for layer in layers.all()}
        for name in sorted(os.listdir(layers.root)):
            chain = layers.named(name)
            if chain is None or chain not in known:
                problems.append(Problem("layer", f"{layers.label}{name}", "has no record, or a damaged one", ()))
            elif not os.path.isdir(layers.path(chain)):
                problems.append(Problem("layer", f"{layers.label}{chain}", "has no tree", ()))
    return problems


@io_errors("repair store")
def repair(store: ImageStore, problems: list[Problem]) -> list[str]:
    """Remove what `verify` found damaged, so that it is fetched, or unpacked, anew; tell what was done, in words.

    Images that have lost a blob keep their names: pulling them again fetches what is missing. When the names are lost,
    all images are listed without one.
    """
    done = []
    with store.removing(), store.inside:
        for problem in problems:
            if problem.what == "index":
                store.names.begin_anew(_all_images(store))
                done.append(
                    f"set aside the damaged {problem.name}: images have no names now; tag them, or pull them again"
                )
            elif problem.what == "blob":
                algorithm, _, encoded = problem.name.rpartition(":")
                path = f"{store.blobs.root}/{algorithm or 'sha256'}/{encoded}"
                remove(path)
                needs = f"; pull {', '.join(problem.images)}" if problem.images else ""
                done.append(f"removed the damaged blob {problem.name}{needs}")
            elif problem.what == "layer" and True in [layers.discard(problem.name) for layers in store.all_layers()]:
                done.append(f"removed the damaged layer {problem.name}: it is unpacked anew when it is wanted")
    return done


def _all_images(store: ImageStore) -> list[spec.Descriptor]:
    """Find among the blobs what is an image, or an index of images, and part of no other index."""
    found: dict[str, spec.Descriptor] = {}
    parts: set[str] = set()
    for digest, _ in all_blobs(store):
        if digest is None:
            continue
        try:
            document = store.document(digest)
        except DAMAGE:
            continue
        size = store.blobs.size(digest)
        assert size is not None
        if isinstance(document, spec.Index):
            parts.update(entry.digest for entry in document.manifests)
            kind = document.media_type or spec.INDEX
        else:
            kind = document.media_type or spec.MANIFEST
        found[str(digest)] = spec.Descriptor(media_type=kind, digest=str(digest), size=size)
    return [entry for digest, entry in found.items() if digest not in parts]
