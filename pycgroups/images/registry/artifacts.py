"""Files in a registry that are no image: signed statements, lists of parts, anything.

Their names are ``org.opencontainers.image.title``, as oras has it. Source: image-spec, manifest.md, "Guidelines for
Artifact Usage".
"""

from __future__ import annotations

from pycgroups.errors import ImageError
from pycgroups.images.digest import Digest, check
from pycgroups.images.registry import referring, uploads
from pycgroups.images.registry.pulling import manifest, read, read_blob
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import read_manifest
from pycgroups.oci.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, NamedTuple

    from pycgroups.images.registry.client import Client
    from pycgroups.oci.image_spec import Descriptor, Manifest
else:
    from pycgroups.records import NamedTuple

TITLE = "org.opencontainers.image.title"
LARGEST = 64 * 2**20
"""Bytes of all files of an artifact: they are kept in memory. Larger ones are copied as an image is."""
_EMPTY = b"{}"


class Artifact(NamedTuple):
    """What was fetched.

    Attributes:
        digest: of its manifest.
        manifest: its manifest: ``artifact_type``, ``annotations``, ``subject``.
        files: the content of each layer, in their order, by its title, or its digest where it has none.
    """

    digest: str
    manifest: Manifest
    files: dict[str, bytes]


def fetch(client: Client, wanted: str) -> Artifact:
    """Fetch an artifact by its tag or digest.

    Raises:
        ImageNotFound: there is none.
        ImageError: it is no manifest, or an index, or larger than `LARGEST`.
        DigestMismatch: it is another than its digests say.
        RegistryError: as of `Client.get`.
    """
    text, media_type = manifest(client, wanted)
    where = f"{client.place.domain}/{client.place.path}"
    document = read(text, media_type, where)
    if isinstance(document, spec.Index):
        raise ImageError("is an index, and no artifact", operation="fetch", path=where)
    if sum(layer.size for layer in document.layers) > LARGEST:
        raise ImageError(f"more than {LARGEST} bytes, too many for memory", operation="fetch", path=where)
    files = {_title(layer): _read(client, layer) for layer in document.layers}
    return Artifact(wanted if ":" in wanted else str(Digest.of(text)), document, files)


def _title(layer: Descriptor) -> str:
    return dict(layer.annotations).get(TITLE, layer.digest)


def _read(client: Client, layer: Descriptor) -> bytes:
    content = b"".join(read_blob(client, layer))
    digest = Digest.parse(layer.digest)
    made = digest.hash()
    made.update(content)
    check(made.hexdigest(), digest, operation="fetch", path=layer.digest)
    return content


def attach(
    client: Client,
    wanted: str,
    files: Mapping[str, bytes],
    artifact_type: str,
    *,
    media_type: str,
    annotations: Mapping[str, str],
) -> str:
    """Put files into a repository that refer to a manifest of it; return the digest of theirs.

    Args:
        client: of the repository.
        wanted: the tag or digest of the manifest that they refer to.
        files: content by name.
        artifact_type: what they are together: a media type.
        media_type: of each.
        annotations: of their manifest.

    Raises:
        ImageNotFound: what they are to refer to is not there.
        RegistryError: it is refused.
    """
    subject, subject_type = manifest(client, wanted)
    empty = _put(client, _EMPTY, {"mediaType": spec.EMPTY})
    layers = [
        _put(client, content, {"mediaType": media_type, "annotations": {TITLE: name}})
        for name, content in files.items()
    ]
    text = dumps(
        {
            "schemaVersion": 2,
            "mediaType": spec.MANIFEST,
            "artifactType": artifact_type,
            "config": empty,
            "layers": layers or [empty],
            "subject": {
                "mediaType": subject_type,
                "digest": wanted if ":" in wanted else str(Digest.of(subject)),
                "size": len(subject),
            },
            "annotations": dict(annotations),
        }
    ).encode()
    read_manifest(text, spec.MANIFEST)
    digest = str(Digest.of(text))
    referring.put_manifest(client, digest, digest, text, spec.MANIFEST)
    return digest


def _put(client: Client, content: bytes, properties: dict[str, Any]) -> dict[str, Any]:
    """Upload a blob unless it is there; describe it."""
    blob = spec.Descriptor(media_type=properties["mediaType"], digest=str(Digest.of(content)), size=len(content))

    def chunks(start: int) -> Iterator[bytes]:
        yield content[start:]

    if not uploads.is_there(client, blob):
        uploads.upload(client, blob, chunks, None)
    return {**properties, "digest": blob.digest, "size": blob.size}
