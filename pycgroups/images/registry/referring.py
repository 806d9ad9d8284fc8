"""What refers to an image: signatures, lists of parts, attestations; distribution-spec, "Listing Referrers".

A manifest with a ``subject`` refers to it. Registries without the referrers API keep the list as an index with a tag
that is made of the subject's digest, and whoever pushes such a manifest writes it.
"""

from __future__ import annotations

from pycgroups.errors import ImageNotFound, InvalidConfig, RegistryError
from pycgroups.images.digest import Digest
from pycgroups.images.registry import pages, uploads
from pycgroups.images.registry.pulling import manifest, read
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_manifest
from pycgroups.oci.json_text import dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.registry.client import Client
    from pycgroups.oci.image_spec import Descriptor

_CREATED, _NOT_FOUND = 201, 404


def referrers(client: Client, digest: str, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
    """List the manifests that refer to one.

    Args:
        client: of its repository.
        digest: of the manifest; it need not be there.
        artifact_type: those of this type alone.

    Raises:
        RegistryError: no answer, or none that is an index.
    """
    url = client.url(f"referrers/{digest}")
    if artifact_type is not None:
        url = url.with_query([("artifactType", artifact_type)])
    try:
        texts = [text for text, _ in pages.walk(client, url, LARGEST_MANIFEST, accept=spec.INDEX)]
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
        texts = _of_tag(client, digest)
    found = [each for text in texts for each in _index(text).manifests]
    return tuple(each for each in found if artifact_type in {None, each.artifact_type})


def _of_tag(client: Client, digest: str) -> list[bytes]:
    """Read the index of a registry that has no API for it."""
    try:
        return [manifest(client, _tag(digest))[0]]
    except ImageNotFound:
        return []


def _tag(digest: str) -> str:
    """Make the tag of a digest; distribution-spec, "Referrers Tag Schema"."""
    parsed = Digest.parse(digest)
    return f"{parsed.algorithm[:32]}-{parsed.encoded[:64]}"


def _index(text: bytes) -> spec.Index:
    index = read(text, spec.INDEX, "referrers")
    assert isinstance(index, spec.Index)
    return index


def put_manifest(client: Client, name: str, digest: str, text: bytes, media_type: str) -> None:
    """Upload a manifest under a tag or its digest; where it has a subject, that knows of it afterwards.

    Raises:
        DigestMismatch: the registry takes it for another.
        RegistryError: it is refused.
    """
    url = client.url(f"manifests/{name}")
    headers = {"Content-Type": media_type, "Content-Length": str(len(text))}

    def once() -> bool:
        scopes = client.scopes("pull", "push")
        with client.exchange("PUT", url, scopes, frozenset({_CREATED}), headers=headers, body=lambda: text) as answer:
            uploads.agrees(answer, digest)
            return answer.header("OCI-Subject") is not None

    knows = client.persistently(once)
    document = read_manifest(text, media_type)
    if document.subject is not None and not knows:
        _add(client, document.subject.digest, _descriptor(document, digest, text, media_type))


def _descriptor(document: spec.Manifest | spec.Index, digest: str, text: bytes, media_type: str) -> dict[str, Any]:
    """Describe a manifest as the list of a subject has it."""
    config = document.config.media_type if isinstance(document, spec.Manifest) else None
    kind = document.artifact_type or config
    return {
        "mediaType": media_type,
        "digest": digest,
        "size": len(text),
        **({"artifactType": kind} if kind else {}),
        **({"annotations": dict(document.annotations)} if document.annotations else {}),
    }


def _add(client: Client, subject: str, descriptor: dict[str, Any]) -> None:
    """Write a manifest down in the list of its subject. Of two that do so at one time the last one wins."""
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": []}
    for text in _of_tag(client, subject):
        _index(text)
        index = parse(text, "manifest")
    if any(each.get("digest") == descriptor["digest"] for each in index["manifests"]):
        return
    index["manifests"].append(descriptor)
    text = dumps(index).encode()
    if len(text) > LARGEST_MANIFEST:
        raise InvalidConfig("the list of referrers would be too large", operation="push", path=subject)
    put_manifest(client, _tag(subject), str(Digest.of(text)), text, spec.INDEX)
