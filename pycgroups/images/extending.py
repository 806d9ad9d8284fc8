"""An image and one more layer become another image: what ``docker commit`` does."""

from __future__ import annotations

import os

from pycgroups.images.digest import Digest
from pycgroups.images.instructions import changed
from pycgroups.images.made import Layer, MadeSource, config_text, layer_in
from pycgroups.images.spool import LARGEST, spooled
from pycgroups.oci import image_spec as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from attrs import evolve

    from pycgroups.images.image import Image
    from pycgroups.images.transport import Chunks, Source
else:
    from pycgroups.frozen import evolve


def source(
    image: Image,
    layer: Iterator[bytes],
    *,
    changes: Sequence[str] = (),
    author: str | None = None,
    message: str | None = None,
    created: str | None = None,
    created_by: str | None = None,
    directory: str | None = None,
) -> Source:
    """Return an image with one more layer, to be copied and then closed.

    Args:
        image: what is below; its layers are shared.
        layer: the bytes of a tar.
        changes: instructions of a Dockerfile that change how it is run: `pycgroups.images.instructions.changed`.
        author: who made it.
        message: a comment in its history.
        created: when it was made, RFC 3339.
        created_by: what made the layer.
        directory: where the layer is kept meanwhile; by default that of `tempfile`.

    Raises:
        InvalidConfig: a change is none; nothing was read.
        ImageError: a blob of the image is not here.
    """
    document = image.document
    defaults = changed(document.config, changes)
    fd = spooled(layer, "layer", directory, LARGEST)
    try:
        added = layer_in(fd, "layer")
        step = spec.History(created=created, created_by=created_by, author=author, comment=message)
        # Many images tell nothing of some layers; the last step would be taken for one of theirs.
        known = sum(not each.empty_layer for each in document.history)
        untold = (spec.History(),) * (len(document.rootfs.diff_ids) - known)
        described = evolve(
            document,
            created=created,
            author=author if author is not None else document.author,
            config=defaults,
            rootfs=evolve(document.rootfs, diff_ids=(*document.rootfs.diff_ids, added.descriptor.digest)),
            history=(*document.history, *untold, step),
        )
        below = [Layer(one, _stored(image, one)) for one in image.manifest.layers]
        return MadeSource("layer", config_text(described), [*below, added], lambda: os.close(fd))
    except BaseException:
        os.close(fd)
        raise


def _stored(image: Image, blob: spec.Descriptor) -> Chunks:
    return lambda start: image.store.blobs.chunks(Digest.parse(blob.digest), start)
