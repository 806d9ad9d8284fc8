"""Waiting for a server: a request of HTTP, sent in a container's network, and the status of the answer. RFC 9112.

Over TLS it does not matter who has signed the certificate: it is the container that listens in its network, mostly with
one that it has signed itself; nothing secret is sent, and nothing believed but the status.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pycgroups.clock import seconds_until
from pycgroups.errors import invalid
from pycgroups.network.listening import listeners

if TYPE_CHECKING:
    from pycgroups.containers.connecting import Sockets

_PORTS = {"http": 80, "https": 443}
_NOBODY = "nobody listens"


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        address: an IP address; "" for one that listens.
        port: likewise.
        host: for the server, with a port that is not the usual one.
        path: with the query.
        scheme: ``"http"`` or ``"https"``.
    """

    address: str
    port: int
    host: str
    path: str
    scheme: str = "http"

    @property
    def request(self) -> bytes:
        """What is sent; RFC 9112, 2.1."""
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "User-Agent: pycgroups",
            "Connection: close",
            "",
            "",
        )
        return "\r\n".join(lines).encode("ascii")


def target(url: str, port: int | None) -> Target:
    """Read a path, or a URL, whose port may be given apart.

    Raises:
        InvalidConfig: it is none; or not of HTTP, or not of an address, which names in a container's network are not:
            this host would find others by them.
    """
    wrong = invalid(
        "http", url, "a path ('/healthz'), or a URL of localhost or an IP address ('http://127.0.0.1:8080/')"
    )
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong
    if url.startswith("/"):
        return Target("", port or _PORTS["http"], _host("localhost", "http", port), url)
    try:
        parts = urlsplit(url)
        name, number = parts.hostname or "", parts.port or port or _PORTS[parts.scheme]
        address = "" if name == "localhost" else _address(name)
        host = parts.netloc if parts.port else _host(parts.netloc.removesuffix(":"), parts.scheme, port)
    except (LookupError, ValueError):
        raise wrong from None
    if parts.scheme not in _PORTS or "@" in parts.netloc:
        raise wrong
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(address, number, host, path, parts.scheme)


def _host(name: str, scheme: str, port: int | None) -> str:
    """Name a host, with a port that is not the usual one; RFC 9110, 7.2."""
    return name if port is None or port == _PORTS[scheme] else f"{name}:{port}"


def _address(name: str) -> str:
    """Return an IP address as it is usually written; ValueError for anything else."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, name))
        except OSError:
            continue
    raise ValueError(name)


def secured(connection: socket.socket) -> socket.socket:
    """Speak TLS, with whoever it is.

    Raises:
        OSError: it does not.
    """
    import ssl  # slow, and most do without

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname="localhost")


class Answers:
    """A request of HTTP is answered by a status below 400."""

    _PATIENCE = 5.0  # seconds for one answer
    _LONGEST_LINE = 1024
    _STATUS = re.compile(rb"HTTP/1\.\d (\d{3})\b")
    _FIRST_BAD = 400

    def __init__(self, process: int, sockets: Sockets, asked: Target, deadline: float | None) -> None:
        """Take a process by its directory in /proc, sockets of its network, what is asked for, and when to give up."""
        self._process = process
        self._sockets = sockets
        self._asked = asked
        self._deadline = deadline
        self._last = _NOBODY

    def __call__(self) -> bool:
        """Ask."""
        return any(map(self._is_good, self._addresses()))

    def _addresses(self) -> list[str]:
        """Return whom to ask: without an address whoever listens, so that nobody is asked before."""
        if self._asked.address:
            return [self._asked.address]
        return [each.address for each in listeners(self._process) if each.port == self._asked.port]

    def _is_good(self, address: str) -> bool:
        connection = self._sockets.take(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            found = self._STATUS.match(self._line(connection, address))
        except (BlockingIOError, TimeoutError):  # what was said before says more
            self._last = "no answer" if self._last == _NOBODY else self._last
            return False
        except OSError as error:  # nobody is there, or TLS is not what is spoken
            reason = getattr(error, "reason", None)  # of OpenSSL: WRONG_VERSION_NUMBER
            self._last = f"TLS: {reason.replace('_', ' ').lower()}" if reason else error.strerror or str(error)
            return False
        self._last = "the answer is not HTTP" if found is None else f"answered by {int(found[1])}"
        return found is not None and int(found[1]) < self._FIRST_BAD

    def _line(self, connection: socket.socket, address: str) -> bytes:
        """Return the first line of the answer, or what there is of it; in the time, however slowly it comes."""
        own = time.monotonic() + self._PATIENCE
        until = own if self._deadline is None else min(own, self._deadline)
        with connection:
            connection.settimeout(seconds_until(until))
            connection.connect((address, self._asked.port))
            with secured(connection) if self._asked.scheme == "https" else nullcontext(connection) as talk:
                talk.sendall(self._asked.request)
                line = b""
                while b"\n" not in line and len(line) < self._LONGEST_LINE:
                    talk.settimeout(seconds_until(until))
                    piece = talk.recv(self._LONGEST_LINE)
                    if not piece:
                        break
                    line += piece
        return line

    def __str__(self) -> str:
        """Name it, and what came of the last time."""
        return f"{self._asked.scheme}://{self._asked.host}{self._asked.path} ({self._last})"
