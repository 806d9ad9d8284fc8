"""App Container Images, the ``.aci`` files of rkt's days: a tar with a manifest and a root file system.

    manifest      what `pycgroups.images.appc_manifest` reads
    rootfs/...    becomes the only layer, with the names below ``rootfs/``

Source: https://github.com/appc/spec/blob/v0.8.11/spec/aci.md, "Image Layout".
"""

from __future__ import annotations

import os

from pycgroups.errors import ImageError, ImageNotFound, shown
from pycgroups.images.appc_manifest import read_manifest
from pycgroups.images.files import PIECE
from pycgroups.images.made import MadeSource, config_text, layer_in
from pycgroups.images.spool import LARGEST, spooled
from pycgroups.images.tar.entry import BLOCK, FILE, LINK, OTHER
from pycgroups.images.tar.reader import Reader
from pycgroups.images.tar.stream import FileStream
from pycgroups.images.tar.writer import END, header
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_image_config
from pycgroups.oci.image_spec import RootFs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from attrs import evolve

    from pycgroups.images.tar.entry import Entry
    from pycgroups.images.transport import Source
else:
    from pycgroups.frozen import evolve

_MANIFEST = b"manifest"
_ROOT = b"rootfs"


def is_one(fd: int) -> bool:
    """Tell whether an uncompressed tar in a file may be such an image: by what is first in it, besides ``./``."""
    try:
        names = (_plain(entry.name) for entry in Reader(FileStream(fd, "archive")))
        return next(filter(None, names), b"").partition(b"/")[0] in {_MANIFEST, _ROOT}
    except ImageError:
        return False


class AppcArchive:
    """Such an image that is read; a context manager. Its sources work until it is closed.

    Attributes:
        form: ``"appc"``.
    """

    form = "appc"

    def __init__(self, fd: int, name: str, *, directory: str | None = None, largest: int = LARGEST) -> None:
        """Convert the image.

        Args:
            fd: of the tar, uncompressed, in a file; stays open, and is needed no more.
            name: of the file, for errors.
            directory: where a temporary file is made; by default that of `tempfile`.
            largest: bytes that it may take.

        Raises:
            ImageError: it is no such image, or a broken one.
            Unsupported: it needs other images, or something that has no counterpart.
            InvalidConfig: its manifest is no JSON, or has impossible texts.
        """
        image = read_manifest(_manifest(fd, name), name)
        self._called = f"{image.name}:{image.version}" if image.version else image.name
        self._name = name
        self._fd = spooled(_layer(fd, name, image.whitelist), name, directory, largest)
        try:
            self._layer = layer_in(self._fd, name)
            rootfs = RootFs(type="layers", diff_ids=(self._layer.descriptor.digest,))
            self._config = config_text(evolve(image.config, rootfs=rootfs))
            read_image_config(self._config)
        except BaseException:
            os.close(self._fd)
            raise

    def names(self) -> list[str]:
        """Return the image's name, with its version if it has one."""
        return [self._called]

    def source(self, name: str | None = None, *, shared: bool = True) -> Source:
        """Open the image.

        Args:
            name: one of `names`; or None.
            shared: the archive is not closed with the source.

        Raises:
            ImageNotFound: the image has another name.
        """
        if name not in {None, self._called}:
            hint = f"there is {shown(self._called)}"
            raise ImageNotFound(f"no image {shown(name)}", operation="open", path=self._name, hint=hint)
        return MadeSource(
            self._name, self._config, [self._layer], _nothing if shared else self.close, called=(self._called,)
        )

    def close(self) -> None:
        """Let go of the layer; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()


def _nothing() -> None:
    """Close what is shared."""


def _reader(fd: int, name: str) -> Reader:
    return Reader(FileStream(fd, name))


def _manifest(fd: int, name: str) -> bytes:
    reader = _reader(fd, name)
    for entry in reader:
        if _plain(entry.name) == _MANIFEST and entry.kind == FILE and entry.extents is None:
            if entry.size > LARGEST_MANIFEST:
                message = f"a manifest of {entry.size} bytes, allowed: up to {LARGEST_MANIFEST}"
                raise ImageError(message, operation="open", path=name)
            return b"".join(_data(reader, entry))
    raise ImageError("no App Container Image: it has no manifest", operation="open", path=name)


def _layer(fd: int, name: str, whitelist: frozenset[str]) -> Iterator[bytes]:
    """Yield a tar of what is below ``rootfs/``; of that only what is in the whitelist, if there is one."""
    wanted = {os.fsencode(path).strip(b"/") for path in whitelist}
    wanted |= {path[:end] for path in wanted for end, letter in enumerate(path) if letter == ord("/")}
    reader = _reader(fd, name)
    for entry in reader:
        moved = _moved(entry, wanted, name)
        if moved is not None:
            yield header(moved)
            yield from _data(reader, entry)
            yield bytes(-entry.size % BLOCK)
    yield END


def _moved(entry: Entry, wanted: set[bytes], name: str) -> Entry | None:
    """Return an entry with its name below ``rootfs/``; None if it is left out."""
    if entry.kind == OTHER or _plain(entry.name) in {b"", _MANIFEST}:
        return None
    path = _below_root(entry.name)
    if path is None:
        raise ImageError("neither the manifest nor below rootfs/", operation="read", path=f"{name}/{_text(entry.name)}")
    if wanted and path and path not in wanted:
        return None
    target = entry.target
    if entry.kind == LINK:
        inner = _below_root(target)
        if not inner or (wanted and inner not in wanted):
            message = f"a hard link to {_text(target)!r}, which does not become part of the image"
            raise ImageError(message, operation="read", path=f"{name}/{_text(entry.name)}")
        target = inner
    return entry._replace(name=path or b"./", target=target, extents=None)


def _data(reader: Reader, entry: Entry) -> Iterator[bytes]:
    """Yield what is in a file, with the holes of a sparse one."""
    at, position = 0, 0
    extents = entry.extents if entry.extents is not None else ((0, entry.size),)
    for chunk, start, length in reader.pieces():
        done = 0
        while done < length:
            offset, size = extents[position]
            yield from _zeros(offset - at)
            at = max(at, offset)
            part = min(length - done, offset + size - at)
            yield chunk[start + done : start + done + part]
            at, done = at + part, done + part
            position += at == offset + size
    yield from _zeros(entry.size - at)


def _zeros(size: int) -> Iterator[bytes]:
    while size > 0:
        yield bytes(min(size, PIECE))
        size -= PIECE


def _plain(name: bytes) -> bytes:
    """Return a name without what means nothing."""
    return b"/".join([part for part in name.split(b"/") if part not in {b"", b"."}])


def _below_root(name: bytes) -> bytes | None:
    """Return the name of a file in the root file system, empty for its root; None when it is not there."""
    first, _, rest = _plain(name).partition(b"/")
    return rest if first == _ROOT else None


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
