"""What ``docker save`` writes, made of images whose blobs come one by one.

    manifest.json   [{"Config": "HEX.json", "RepoTags": ["docker.io/library/debian:13"], "Layers": ["HEX.tar"]}]
    HEX.json        a configuration, by its digest
    HEX.tar         a layer, uncompressed, by the digest of that
    repositories    {"docker.io/library/debian": {"13": "HEX"}}, the top layers: for what is older than manifest.json

Source: https://github.com/moby/docker-image-spec/blob/v1.2.0/v1.2.md, "Combined Image JSON + Filesystem Changeset
Format".
"""

from __future__ import annotations

from pycgroups.errors import DigestMismatch, ImageError, Unsupported, invalid
from pycgroups.images.compression import decompress
from pycgroups.images.digest import Digest, new_hash
from pycgroups.images.packing import Member, Staged
from pycgroups.images.reference import Reference
from pycgroups.images.staging import checked
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import read_image_config, read_manifest
from pycgroups.oci.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pycgroups.images.staging import Staging
    from pycgroups.images.transport import Chunks
    from pycgroups.oci.image_spec import Descriptor

_COMPRESSED = ("+gzip", ".gzip", "+zstd", ".zstd")


class DockerPacking:
    """The files of such an archive, staged."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._blobs: dict[str, tuple[str, Staged]] = {}  # by their digests: the digest uncompressed, and the file
        self._manifests: dict[str, spec.Manifest] = {}
        self._images: dict[str, dict[str, Any]] = {}  # by the digests of their configurations
        self._repositories: dict[str, dict[str, str]] = {}

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        return blob.digest in self._blobs

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a configuration as it is, and a layer uncompressed."""
        content = checked(blob, chunks(0), blob.digest)
        if blob.media_type.endswith(_COMPRESSED):
            content = decompress(content, blob.media_type)
        made, size = new_hash("sha256"), 0

        def hashed() -> Iterator[bytes]:
            nonlocal size
            try:
                for chunk in content:
                    made.update(chunk)
                    size += len(chunk)
                    yield chunk
            except ImageError as error:
                error.path = error.path or blob.digest
                raise

        name = self._staging.write(hashed(), sync=False)
        self._blobs[blob.digest] = f"sha256:{made.hexdigest()}", Staged(name, size)

    def put_manifest(self, text: bytes, media_type: str, digest: Digest, *, top: bool, reference: str | None) -> None:
        """Take the image that a manifest describes; manifests themselves have no place in such an archive."""
        manifest = read_manifest(text, media_type)
        if isinstance(manifest, spec.Index):
            came = [self._manifests[entry.digest] for entry in manifest.manifests if entry.digest in self._manifests]
            if len(came) != 1:
                hint = "choose one platform, or write an oci-archive"
                raise Unsupported("it holds images of one platform each", operation="write docker-archive", hint=hint)
            manifest = came[0]
        self._manifests[str(digest)] = manifest
        if top:
            self._add(*self._checked(manifest), reference)

    def _checked(self, manifest: spec.Manifest) -> tuple[str, list[str]]:
        """Return the digests of the configuration and of the uncompressed layers, which have to agree."""
        layers = [self._blob(layer)[0] for layer in manifest.layers]
        config, staged = self._blob(manifest.config)
        said = read_image_config(b"".join(self._staging.read(staged.name))).rootfs.diff_ids
        for position, (layer, wanted) in enumerate(zip(layers, said, strict=False)):
            if layer != wanted:
                message = f"layer {position} is {layer} uncompressed, the configuration says {wanted}"
                raise DigestMismatch(message, operation="write docker-archive")
        if len(layers) != len(said):
            message = f"{len(layers)} layers, the configuration says {len(said)}"
            raise ImageError(message, operation="write docker-archive")
        return config, layers

    def _blob(self, blob: Descriptor) -> tuple[str, Staged]:
        if blob.digest not in self._blobs:
            raise ImageError("its manifest names a blob that did not come", operation="write", path=blob.digest)
        return self._blobs[blob.digest]

    def _add(self, config: str, layers: list[str], reference: str | None) -> None:
        files = [f"{_hex(layer)}.tar" for layer in layers]
        new: dict[str, Any] = {"Config": f"{_hex(config)}.json", "RepoTags": [], "Layers": files}
        image = self._images.setdefault(config, new)
        if reference is None:
            return
        parsed = tagged(reference)
        name = f"{parsed.name}:{parsed.tag}"
        for other in self._images.values():
            other["RepoTags"] = [tag for tag in other["RepoTags"] if tag != name]
        image["RepoTags"].append(name)
        if layers:
            self._repositories.setdefault(parsed.name, {})[str(parsed.tag)] = _hex(layers[-1])

    def members(self) -> Iterator[Member]:
        """Yield what tells of the images first, and each layer once."""
        yield Member("manifest.json", dumps(list(self._images.values())).encode())
        if self._repositories:
            yield Member("repositories", dumps(self._repositories).encode())
        files = dict(self._blobs.values())
        for config in self._images:
            yield Member(f"{_hex(config)}.json", files[config])
        layers = dict.fromkeys(layer for image in self._images.values() for layer in image["Layers"])
        for layer in layers:
            yield Member(layer, files[f"sha256:{layer.removesuffix('.tar')}"])


def tagged(reference: str) -> Reference:
    """Return a name that a docker-archive can hold.

    Raises:
        InvalidConfig: it has no tag.
    """
    parsed = Reference.parse(reference)
    if parsed.tag is None:
        raise invalid("image", reference, "a name with a tag, since a docker-archive keeps no digests")
    return parsed


def _hex(digest: str) -> str:
    return digest.partition(":")[2]
