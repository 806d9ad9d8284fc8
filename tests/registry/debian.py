"""Debian's docker-registry on a loopback address, with files of its own, and a token service for it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.registry.misbehaving import BASIC, USER
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from tests.registry.certificates import Authority

BCRYPT = "$2b$04$abcdefghijklmnopqrstuuPMv5Di5l7qz0hEZrM5VMoIg/4MavDA6"
"Of the password of `misbehaving`, by crypt(5)."


class DockerRegistry:
    """The server as a process.

    Attributes:
        domain: where it is.
    """

    def __init__(
        self, directory: Path, settings: dict[str, Any] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        """Write its configuration.

        Args:
            directory: for its files.
            settings: of its configuration, besides those that it needs.
            tls: a certificate and its key.
        """
        self._directory = directory
        self.domain = f"127.0.0.1:{_free_port()}"
        http: dict[str, Any] = {"addr": self.domain, "secret": "of the tests"}
        if tls is not None:
            http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        configuration = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
            "http": http,
            **(settings or {}),
        }
        (directory / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML

    def __enter__(self) -> Self:
        with open(self._directory / "log", "wb") as log:
            arguments = ["docker-registry", "serve", str(self._directory / "config.yml")]
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        wait_for(self._listens)
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self._directory / "log").read_text()
        host, _, port = self.domain.partition(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def htpasswd(directory: Path) -> dict[str, Any]:
    """Write a file of users; return the settings for it."""
    path = directory / "htpasswd"
    path.write_text(f"{USER}:{BCRYPT}\n")
    return {"auth": {"htpasswd": {"realm": "tests", "path": str(path)}}}


class TokenService:
    """Gives tokens to who has the password, and to anybody for pulling; https://distribution.github.io/distribution/spec/auth/.

    Attributes:
        asked: the scopes of each request.
        settings: for a registry that takes its tokens.
    """

    def __init__(self, authority: Authority) -> None:
        self._certificate, self._key = authority.sign("token-service")
        self.asked: list[list[str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _TokenHandler)
        self._server.service = self  # type: ignore[attr-defined]  # for the handler
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        realm = f"http://127.0.0.1:{self._server.server_port}/token"
        token = {"realm": realm, "service": "tests", "issuer": "tests", "rootcertbundle": str(authority.certificate)}
        self.settings = {"auth": {"token": token}}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(self, scopes: list[str], *, known: bool) -> str:
        """Sign a token; RFC 7519, with the certificate in it (``x5c``)."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = [action for action in actions.split(",") if known or action == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": "tests",
            "sub": USER,
            "aud": "tests",
            "exp": now + 300,
            "nbf": now - 60,
            "iat": now,
            "jti": "1",
        }
        pem = self._certificate.read_text().split("-----")[2]
        header = {"typ": "JWT", "alg": "ES256", "x5c": ["".join(pem.split())]}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, {**claims, "access": access}))
        return f"{signed}.{_encoded(self._signature(signed.encode()))}"

    def _signature(self, text: bytes) -> bytes:
        """Sign with ECDSA; openssl gives DER, JWS wants two numbers of 32 bytes (RFC 7518, 3.4)."""
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._key)]
        der = subprocess.run(command, input=text, check=True, capture_output=True).stdout
        numbers, at = [], 2
        for _ in range(2):
            length = der[at + 1]
            numbers.append(int.from_bytes(der[at + 2 : at + 2 + length]))
            at += 2 + length
        return b"".join(number.to_bytes(32) for number in numbers)


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


class _TokenHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        service: TokenService = self.server.service  # type: ignore[attr-defined]
        shown = self.headers.get("Authorization")
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        service.asked.append(scopes)
        status = 200 if shown in {None, BASIC} else 401
        body = json.dumps({"token": service.token(scopes, known=shown == BASIC), "expires_in": 300}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
