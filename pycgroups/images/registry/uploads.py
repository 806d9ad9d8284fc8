"""Blobs into a repository; distribution-spec, "Pushing blobs".

    POST blobs/uploads/ ──▶ Location ──▶ PUT Location?digest=… with all of it
                                    └──▶ PATCH Location, PATCH Location, … ──▶ PUT Location?digest=… with nothing

What is sent is hashed meanwhile, and an upload is ended only when its bytes are right: a blob that has rotted on the
disk is not sent around the world.
"""

from __future__ import annotations

from pycgroups.errors import DigestMismatch, RegistryError
from pycgroups.images.digest import Digest, check
from pycgroups.images.registry.refusals import Transient, broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.registry.client import Body, Client
    from pycgroups.images.registry.connections import Answer
    from pycgroups.images.registry.url import Url
    from pycgroups.images.transport import Chunks
    from pycgroups.oci.image_spec import Descriptor

_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _NOT_FOUND, _NO_RANGE = 200, 201, 202, 204, 404, 416
_BINARY = "application/octet-stream"
_LARGEST_CHUNK = 2**40


def is_there(client: Client, blob: Descriptor) -> bool:
    """Tell whether a repository has a blob.

    Raises:
        RegistryError: as of `Client.exchange`.
    """
    url, expected = client.url(f"blobs/{blob.digest}"), frozenset({_OK, _NOT_FOUND})

    def once() -> bool:
        with client.exchange("HEAD", url, client.scopes("pull", "push"), expected) as answer:
            return answer.status == _OK and answer.length in {None, blob.size}

    return client.persistently(once)


def begin(client: Client, mount: tuple[str, str] | None = None) -> tuple[Url, int] | None:
    """Ask for an upload; return where to send it, and the size of the smallest chunk that is taken.

    Args:
        client: of the repository.
        mount: the digest of a blob, and another repository of the registry that has it.

    Returns:
        None when the registry has taken the blob from there.

    Raises:
        RegistryError: as of `Client.exchange`.
    """
    url, scopes = client.url("blobs/uploads/"), client.scopes("pull", "push")
    if mount is not None:
        digest, other = mount
        url = url.with_query([("mount", digest), ("from", other)])
        scopes += client.scopes("pull", path=other)
    expected = frozenset({_ACCEPTED}) if mount is None else frozenset({_CREATED, _ACCEPTED})
    with client.exchange("POST", url, scopes, expected, headers={"Content-Length": "0"}, body=_nothing) as answer:
        if answer.status == _CREATED:
            return None
        return client.led(answer), _number(answer.header("OCI-Chunk-Min-Length"), _LARGEST_CHUNK)


def upload(client: Client, blob: Descriptor, chunks: Chunks, begun: tuple[Url, int] | None) -> None:
    """Upload a blob.

    Args:
        client: of the repository.
        blob: what it is.
        chunks: makes its bytes.
        begun: what `begin` gave, if it was asked before.

    Raises:
        DigestMismatch: the bytes are others; nothing is there.
        RegistryError: it is refused, or fails again and again.
    """
    _Upload(client, blob, chunks, begun).run()


def give_up(client: Client, location: Url) -> None:
    """End an upload that nobody needs. It would end by itself, too, after some time; so a failure is none."""
    try:
        client.exchange("DELETE", location, client.scopes("pull", "push"), frozenset({_NO_CONTENT, _OK})).close()
    except RegistryError:
        pass


def agrees(answer: Answer, digest: str) -> None:
    """Refuse when the registry says that it has got something else.

    Raises:
        DigestMismatch: it does.
    """
    said = answer.header("Docker-Content-Digest")
    if said is not None and said != digest and said.partition(":")[0] == digest.partition(":")[0]:
        message = f"the registry has got {said[:160]!a}, and was sent {digest}"
        raise DigestMismatch(message, operation="push", path=str(answer.url))


class _Upload:
    """One blob on its way: where to, how much of it is there, and the hash of that."""

    def __init__(self, client: Client, blob: Descriptor, chunks: Chunks, begun: tuple[Url, int] | None) -> None:
        self._client = client
        self._scopes = client.scopes("pull", "push")
        self._blob = blob
        self._digest = Digest.parse(blob.digest)
        self._chunks = chunks
        self._is_hopeless = False
        self._start(begun)

    def _start(self, begun: tuple[Url, int] | None) -> None:
        self._location: Url | None = begun[0] if begun else None
        least = begun[1] if begun else 0
        self._size = max(self._client.options.chunk_size, least)
        self._at = 0
        self._hash = self._sent = self._digest.hash()

    def run(self) -> None:
        """Send it; where that fails, again, from where the registry got to if it knows."""
        failures = 0
        while True:
            before = self._at
            try:
                if failures:
                    self._resume()
                self._send()
            except Transient as error:
                if self._is_hopeless:
                    raise
                failures = 1 if self._at > before else failures + 1
                self._client.wait(failures, error)
            else:
                return

    def _send(self) -> None:
        if self._location is None:
            self._start(begin(self._client))
        if self._blob.size <= self._size:
            self._end(self._blob.size, self._all)
            return
        while self._at < self._blob.size:
            self._patch(min(self._at + self._size, self._blob.size))
        self._check(self._at)
        self._end(0, _nothing)

    def _all(self) -> Iterator[bytes]:
        """Yield all bytes, the last of them only when all are known to be right."""
        size, held = 0, b""
        self._sent = self._digest.hash()
        for piece in self._bytes(0):
            self._sent.update(piece)
            size += len(piece)
            if size > self._blob.size:
                break
            if held:
                yield held
            held = piece
        self._check(size)
        if held:
            yield held

    def _bytes(self, start: int) -> Iterator[bytes]:
        """Yield what comes from the other side, which has tried again where that helps."""
        try:
            yield from self._chunks(start)
        except Exception:
            self._is_hopeless = True
            raise

    def _patch(self, end: int) -> None:
        """Send one chunk."""
        begin = self._at
        headers = {
            "Content-Type": _BINARY,
            "Content-Length": str(end - begin),
            "Content-Range": f"{begin}-{end - 1}",
        }
        with self._exchange("PATCH", frozenset({_ACCEPTED}), headers, lambda: self._span(begin, end)) as answer:
            self._location = self._client.led(answer)
        self._at, self._hash = end, self._sent

    def _span(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a part, which begins where the hash is."""
        self._sent = self._hash.copy()
        left = end - begin
        for piece in self._bytes(begin):
            part = piece[:left]
            self._sent.update(part)
            left -= len(part)
            if part:
                yield part
            if not left:
                return
        self._check(end - left)

    def _resume(self) -> None:
        """Ask how far a chunked upload has got; where nobody knows, it begins anew."""
        location, self._location = self._location, None
        if location is None or self._blob.size <= self._size:
            return
        expected = frozenset({_NO_CONTENT, _OK, _NOT_FOUND})
        with self._client.exchange("GET", location, self._scopes, expected) as answer:
            last = (answer.header("Range") or "").removeprefix("bytes=").partition("-")[2]
            there = _number(last, self._blob.size - 1) + 1
            # "0-0" is what registries say of nothing, and of one byte.
            if answer.status == _NOT_FOUND or there == 1 or not self._at <= there <= self._blob.size:
                return
            for _ in self._span(self._at, there):
                pass
            self._at, self._hash = there, self._sent
            self._location = self._client.led(answer) if answer.header("Location") else location

    def _end(self, size: int, body: Body) -> None:
        assert self._location is not None
        self._location = self._location.with_query([("digest", self._blob.digest)])
        headers = {"Content-Type": _BINARY, "Content-Length": str(size)}
        with self._exchange("PUT", frozenset({_CREATED, _NO_CONTENT}), headers, body) as answer:
            agrees(answer, self._blob.digest)

    def _exchange(self, method: str, expected: frozenset[int], headers: dict[str, str], body: Body) -> Answer:
        assert self._location is not None
        try:
            return self._client.exchange(method, self._location, self._scopes, expected, headers=headers, body=body)
        except RegistryError as error:
            if error.status in {_NOT_FOUND, _NO_RANGE}:  # the upload is gone, or has got elsewhere
                raise broken(method, self._location, error.message, error.hint) from None
            raise

    def _check(self, size: int) -> None:
        """Refuse what is not the blob.

        Raises:
            DigestMismatch: with both digests, or sizes.
        """
        if size != self._blob.size:
            amount = f"more than {self._blob.size}" if size > self._blob.size else f"{size} of {self._blob.size}"
            raise DigestMismatch(f"has {amount} bytes", operation="push", path=self._blob.digest)
        check(self._sent.hexdigest(), self._digest, operation="push", path=self._blob.digest)


def _nothing() -> bytes:
    return b""


def _number(text: str | None, most: int) -> int:
    """Read a number of a header; 0 for what is none."""
    text = text or ""
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 20 else 0  # noqa: PLR2004 (2**64)
