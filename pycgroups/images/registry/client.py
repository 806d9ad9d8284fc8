"""Requests to one registry: its scheme, our credentials, redirects, and another try after what may pass.

    persistently( exchange: 401 ──▶ authorization ──▶ again, once
                            307 ──▶ follow, without the authorization when it leads to another host, port or scheme
                            429, 5xx, a broken connection ──▶ Transient ) ──▶ a pause ──▶ again

Source: distribution-spec 1.1.1, spec.md.
"""

from __future__ import annotations

import random
import threading
import time

from pycgroups.errors import RegistryError, StateError, Unsupported
from pycgroups.images.registry import credentials, proxies, retries, tls
from pycgroups.images.registry.authorization import Authorization
from pycgroups.images.registry.refusals import LARGEST_REFUSAL, Transient, refusal
from pycgroups.images.registry.url import BadUrl, Url, is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Self, TypeVar

    from pycgroups.images.registry.config import Place
    from pycgroups.images.registry.connections import Answer, Connections
    from pycgroups.images.registry.options import Credentials, RegistryOptions

    T = TypeVar("T")
    # Makes the body of a request, as often as it has to be sent.
    Body = Callable[[], "bytes | Iterator[bytes]"]

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_UNAUTHORIZED = 401
_BAD_REQUEST = 400
HUB = "docker.io"
_HOST_OF_HUB = "registry-1.docker.io"


class Client:
    """Requests about one repository of one registry. May be used by several threads at once."""

    def __init__(self, place: Place, options: RegistryOptions) -> None:
        """Open no connection yet.

        Args:
            place: the registry and the repository.
            options: how.

        Raises:
            Unsupported: urllib3 is not installed.
        """
        self.place = place
        self.options = options
        self._insecure = place.insecure if options.insecure is None else options.insecure
        self._connections = _connections()(options, self._context)
        self._authorization = Authorization(place.domain, self._credentials, self._send_elsewhere)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._root: Url | None = None

    def url(self, path: str) -> Url:
        """Return the URL of something of this repository: ``manifests/latest``, ``blobs/uploads/``."""
        return self.root._replace(target=f"/v2/{self.place.path}/{path}")

    @property
    def root(self) -> Url:
        """Where the registry is, once that is known.

        Raises:
            RegistryError: TLS failed.
        """
        with self._lock:
            if self._root is None:
                self._root = self._found()
            return self._root

    def scopes(self, *actions: str, path: str | None = None) -> tuple[str, ...]:
        """Name a right of a token: that to do something with this repository, or another of the registry."""
        return (f"repository:{path or self.place.path}:{','.join(actions)}",)

    def persistently(self, once: Callable[[], T]) -> T:
        """Call a function again after what may pass.

        Raises:
            Transient: it did not pass.
        """
        failures = 0
        while True:
            try:
                return once()
            except Transient as error:
                failures += 1
                self.wait(failures, error)

    def wait(self, failures: int, error: Transient) -> None:
        """Wait before another try; or raise the error, when there were enough or the pause would be too long."""
        seconds = retries.pause(failures, error.asked, random.random)
        if seconds is None:
            error.hint = f"it asks to come back in {error.asked:.0f} s, and that is not waited for"
        if seconds is None or failures > self.options.retries:
            raise error
        if self._closed.wait(seconds):
            raise StateError("was closed meanwhile", operation="registry", path=self.place.domain)

    def exchange(
        self,
        method: str,
        url: Url,
        scopes: tuple[str, ...],
        expected: frozenset[int],
        *,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
    ) -> Answer:
        """Send a request and return the answer, to be closed.

        Args:
            method: of HTTP.
            url: of this registry; or of another, which an answer of it named: that one gets no credentials.
            scopes: the rights that it takes.
            expected: the statuses that are answers; others are errors.
            headers: besides those that are always sent.
            body: makes the body.

        Raises:
            Transient: 429, 5xx, or a broken connection.
            RegistryError: another status; no login; a redirect that is not followed.
        """
        own = url.root == self.root.root
        for renewed in (False, True):
            shown = self._authorization.header(scopes) if own else None
            answer, still_own = self._followed(method, url, headers or {}, body, shown)
            if answer.status in expected:
                return answer
            with answer:
                if answer.status == _UNAUTHORIZED and own and still_own and not renewed:
                    asked = answer.headers("WWW-Authenticate")
                    said = answer.beginning(LARGEST_REFUSAL)
                    answer.close()  # the token may come from the same host, which may give us but one connection
                    if self._authorization.renew(url, asked, scopes, shown):
                        continue
                else:
                    said = answer.beginning(LARGEST_REFUSAL)
                raise self._refusal(method, answer, said)
        raise AssertionError("a second challenge is refused")

    def _refusal(self, method: str, answer: Answer, body: bytes) -> RegistryError:
        asked = retries.retry_after(answer.header("Retry-After"), time.time)
        return refusal(method, answer.url, answer.status, body, host=self.place.domain, asked=asked)

    def get(
        self, url: Url, scopes: tuple[str, ...], limit: int, *, accept: str = "*/*", method: str = "GET"
    ) -> tuple[bytes, Answer]:
        """Return the whole body of an answer, and its headers.

        Raises:
            RegistryError: as of `exchange`; or it is larger than the limit.
        """

        def once() -> tuple[bytes, Answer]:
            with self.exchange(method, url, scopes, frozenset({200}), headers={"Accept": accept}) as answer:
                return answer.read(limit), answer

        return self.persistently(once)

    def check(self) -> None:
        """Ask whether we are let in at all; distribution-spec, "Determining Support".

        Raises:
            RegistryError: we are not.
        """
        url = self.root._replace(target="/v2/")
        self.persistently(lambda: self.exchange("GET", url, (), frozenset({200})).close())

    def interrupt(self) -> None:
        """End what other threads wait for, answers and pauses: it fails for them."""
        self._closed.set()
        self._connections.interrupt()

    def close(self) -> None:
        """Close the connections, and end the pauses of other threads."""
        self._closed.set()
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one request ------------------------------------------------------------------------------------------------

    def _followed(
        self, method: str, url: Url, headers: dict[str, str], body: Body | None, shown: str | None
    ) -> tuple[Answer, bool]:
        """Send a request, and again where redirects lead; tell whether that is still the same host, port and scheme."""
        begun, own = url, True
        for _ in range(_MOST_REDIRECTS + 1):
            own = own and url.root == begun.root
            extra = {"Authorization": shown} if own and shown is not None else {}
            answer = self._connections.send(method, url, {**headers, **extra}, body() if body is not None else None)
            if answer.status not in _REDIRECTS or not (method in {"GET", "HEAD"} or answer.status in _KEEP_METHOD):
                return answer, own
            with answer:
                url = self.led(answer)
        raise RegistryError(f"more than {_MOST_REDIRECTS} redirects", operation=method, path=str(begun))

    def led(self, answer: Answer, header: str = "Location") -> Url:
        """Return where an answer leads.

        Raises:
            RegistryError: nowhere that is followed.
        """
        try:
            return answer.url.join(answer.header(header) or "")
        except BadUrl as error:
            raise RegistryError(f"leads to {error}", operation="follow", path=str(answer.url)) from None

    def _send_elsewhere(
        self, method: str, url: Url, headers: dict[str, str], body: bytes | None, shown: str | None
    ) -> Answer:
        """Ask a token service."""
        answer, _ = self._followed(method, url, headers, None if body is None else lambda: body, shown)
        if answer.status in {429} | set(range(500, 600)):
            with answer:
                raise self._refusal(method, answer, answer.beginning(LARGEST_REFUSAL))
        return answer

    # -- what is known of the registry ---------------------------------------------------------------------------------

    def _credentials(self) -> Credentials | None:
        return credentials.find(self.place.domain, self.place.path, self.options)

    def _found(self) -> Url:
        """Tell whether the registry speaks https or http: https, unless it is on this machine or may be insecure."""
        domain = _HOST_OF_HUB if self.place.domain == HUB else self.place.domain
        secure = Url.parse(f"https://{domain}")
        plain = Url.parse(f"http://{domain}")
        is_here = is_loopback(secure.host) and self.options.insecure is not False
        if not (self._insecure or is_here):
            return secure
        # A question without credentials, in the clear. Only who cannot answer it is asked with TLS; and when that
        # fails, it is an error, and not a reason to be content with less.
        if is_here and self._answers(plain):
            return plain
        has_tls = self._answers(secure) if proxies.find(secure) else self._has_tls(secure)
        return secure if has_tls else plain

    def _answers(self, url: Url) -> bool:
        try:
            with self._connections.send("GET", url._replace(target="/v2/"), {}, None) as answer:
                return answer.status != _BAD_REQUEST  # servers of TLS say so, in plain text
        except RegistryError:
            return False

    def _has_tls(self, url: Url) -> bool:
        """Shake hands.

        Raises:
            RegistryError: it has, and its certificate is not taken.
        """
        import socket
        import ssl

        try:
            with (
                socket.create_connection((url.host.strip("[]"), url.port), self.options.connect_timeout) as connection,
                self._context(url).wrap_socket(connection, server_hostname=url.host.strip("[]")),
            ):
                return True
        except ssl.SSLCertVerificationError as error:
            raise tls.failed("connect", url, error) from None
        except OSError:
            return False

    def _context(self, url: Url) -> ssl.SSLContext:
        """Make the TLS context for a host. Others than the registry's are no less verified, and see no certificate."""
        place = Url.parse(f"https://{_HOST_OF_HUB if self.place.domain == HUB else self.place.domain}")
        own = url.host == place.host
        names = (HUB, url.host) if own and self.place.domain == HUB else (url.host,)
        certs = self.options.certs or tls.directory(names, url.port)
        return tls.context(certs, verify=not (own and self._insecure), show=own and url.port == place.port)


def _connections() -> type[Connections]:
    try:
        from pycgroups.images.registry.connections import Connections
    except ImportError as error:
        hint = "pip install 'pycgroups[images]'"
        raise Unsupported(f"needs the package {error.name}", operation="registry", hint=hint) from None
    return Connections
