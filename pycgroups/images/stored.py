"""The store as a place that images are copied from and to: `pycgroups.images.transport`."""

from __future__ import annotations

from contextlib import ExitStack

from pycgroups.errors import ImageError
from pycgroups.images.digest import Digest, digest_of
from pycgroups.images.local import LocalDestination, LocalSource
from pycgroups.images.platforms import check_platform
from pycgroups.images.reference import Reference
from pycgroups.images.unpacking import Unpacking
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.events import Progress
    from pycgroups.images.store import ImageStore
    from pycgroups.images.transport import Chunks, Source
    from pycgroups.images.unpack import LayerLimits
    from pycgroups.oci.image_spec import Descriptor, Manifest, Platform


class StoreSource(LocalSource):
    """An image of a store, to be copied elsewhere."""

    def __init__(self, store: ImageStore, digest: Digest, media_type: str) -> None:
        """Name it by its manifest or index."""
        self._store = store
        self._top = digest, media_type
        self.name = f"{store.root} {digest}"

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return a manifest; see `pycgroups.images.transport.Source`."""
        wanted = self._top[0] if digest is None else Digest.parse(digest)
        text = self._store.blobs.read(wanted, LARGEST_MANIFEST)
        document = read_manifest(text, self._top[1] if digest is None else None)
        usual = spec.INDEX if isinstance(document, spec.Index) else spec.MANIFEST
        return text, document.media_type or usual

    def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield a blob; what has rotted on disk is not taken: whoever gets it hashes it."""
        return self._store.blobs.chunks(Digest.parse(blob.digest), start)

    def repositories(self, blob: Descriptor) -> tuple[str, ...]:
        """Return where a blob came from or was sent to."""
        return self._store.repositories.of(Digest.parse(blob.digest))

    def seen(self, blob: Descriptor, repository: str) -> None:
        """Keep that a repository has a blob, unless this is an additional store."""
        if not self._store.read_only:
            self._store.repositories.add(Digest.parse(blob.digest), repository)

    def close(self) -> None:
        """Let go of nothing."""


class StoreDestination(LocalDestination):
    """Where an image is pulled or loaded to. Its name is set last; until then nobody sees it."""

    def __init__(
        self,
        store: ImageStore,
        name: str | None,
        *,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
        unpack: bool = True,
        platform: Platform | None = None,
    ) -> None:
        """Begin; nothing is removed from the store until `close`."""
        self._store = store
        self._name = name
        self._limits = limits
        self._progress = progress
        self._unpack = unpack
        self._platform = platform
        self._unpacking: dict[str, Unpacking] = {}
        self._config: str | None = None
        self._manifest: Manifest | None = None
        self._now: Unpacking | None = None
        self.name = store.root
        with ExitStack() as held:
            held.enter_context(store.inside)
            store.sweep()
            held.enter_context(store.adding())
            self._held = held.pop_all()

    def expect(self, manifest: Manifest) -> None:
        """Learn which blobs are layers."""
        self._manifest = manifest
        self._now = None

    def has(self, blob: Descriptor, origin: Source) -> bool:
        """Tell whether a blob is here; keep which repositories have it, too."""
        digest = Digest.parse(blob.digest)
        for repository in origin.repositories(blob):
            self._store.repositories.add(digest, repository)
        size = self._store.blobs.size(digest)
        if size is None:
            return False
        if size != blob.size:
            message = f"has {size} bytes, and the manifest says {blob.size}"
            raise ImageError(message, operation="read blob", path=blob.digest)
        self._begin(blob)
        return True

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Take a blob, and begin to unpack it when it is a layer."""
        self._store.blobs.put(blob, chunks)
        self._begin(blob)

    def _begin(self, blob: Descriptor) -> None:
        manifest = self._manifest
        if manifest is None or not self._unpack:
            return
        if blob == manifest.config:
            if blob.media_type in spec.CONFIGS:
                self._now = Unpacking(self._store, manifest, limits=self._limits, progress=self._progress)
                self._unpacking[blob.digest] = self._now
        elif self._now is not None:
            self._now.begin(blob)

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        """Take a manifest, once its layers are unpacked; name it, when it is what the image's name is of."""
        document = read_manifest(text, media_type)
        if top and self._platform is not None and isinstance(document, spec.Manifest):
            check_platform(self._store.config(document), self._platform, self._name or self.name)
        if isinstance(document, spec.Manifest) and document.config.digest in self._unpacking:
            self._unpacking.pop(document.config.digest).finish()
        if top and self._name is not None:
            digest = digest or Reference.parse(self._name).digest
        called = str(digest_of(text, digest, operation="pull", path=self.name))
        entry = spec.Descriptor(media_type=media_type, digest=called, size=len(text))
        self._store.blobs.put(entry, lambda start: iter((text[start:],)))
        if top and self._name is not None:
            self._store.names.set(self._name, entry)
        elif top:
            self._store.names.add(entry)
        return called

    def close(self, *, failed: bool) -> None:
        """Finish. After a failure, what was fetched whole stays until the next removal, for the next try."""
        with self._held:
            for unpacking in self._unpacking.values():
                unpacking.close()
            if failed:
                self._store.sweep()
