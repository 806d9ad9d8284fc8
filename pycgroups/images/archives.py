"""Archives of images, ``oci-archive:FILE[:NAME]`` and ``docker-archive:FILE[:NAME]``: one file, any number of images.

    with open_archive(sys.stdin.buffer) as archive:      # of either form, compressed or not
        for name in archive.names(): ...
            source = archive.source(name)

    with ArchiveWriter("images.tar", "docker-archive") as archive:
        destination = archive.destination("docker.io/library/debian:13")

An ``oci-archive`` is a tar of an image layout (`pycgroups.images.layouts`), a ``docker-archive`` what ``docker save``
writes (`pycgroups.images.docker_archives`). The same images make the same bytes. App Container Images are read, too
(`pycgroups.images.appc`).
"""

from __future__ import annotations

import os
import tempfile

from pycgroups.errors import ImageError, InvalidConfig, StateError, invalid
from pycgroups.images import appc, docker_archives, layouts
from pycgroups.images.digest import digest_of
from pycgroups.images.docker_packing import DockerPacking, tagged
from pycgroups.images.files import io_errors
from pycgroups.images.local import LocalDestination
from pycgroups.images.names import LAYOUT
from pycgroups.images.packing import LayoutPacking, tar
from pycgroups.images.spool import LARGEST, plain_file
from pycgroups.images.staging import Staging
from pycgroups.images.tar_index import TarFiles
from pycgroups.images.writing import is_special, open_special, written_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal, Protocol, Self

    from pycgroups.images.appc import AppcArchive
    from pycgroups.images.packing import Packing
    from pycgroups.images.reference import Location
    from pycgroups.images.spool import Origin, Stream
    from pycgroups.images.transport import Chunks, Destination, Source
    from pycgroups.oci.image_spec import Descriptor

    Form = Literal["oci-archive", "docker-archive"]

    class Output(Protocol):
        """What bytes are written to: a pipe, a socket's file, ``sys.stdout.buffer``."""

        def write(self, data: bytes | memoryview, /) -> int | None: ...  # noqa: D102 (io's)


def _packing(form: Form, staging: Staging) -> Packing:
    return LayoutPacking(staging) if form == "oci-archive" else DockerPacking(staging)


def source(
    location: Location, stream: Stream | None = None, *, directory: str | None = None, largest: int = LARGEST
) -> Source:
    """Open one image of an archive for reading; closing it closes the archive.

    Args:
        location: of the archive, with the name of the image or without.
        stream: what the archive is read from instead of the location's path.
        directory: see `open_archive`.
        largest: see `open_archive`.

    Raises:
        What `open_archive` and `Archive.source` raise.
    """
    archive = open_archive(stream or location.path, _form_of(location), directory=directory, largest=largest)
    try:
        return archive.source(location.reference, shared=False)
    except BaseException:
        archive.close()
        raise


def destination(location: Location, stream: Output | None = None, *, directory: str | None = None) -> Destination:
    """Open an archive for writing one image to it; closing it writes the archive.

    Args:
        location: of the archive, with the name of the image or without.
        stream: what the archive is written to instead of the location's path.
        directory: see `ArchiveWriter`.

    Raises:
        What `ArchiveWriter` and its ``destination`` raise.
    """
    writer = ArchiveWriter(stream or location.path, _form_of(location), directory=directory)
    try:
        return writer.destination(location.reference, last=True)
    except BaseException:
        writer.close(failed=True)
        raise


def _form_of(location: Location) -> Form:
    if location.transport == "oci-archive":
        return "oci-archive"
    if location.transport == "docker-archive":
        return "docker-archive"
    raise invalid("image", str(location), "oci-archive: or docker-archive:")


# -- reading -------------------------------------------------------------------------------------------------------


def open_archive(
    origin: Origin, form: Form | None = None, *, directory: str | None = None, largest: int = LARGEST
) -> Archive | AppcArchive:
    """Open an archive for reading.

    Args:
        origin: a path, or a stream, which need not be able to seek; gzip, zstd, bzip2 and xz are unpacked.
        form: what it is; by default what it looks like, an App Container Image among others. Docker's own archives are
            both: then the one with full names.
        directory: where a temporary file is made for what is compressed or a stream; by default that of `tempfile`.
        largest: bytes that the temporary file may take.

    Raises:
        ImageNotFound: there is no such file.
        ImageError: it is no archive of images, or a broken one.
        InvalidConfig: what it says of its images is wrong.
        Unsupported: an App Container Image that is made of others.
    """
    fd, name = plain_file(origin, directory=directory, largest=largest)
    if form is None and appc.is_one(fd):
        try:
            return appc.AppcArchive(fd, name, directory=directory, largest=largest)
        finally:
            os.close(fd)
    files = TarFiles(fd, name)
    try:
        return Archive(files, form or _form(files))
    except BaseException:
        files.close()
        raise


def _form(files: TarFiles) -> Form:
    if docker_archives.CONTENTS in files or "repositories" in files:
        return "docker-archive"
    if LAYOUT in files:
        return "oci-archive"
    hint = f"{docker_archives.CONTENTS} or {LAYOUT} would be in one"
    raise ImageError("no archive of images", operation="open", path=files.name, hint=hint)


class Archive:
    """An archive that is read; a context manager. Its sources work until it is closed.

    Attributes:
        form: ``"oci-archive"`` or ``"docker-archive"``.
    """

    def __init__(self, files: TarFiles, form: Form) -> None:
        """Take the files over; see `open_archive`."""
        self.form = form
        self._files = files
        self._images = docker_archives.read_images(files) if form == "docker-archive" else None
        self._index = layouts.read_index(files) if form == "oci-archive" else None

    def names(self) -> list[str]:
        """Return what `source` takes: each name of each image.

        A docker-archive has references in full, and ``@N`` for an image without a name. An oci-archive has any texts,
        and digests for images without one.
        """
        if self._images is not None:
            return [name for n, image in enumerate(self._images) for name in image.names or (f"@{n}",)]
        assert self._index is not None
        return layouts.names(self._index)

    def source(self, name: str | None = None, *, shared: bool = True) -> Source:
        """Open an image.

        Args:
            name: one of `names`; None takes the only one that there is.
            shared: the archive is not closed with the source.

        Raises:
            ImageNotFound: there is none, or there are several and no name was given.
            ImageError: it is broken.
        """
        shown_as = f"{self.form}:{self._files.name}{f':{name}' if name else ''}"
        if self._images is not None:
            image = docker_archives.choose(self._images, name, self._files.name)
            return docker_archives.source(self._files, image, name, shown_as, _nothing if shared else self.close)
        return layouts.LayoutSource(self._files, name, shown_as, shared=shared)

    def close(self) -> None:
        """Let go of the file."""
        self._files.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()


def _nothing() -> None:
    """Close what is shared."""


# -- writing -------------------------------------------------------------------------------------------------------


class ArchiveWriter:
    """An archive that is written, to a file or a stream; a context manager, which at an error leaves no file.

    Blobs are collected in a temporary directory, beside the file that it is to be; the archive is written at the end,
    and takes its place at once.
    """

    def __init__(self, target: str | os.PathLike[str] | Output, form: Form, *, directory: str | None = None) -> None:
        """Make the temporary directory.

        Args:
            target: a path, or a stream, which need not be able to seek. A file at the path is replaced; what is a pipe
                or a device is written to.
            form: ``"oci-archive"`` or ``"docker-archive"``.
            directory: where the temporary directory is made for a stream; by default that of `tempfile`.

        Raises:
            InvalidConfig: the target is neither.
            Error: it cannot be made, or the target is a directory.
        """
        if not isinstance(target, str | os.PathLike) and not hasattr(target, "write"):
            raise invalid("target", target, "a path, or a stream of bytes")
        self.form = form
        self._path = written_at(target) if isinstance(target, str | os.PathLike) else None
        self._stream = None if isinstance(target, str | os.PathLike) else target
        self.name = f"{form}:{self._path or '(stream)'}"
        self._through = self._path is None or is_special(self._path)
        beside = None if self._through or self._path is None else os.path.dirname(self._path)
        self._staging = Staging(beside or directory or tempfile.gettempdir())
        self.packing = _packing(form, self._staging)

    def destination(self, reference: str | None = None, *, last: bool = False) -> Destination:
        """Return where one image is put.

        Args:
            reference: its name: for a docker-archive one with a tag, for an oci-archive any name that an image layout
                can hold; None for an image without a name.
            last: closing it closes the archive.

        Raises:
            InvalidConfig: such an archive cannot hold that name.
        """
        if reference is not None and self.form == "docker-archive":
            tagged(reference)
        return _Place(self, reference, last=last)

    def close(self, *, failed: bool) -> None:
        """Write the archive, unless something failed.

        Raises:
            Error: it cannot be written; what was at the path is there still.
        """
        try:
            if not failed:
                with io_errors("write", self.name):
                    self._write()
        finally:
            self._staging.discard()

    def _write(self) -> None:
        chunks = tar(self.packing.members(), self._staging)
        if self._stream is not None:
            _send(chunks, self._stream)
        elif self._path is not None and self._through:
            with open(open_special(self._path), "wb", buffering=0) as file:
                _send(chunks, file)
        elif self._path is not None:
            self._staging.move(self._staging.write(chunks), os.path.basename(self._path))
            os.fsync(self._staging.parent)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """Close it."""
        self.close(failed=kind is not None)


def _send(chunks: Iterator[bytes], stream: Output) -> None:
    """Write to a stream that may take less at a time than it is given."""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            try:
                view = view[stream.write(view) or 0 :]
            except TypeError:
                raise InvalidConfig("a stream of text, allowed: one of bytes", operation="write") from None
    if flush := getattr(stream, "flush", None):
        flush()


class _Place(LocalDestination):
    """Where one image of an archive is put."""

    def __init__(self, writer: ArchiveWriter, reference: str | None, *, last: bool) -> None:
        self.name = f"{writer.name}{f':{reference}' if reference else ''}"
        self._writer = writer
        self._reference = reference
        self._last = last
        self._is_complete = False

    def has(self, blob: Descriptor, origin: Source) -> bool:  # noqa: ARG002 (it is taken from nowhere else)
        return self._writer.packing.has(blob)

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        self._writer.packing.put_blob(blob, chunks)

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        called = digest_of(text, digest, operation="write", path=self.name)
        self._writer.packing.put_manifest(text, media_type, called, top=top, reference=self._reference)
        self._is_complete = self._is_complete or top
        return str(called)

    def close(self, *, failed: bool) -> None:
        if self._last:
            self._writer.close(failed=failed or not self._is_complete)
        if not failed and not self._is_complete:
            raise StateError("closed before it had a manifest", operation="write", path=self.name)
