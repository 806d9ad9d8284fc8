"""What an image elsewhere is, without fetching it: its manifests and its configuration, and not one layer."""

from __future__ import annotations

from pycgroups.errors import ImageError, InvalidConfig
from pycgroups.images.digest import Digest, check
from pycgroups.images.platforms import choose, host_platform
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_image_config, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.transport import Source
    from pycgroups.oci.image_spec import Descriptor, Platform


def inspect(source: Source, platform: Platform | None = None) -> dict[str, Any]:
    """Return all that a source tells of its image, as plain data.

    Args:
        source: stays open.
        platform: of an image for several, which; by default this machine's.

    Raises:
        ImageNotFound: there is none, or none for this platform.
        ImageError: it is broken.
    """
    text, media_type = source.manifest()
    facts: dict[str, Any] = {"name": source.name, "digest": str(Digest.of(text)), "mediaType": media_type}
    document = _read(source, text, media_type)
    if isinstance(document, spec.Index):
        facts["index"] = document.to_json()
        chosen = choose(document, platform or host_platform(), source.name)
        text, media_type = source.manifest(chosen.digest)
        document = _read(source, text, media_type)
        if isinstance(document, spec.Index):
            raise ImageError("an index in an index", operation="inspect", path=source.name)
    facts |= {
        "manifestDigest": str(Digest.of(text)),
        "id": document.config.digest,
        "packedSize": document.config.size + sum(layer.size for layer in document.layers),
        "manifest": document.to_json(),
    }
    if document.config.media_type in spec.CONFIGS:
        facts["config"] = _config(source, document.config)
    return facts


def _read(source: Source, text: bytes, media_type: str) -> spec.Manifest | spec.Index:
    try:
        return read_manifest(text, media_type)
    except InvalidConfig as error:
        raise ImageError(str(error), operation="inspect", path=source.name) from error


def _config(source: Source, blob: Descriptor) -> dict[str, Any]:
    if blob.size > LARGEST_MANIFEST:
        raise ImageError(f"a configuration of {blob.size} bytes", operation="inspect", path=source.name)
    made, pieces, done = Digest.parse(blob.digest).hash(), [], 0
    for piece in source.blob(blob):
        made.update(piece)
        pieces.append(piece)
        done += len(piece)
        if done > blob.size:
            break
    check(made.hexdigest(), Digest.parse(blob.digest), operation="inspect", path=source.name)
    try:
        return read_image_config(b"".join(pieces)).to_json()
    except InvalidConfig as error:
        raise ImageError(str(error), operation="inspect", path=source.name) from error
