"""The header ``Authorization`` of requests to one registry: what it asks for, and for nobody else.

    request ──▶ 401, WWW-Authenticate: Basic             ──▶ user and password, if there are any
            ──▶ 401, WWW-Authenticate: Bearer realm=...  ──▶ a token of the service at realm, kept until it expires

User and password go to the service that the registry names only when that is by TLS, or when the registry itself is by
plain http, and the service on the same host. Source: https://distribution.github.io/distribution/spec/auth/token/ and
``oauth/``.
"""

from __future__ import annotations

import threading
import time

from pycgroups.errors import InvalidConfig, RegistryError
from pycgroups.images.registry import challenges
from pycgroups.images.registry.refusals import LARGEST_REFUSAL, refusal
from pycgroups.images.registry.url import BadUrl, Url
from pycgroups.oci.json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NamedTuple

    from pycgroups.images.registry.connections import Answer
    from pycgroups.images.registry.options import Credentials

    # Sends a request, follows redirects, and gives the Authorization to nobody but the host of the URL.
    Send = Callable[[str, Url, dict[str, str], bytes | None, str | None], Answer]
else:
    from pycgroups.records import NamedTuple

_LARGEST_TOKEN_ANSWER = 2**20
_LONGEST_TOKEN = 32 * 2**10
_SHORTEST_LIFE = 60.0
"""Seconds that a token lives when its service does not say; spec/auth/token."""
_LONGEST_LIFE = 3600.0
_MARGIN = 10.0
"""Seconds before its end in which a token is not used any more."""
_CLIENT = "pycgroups"
_UNAUTHORIZED = 401


class _Token(NamedTuple):
    header: str
    end: float


class Authorization:
    """What one registry wants to see with requests."""

    def __init__(self, host: str, find: Callable[[], Credentials | None], send: Send) -> None:
        """Know nothing yet.

        Args:
            host: the registry as the user calls it, for hints.
            find: looks the credentials up, when they are asked for.
            send: sends the requests to the service.
        """
        self._host = host
        self._find = find
        self._send = send
        self._lock = threading.RLock()
        self._basic: str | None = None
        self._bearer: dict[str, str] | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._credentials: Credentials | None = None
        self._looked_up = False

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return what goes with a request, as far as that is known; None for nothing."""
        with self._lock:
            if self._basic is not None:
                return self._basic
            token = self._tokens.get(scopes)
            if token is not None and time.monotonic() < token.end:
                return token.header
            return None

    def renew(self, url: Url, headers: Sequence[str], scopes: tuple[str, ...], refused: str | None) -> bool:
        """Take a challenge up; False if nothing better than what was refused can be had.

        Args:
            url: what was asked for.
            headers: the values of ``WWW-Authenticate``.
            scopes: what is wanted: ``repository:me/app:pull``.
            refused: the header that went with the request.

        Raises:
            RegistryError: the challenge is none, or the service refused or cannot be trusted with the credentials.
        """
        found = {each.scheme: each.parameters for each in reversed(challenges.parse(headers))}
        with self._lock:
            known = self.header(scopes)
            if known is not None and known != refused:
                return True  # another thread was faster
            if found.get("bearer", {}).get("realm"):
                self._basic = None
                self._tokens[scopes] = self._token(url, found["bearer"], scopes)
                return True
            if "basic" in found:
                credentials = self._known_credentials()
                self._basic = basic(credentials) if credentials and credentials.user else None
                return self._basic is not None and self._basic != refused
        message = "asks for a login in a way that is none: no challenge for Basic or Bearer"
        error = RegistryError(message, operation="authenticate", path=str(url))
        error.status = _UNAUTHORIZED
        raise error

    def _known_credentials(self) -> Credentials | None:
        if not self._looked_up:
            self._credentials = self._find()
            self._looked_up = True
        return self._credentials

    def _token(self, asked: Url, parameters: dict[str, str], scopes: tuple[str, ...]) -> _Token:
        realm = self._realm(asked, parameters["realm"])
        credentials = self._known_credentials()
        if credentials is not None:
            self._trust(asked, realm)
        pairs = [("service", parameters["service"])] if parameters.get("service") else []
        wanted = together(scopes, parameters.get("scope", "").split())
        if credentials is not None and credentials.identity_token:
            answer = self._send(*_refresh(realm, pairs, wanted, credentials.identity_token))
        else:
            url = realm.with_query([*pairs, *(("scope", each) for each in wanted)])
            answer = self._send("GET", url, {}, None, basic(credentials) if credentials else None)
        with answer:
            if answer.status != 200:  # noqa: PLR2004
                body = answer.beginning(LARGEST_REFUSAL)
                raise refusal("authenticate", answer.url, answer.status, body, host=self._host)
            return _read_token(answer)

    def _realm(self, asked: Url, realm: str) -> Url:
        try:
            return asked.join(realm)
        except BadUrl as error:
            raise RegistryError(
                f"names a token service at {error}", operation="authenticate", path=str(asked)
            ) from None

    def _trust(self, asked: Url, realm: Url) -> None:
        """Refuse to send a password in clear text to another host than the registry's, which speaks so itself."""
        if realm.scheme == "https" or (asked.scheme, asked.host) == (realm.scheme, realm.host):
            return
        raise RegistryError(
            f"wants the password sent to {realm.root}, in clear text to another host; it was not",
            operation="authenticate",
            path=str(asked),
            hint="its token service has to be reached by https",
        )


def together(own: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Put scopes together: one for each thing, ``repository:me/app:pull,push``, with all that is done to it."""
    actions: dict[str, dict[str, None]] = {}
    for scope in (*own, *asked):
        thing, _, words = scope.rpartition(":")
        actions.setdefault(thing, {}).update(dict.fromkeys(words.split(",")))
    return [f"{thing}:{','.join(words)}" for thing, words in actions.items()]


def basic(credentials: Credentials) -> str:
    """Write a user and a password as RFC 7617 has it."""
    from base64 import b64encode

    return f"Basic {b64encode(f'{credentials.user}:{credentials.password}'.encode()).decode()}"


def _refresh(
    realm: Url, pairs: list[tuple[str, str]], scopes: list[str], token: str
) -> tuple[str, Url, dict[str, str], bytes, None]:
    """Make the request that trades an identity token for an access token; spec/auth/oauth."""
    from urllib.parse import urlencode

    form = [*pairs, ("grant_type", "refresh_token"), ("client_id", _CLIENT), ("scope", " ".join(scopes))]
    body = urlencode([*form, ("refresh_token", token)]).encode()
    return "POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body, None


def _read_token(answer: Answer) -> _Token:
    """Return the token of a service's answer."""
    where = str(answer.url)
    try:
        document: Any = parse(answer.read(_LARGEST_TOKEN_ANSWER), "token")
    except InvalidConfig:
        document = None  # its text is not repeated: it may be a token
    found = document if isinstance(document, dict) else {}
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN or not _is_visible(token):
        raise RegistryError("the token service's answer has no token", operation="authenticate", path=where)
    life = found.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or life <= 0:
        life = _SHORTEST_LIFE
    life = min(life, _LONGEST_LIFE)
    return _Token(f"Bearer {token}", time.monotonic() + life - min(_MARGIN, life / 2))


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
