"""One image from a `Source` to a `Destination`: what pull, push, save, load and copy are.

    manifest ──▶ (an index: of the platform, or all) ──▶ configuration and layers, several at once ──▶ manifest, index

Bytes are copied as they are, so every digest stays. What is there already is not sent. The manifest comes last: until
then nothing at the destination has the image's name.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed

from pycgroups.errors import DigestMismatch, ImageError, InvalidConfig
from pycgroups.images.events import Advanced, Ended, Started, serial
from pycgroups.images.files import io_errors
from pycgroups.images.platforms import choose
from pycgroups.oci.image_reading import read_manifest
from pycgroups.oci.image_spec import INDEXES, MANIFESTS, Descriptor, Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from pycgroups.images.events import Outcome, Progress
    from pycgroups.images.transport import Destination, Source
    from pycgroups.oci.image_spec import Index, Platform
else:
    from pycgroups.records import NamedTuple

AT_ONCE = 4
"""Blobs that are copied at once; what registries ask of their clients, and what Docker and podman do."""
_DEEPEST = 4
_MOST_MANIFESTS = 256
_TOLD_EVERY = 2**16


class Copied(NamedTuple):
    """What was copied.

    Attributes:
        digest: of what the source's reference named; a manifest or an index.
        media_type: of that.
        size: of that, in bytes.
        manifest: the digest of the manifest of the chosen platform, or of the only one; None when all were copied.
    """

    digest: str
    media_type: str
    size: int
    manifest: str | None


@io_errors("copy image")
def copy(
    source: Source,
    destination: Destination,
    *,
    platform: Platform | None = None,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> Copied:
    """Copy what a source is of.

    Args:
        source: where from; stays open.
        destination: where to; closed afterwards, whatever comes.
        platform: of an index, the image that fits, and no other; None: all that the index has.
        at_once: how many blobs at once.
        progress: is told of each blob, one call at a time.

    Returns:
        What it was.

    Raises:
        ImageError: the source's image is broken.
        Error: what the source and the destination raise.
    """
    failed = True
    try:
        copied = _Copying(source, destination, platform, at_once, serial(progress)).top()
        failed = False
    finally:
        destination.close(failed=failed)
    return copied


class _Copying:
    """One copy, with what it has seen."""

    def __init__(
        self,
        source: Source,
        destination: Destination,
        platform: Platform | None,
        at_once: int,
        tell: Progress,
    ) -> None:
        self.source = source
        self.destination = destination
        self.platform = platform
        self.at_once = at_once
        self.tell = tell
        self.stopped = False
        self.seen: set[str] = set()

    def top(self) -> Copied:
        text, media_type = self.source.manifest()
        document = self.read(text, media_type)
        if isinstance(document, Manifest):
            self.blobs(document)
            digest = self.destination.put_manifest(text, media_type, top=True)
            return Copied(digest, media_type, len(text), digest)
        chosen = None
        if self.platform is not None:
            text, chosen = self.one_of(text, document)
        else:
            self.all_of(document, 1)
        digest = self.destination.put_manifest(text, media_type, top=True)
        return Copied(digest, media_type, len(text), chosen)

    def read(self, text: bytes, media_type: str) -> Manifest | Index:
        try:
            return read_manifest(text, media_type)
        except InvalidConfig as error:
            raise ImageError(str(error), operation="read manifest", path=self.source.name) from error

    def one_of(self, text: bytes, index: Index) -> tuple[bytes, str]:
        """Copy the manifest that fits; an index in an index is looked into."""
        assert self.platform is not None
        entry = choose(index, self.platform, self.source.name)
        for _ in range(_DEEPEST):
            inner, media_type = self.source.manifest(entry.digest)
            document = self.read(inner, entry.media_type)
            if isinstance(document, Manifest):
                self.blobs(document)
                self.destination.put_manifest(inner, media_type, top=False, digest=entry.digest)
                return text, entry.digest
            self.destination.put_manifest(inner, media_type, top=False, digest=entry.digest)
            entry = choose(document, self.platform, self.source.name)
        raise self.too_deep()

    def all_of(self, index: Index, depth: int) -> None:
        if depth > _DEEPEST:
            raise self.too_deep()
        for entry in index.manifests:
            if entry.digest in self.seen:
                continue
            self.seen.add(entry.digest)
            if len(self.seen) > _MOST_MANIFESTS:
                raise ImageError(f"more than {_MOST_MANIFESTS} manifests", operation="copy", path=self.source.name)
            if entry.media_type not in MANIFESTS | INDEXES:
                raise ImageError(
                    f"the index names a {entry.media_type}, which is no manifest",
                    operation="copy",
                    path=self.source.name,
                )
            text, media_type = self.source.manifest(entry.digest)
            document = self.read(text, entry.media_type)
            if isinstance(document, Manifest):
                self.blobs(document)
            else:
                self.all_of(document, depth + 1)
            self.destination.put_manifest(text, media_type, top=False, digest=entry.digest)

    def too_deep(self) -> ImageError:
        return ImageError(f"an index in an index, more than {_DEEPEST} deep", operation="copy", path=self.source.name)

    def blobs(self, manifest: Manifest) -> None:
        """Copy the configuration, which tells what the layers are to be, and then the layers, several at once."""
        self.destination.expect(manifest)
        self.blob(manifest.config)
        layers = {layer.digest: layer for layer in manifest.layers}
        with ThreadPoolExecutor(self.at_once, "pycgroups-copy") as pool:
            try:
                for future in as_completed([pool.submit(self.blob, layer) for layer in layers.values()]):
                    future.result()
            except BaseException as error:
                self.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                if not isinstance(error, Exception):  # Ctrl-C: nobody is to wait for a registry that does not answer
                    self.source.interrupt()
                    self.destination.interrupt()
                raise

    def blob(self, blob: Descriptor) -> None:
        self.tell(Started("copy", blob.digest, blob.size))
        outcome: Outcome = "failed"
        reading: list[Generator[bytes]] = []

        def chunks(start: int) -> Iterator[bytes]:
            reading.append(self.counted(blob, start))
            return reading[-1]

        try:
            if self.destination.has(blob, self.source):
                outcome = "there"
                return
            self.destination.put_blob(blob, chunks)
            outcome = "done"
        finally:
            for one in reading:  # with what it has open: whoever keeps an error keeps that, too
                one.close()
            self.tell(Ended("copy", blob.digest, outcome))

    def counted(self, blob: Descriptor, start: int) -> Generator[bytes]:
        """Yield the bytes of a blob, and tell how far that is; not for ever, and not after another blob has failed."""
        done = told = start
        chunks = self.source.blob(blob, start)
        try:
            for chunk in chunks:
                if self.stopped:
                    message = "given up: another blob of the image has failed"
                    raise ImageError(message, operation="copy", path=blob.digest)
                done += len(chunk)
                if done > blob.size:
                    raise DigestMismatch(f"more than {blob.size} bytes came", operation="copy", path=blob.digest)
                yield chunk
                if done - told >= _TOLD_EVERY:
                    told = done
                    self.tell(Advanced("copy", blob.digest, done))
        finally:
            if isinstance(chunks, Generator):
                chunks.close()
