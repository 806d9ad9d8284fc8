"""What ``docker save`` writes, read: images whose manifests are made of what is in the archive.

Source: https://github.com/moby/docker-image-spec/blob/v1.2.0/v1.2.md, "Combined Image JSON + Filesystem Changeset
Format".
"""

from __future__ import annotations

from pycgroups.errors import ImageError, ImageNotFound, Unsupported, shown
from pycgroups.images.compression import found_in
from pycgroups.images.digest import new_hash
from pycgroups.images.files import read
from pycgroups.images.made import Layer, MadeSource
from pycgroups.images.reference import Reference
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_image_config
from pycgroups.oci.json_text import LARGEST_TEXT, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NamedTuple

    from pycgroups.images.tar_index import TarFiles
else:
    from pycgroups.records import NamedTuple

CONTENTS = "manifest.json"
_MOST_LAYERS = 1000
_MOST_SHOWN = 20
_LAYER = {None: spec.LAYER, "gzip": spec.LAYER_GZIP, "zstd": spec.LAYER_ZSTD}


class DockerImage(NamedTuple):
    """What manifest.json says of one image: its names in full, and the paths of its files."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]


def read_images(files: TarFiles) -> list[DockerImage]:
    """Return the images of an archive.

    Raises:
        ImageError: it is no such archive.
        Unsupported: it is of Docker 1.9 or before.
        InvalidConfig: an image has a name that is none.
    """
    if CONTENTS not in files:
        if "repositories" in files:
            hint = "load it with a newer Docker, and save it again"
            raise Unsupported("an archive of Docker 1.9 or before", operation="open", path=files.name, hint=hint)
        hint = f"such an archive has a file {CONTENTS}"
        raise ImageError("no docker-archive", operation="open", path=files.name, hint=hint)
    document = parse(read(files, CONTENTS, LARGEST_MANIFEST), CONTENTS)
    if not isinstance(document, list):
        raise _broken(files, "no list of images")
    return [_image(files, item, f"{CONTENTS}[{position}]") for position, item in enumerate(document)]


def _image(files: TarFiles, item: Any, key: str) -> DockerImage:
    if not isinstance(item, dict):
        raise _broken(files, f"{key} is no object")
    layers, tags = _texts(files, item, key, "Layers"), _texts(files, item, key, "RepoTags")
    config = item.get("Config")
    if not isinstance(config, str):
        raise _broken(files, f"{key}.Config is {shown(config)}")
    if len(layers) > _MOST_LAYERS:
        raise _broken(files, f"{len(layers)} layers, allowed: up to {_MOST_LAYERS}")
    names = [str(Reference.parse(tag, f"{key}.RepoTags[{position}]")) for position, tag in enumerate(tags)]
    return DockerImage(tuple(names), config, tuple(layers))


def _texts(files: TarFiles, item: dict[str, Any], key: str, name: str) -> list[str]:
    texts = item.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _broken(files, f"{key}.{name} is no list of texts")
    return texts


def _broken(files: TarFiles, reason: str) -> ImageError:
    return ImageError(reason, operation="open", path=f"{files.name}/{CONTENTS}")


def choose(images: list[DockerImage], name: str | None, path: str) -> DockerImage:
    """Return the image of an archive that has a name, or is at a position.

    Args:
        images: of the archive.
        name: a reference, ``@N`` for the one at that position, or None for the only one that there is.
        path: of the archive, for errors.

    Raises:
        ImageNotFound: there is none, or there are several and no name was given.
        ImageError: there are several of that name.
    """
    there = ", ".join(", ".join(image.names) or f"@{position}" for position, image in enumerate(images[:_MOST_SHOWN]))
    hint = f"there are {there}" if there else "it is empty"
    if name is None:
        if len(images) == 1:
            return images[0]
        raise ImageNotFound(f"{len(images)} images, and no name was given", operation="open", path=path, hint=hint)
    if name.startswith("@") and name[1:].isdecimal():
        found = images[int(name[1:]) :][:1]
    else:
        found = [image for image in images if str(Reference.parse(name)) in image.names]
    if not found:
        raise ImageNotFound(f"no image {shown(name)}", operation="open", path=path, hint=hint)
    if len(found) > 1:
        raise ImageError(f"several images with the name {shown(name)}", operation="open", path=path, hint=hint)
    return found[0]


def source(
    files: TarFiles, image: DockerImage, name: str | None, shown_as: str, close: Callable[[], None]
) -> MadeSource:
    """Return an image of an archive, to be copied.

    Args:
        files: of the archive.
        image: which one.
        name: that it was asked for by; see `choose`.
        shown_as: what it is, for errors and people.
        close: called when the source is closed.

    Raises:
        ImageError: a file is missing, or is no configuration or layer.
        InvalidConfig: the configuration is none.
    """
    config = _read_inside(files, image.config)
    diff_ids = read_image_config(config).rootfs.diff_ids
    if len(diff_ids) != len(image.layers):
        message = f"{len(image.layers)} layers, the configuration says {len(diff_ids)}"
        raise ImageError(message, operation="open", path=shown_as)
    layers = [_layer(files, *pair) for pair in zip(image.layers, diff_ids, strict=True)]
    asked = None if name is None or name.startswith("@") else str(Reference.parse(name))
    called = (asked,) if asked in image.names else image.names
    return MadeSource(shown_as, config, layers, close, called=called)


def _layer(files: TarFiles, path: str, diff_id: str) -> Layer:
    """Describe a layer: one that is not compressed is known by its digest; some tools compress."""
    chunks = _inside(files, path)
    first = next(chunks, b"")
    kind = found_in(first)
    if kind not in _LAYER:
        raise ImageError(f"a layer compressed with {kind}", operation="open", path=f"{files.name}/{path}")
    digest = diff_id
    if kind is not None:
        made = new_hash("sha256")
        made.update(first)
        for chunk in chunks:
            made.update(chunk)
        digest = f"sha256:{made.hexdigest()}"
    descriptor = spec.Descriptor(media_type=_LAYER[kind], digest=digest, size=files.size(path))
    return Layer(descriptor, lambda start: files.chunks(path, start))


def _read_inside(files: TarFiles, path: str) -> bytes:
    """Read what manifest.json names; that it is not there is no question of which image was asked for."""
    try:
        return read(files, path, LARGEST_TEXT)
    except ImageNotFound as error:
        raise ImageError(error.message, operation=error.operation, path=error.path) from None


def _inside(files: TarFiles, path: str) -> Iterator[bytes]:
    try:
        yield from files.chunks(path)
    except ImageNotFound as error:
        raise ImageError(error.message, operation=error.operation, path=error.path) from None
