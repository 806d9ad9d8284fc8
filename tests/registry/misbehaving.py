"""A registry that misbehaves, in one of many ways: threads of this process, on a loopback address.

A mode is a function for one kind of request, which answers in place of the registry, or returns False and leaves it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pycgroups.images.digest import Digest
from pycgroups.oci import image_spec as spec
from tests.registry.memory import Memory, image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    Hook = Callable[["Handler"], object]

USER, PASSWORD = "me", "s3cret-Pa55"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "t0ken-0f-the-service"
IDENTITY = "1dentity-t0ken"
NAME, TAG = "me/app", "1"
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\r\n<html>"


class Registry:
    """A server, what is in it, and what it was asked.

    Attributes:
        image: what it has under `NAME`:`TAG`.
        requests: method, path and Authorization of each request.
        hanging: is released by each request that is kept waiting.
        uploaded: blobs that were sent to it, and manifests by tag or digest.
    """

    def __init__(self, mode: str = "ok", host: str = "127.0.0.1", **more: Any) -> None:
        self.mode = mode
        self.host = host
        self.image: Any = image(300_000, 5000)
        self.requests: list[tuple[str, str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.uploaded = Memory()
        self.counts: dict[str, int] = {}
        self.uploads: dict[str, bytearray] = {}
        self.more = more
        self.stopping = threading.Event()
        self.hanging = threading.Semaphore(0)
        self.lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._server = _Server((host, 0), Handler)
        self._server.registry = self
        self.scheme = "http"
        if "tls" in more:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*more["tls"])
            if "clients" in more:  # it wants to see certificates of this authority
                context.load_verify_locations(more["clients"])
                context.verify_mode = ssl.CERT_REQUIRED
            # The handshake is made by the thread that answers, not by the one that accepts.
            options: dict[str, Any] = {"server_side": True, "do_handshake_on_connect": False}
            self._server.socket = context.wrap_socket(self._server.socket, **options)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def domain(self) -> str:
        return f"{self.host}:{self._server.server_port}"

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.domain}"

    @property
    def reference(self) -> str:
        return f"{self.domain}/{NAME}:{TAG}"

    def count(self, what: str) -> int:
        """Tell how often this was called with a word."""
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            return self.counts[what]

    def credentials(self) -> list[str]:
        """Tell the secrets that came with requests, in whatever header or path."""
        secrets = (PASSWORD, BASIC.removeprefix("Basic "), TOKEN, IDENTITY)
        said = [
            f"{path} {json.dumps(headers)}" for (_, path, _), headers in zip(self.requests, self.headers, strict=True)
        ]
        return [each for each in said if any(secret in each for secret in secrets) or "ookie" in each]

    def keep(self, connection: socket.socket) -> None:
        with self.lock:
            self._connections.append(connection)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()  # waits for the threads
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    registry: Registry

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what this is about."""


class Handler(BaseHTTPRequestHandler):
    """Answers requests; see the module."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.registry = self.server.registry
        self.registry.keep(self.request)
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        self.registry.requests.append((self.command, self.path, self.headers.get("Authorization")))
        self.registry.headers.append(dict(self.headers))
        self.kind, self.digest = self._kind()
        self.body: bytes | None = None
        hooks = MODES[self.registry.mode]
        for kind in ("any", self.kind):
            if kind in hooks and hooks[kind](self) is not False:
                return
        getattr(self, f"_{self.kind}")()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 (http.server's names)

    def _kind(self) -> tuple[str, str]:
        path = urlsplit(self.path).path
        for kind, pattern in (
            ("upload", r"/v2/.*/blobs/uploads/(.*)"),
            ("blob", r"/v2/.*/blobs/(.*)"),
            ("manifest", r"/v2/.*/manifests/(.*)"),
            ("tags", r"/v2/.*/tags/(list)"),
            ("token", r"/(token)"),
            ("place", r"/place/(.*)"),
        ):
            found = re.fullmatch(pattern, path)
            if found:
                return kind, found[1]
        return "other", ""

    def read_body(self) -> bytes:
        """Read what came with the request."""
        if self.body is None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return self.body

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: Any) -> bool:
        """Send an answer; without a length in it when that is negative. True: it is sent."""
        self.read_body()
        self.send_response(status)
        if length is None or length >= 0:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        else:
            self.close_connection = True
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def hang_up(self) -> None:
        """End the connection, in order."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> bool:
        """End the connection by RST; True: that is the answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        return True

    # -- a registry that behaves ---------------------------------------------------------------------------------------

    def content(self) -> bytes | None:
        found: bytes | None = self.registry.image.blobs.get(self.digest, self.registry.uploaded.blobs.get(self.digest))
        return found

    def _other(self) -> None:
        self.answer(200 if self.path.startswith("/v2/") else 404, b"{}")

    def _place(self) -> None:
        self._blob()

    def _blob(self) -> None:
        content = self.content()
        if content is None:
            self.answer(404, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "no such blob"}]}')
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted:
            start = int(wanted[1])
            extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], Content_Range=extent)
        else:
            self.answer(200, content)

    def _manifest(self) -> None:
        if self.command == "PUT":
            digest = self.registry.uploaded.put_manifest(self.read_body(), self.headers["Content-Type"], top=True)
            self.answer(201, Docker_Content_Digest=digest)
            return
        known = {**self.registry.image.manifests, TAG: self.registry.image.manifest()}
        if self.digest not in known:
            self.answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
            return
        text, media_type = known[self.digest]
        self.answer(200, text, Content_Type=media_type, Docker_Content_Digest=str(Digest.of(text)))

    def _tags(self) -> None:
        page = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
        link: dict[str, Any] = {"Link": f'</v2/{NAME}/tags/list?page={page + 1}>; rel="next"'} if page < 2 else {}
        self.answer(200, json.dumps({"name": NAME, "tags": [f"{page}a", f"{page}b"]}).encode(), **link)

    def _token(self) -> None:
        if self.command == "POST":
            form = parse_qs(self.read_body().decode())
            known = form["grant_type"] == ["refresh_token"] and form["refresh_token"] == [IDENTITY]
            self.answer(200 if known else 401, json.dumps({"access_token": TOKEN} if known else {}).encode())
            return
        self.answer(200, json.dumps({"token": TOKEN, "expires_in": 300}).encode())

    def _upload(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.command == "POST":
            name = f"u{self.registry.count('uploads')}"
            self.registry.uploads[name] = bytearray()
            self.answer(202, Location=f"{self.upload_root()}{name}?state=a%20b")
            return
        upload = self.registry.uploads[self.digest]
        upload += self.read_body()
        if self.command == "PATCH":
            self.answer(202, Location=f"{self.upload_root()}{self.digest}", Range=f"0-{len(upload) - 1}")
        elif self.command == "GET":
            self.answer(204, Location=f"{self.upload_root()}{self.digest}", Range=f"0-{len(upload) - 1}")
        elif str(Digest.of(bytes(upload))) != query["digest"]:
            self.answer(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}')
        else:
            self.registry.uploaded.add_blob(bytes(upload))
            self.answer(201, Location="/v2/x", Docker_Content_Digest=query["digest"])

    def upload_root(self) -> str:
        return f"/v2/{NAME}/blobs/uploads/"


# -- modes ------------------------------------------------------------------------------------------------------------

MODES: dict[str, dict[str, Hook]] = {"ok": {}, "layers-urls": {}}


def mode(name: str, *kinds: str) -> Callable[[Hook], Hook]:
    def register(hook: Hook) -> Hook:
        MODES[name] = dict.fromkeys(kinds, hook)
        return hook

    return register


def _large(request: Handler) -> bytes | None:
    """The content of the large layer, if it is asked for."""
    content = request.content()
    return content if content is not None and len(content) > 100_000 else None


def _basic(request: Handler) -> object:
    if request.headers.get("Authorization") == BASIC:
        return False
    return request.answer(401, b"{}", WWW_Authenticate='Basic realm="here"')


def _bearer(realm: Callable[[Handler], str]) -> Hook:
    def hook(request: Handler) -> object:
        if request.kind in {"token", "place"}:
            if request.kind == "token" and request.command == "GET" and request.headers.get("Authorization") != BASIC:
                return request.answer(401, b'{"details": "who?"}')
            return False
        if request.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        header = f'Bearer realm="{realm(request)}",service="registry",scope="repository:{NAME}:pull"'
        return request.answer(401, b"{}", WWW_Authenticate=header)

    return hook


MODES["basic-ok"] = {"any": _basic}
MODES["bearer-ok"] = {"any": _bearer(lambda request: f"{request.registry.root}/token")}
MODES["realm-other"] = {"any": _bearer(lambda request: f"{request.registry.more['other'].root}/token")}
MODES["realm-file"] = {"any": _bearer(lambda _: "file:///etc/passwd")}


@mode("http10", "any")
def _http10(request: Handler) -> object:
    request.protocol_version = "HTTP/1.0"
    request.close_connection = True
    return False


@mode("chunked-ok", "blob")
def _chunked(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, length=-1, Transfer_Encoding="chunked")
    for at in range(0, len(content), 7777):
        piece = content[at : at + 7777]
        request.wfile.write(b"%x;extension=1\r\n%b\r\n" % (len(piece), piece))
    request.wfile.write(b"0\r\nTrailer: x\r\n\r\n")
    request.hang_up()


@mode("chunked-endless-trailers", "blob")
def _trailers(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, length=-1, Transfer_Encoding="chunked")
    request.wfile.write(b"%x\r\n%b\r\n0\r\n" % (len(content), content))
    while not request.registry.stopping.is_set():
        request.wfile.write(b"Trailer: x\r\n" * 1000)


@mode("endless-continue", "manifest")
def _continue(request: Handler) -> None:
    while not request.registry.stopping.is_set():
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@mode("slow-ok", "blob")
def _slow_ok(request: Handler) -> object:
    content = _large(request)
    if content is None:
        return False
    request.answer(200, length=len(content))
    for at in range(0, len(content), 20_000):
        request.wfile.write(content[at : at + 20_000])
        request.registry.stopping.wait(0.15)
    return None


@mode("slow-headers", "manifest")
def _slow_headers(request: Handler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
        request.wfile.write(bytes([byte]))
        if request.registry.stopping.wait(0.2):
            return


@mode("slow-body", "blob")
def _slow_body(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, length=len(content))
    for byte in content:
        request.wfile.write(bytes([byte]))
        if request.registry.stopping.wait(0.2):
            return


@mode("redirect-relative", "blob")
def _relative(request: Handler) -> None:
    request.answer(307, Location=f"../../../../place/{request.digest}")


def _redirect(other: str) -> Hook:
    def hook(request: Handler) -> object:
        root = request.registry.more[other].root
        return request.answer(307, Location=f"{root}/place/{request.digest}?signature=x", Set_Cookie="a=b")

    return hook


def _chain(length: int) -> Hook:
    def hook(request: Handler) -> object:
        step = int(parse_qs(urlsplit(request.path).query).get("step", ["0"])[0])
        if step == length:
            return False
        return request.answer(302, Location=f"?step={step + 1}")

    return hook


MODES["redirect-other"] = {"any": _basic, "blob": _redirect("other")}
MODES["redirect-port"] = {"any": _basic, "blob": _redirect("port")}
MODES["redirect-chain5"] = {"blob": _chain(5)}
MODES["redirect-chain50"] = {"blob": _chain(50)}


@mode("redirect-loop", "blob")
def _loop(request: Handler) -> None:
    request.answer(302, Location=request.path)


@mode("redirect-file", "blob")
def _file(request: Handler) -> None:
    request.answer(302, Location="file:///etc/hostname")


@mode("truncate", "blob")
def _truncate(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, content[: len(content) // 2], length=len(content))
    request.hang_up()


@mode("truncate-once", "blob")
def _truncate_once(request: Handler) -> object:
    return _truncate(request) if request.registry.count(request.digest) == 1 else False


@mode("resume-ok", "blob")
def _resume(request: Handler) -> None:
    content = request.content() or b""
    start = int(request.headers.get("Range", "bytes=0-")[6:-1])
    extent: dict[str, Any] = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
    request.answer(206 if start else 200, content[start : start + 70_000], length=len(content) - start, **extent)
    request.hang_up()


@mode("resume-ignored", "blob")
def _resume_ignored(request: Handler) -> None:
    content = request.content() or b""
    if request.registry.count(request.digest) == 1:
        _truncate(request)
    else:
        request.answer(200, content)


@mode("resume-elsewhere", "blob")
def _resume_elsewhere(request: Handler) -> None:
    content = request.content() or b""
    if request.registry.count(request.digest) == 1:
        _truncate(request)
    else:
        request.answer(206, content, Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")


@mode("short-no-length", "blob")
def _short(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, content[: len(content) // 2], length=-1)


@mode("reset-mid", "blob")
def _reset(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, content[: len(content) // 2], length=len(content))
    request.reset()


@mode("hang", "any")
def _hang(request: Handler) -> None:
    request.registry.hanging.release()
    request.registry.stopping.wait()
    request.hang_up()


@mode("hang-in-blobs", "blob")
def _hang_in_blobs(request: Handler) -> object:
    """Begin to answer, and go no further."""
    if request.command != "GET":
        return False
    content = request.content() or b""
    request.answer(200, content[: len(content) // 2], length=len(content))
    request.registry.hanging.release()
    request.registry.stopping.wait()
    request.hang_up()
    return True


@mode("hang-in-layers", "blob")
def _hang_in_layers(request: Handler) -> object:
    text, _ = request.registry.image.manifest()
    return request.digest != json.loads(text)["config"]["digest"] and _hang_in_blobs(request)


@mode("layers-elsewhere", "blob")
def _layers_elsewhere(request: Handler) -> object:
    """Send who wants a layer to another place."""
    text, _ = request.registry.image.manifest()
    if request.digest == json.loads(text)["config"]["digest"]:
        return False
    request.registry.hanging.release()
    return request.answer(307, Location=f"{request.registry.more['place']}/place/{request.digest}")


@mode("push-hang", "upload")
def _push_hang(request: Handler) -> object:
    """Take a layer, and never say so."""
    if request.command != "PUT" or len(request.read_body()) < 1000:
        return False
    request.registry.hanging.release()
    request.registry.stopping.wait()
    request.hang_up()
    return True


@mode("close-now", "any")
def _close(request: Handler) -> None:
    request.hang_up()


@mode("garbage-http", "any")
def _garbage(request: Handler) -> None:
    request.wfile.write(b"\x00\xff SSH-2.0-\x1b[31m" + bytes(range(256)) * 4 + b"\r\n\r\n")
    request.hang_up()


@mode("many-headers", "manifest")
def _many(request: Handler) -> None:
    headers: dict[str, Any] = {f"X_{number}": "y" * 100 for number in range(5000)}
    request.answer(200, b"{}", **headers)


@mode("429-then-ok", "manifest")
def _too_many(request: Handler) -> object:
    return request.answer(429, b"{}", Retry_After="1") if request.registry.count("429") <= 2 else False


@mode("429-forever", "any")
def _too_many_forever(request: Handler) -> None:
    body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}'
    request.answer(429, body, Retry_After="3600")


@mode("500x2", "blob")
def _twice(request: Handler) -> object:
    return request.answer(500) if request.registry.count(request.digest) <= 2 else False


@mode("503-forever", "manifest")
def _unavailable(request: Handler) -> None:
    request.answer(503, b"gone fishing")


@mode("404", "manifest")
def _missing(request: Handler) -> None:
    request.answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')


@mode("403-html", "manifest")
def _forbidden(request: Handler) -> None:
    request.answer(403, ESCAPES.encode() * 1000, Content_Type="text/html")


@mode("wrong-digest", "blob")
def _wrong(request: Handler) -> None:
    content = bytearray(request.content() or b"x")
    content[len(content) // 2] ^= 1
    request.answer(200, bytes(content))


@mode("wrong-digest-manifest", "manifest")
def _wrong_manifest(request: Handler) -> None:
    request.answer(200, image(10, seed=9).manifest()[0], Content_Type=spec.MANIFEST)


@mode("wrong-header-digest", "manifest")
def _wrong_header(request: Handler) -> None:
    text, media_type = request.registry.image.manifest()
    request.answer(200, text, Content_Type=media_type, Docker_Content_Digest=f"sha256:{'0' * 64}")


@mode("endless-blob", "blob")
def _endless(request: Handler) -> None:
    request.answer(200, request.content() or b"", length=-1)
    while not request.registry.stopping.is_set():
        request.wfile.write(bytes(100_000))


@mode("manifest-huge", "manifest")
def _huge(request: Handler) -> None:
    request.answer(200, length=64 * 2**20, Content_Type=spec.MANIFEST)
    for _ in range(64):
        request.wfile.write(b" " * 2**20)


@mode("manifest-huge-no-length", "manifest")
def _huge_no_length(request: Handler) -> None:
    request.answer(200, length=-1, Content_Type=spec.MANIFEST)
    for _ in range(64):
        request.wfile.write(b" " * 2**20)


@mode("manifest-cl-1t", "manifest")
def _terabyte(request: Handler) -> None:
    text, media_type = request.registry.image.manifest()
    request.answer(200, text, length=10**12, Content_Type=media_type)
    request.registry.stopping.wait()


@mode("manifest-empty", "manifest")
def _empty(request: Handler) -> None:
    request.answer(200, Content_Type=spec.MANIFEST)


@mode("manifest-html", "manifest")
def _html(request: Handler) -> None:
    request.answer(200, b"<html>log in to the hotel", Content_Type="text/html; charset=utf-8")


@mode("manifest-deep", "manifest")
def _deep(request: Handler) -> None:
    request.answer(200, b"[" * 200_000 + b"]" * 200_000, Content_Type=spec.MANIFEST)


@mode("manifest-deep-untyped", "manifest")
def _deep_untyped(request: Handler) -> None:
    request.answer(200, b"[" * 200_000 + b"]" * 200_000, Content_Type="application/json")


@mode("manifest-untyped", "manifest")
def _untyped(request: Handler) -> None:
    request.answer(200, request.registry.image.manifest()[0], Content_Type="application/json")


@mode("manifest-ctype-index", "manifest")
def _confused(request: Handler) -> None:
    request.answer(200, request.registry.image.manifest()[0], Content_Type=spec.INDEX)


@mode("blob-gzip-encoding", "blob")
def _encoded(request: Handler) -> None:
    request.answer(200, request.content() or b"", Content_Encoding="gzip")


@mode("cl-short", "blob")
def _length_short(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, content, length=len(content) // 2)
    request.hang_up()


@mode("cl-long", "blob")
def _length_long(request: Handler) -> None:
    content = request.content() or b""
    request.answer(200, content, length=len(content) + 1000)
    request.hang_up()


@mode("206-unasked", "blob")
def _unasked(request: Handler) -> None:
    content = request.content() or b""
    request.answer(206, content[:10], Content_Range=f"bytes 0-9/{len(content)}")


@mode("auth-forever", "any")
def _auth_forever(request: Handler) -> object:
    number = request.registry.count("challenge")
    if request.kind == "token":
        return False
    header = (
        f'Bearer realm="{request.registry.root}/token",service="s{number}",scope="repository:{NAME}:pull,x{number}"'
    )
    return request.answer(401, b"{}", WWW_Authenticate=header)


@mode("basic-forever", "any")
def _basic_forever(request: Handler) -> object:
    return request.answer(401, b"{}", WWW_Authenticate=f'Basic realm="{request.registry.count("challenge")}"')


@mode("challenge-garbage", "any")
def _challenge_garbage(request: Handler) -> None:
    request.answer(401, b"{}", WWW_Authenticate='===,,,"""Bearer realm = \x01')


@mode("challenge-redos", "any")
def _challenge_redos(request: Handler) -> None:
    request.answer(401, b"{}", WWW_Authenticate="Bearer " + 'a="\\' * 15_000)


def _token_answer(body: Callable[[], Iterator[bytes]], length: int) -> dict[str, Hook]:
    def token(request: Handler) -> None:
        request.answer(200, length=length)
        for piece in body():
            request.wfile.write(piece)

    return {"any": _bearer(lambda request: f"{request.registry.root}/token"), "token": token}


MODES["token-huge"] = _token_answer(lambda: (b" " * 2**20 for _ in range(64)), 64 * 2**20)
MODES["token-garbage"] = _token_answer(lambda: iter([b"<html>hello"]), 11)
MODES["token-injection"] = _token_answer(lambda: iter([b'{"token": "a\\r\\nX: y"}']), 22)


@mode("tags-loop", "tags")
def _tags_loop(request: Handler) -> None:
    body = json.dumps({"name": NAME, "tags": ["a"]}).encode()
    request.answer(200, body, Link=f'<{request.path}>; rel="next"')


@mode("tags-endless", "tags")
def _tags_endless(request: Handler) -> None:
    number = request.registry.count("page")
    body = json.dumps({"name": NAME, "tags": [f"{number}-{'x' * 100}-{each}" for each in range(30_000)]}).encode()
    request.answer(200, body, Link=f'</v2/{NAME}/tags/list?page={number}>; rel="next"')


@mode("tags-elsewhere", "tags")
def _tags_elsewhere(request: Handler) -> None:
    root = request.registry.more["other"].root
    request.answer(200, b'{"tags": ["a"]}', Link=f'<{root}/v2/{NAME}/tags/list>; rel="next"')


@mode("push-location-other", "any", "upload")
def _location_other(request: Handler) -> object:
    if request.headers.get("Authorization") != BASIC:
        return _basic(request)
    if request.kind == "upload" and request.command == "POST":
        other = request.registry.more["other"]
        name = f"x{request.registry.count('elsewhere')}"
        other.uploads[name] = bytearray()
        return request.answer(202, Location=f"{other.root}/v2/{NAME}/blobs/uploads/{name}")
    return False


@mode("push-drop-once", "upload")
def _drop_once(request: Handler) -> object:
    if request.command == "PUT" and request.registry.count("put") == 1:
        request.rfile.read(1000)
        return request.reset()
    return False


@mode("push-drop-patch", "upload")
def _drop_patch(request: Handler) -> object:
    if request.command == "PATCH" and request.registry.count("patch") == 2:
        request.registry.uploads[request.digest] += request.rfile.read(1000)
        return request.reset()
    return False


@mode("push-500x2", "upload")
def _upload_twice(request: Handler) -> object:
    return request.answer(500) if request.command == "POST" and request.registry.count("post") <= 2 else False


@mode("push-503-forever", "upload")
def _upload_unavailable(request: Handler) -> None:
    request.answer(503)


@mode("push-digest-lie", "upload", "manifest")
def _lie(request: Handler) -> object:
    if request.command == "PUT":
        return request.answer(201, Docker_Content_Digest=f"sha256:{'0' * 64}")
    return False


@mode("push-manifest-400", "manifest")
def _refused(request: Handler) -> None:
    errors = [{"code": "MANIFEST_INVALID", "message": ESCAPES * 100}]
    request.answer(400, json.dumps({"errors": errors}).encode())


@mode("push-no-mount", "upload")
def _no_mount(request: Handler) -> object:
    """Refuse to take a blob from another repository, each time in another way."""
    if "mount=" not in request.path:
        return False
    status = (400, 401, 403, 404, 405)[request.registry.count("mount") % 5]
    return request.answer(status, b'{"errors": [{"code": "DENIED"}]}')


@mode("push-413", "upload")
def _too_large(request: Handler) -> object:
    return request.answer(413) if request.command == "PUT" else False
