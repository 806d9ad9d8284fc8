"""A repository that an image is put into; distribution-spec, "Push".

HEAD blob ──▶ there
POST uploads/?mount=DIGEST&from=REPOSITORY ──▶ there, without sending it
upload (`uploads`)
PUT manifest ──▶ the image exists
"""

from __future__ import annotations

import threading
from functools import partial

from pycgroups.errors import RegistryError
from pycgroups.images.digest import digest_of
from pycgroups.images.registry import referring, uploads
from pycgroups.images.registry.client import Client
from pycgroups.images.registry.refusals import Transient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.reference import Reference
    from pycgroups.images.registry.config import Place
    from pycgroups.images.registry.options import RegistryOptions
    from pycgroups.images.registry.url import Url
    from pycgroups.images.transport import Chunks, Source
    from pycgroups.oci.image_spec import Descriptor, Manifest

_MOST_TRIES = 3
"""Repositories that a registry is asked to take a blob from, before it is sent."""


class RegistryDestination:
    """A repository and a tag that an image is pushed to; a `Destination`."""

    def __init__(self, reference: Reference, place: Place, options: RegistryOptions) -> None:
        """Ask nobody yet; errors are those of `Client`."""
        self.name = f"docker://{reference}"
        self.reference = reference
        self.client = Client(place, options)
        self._lock = threading.Lock()
        self._begun: dict[str, tuple[Url, int]] = {}
        self._origins: dict[str, Source] = {}

    def expect(self, manifest: Manifest) -> None:
        """Learn what is coming; a registry does not mind."""

    def has(self, blob: Descriptor, origin: Source) -> bool:
        """Tell whether a blob is there, or came from another repository of the registry; see `Destination.has`."""
        is_there = uploads.is_there(self.client, blob) or self._is_mounted(blob, origin)
        if is_there:
            origin.seen(blob, self.client.place.repository)
        else:
            with self._lock:
                self._origins[blob.digest] = origin
        return is_there

    def _is_mounted(self, blob: Descriptor, origin: Source) -> bool:
        """Have the registry take a blob from another of its repositories; where it will not, an upload has begun.

        That a repository is gone, or not for this user to read, is no reason to fail: the blob is sent then.
        """
        domain, own = self.client.place.domain, self.client.place.path
        known = [name.partition("/") for name in origin.repositories(blob)]
        for other in [path for where, _, path in known if where == domain and path != own][:_MOST_TRIES]:
            try:
                begun = self.client.persistently(partial(uploads.begin, self.client, (blob.digest, other)))
            except Transient:
                raise
            except RegistryError:
                continue
            if begun is not None:
                with self._lock:
                    self._begun[blob.digest] = begun
            return begun is None
        return False

    def put_blob(self, blob: Descriptor, chunks: Chunks) -> None:
        """Upload a blob; see `Destination.put_blob`.

        Raises:
            RegistryError: it is refused, or fails again and again.
        """
        with self._lock:
            begun = self._begun.pop(blob.digest, None)
        uploads.upload(self.client, blob, chunks, begun)
        with self._lock:
            origin = self._origins.pop(blob.digest, None)
        if origin is not None:
            origin.seen(blob, self.client.place.repository)

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        """Upload a manifest; see `Destination.put_manifest`.

        Raises:
            DigestMismatch: it is not what the reference's digest says, or the registry takes it for another.
            RegistryError: it is refused.
        """
        wanted = (self.reference.digest if top else None) or digest
        called = str(digest_of(text, wanted, operation="push", path=self.name))
        name = (self.reference.tag if top else None) or called
        referring.put_manifest(self.client, name, called, text, media_type)
        return called

    def interrupt(self) -> None:
        """End what other threads wait for; see `Destination.interrupt`."""
        self.client.interrupt()

    def close(self, *, failed: bool) -> None:
        """Give up the uploads that nobody needed, and close all connections; after a failure they end by themselves."""
        with self._lock:
            left, self._begun = list(self._begun.values()), {}
        for location, _ in () if failed else left:
            uploads.give_up(self.client, location)
        self.client.close()
