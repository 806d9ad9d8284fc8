"""Image layouts, ``oci:DIR[:NAME]``: a directory of blobs and an index that names images.

    DIR/oci-layout          {"imageLayoutVersion": "1.0.0"}
    DIR/index.json          the images; each may have a name in an annotation
    DIR/blobs/sha256/HEX    manifests, configurations, layers
    DIR/.pycgroups-*        what is being written (`pycgroups.images.staging`)

What is written becomes part of the layout under a lock (`flock(2)` on DIR), blobs first and the index last, so that any
number of processes may write, and a reader finds the old images or the new ones.

Source: image-spec, image-layout.md.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from pycgroups.errors import AlreadyExists, ImageError, ImageNotFound, InvalidConfig, shown
from pycgroups.images.digest import Digest, check_bytes, digest_of
from pycgroups.images.files import Directory, io_errors, read
from pycgroups.images.local import LocalSource, StagedDestination
from pycgroups.images.names import INDEX, LAYOUT, NAME, name_of
from pycgroups.images.staging import PREFIX, checked
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_manifest
from pycgroups.oci.json_text import LARGEST_TEXT, dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pycgroups.images.files import Files
    from pycgroups.images.reference import Location
    from pycgroups.images.transport import Chunks, Source

LAYOUT_TEXT = b'{"imageLayoutVersion":"1.0.0"}'
EMPTY_INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": []}
_LARGEST_MARK = 4096
_MOST_SHOWN = 20


def source(location: Location) -> LayoutSource:
    """Open an image of a layout on disk for reading.

    Raises:
        ImageNotFound: there is no such directory, or no such image in it.
        ImageError: it is no image layout, or a broken one.
    """
    files = Directory(location.path)
    try:
        return LayoutSource(files, location.reference, str(location))
    except BaseException:
        files.close()
        raise


def destination(location: Location) -> LayoutDestination:
    """Open a layout on disk for writing; it is made where there is none.

    Raises:
        AlreadyExists: there is a directory with something else in it.
        Error: it cannot be made.
    """
    return LayoutDestination(location.path, location.reference, str(location))


def blob_path(digest: Digest) -> str:
    """Name the file of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def read_index(files: Files) -> spec.Index:
    """Return the index of a layout.

    Raises:
        ImageError: these files are no layout, or one of another version, or with an index that is none.
    """
    _check_version(files)
    try:
        index = read_manifest(read(files, INDEX, LARGEST_TEXT), spec.INDEX, most=LARGEST_TEXT)
    except InvalidConfig as error:
        raise ImageError(str(error), operation="read", path=f"{files.name}/{INDEX}") from error
    assert isinstance(index, spec.Index)
    return index


def _check_version(files: Files) -> None:
    try:
        mark = parse(read(files, LAYOUT, _LARGEST_MARK), LAYOUT)
    except ImageNotFound:
        hint = f"an image layout has a file {LAYOUT}"
        raise ImageError("no image layout", operation="open", path=files.name, hint=hint) from None
    version = mark.get("imageLayoutVersion") if isinstance(mark, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != "1":
        message = f"an image layout of version {shown(version)}, known: 1.0.0"
        raise ImageError(message, operation="open", path=files.name)


def names(index: spec.Index) -> list[str]:
    """Return what the images of a layout are called: their names, or the digests of those that have none."""
    return [name_of(image) or image.digest for image in index.manifests]


def choose(index: spec.Index, name: str | None, path: str) -> spec.Descriptor:
    """Return the image of a layout that has a name, or a digest; without one, the only one that there is.

    Raises:
        ImageNotFound: there is none, or there are several and no name was given.
        ImageError: there are several of that name.
    """
    found = [image for image in index.manifests if name in {None, name_of(image), image.digest}]
    if len({image.digest for image in found}) == 1:
        return found[0]
    there = ", ".join(map(shown, names(index)[:_MOST_SHOWN]))
    hint = f"there are {there}" if there else "it is empty"
    if found and name is not None:
        raise ImageError(f"several images with the name {shown(name)}", operation="open", path=path, hint=hint)
    message = f"{len(found)} images, and no name was given" if found else f"no image with the name {shown(name)}"
    raise ImageNotFound(message if index.manifests else "no image", operation="open", path=path, hint=hint)


class LayoutSource(LocalSource):
    """An image of a layout, in a directory or in an archive."""

    def __init__(self, files: Files, name: str | None, shown_as: str, *, shared: bool = False) -> None:
        """Find the image.

        Args:
            files: of the layout.
            name: of the image; None takes the only one that there is.
            shown_as: what it is, for errors and people.
            shared: the files are not closed with the source.

        Raises:
            ImageNotFound: there is no such image.
            ImageError: the files are no image layout, or a broken one.
        """
        self.name = shown_as
        self._files = files
        self._shared = shared
        index = read_index(files)
        self._top = choose(index, name, shown_as)
        same = [image for image in index.manifests if image.digest == self._top.digest]
        names = tuple(own for own in map(name_of, same) if own is not None)
        self.called = (name,) if name in names else names

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return a manifest or an index, and its media type."""
        if digest is None:
            return self._text(self._top.digest, self._top.size), self._top.media_type
        text = self._text(digest, None)
        return text, media_type(text)

    def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        return self._files.chunks(blob_path(Digest.parse(blob.digest)), start)

    def close(self) -> None:
        """Let go of the files."""
        if not self._shared:
            self._files.close()

    def _text(self, digest: str, size: int | None) -> bytes:
        wanted = Digest.parse(digest)
        path = blob_path(wanted)
        text = read(self._files, path, LARGEST_MANIFEST)
        if size is not None and len(text) != size:
            message = f"{len(text)} bytes, its descriptor says {size}"
            raise ImageError(message, operation="read", path=f"{self.name}/{path}")
        check_bytes(text, wanted, operation="read", path=f"{self.name}/{path}")
        return text


def media_type(text: bytes) -> str:
    """Return what a manifest or an index says that it is, or is when it does not say."""
    manifest = read_manifest(text)
    return manifest.media_type or (spec.INDEX if isinstance(manifest, spec.Index) else spec.MANIFEST)


class LayoutDestination(StagedDestination):
    """A layout in a directory, to which an image is added, or put in the place of another of its name."""

    def __init__(self, path: str, name: str | None, shown_as: str) -> None:
        """Open it, or make it."""
        self.name = shown_as
        self._image = name
        self._staged: dict[Digest, str] = {}
        super().__init__(path)

    def _check(self) -> None:
        """Refuse to mix an image with other files."""
        with self._locked(fcntl.LOCK_SH):
            there = {name for name in os.listdir(self._files.fd) if not name.startswith(PREFIX)}
        if LAYOUT in there:
            _check_version(self._files)
            self._index()
        elif there:
            hint = "another directory, or one that is empty"
            raise AlreadyExists("a directory with other files", operation="open", path=self._path, hint=hint)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fcntl.flock(self._files.fd, how)
        try:
            yield
        finally:
            fcntl.flock(self._files.fd, fcntl.LOCK_UN)

    def has(self, blob: spec.Descriptor, origin: Source) -> bool:  # noqa: ARG002 (it is taken from nowhere else)
        """Tell whether a blob is there."""
        digest = Digest.parse(blob.digest)
        try:
            return digest in self._staged or self._files.size(blob_path(digest)) == blob.size
        except ImageNotFound:
            return False

    def put_blob(self, blob: spec.Descriptor, chunks: Chunks) -> None:
        """Take a blob."""
        self._staged[Digest.parse(blob.digest)] = self._staging.write(checked(blob, chunks(0), blob.digest))

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        """Take a manifest or an index; with ``top``, the image is part of the layout."""
        called = digest_of(text, digest, operation="write", path=self.name)
        self._staged[called] = self._staging.write([text])
        if top:
            with io_errors("write", self._path):
                self._publish({"mediaType": media_type, "digest": str(called), "size": len(text)})
        return str(called)

    def _publish(self, image: dict[str, Any]) -> None:
        """Move all that was staged to its place, the index last; a crash before leaves a layout, if an empty one."""
        with self._locked(fcntl.LOCK_EX):
            self._put(LAYOUT, LAYOUT_TEXT)
            self._move_blobs()
            self._put(INDEX, dumps(with_image(self._index(), image, self._image)).encode())
            os.fsync(self._files.fd)

    def _move_blobs(self) -> None:
        with _subdirectory("blobs", self._files.fd) as blobs:
            for algorithm in {digest.algorithm for digest in self._staged}:
                with _subdirectory(algorithm, blobs) as place:
                    for digest in [digest for digest in self._staged if digest.algorithm == algorithm]:
                        self._staging.move(self._staged.pop(digest), digest.encoded, place)

    def _index(self) -> dict[str, Any]:
        """Return the index as it stands on disk, with all that others wrote into it."""
        try:
            text = read(self._files, INDEX, LARGEST_TEXT)
        except ImageNotFound:
            return EMPTY_INDEX
        read_manifest(text, spec.INDEX, most=LARGEST_TEXT)
        index: dict[str, Any] = parse(text, INDEX)
        return index

    def _put(self, name: str, content: bytes) -> None:
        self._staging.move(self._staging.write([content]), name)


def with_image(index: dict[str, Any], image: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return an index with one image more; one of the same name is no longer in it.

    Args:
        index: the document.
        image: its descriptor.
        name: of the image, or None.
    """
    named = {**image, "annotations": {NAME: name}} if name else image
    others = [other for other in index["manifests"] if not _replaces(named, other)]
    return {**index, "manifests": [*others, named]}


def _replaces(image: dict[str, Any], other: dict[str, Any]) -> bool:
    own, others = ((each.get("annotations") or {}).get(NAME) for each in (image, other))
    return own == others and (own is not None or image["digest"] == other["digest"])


@contextmanager
def _subdirectory(name: str, parent: int) -> Iterator[int]:
    """Open a directory, and make it where there is none; what is moved there is on the disk at the end."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        pass
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield fd
        os.fsync(fd)
    finally:
        os.close(fd)
