"""What goes into an archive: blobs as they come, in any order and by many threads; a tar of them at the end.

The same images make the same tar, whatever order their blobs came in: members are sorted, and have no times or owners.
"""

from __future__ import annotations

import os

from pycgroups.images.digest import Digest
from pycgroups.images.layouts import EMPTY_INDEX, LAYOUT_TEXT, blob_path, with_image
from pycgroups.images.names import INDEX, LAYOUT
from pycgroups.images.staging import checked
from pycgroups.images.tar.entry import DIRECTORY, FILE, Entry
from pycgroups.images.tar.writer import archive
from pycgroups.oci.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NamedTuple, Protocol

    from pycgroups.images.staging import Staging
    from pycgroups.images.transport import Chunks
    from pycgroups.oci.image_spec import Descriptor
else:
    from pycgroups.records import NamedTuple

    Protocol = object


class Staged(NamedTuple):
    """A file that is staged, by its name there."""

    name: str
    size: int


class Member(NamedTuple):
    """A file of a tar: its name, and what is in it. One whose name ends with ``/`` is a directory."""

    name: str
    content: bytes | Staged


class Packing(Protocol):
    """The blobs of some images, on their way into an archive."""

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there, of another image in the same archive."""

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a blob."""

    def put_manifest(self, text: bytes, media_type: str, digest: Digest, *, top: bool, reference: str | None) -> None:
        """Take a manifest, whose digest was checked, and with ``top`` the image that it is."""

    def members(self) -> Iterator[Member]:
        """Yield the files of the archive."""


class LayoutPacking:
    """An image layout."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._blobs: dict[Digest, Staged] = {}
        self._index = EMPTY_INDEX

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        return Digest.parse(blob.digest) in self._blobs

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a blob."""
        name = self._staging.write(checked(blob, chunks(0), blob.digest), sync=False)
        self._blobs[Digest.parse(blob.digest)] = Staged(name, blob.size)

    def put_manifest(self, text: bytes, media_type: str, digest: Digest, *, top: bool, reference: str | None) -> None:
        """Take a manifest or an index."""
        self._blobs[digest] = Staged(self._staging.write([text], sync=False), len(text))
        if top:
            image = {"mediaType": media_type, "digest": str(digest), "size": len(text)}
            self._index = with_image(self._index, image, reference)

    def members(self) -> Iterator[Member]:
        """Yield what tells of the images first, so that who reads a stream knows soon."""
        yield Member(LAYOUT, LAYOUT_TEXT)
        yield Member(INDEX, dumps(self._index).encode())
        # Skopeo, as an ordinary user, fails to give a directory that has no entry to root.
        for algorithm in ("", *sorted({f"{digest.algorithm}/" for digest in self._blobs})):
            yield Member(f"blobs/{algorithm}", b"")
        for digest in sorted(self._blobs):
            yield Member(blob_path(digest), self._blobs[digest])


def tar(members: Iterable[Member], staging: Staging) -> Iterator[bytes]:
    """Yield a tar of files."""
    return archive(_entry(member, staging) for member in members)


def _entry(member: Member, staging: Staging) -> tuple[Entry, Iterable[bytes]]:
    name, content = os.fsencode(member.name), member.content
    if name.endswith(b"/"):
        return Entry(name, DIRECTORY, 0o755, 0, 0, 0), ()
    if isinstance(content, bytes):
        return Entry(name, FILE, 0o644, 0, 0, 0, len(content)), (content,)
    return Entry(name, FILE, 0o644, 0, 0, 0, content.size), staging.read(content.name)
