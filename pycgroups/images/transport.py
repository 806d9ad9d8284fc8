"""Where images come from and go to: what a registry, the store, a layout and an archive have in common.

`pycgroups.images.copying` copies from any `Source` to any `Destination`: pull, push, save, load and copy are that.

    source.manifest() ──▶ which blobs ──▶ destination.has(blob)? ──▶ destination.put_blob(blob, source's bytes)
                                          ... all there           ──▶ destination.put_manifest(): the image exists
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from pycgroups.oci.image_spec import Descriptor, Manifest

    # The bytes of one blob from an offset on, in pieces of any size.
    Chunks = Callable[[int], Iterator[bytes]]
else:
    Protocol = object


class Source(Protocol):
    """One image, or an index of several, to be read. Methods may be called by several threads at once."""

    name: str
    """What it is, for errors and people: ``docker://docker.io/library/debian:13``."""

    called: tuple[str, ...]
    """The names that it has where it is, of those that were asked for: any texts; none, as a ``dir`` has none."""

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return a manifest or an index, and its media type.

        Args:
            digest: of one that an index names; by default, what the source is of. The bytes are checked against it.

        Raises:
            ImageNotFound: there is none.
            DigestMismatch: it is another.
        """

    def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a blob, in pieces; who takes them checks digest and size.

        Args:
            blob: a configuration or a layer of a manifest of this source.
            start: the offset of the first byte to be yielded.

        Raises:
            ImageNotFound: there is no such blob.
        """

    def repositories(self, blob: Descriptor) -> tuple[str, ...]:
        """Return repositories that are thought to have a blob, with their registries, the best guess first.

        Args:
            blob: a configuration or a layer of a manifest of this source.
        """

    def seen(self, blob: Descriptor, repository: str) -> None:
        """Learn that a repository has a blob now.

        Args:
            blob: a configuration or a layer of a manifest of this source.
            repository: with its registry: ``registry.example.com/me/app``.
        """

    def interrupt(self) -> None:
        """End what other threads wait for, as for another machine: it fails for them. Nothing is read afterwards."""

    def close(self) -> None:
        """Let go of connections and files."""


class Destination(Protocol):
    """Where one image, or an index of several, is put. Methods may be called by several threads at once."""

    name: str
    """What it is, for errors and people."""

    def expect(self, manifest: Manifest) -> None:
        """Learn what a manifest is of, before its blobs come: the configuration first, then the layers."""

    def has(self, blob: Descriptor, origin: Source) -> bool:
        """Tell whether a blob need not be sent: it is there, or got without, as a registry does.

        Args:
            blob: what is to be there.
            origin: where it would come from.
        """

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a blob; it is there when this returns, and not before: checked against its digest and size.

        Args:
            blob: what it is.
            chunks: yields its bytes from an offset on; may be called again, after a failure of this side.

        Raises:
            DigestMismatch: they are not what the digest says.
        """

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        """Take a manifest or an index, whose blobs and manifests are there; return its digest.

        Args:
            text: its bytes, kept as they are.
            media_type: what it is.
            top: it is what the destination's reference is to name; otherwise one that an index names.
            digest: by which that index names it, which need not be its sha256, the default.

        Raises:
            DigestMismatch: it is another.
        """

    def interrupt(self) -> None:
        """End what other threads wait for, as for another machine: it fails for them. Nothing is put afterwards."""

    def close(self, *, failed: bool) -> None:
        """Finish; after a failure, leave nothing that could be taken for an image."""
