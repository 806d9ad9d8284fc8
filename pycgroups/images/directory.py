"""Directories of one image, ``dir:DIR``, as skopeo makes them to look into.

    DIR/version             Directory Transport Version: 1.1
    DIR/manifest.json       the manifest, or the index
    DIR/HEX.manifest.json   a manifest that the index names
    DIR/HEX                 a configuration or a layer
    DIR/signature-N         signatures of others', which are neither read nor kept

Source: https://github.com/containers/image/blob/main/docs/containers-transports.5.md, "dir:path".
"""

from __future__ import annotations

import fcntl
import os

from pycgroups.errors import AlreadyExists, ImageError, ImageNotFound
from pycgroups.images.digest import Digest, check_bytes, digest_of
from pycgroups.images.files import Directory, io_errors, read
from pycgroups.images.layouts import media_type
from pycgroups.images.local import LocalSource, StagedDestination
from pycgroups.images.staging import PREFIX, checked
from pycgroups.oci.image_reading import LARGEST_MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.reference import Location
    from pycgroups.images.transport import Chunks, Source
    from pycgroups.oci.image_spec import Descriptor

_VERSION = "version"
_VERSION_TEXT = b"Directory Transport Version: 1.1\n"
_BEFORE = b"Directory Transport Version: "
_MANIFEST = "manifest.json"
_SIGNATURE = "signature-"


def source(location: Location) -> DirectorySource:
    """Open such a directory for reading.

    Raises:
        ImageNotFound: there is no such directory.
        ImageError: it holds no image.
    """
    files = Directory(location.path)
    try:
        return DirectorySource(files, str(location))
    except BaseException:
        files.close()
        raise


def destination(location: Location) -> DirectoryDestination:
    """Open such a directory for writing; it is made where there is none, and an image that is there is replaced.

    Raises:
        AlreadyExists: there is a directory with something else in it.
        Error: it cannot be made.
    """
    return DirectoryDestination(location.path, str(location))


class DirectorySource(LocalSource):
    """The image of such a directory."""

    def __init__(self, files: Directory, shown_as: str) -> None:
        """Read its manifest.

        Raises:
            ImageError: there is none.
            InvalidConfig: it is none.
        """
        self.name = shown_as
        self._files = files
        try:
            self._top = read(files, _MANIFEST, LARGEST_MANIFEST)
        except ImageNotFound:
            hint = f"such a directory has a file {_MANIFEST}"
            raise ImageError("no image", operation="open", path=shown_as, hint=hint) from None
        self._media_type = media_type(self._top)

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return the manifest or the index, or one that the index names."""
        if digest is None:
            return self._top, self._media_type
        wanted = Digest.parse(digest)
        text = read(self._files, _manifest_name(wanted), LARGEST_MANIFEST)
        check_bytes(text, wanted, operation="read", path=f"{self.name}/{_manifest_name(wanted)}")
        return text, media_type(text)

    def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        return self._files.chunks(_blob_name(Digest.parse(blob.digest)), start)

    def close(self) -> None:
        """Let go of the directory."""
        self._files.close()


class DirectoryDestination(StagedDestination):
    """Such a directory that is written."""

    def __init__(self, path: str, shown_as: str) -> None:
        """Open it, or make it."""
        self.name = shown_as
        self._staged: dict[str, str] = {}
        self._used: set[str] = set()
        super().__init__(path)

    def _check(self) -> None:
        there = [name for name in os.listdir(self._files.fd) if not name.startswith(PREFIX)]
        try:
            is_ours = read(self._files, _VERSION, 100).startswith(_BEFORE)
        except ImageError:
            is_ours = False
        except ImageNotFound:
            is_ours = not there
        if not is_ours:
            hint = "another directory, or one that is empty"
            raise AlreadyExists("a directory with other files", operation="open", path=self._path, hint=hint)

    def has(self, blob: Descriptor, origin: Source) -> bool:  # noqa: ARG002 (it is taken from nowhere else)
        """Tell whether a blob is there, of an image that is to be replaced."""
        name = _blob_name(Digest.parse(blob.digest))
        try:
            is_there = name in self._staged or self._files.size(name) == blob.size
        except ImageNotFound:
            return False
        if is_there:
            self._used.add(name)
        return is_there

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a blob."""
        name = self._staging.write(checked(blob, chunks(0), blob.digest))
        self._staged[_blob_name(Digest.parse(blob.digest))] = name

    def put_manifest(
        self,
        text: bytes,
        media_type: str,  # noqa: ARG002 (it says so itself)
        *,
        top: bool,
        digest: str | None = None,
    ) -> str:
        """Take a manifest or an index; with ``top``, the image takes the place of the one before."""
        called = digest_of(text, digest, operation="write", path=self.name)
        name = self._staging.write([text])
        if not top:
            self._staged[_manifest_name(called)] = name
            return str(called)
        with io_errors("write", self._path):
            self._publish(name)
        return str(called)

    def _publish(self, manifest: str) -> None:
        """Move all that was staged to its place, the manifest last; then remove what was of the image before."""
        fcntl.flock(self._files.fd, fcntl.LOCK_EX)
        try:
            keep = {*self._staged, *self._used, _MANIFEST, _VERSION}
            self._staged[_VERSION] = self._staging.write([_VERSION_TEXT])
            for name in list(self._staged):
                self._staging.move(self._staged.pop(name), name)
            os.fsync(self._files.fd)
            self._staging.move(manifest, _MANIFEST)
            for name in os.listdir(self._files.fd):
                if name not in keep and _is_ours(name):
                    os.unlink(name, dir_fd=self._files.fd)
            os.fsync(self._files.fd)
        finally:
            fcntl.flock(self._files.fd, fcntl.LOCK_UN)


def _is_ours(name: str) -> bool:
    stem = name.removesuffix(".manifest.json").removeprefix("sha512-")
    return name.startswith(_SIGNATURE) or (len(stem) in {64, 128} and not stem.strip("0123456789abcdef"))


def _blob_name(digest: Digest) -> str:
    return digest.encoded if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.encoded}"


def _manifest_name(digest: Digest) -> str:
    return f"{_blob_name(digest)}.manifest.json"
