"""Where a request goes, and where an answer may send it: URLs of http and https, read with suspicion."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 16 * 2**10
_LONGEST_HOST = 253
_LAST_PORT = 65535
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F))) - {*'\\"<>^`{|}'}
_OF_A_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_OF_IPV6 = frozenset("abcdef0123456789:.")


class BadUrl(ValueError):
    """No URL that is followed; its text is the reason."""


class Url(NamedTuple):
    """An absolute URL without a user, a password and a fragment.

    Attributes:
        scheme: ``http`` or ``https``.
        host: in lower case; an IPv6 address in brackets.
        port: always a number.
        target: path and query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """Return the URL that a text is.

        Raises:
            BadUrl: it is none, of another scheme, or has credentials in it.
        """
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(_plain(text))
        except ValueError as error:
            raise BadUrl(str(error)) from None
        if parts.scheme not in PORTS:
            raise BadUrl(f"the scheme {parts.scheme[:20]!r}, and only http and https are followed")
        if "@" in parts.netloc:
            raise BadUrl("credentials in a URL")
        host, port = _host_and_port(parts.netloc.lower())
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, host, port or PORTS[parts.scheme], f"{parts.path or '/'}{query}")

    def join(self, location: str) -> Url:
        """Return where a ``Location`` or a ``Link`` in the answer to this URL leads; RFC 3986, 5.

        Raises:
            BadUrl: nowhere that is followed; or from https to http.
        """
        from urllib.parse import urljoin

        try:
            led = Url.parse(urljoin(f"{self.root}{self.target}", _plain(location)))
        except ValueError as error:
            raise BadUrl(str(error)) from None
        if self.scheme == "https" and led.scheme == "http":
            raise BadUrl(f"from https to http, at {led.root}")
        return led

    @property
    def root(self) -> str:
        """Scheme, host and port: what credentials are given for."""
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def with_query(self, pairs: list[tuple[str, str]]) -> Url:
        """Add to the query."""
        from urllib.parse import quote, urlencode

        joint = "&" if "?" in self.target else "?"
        return self._replace(target=f"{self.target}{joint}{urlencode(pairs, quote_via=quote)}")

    def __str__(self) -> str:
        """Write it for people: a query may be what signs a request, so it is left out."""
        return f"{self.root}{self.target.partition('?')[0]}"


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine, from its name alone; RFC 6761, 6.3."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if host.startswith("["):
        from socket import AF_INET6, inet_pton

        return inet_pton(AF_INET6, host[1:-1]) == bytes(15) + b"\1"
    numbers = host.split(".")
    return len(numbers) == 4 and numbers[0] == "127" and all(_is_number(number, 255) for number in numbers)  # noqa: PLR2004


def _plain(text: str) -> str:
    """Percent-encode what is not ASCII, as browsers do, and refuse what a URL cannot have."""
    if not 0 < len(text) <= _LONGEST_URL:
        raise BadUrl(f"a URL of {len(text)} characters")
    try:
        encoded = "".join([char if char < "\x80" else f"%{ord(char):02X}" for char in text.partition("#")[0]])
        if _VISIBLE.issuperset(encoded):
            encoded.encode("latin-1")
            return encoded
    except ValueError:
        pass
    raise BadUrl("characters that no URL has")


def _host_and_port(place: str) -> tuple[str, int | None]:
    host, bracket, rest = place.partition("]")
    if bracket:
        host = f"{host}]"
    else:
        host, colon, port = place.partition(":")
        rest = colon + port
    if rest and not (rest[0] == ":" and _is_number(rest[1:], _LAST_PORT)):
        raise BadUrl("a port that is none")
    if not (_is_ipv6(host) if bracket else _is_name(host)):
        raise BadUrl("a host that is none")
    return host, int(rest[1:]) if rest else None


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= _LONGEST_HOST and _OF_A_HOST.issuperset(host) and all(0 < len(part) < 64 for part in labels)  # noqa: PLR2004 (RFC 1035, 2.3.4)


def _is_ipv6(host: str) -> bool:
    from socket import AF_INET6, inet_pton

    try:
        inet_pton(AF_INET6, host[1:-1])
    except OSError:
        return False
    return host[0] == "[" and _OF_IPV6.issuperset(host[1:-1])


def _is_number(text: str, last: int) -> bool:
    return 0 < len(text) <= len(str(last)) and text.isascii() and text.isdecimal() and int(text) <= last
