"""Images in memory: a source and a destination, to copy from and to."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

from pycgroups.errors import ImageNotFound
from pycgroups.images import copying
from pycgroups.images.digest import Digest, check, digest_of
from pycgroups.images.local import LocalDestination, LocalSource
from pycgroups.oci import image_spec as spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.transport import Chunks, Destination, Source


class Memory(LocalSource, LocalDestination):
    """Blobs, manifests, and which of these is meant: both a `Source` and a `Destination`."""

    name = "memory"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.top: str | None = None
        self.failed: bool | None = None

    def add_blob(self, content: bytes) -> str:
        digest = str(Digest.of(content))
        self.blobs[digest] = content
        return digest

    def add_manifest(self, document: dict[str, object], *, top: bool = True) -> str:
        text = json.dumps(document).encode()
        return self.put_manifest(text, str(document["mediaType"]), top=top)

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        try:
            return self.manifests[digest or self.top or ""]
        except KeyError:
            raise ImageNotFound(operation="read", path=digest) from None

    def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
        content = self.blobs[blob.digest]
        for at in range(start, len(content), 10_000):
            yield content[at : at + 10_000]

    def has(self, blob: spec.Descriptor, _origin: Source) -> bool:
        return blob.digest in self.blobs

    def put_blob(self, blob: spec.Descriptor, chunks: Chunks) -> None:
        content = b"".join(chunks(0))
        digest = Digest.parse(blob.digest)
        made = digest.hash()
        made.update(content)
        check(made.hexdigest(), digest, operation="copy", path=blob.digest)
        assert len(content) == blob.size
        self.blobs[blob.digest] = content

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        called = str(digest_of(text, digest, operation="copy", path=self.name))
        self.manifests[called] = text, media_type
        self.top = called if top else self.top
        return called

    def close(self, *, failed: bool = False) -> None:
        self.failed = failed


def image(*sizes: int, seed: int = 1) -> Memory:
    """Make an image with layers of these sizes."""
    made = Memory()
    random = Random(seed)
    layers = [random.randbytes(size) for size in sizes]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer)) for layer in layers]},
    }
    text = json.dumps(config).encode()
    made.add_manifest(
        {
            "schemaVersion": 2,
            "mediaType": spec.MANIFEST,
            "config": {"mediaType": spec.CONFIG, "digest": made.add_blob(text), "size": len(text)},
            "layers": [
                {"mediaType": spec.LAYER, "digest": made.add_blob(layer), "size": len(layer)} for layer in layers
            ],
        }
    )
    return made


def index(*images: Memory) -> Memory:
    """Make an index of images."""
    made = Memory()
    manifests = []
    for number, each in enumerate(images):
        made.blobs |= each.blobs
        made.manifests |= each.manifests
        text, media_type = each.manifest()
        platform = {"os": "linux", "architecture": ("amd64", "arm64")[number]}
        manifests.append({"mediaType": media_type, "digest": each.top, "size": len(text), "platform": platform})
    made.add_manifest({"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": manifests})
    return made


def copy(source: Source, destination: Destination) -> str:
    """Copy an image, or an index with all of its images; return the digest."""
    try:
        return copying.copy(source, destination).digest
    finally:
        source.close()
