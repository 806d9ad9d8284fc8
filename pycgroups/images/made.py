"""Images that have no manifest of their own yet: a configuration and layers, and a manifest that is made of them."""

from __future__ import annotations

import os

from pycgroups.errors import ImageNotFound
from pycgroups.images.digest import Digest, check_bytes, new_hash
from pycgroups.images.files import pieces
from pycgroups.images.local import LocalSource
from pycgroups.oci import image_spec as spec
from pycgroups.oci.json_text import dumps
from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, NamedTuple

    from pycgroups.images.transport import Chunks
else:
    from pycgroups.records import NamedTuple


def config_text(config: spec.ImageConfig) -> bytes:
    """Write the configuration of a new image, without what is not said."""
    return dumps(_document(config)).encode()


def _document(model: Model) -> dict[str, Any]:
    plain = model.to_json()
    for _, name, value in model.given():
        if value == "" or value is False:
            del plain[name]
        elif isinstance(value, Model):
            plain[name] = _document(value)
        elif isinstance(value, tuple) and all(isinstance(item, Model) for item in value):
            plain[name] = [_document(item) for item in value]
    return plain


class Layer(NamedTuple):
    """A layer, and what yields its bytes from an offset on."""

    descriptor: spec.Descriptor
    chunks: Chunks


def layer_in(fd: int, name: str) -> Layer:
    """Describe a layer that is a tar in a file.

    Args:
        fd: of the file, open as long as the layer is needed.
        name: of the file, for errors.
    """
    made, size = new_hash("sha256"), os.fstat(fd).st_size
    for piece in pieces(fd, 0, size, name):
        made.update(piece)
    descriptor = spec.Descriptor(media_type=spec.LAYER, digest=f"sha256:{made.hexdigest()}", size=size)
    return Layer(descriptor, lambda start: pieces(fd, start, size, name))


class MadeSource(LocalSource):
    """Such an image, to be copied."""

    def __init__(
        self,
        name: str,
        config: bytes,
        layers: Sequence[Layer],
        close: Callable[[], None],
        *,
        called: tuple[str, ...] = (),
    ) -> None:
        """Make the manifest; the same image makes the same one.

        Args:
            name: what it is, for errors and people.
            config: the configuration, as it is to be kept.
            layers: the lowest first.
            close: lets go of where the layers are.
            called: the names that it has there.
        """
        described = spec.Descriptor(media_type=spec.CONFIG, digest=str(Digest.of(config)), size=len(config))
        manifest = spec.Manifest(
            schema_version=2,
            media_type=spec.MANIFEST,
            config=described,
            layers=tuple(layer.descriptor for layer in layers),
        )
        self.name = name
        self.called = called
        self._manifest = dumps(manifest.to_json()).encode()
        self._blobs: dict[str, Chunks] = {layer.descriptor.digest: layer.chunks for layer in layers}
        self._blobs[described.digest] = lambda start: iter([config[start:]])
        self._close = close

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return the manifest that was made."""
        if digest is not None:
            check_bytes(self._manifest, Digest.parse(digest), operation="read", path=self.name)
        return self._manifest, spec.MANIFEST

    def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        if blob.digest not in self._blobs:
            raise ImageNotFound("no such blob", operation="read", path=f"{self.name}/{blob.digest}")
        return self._blobs[blob.digest](start)

    def close(self) -> None:
        """Let go of where the layers are; may be called twice."""
        close, self._close = self._close, _nothing
        close()


def _nothing() -> None:
    """Close what is closed already."""
