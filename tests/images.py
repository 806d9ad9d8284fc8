"""Images made by the tests themselves, and hostile variants of what holds them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pycgroups.images.local import LocalSource
from pycgroups.images.reference import Location
from pycgroups.oci import image_spec as spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MADE = 1_700_000_000


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(*files: tuple[str, bytes] | tarfile.TarInfo, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files, or of entries without content."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        for file in files:
            entry, content = (file, b"") if isinstance(file, tarfile.TarInfo) else (tarfile.TarInfo(file[0]), file[1])
            entry.size, entry.mtime = len(content), MADE
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@lru_cache(maxsize=32)
def gzipped(layer: bytes) -> bytes:
    """Compress a layer, once and quickly: it took longer than most of what is done with images."""
    return gzip.compress(layer, 1, mtime=0)


class Image(LocalSource):
    """An image in memory; a `pycgroups.images.transport.Source`."""

    name = "memory"

    def __init__(self, *layers: bytes, compressed: bool = True, architecture: str = "amd64", **defaults: Any) -> None:
        """Make it of the tars of its layers."""
        self.layers = layers or (tar(("bin/hello", b"#!/bin/sh\n"), ("etc/hostname", b"box\n")),)
        rootfs = {"type": "layers", "diff_ids": [sha256(layer) for layer in self.layers]}
        document = {"architecture": architecture, "os": "linux", "config": defaults, "rootfs": rootfs}
        self.config = json.dumps(document).encode()
        self.blobs: dict[str, bytes] = {}
        config = self._described(self.config, spec.CONFIG)
        kind = spec.LAYER_GZIP if compressed else spec.LAYER
        packed = [gzipped(layer) if compressed else layer for layer in self.layers]
        described = [self._described(layer, kind) for layer in packed]
        manifest = {"schemaVersion": 2, "mediaType": spec.MANIFEST, "config": config, "layers": described}
        self.text, self.media_type = json.dumps(manifest).encode(), spec.MANIFEST

    def _described(self, blob: bytes, media_type: str) -> dict[str, Any]:
        self.blobs[sha256(blob)] = blob
        return {"mediaType": media_type, "digest": sha256(blob), "size": len(blob)}

    @property
    def digest(self) -> str:
        return sha256(self.text)

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        assert digest in {None, self.digest}
        return self.text, self.media_type

    def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
        rest = self.blobs[blob.digest][start:]
        yield rest[:100]
        yield rest[100:]

    def close(self) -> None:
        pass


class Index(Image):
    """An index of images for several platforms, named by either algorithm."""

    def __init__(self, *images: Image, algorithm: str = "sha256") -> None:
        self.images = {f"{algorithm}:{hashlib.new(algorithm, image.text).hexdigest()}": image for image in images}
        self.blobs = {digest: blob for image in images for digest, blob in image.blobs.items()}
        entries = [
            {
                "mediaType": image.media_type,
                "digest": digest,
                "size": len(image.text),
                "platform": {"os": "linux", "architecture": json.loads(image.config)["architecture"]},
            }
            for digest, image in self.images.items()
        ]
        document = {"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": entries}
        self.text, self.media_type = json.dumps(document).encode(), spec.INDEX

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        return self.images[digest].manifest() if digest in self.images else super().manifest(digest)


def content(source: Any) -> tuple[bytes, list[bytes]]:
    """The configuration and the layers of an image, as they come."""
    text, _ = source.manifest()
    manifest = json.loads(text)
    described = [manifest["config"], *manifest["layers"]]
    blobs = [
        spec.Descriptor(media_type=each["mediaType"], digest=each["digest"], size=each["size"]) for each in described
    ]
    config, *layers = [b"".join(source.blob(blob)) for blob in blobs]
    assert [sha256(config), *map(sha256, layers)] == [blob.digest for blob in blobs]
    return config, layers


def docker_archive(images: Sequence[dict[str, Any]], *files: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """What ``docker save`` would write of a list for manifest.json, and files."""
    return tar(("manifest.json", json.dumps(images).encode()), *files)


def location(transport: str, path: Path | str, reference: str | None = None) -> Location:
    return Location(transport, str(path), reference)


def tree(directory: Path) -> dict[str, bytes]:
    """What is in a directory: all its files, by their paths."""
    return {
        str(path.relative_to(directory)): b"" if path.is_dir() else path.read_bytes() for path in directory.rglob("*")
    }
