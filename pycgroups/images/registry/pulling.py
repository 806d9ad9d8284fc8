"""An image of a registry, to be read; distribution-spec, "Pull"."""

from __future__ import annotations

import threading

from pycgroups.errors import Error, ImageError, ImageNotFound, InvalidConfig, RegistryError
from pycgroups.images.digest import Digest, check
from pycgroups.images.registry.client import Client
from pycgroups.images.registry.refusals import Transient, broken, cleaned
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from pycgroups.images.reference import Reference
    from pycgroups.images.registry.config import Place
    from pycgroups.images.registry.connections import Answer
    from pycgroups.images.registry.options import RegistryOptions
    from pycgroups.oci.image_spec import Descriptor

    T = TypeVar("T")

ACCEPT = f"{spec.MANIFEST}, {spec.INDEX}, {spec.DOCKER_MANIFEST}, {spec.DOCKER_INDEX}"
_KNOWN = spec.MANIFESTS | spec.INDEXES
_UNSAID = frozenset({"", "application/json", "application/octet-stream", "text/plain"})
"""What servers say that keep manifests as files; the document says what it is."""
_PROGRESS = 64 * 2**10
"""Bytes: a connection that broke after so many does not count as a failed one."""
_OK, _PARTIAL, _NOT_FOUND, _NO_RANGE = 200, 206, 404, 416


class RegistrySource:
    """What a reference stands for in a registry; a `Source`.

    Several places can have it (mirrors): the first that has its manifest is the one that blobs come from.
    """

    def __init__(self, reference: Reference, places: Sequence[Place], options: RegistryOptions) -> None:
        """Ask nobody yet; errors are those of `Client`."""
        self.name = f"docker://{reference}"
        self.called: tuple[str, ...] = (str(reference),)
        self.reference = reference
        self._left = [Client(place, options) for place in places]
        self._all = tuple(self._left)
        self._lock = threading.Lock()

    @property
    def client(self) -> Client:
        """The place that is asked."""
        return self._left[0]

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """Return a manifest or an index, and its media type; see `Source.manifest`.

        Raises:
            RegistryError: no place gives it.
        """
        wanted = digest or self.reference.digest or self.reference.tag or "latest"
        with self._lock:
            return self._first(lambda client: manifest(client, wanted))

    def _first(self, ask: Callable[[Client], T]) -> T:
        """Ask one place after the other; who has not got it, or fails, is not asked again."""
        failed: list[Error] = []
        while True:
            try:
                return ask(self._left[0])
            except Error as error:
                if len(self._left) == 1:
                    raise _together(error, failed) from None
                failed.append(error)
                self._left.pop(0)

    def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a blob; see `Source.blob`. A connection that breaks is made again, where it was.

        The ``urls`` of a descriptor are not looked at.

        Raises:
            RegistryError: it breaks again and again, or has another size than the descriptor says.
        """
        yield from read_blob(self.client, blob, start)

    def repositories(self, _blob: Descriptor) -> tuple[str, ...]:
        """Return the place that is asked; see `Source.repositories`."""
        return (self.client.place.repository,)

    def seen(self, blob: Descriptor, repository: str) -> None:
        """Keep nothing; see `Source.seen`."""

    def interrupt(self) -> None:
        """End what other threads wait for; see `Source.interrupt`."""
        for client in self._all:
            client.interrupt()

    def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            client.close()


def _together(last: Error, before: list[Error]) -> Error:
    """Tell what mirrors said, too."""
    if before:
        last.hint = "; ".join([*([last.hint] if last.hint else []), *(f"before, {error}" for error in before)])
    return last


# -- manifests -----------------------------------------------------------------------------------------------------


def manifest(client: Client, wanted: str) -> tuple[bytes, str]:
    """Return a manifest or an index by tag or digest, and its media type.

    Raises:
        ImageNotFound: there is none.
        DigestMismatch: it is another.
        RegistryError: no answer, or none that is a manifest.
    """
    url = client.url(f"manifests/{wanted}")
    try:
        text, answer = client.get(url, client.scopes("pull"), LARGEST_MANIFEST, accept=ACCEPT)
    except RegistryError as error:
        raise missing(error, f"{client.place.domain}/{client.place.path}", wanted) from None
    for named in (wanted if ":" in wanted else None, answer.header("Docker-Content-Digest")):
        if named:
            _check_digest(text, named, answer)
    return text, _media_type(text, answer)


def missing(error: RegistryError, name: str, wanted: str, operation: str = "pull") -> Error:
    """Make of a 404 the error that says what is not there."""
    if error.status != _NOT_FOUND:
        return error
    joint = "@" if ":" in wanted else ":"
    return ImageNotFound(error.message, operation=operation, path=f"{name}{joint}{wanted}", hint=error.hint)


def _check_digest(text: bytes, named: str, answer: Answer) -> None:
    try:
        digest = Digest.parse(named)
    except InvalidConfig:
        raise RegistryError("the answer names a digest that is none", operation="GET", path=str(answer.url)) from None
    made = digest.hash()
    made.update(text)
    check(made.hexdigest(), digest, operation="pull", path=str(answer.url))


def read(text: bytes, media_type: str | None, where: str) -> spec.Manifest | spec.Index:
    """Return what a manifest says; `read_manifest`, for what a registry has sent.

    Raises:
        ImageError: it is none.
    """
    try:
        return read_manifest(text, media_type)
    except InvalidConfig as error:
        raise ImageError(str(error), operation="read manifest", path=where) from None


def _media_type(text: bytes, answer: Answer) -> str:
    said = (answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    if said in _KNOWN:
        return said
    if said in _UNSAID:
        document = read(text, None, str(answer.url))
        kind = spec.INDEX if isinstance(document, spec.Index) else spec.MANIFEST
        return document.media_type or kind
    raise RegistryError(
        f"answered with {cleaned(said, 80)}, which is no manifest",
        operation="pull",
        path=str(answer.url),
        hint="text/html: something between here and the registry may want a login; schema 1 of Docker's is not read",
    )


# -- blobs ---------------------------------------------------------------------------------------------------------


def read_blob(client: Client, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a blob from an offset on, over as many connections as it takes."""
    at, failures = start, 0
    while at < blob.size:
        begun = at
        try:
            for piece in _once(client, blob, at):
                at += len(piece)
                yield piece
        except Transient as error:
            if at < blob.size:
                failures = 1 if at - begun >= _PROGRESS else failures + 1
                client.wait(failures, error)


def _once(client: Client, blob: Descriptor, start: int) -> Iterator[bytes]:
    """Yield what one connection gives of the rest of a blob, exactly that rest, or fail."""
    url = client.url(f"blobs/{blob.digest}")
    headers = {"Range": f"bytes={start}-"} if start else {}
    expected = frozenset({_OK, _PARTIAL}) if start else frozenset({_OK})
    try:
        answer = client.exchange("GET", url, client.scopes("pull"), expected, headers=headers)
    except RegistryError as error:
        raise missing(error, client.place.path, blob.digest) from None
    with answer:
        skip = start if answer.status == _OK else 0
        left = blob.size - (0 if answer.status == _OK else start)
        _check_extent(answer, blob, start, left)
        for piece in answer.chunks(left):
            left -= len(piece)
            if len(piece) > skip:
                yield piece[skip:] if skip else piece
            skip = max(0, skip - len(piece))
        if left:
            raise broken("GET", answer.url, f"the blob ended {left} bytes early")
        if answer.length is None and any(answer.chunks(1)):
            raise _wrong_size(answer, blob, "more bytes")


def _check_extent(answer: Answer, blob: Descriptor, start: int, left: int) -> None:
    """Refuse an answer that says itself that it is not what was asked for."""
    if answer.length is not None and answer.length != left:
        raise _wrong_size(answer, blob, f"{answer.length} bytes, where {left} are left")
    if answer.status == _PARTIAL:
        extent = (answer.header("Content-Range") or "").strip().lower()
        if extent not in {f"bytes {start}-{blob.size - 1}/{total}" for total in (blob.size, "*")}:
            raise RegistryError("answered with another part than was asked for", operation="GET", path=str(answer.url))


def _wrong_size(answer: Answer, blob: Descriptor, what: str) -> RegistryError:
    return RegistryError(
        f"the registry has {what} for a blob of {blob.size} bytes",
        operation="GET",
        path=str(answer.url),
        hint="the manifest and the registry do not agree; an upload may have been damaged",
    )
