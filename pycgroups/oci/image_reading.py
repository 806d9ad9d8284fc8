"""Documents of images into the models of `pycgroups.oci.image_spec`: whatever they hold, a model or `InvalidConfig`."""

from __future__ import annotations

from pycgroups.errors import InvalidConfig, invalid
from pycgroups.oci import image_spec as spec
from pycgroups.oci.json_text import parse
from pycgroups.oci.reader import ignore, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_MANIFEST = 4 * 2**20
"""Bytes: what registries take, distribution-spec, "Pushing Manifests"."""


def read_manifest(
    text: bytes, media_type: str | None = None, *, most: int = LARGEST_MANIFEST
) -> spec.Manifest | spec.Index:
    """Return the manifest or the index that a document is.

    What the document says of itself and what others said of it have to agree: else it is one thing to who signed it
    and another to who runs it (CVE-2021-41190).

    Args:
        text: the document.
        media_type: what its descriptor, or the registry that sent it, says that it is; None when nobody did.
        most: bytes that it may have.

    Raises:
        InvalidConfig: it is none, or two things at once; names the key path.
    """
    if len(text) > most:
        raise InvalidConfig(f"{len(text)} bytes, allowed: up to {most}", operation="read", path="manifest")
    document = parse(text, "manifest")
    if not isinstance(document, dict):
        raise InvalidConfig("no object", operation="read", path="manifest")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidConfig("both a manifest and an index", operation="read", path="manifest")
    said = document.get("mediaType") or media_type
    if said is None:
        said = spec.INDEX if "manifests" in document else spec.MANIFEST
    if media_type not in {None, said}:
        raise InvalidConfig(f"announced as {media_type}, but says {said}", operation="read", path="manifest")
    if said in spec.INDEXES:
        _lacks(document, "layers", "config")
        _has_list(document, "manifests")
        index: spec.Index = read(spec.Index, document, ("manifest",), ignore)
        return index
    if said in spec.MANIFESTS:
        _lacks(document, "manifests")
        _has_list(document, "layers")
        manifest: spec.Manifest = read(spec.Manifest, document, ("manifest",), ignore)
        return manifest
    raise invalid("manifest.mediaType", said, "a manifest or an index of OCI, or of Docker's schema 2")


def _lacks(document: dict[str, Any], *names: str) -> None:
    for name in names:
        if name in document:
            raise InvalidConfig(f"has {name!r}, which its media type has not", operation="read", path="manifest")


def _has_list(document: dict[str, Any], name: str) -> None:
    """Null is no list, though the reader takes it for silence."""
    if not isinstance(document.get(name), list):
        raise InvalidConfig(f"the list {name!r} is missing", operation="read", path="manifest")


def read_image_config(text: bytes) -> spec.ImageConfig:
    """Return the configuration of an image.

    Raises:
        InvalidConfig: it is none; names the key path.
    """
    document = parse(text, "image")
    config: spec.ImageConfig = read(spec.ImageConfig, document, ("image",), ignore)
    return config
