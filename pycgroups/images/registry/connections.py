"""HTTP to any host, by urllib3: one request and its answer. Redirects, retries and credentials are others' business."""

from __future__ import annotations

import errno
import http.client
import io
import os
import socket
import ssl
import threading
from contextlib import suppress
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    EmptyPoolError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from pycgroups.errors import RegistryError
from pycgroups.images.registry import proxies, tls
from pycgroups.images.registry.pace import Pace
from pycgroups.images.registry.refusals import broken, cleaned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self

    from pycgroups.images.registry.options import RegistryOptions
    from pycgroups.images.registry.url import Url

_PIECE = 256 * 2**10
_LITTLE = 64 * 2**10
"""Bytes: an answer of which this is left is read to its end, so that its connection can be used again."""
_AGENT = "pycgroups"


class _Answer(http.client.HTTPResponse):
    """Read by way of `Pace`."""

    def __init__(self, sock: Any, window: float, **options: Any) -> None:
        super().__init__(sock, **options)
        self.pace = Pace(self.fp.detach(), window)
        self.fp = io.BufferedReader(self.pace)


class _Paced:
    """A connection whose answers are read by way of `Pace`, and that tells of its sockets before they are connected."""

    _dns_host: str
    port: int
    pace: Pace
    timeout: Any
    socket_options: Any
    opened: Callable[[Any], None]

    def response_class(self, sock: Any, **options: Any) -> _Answer:
        """Make what reads an answer; http.client calls this."""
        answer = _Answer(sock, self.timeout, **options)
        self.pace = answer.pace
        return answer

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, as urllib3's own does; that one calls this."""
        host = self._dns_host.strip("[]")
        try:
            found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(host, self, error) from error  # type: ignore[arg-type]
        last: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for family, kind, protocol, _, address in found:
            made = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    made.setsockopt(*option)
                made.settimeout(self.timeout)
                self.opened(made)
                made.connect(address)
            except OSError as error:
                made.close()
                last = error
            except BaseException:
                made.close()
                raise
            else:
                return made
        kind_of_error = ConnectTimeoutError if isinstance(last, TimeoutError) else NewConnectionError
        raise kind_of_error(self, str(last)) from last  # type: ignore[arg-type]


class _HTTPConnection(_Paced, HTTPConnection):  # type: ignore[misc]  # response_class is an attribute there
    """Plain."""


class _HTTPSConnection(_Paced, HTTPSConnection):  # type: ignore[misc]
    """Encrypted; its context has sockets of `_telling`."""

    def connect(self) -> None:
        """Connect, and keep urllib3 from a warning: who does not want certificates verified has said so."""
        super().connect()
        self.is_verified = True
        self.opened(self.sock)


def _telling(opened: Callable[[Any], None]) -> type[ssl.SSLSocket]:
    """Return a class of TLS sockets that tell of themselves before they shake hands: the plain one is void then."""

    class Telling(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            opened(self)
            super().do_handshake(block)

    return Telling


class Connections:
    """Pools of connections, one for each host, port and scheme that was asked."""

    def __init__(self, options: RegistryOptions, context: Callable[[Url], Any]) -> None:
        """Open none yet.

        Args:
            options: timeouts, and how many connections.
            context: makes the TLS context for a host.
        """
        self._options = options
        self._context = context
        self._pools: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._sockets: WeakSet[Any] = WeakSet()
        self._is_interrupted = False

    def send(self, method: str, url: Url, headers: dict[str, str], body: bytes | Iterator[bytes] | None) -> Answer:
        """Send one request, and return what came back once its headers are there.

        Raises:
            Transient: no connection, or it broke.
            RegistryError: TLS failed.
        """
        try:
            pool = self._pool(url)
            response = pool.urlopen(
                method,
                f"{url.root}{url.target}" if pool.proxy and url.scheme == "http" else url.target,
                body=body,
                headers={"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers},
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                pool_timeout=self._options.read_timeout,
            )
        except (HTTPError, http.client.HTTPException, OSError) as error:
            raise _failure(method, url, error) from None
        return Answer(method, url, response)

    def _pool(self, url: Url) -> Any:
        with self._lock:
            if url.root not in self._pools:
                self._pools[url.root] = self._new_pool(url)
            return self._pools[url.root]

    def _new_pool(self, url: Url) -> Any:
        options: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=self._options.connect_timeout, read=self._options.read_timeout),
            "maxsize": self._options.connections,
            "block": True,
        }
        if url.scheme == "https":
            options["ssl_context"] = self._context(url)
            options["ssl_context"].sslsocket_class = _telling(self._opened)
        proxy = proxies.find(url)
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        else:
            login = urllib3.make_headers(proxy_basic_auth=proxy.login) if proxy.login else {}
            manager = urllib3.ProxyManager(proxy.address, proxy_headers=login, **options)
        pool: Any = manager.connection_from_host(url.host, url.port, url.scheme)
        kind = _HTTPSConnection if url.scheme == "https" else _HTTPConnection

        def connection(**options: Any) -> _Paced:
            made = kind(**options)
            made.opened = self._opened
            return made

        pool.ConnectionCls = connection
        return pool

    def _opened(self, connected: Any) -> None:
        """Remember a socket that is about to be connected, for `interrupt`."""
        with self._lock:
            self._sockets.add(connected)
            if self._is_interrupted:
                raise ConnectionAbortedError("interrupted")

    def interrupt(self) -> None:
        """End what other threads send and read, or are about to: it fails for them."""
        with self._lock:
            self._is_interrupted = True
            for each in self._sockets:
                with suppress(OSError):
                    # Not by the method of a TLS socket, which would take it apart while it is read from.
                    socket.socket.shutdown(getattr(each, "socket", each), socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections that nobody reads from."""
        with self._lock:
            self._is_interrupted = True
            for pool in self._pools.values():
                waited_for = pool.pool
                pool.close()
                # Ctrl-C can come while a thread starts: nobody has joined that one, and it may wait for a connection.
                waited_for.put_nowait(None)
            self._pools.clear()


class Answer:
    """What came back; to be closed.

    Attributes:
        url: whose answer it is.
        status: of HTTP.
    """

    def __init__(self, method: str, url: Url, response: Any) -> None:
        """Take the headers; the body is still on its way."""
        self._method = method
        self._response = response
        self._pace: Pace | None = getattr(response.connection, "pace", None)
        self.url = url
        self.status: int = response.status

    def header(self, name: str) -> str | None:
        """Return a header, or None."""
        value: str | None = self._response.headers.get(name)
        return value

    def headers(self, name: str) -> list[str]:
        """Return each of several headers of one name."""
        return list(self._response.headers.getlist(name))

    @property
    def length(self) -> int | None:
        """What it says of the bytes of its body, if it does."""
        text = self.header("Content-Length") or ""
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004 (2**64)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the body, up to so many bytes of it.

        Raises:
            Transient: the connection broke. An end before its time is told only where the length is known.
        """
        if self._pace is not None:
            self._pace.allow(size)
        while size > 0:
            try:
                piece = self._response.read1(min(size, _PIECE), decode_content=False)
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                raise _failure(self._method, self.url, error) from None
            if not piece:
                return
            size -= len(piece)
            yield piece

    def read(self, limit: int) -> bytes:
        """Return the body.

        Raises:
            RegistryError: it has more bytes than the limit.
        """
        length = self.length if self._method != "HEAD" else 0
        body = b"" if length is not None and length > limit else b"".join(self.chunks(limit + 1))
        if len(body) > limit or (length or 0) > limit:
            raise RegistryError(f"an answer of more than {limit} bytes", operation=self._method, path=str(self.url))
        if length is not None and len(body) < length:
            raise broken(self._method, self.url, f"the answer ended after {len(body)} of {length} bytes")
        return body

    def beginning(self, limit: int) -> bytes:
        """Return the first bytes of the body, as many as come; for messages."""
        body = b""
        try:
            for piece in self.chunks(limit):
                body += piece
        except RegistryError:
            pass
        return body

    def close(self, *, in_haste: bool = False) -> None:
        """Give the connection back where the answer is read, or nearly so, and hang up otherwise.

        Args:
            in_haste: wait for no more bytes.
        """
        left = self._response.length_remaining
        if left is not None and left <= _LITTLE and not in_haste:
            self._response.drain_conn()
        if not self._response.closed:
            self._response.close()
        self._response.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Others than Exception are Ctrl-C, and the end of an iterator whose consumer has had enough.
        self.close(in_haste=kind is not None and not issubclass(kind, Exception))


def _failure(method: str, url: Url, error: Exception) -> RegistryError:
    """Say what happened to a connection; nothing of the request is repeated but its URL."""
    if isinstance(error, SSLError):
        if tls.speaks_no_tls(error):
            hint = "it may speak plain http: insecure=True or --tls-verify=false takes that, unprotected"
            return RegistryError("the server does not speak TLS", operation=method, path=str(url), hint=hint)
        return tls.failed(method, url, error)
    why = {
        ConnectTimeoutError: "no connection in time",
        NameResolutionError: "the host is not known",
        ReadTimeoutError: "no answer in time",
        EmptyPoolError: "all connections are in use",
    }.get(type(error))
    if isinstance(error, ProxyError):
        why = f"no connection through the proxy, {_cause(error)}"
    if why is None and isinstance(error, NewConnectionError):
        why = f"no connection, {_cause(error)}"
    return broken(method, url, why or f"the connection broke, {_cause(error)}", _advice(error, url))


def _advice(error: Exception, url: Url) -> str | None:
    """Tell what can be done about a connection that was not made."""
    if isinstance(error, NameResolutionError):
        return f"is there a network? getent hosts {url.host}"
    if isinstance(error, NewConnectionError | ConnectTimeoutError):
        return f"is there a registry at {url.root}? Behind a proxy, set {url.scheme}_proxy"
    return None


def _cause(error: BaseException) -> str:
    """Find the system's own words, or those of what was raised first."""
    first = error
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        first = inner
        inner = next((part for part in reversed(inner.args) if isinstance(part, BaseException)), inner.__cause__)
    return cleaned(str(first), 100)
