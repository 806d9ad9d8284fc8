"""A registry behind a proxy: TLS goes through it untouched, plain http in the absolute form."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import pycgroups as pc
from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions
from tests.registry.certificates import Authority
from tests.registry.memory import Memory, copy
from tests.registry.misbehaving import NAME, Registry

LOGIN = "Basic " + base64.b64encode(b"me:pr0xy").decode()
FAR = "registry.example"


class Proxy(ThreadingHTTPServer):
    """Lets those with the login through, to the one server that there is, whichever host they ask for."""

    def __init__(self, server: Registry) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = server.domain.partition(":")[0], int(server.domain.partition(":")[2])
        self.asked: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.thread.join()
        super().__exit__(*error)


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        if self.headers["Proxy-Authorization"] != LOGIN:
            self.send_error(407)
            return
        with socket.create_connection(self.server.behind) as other:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(other, self.connection))
            back.start()
            _pump(self.connection, other)
            back.join()

    def do_GET(self) -> None:
        """Pass a request on, without the host in its path and without keeping the connection."""
        self.server.asked.append(f"{self.command} {self.path}")
        assert self.headers["Proxy-Authorization"] == LOGIN
        path = self.path.removeprefix(f"http://{FAR}")
        headers = "".join(f"{name}: {self.headers[name]}\r\n" for name in ("Host", "Accept"))
        with socket.create_connection(self.server.behind) as other:
            other.sendall(f"GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode())
            assert other.recv(8) == b"HTTP/1.1"
            self.connection.sendall(b"HTTP/1.0")  # which is not kept
            _pump(other, self.connection)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def pulled(host: str, **options) -> Memory:
    here, given = Memory(), RegistryOptions(registries_conf="/dev/null", retries=0, **options)
    copy(registry.source(Reference.parse(f"{host}/{NAME}:1"), options=given), here)
    return here


@pytest.mark.requires("openssl")
def test_tls(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/ca.crt").write_bytes(authority.certificate.read_bytes())
    with Registry(tls=authority.sign("server", f"DNS:{FAR}")) as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pr0xy@127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert pulled(FAR, certs=str(tmp_path / "certs")).blobs == server.image.blobs
        assert set(proxy.asked) == {f"CONNECT {FAR}:443"}
        assert not any("Proxy-Authorization" in headers for headers in server.headers)
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wr0ng@127.0.0.1:{proxy.server_port}")
        with pytest.raises(pc.RegistryError, match="through the proxy") as caught:
            pulled(FAR, certs=str(tmp_path / "certs"))
        assert "wr0ng" not in str(caught.value)


def test_plain_http(monkeypatch):
    with Registry() as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pr0xy@127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert pulled(FAR, insecure=True).blobs == server.image.blobs
        assert any(line.startswith(f"GET http://{FAR}/v2/{NAME}/blobs/") for line in proxy.asked)
        asked = len(proxy.asked)
        assert pulled(server.domain).blobs == server.image.blobs
        assert len(proxy.asked) == asked, "what is on this machine is asked directly"


@pytest.mark.requires("openssl")
@pytest.mark.parametrize("name", ["docker.io", "registry-1.docker.io", "registry-1.docker.io:443"])
def test_certificates_for_docker_hub(tmp_path, monkeypatch, name):
    """Those who have a proxy that reads along put its authority under the name that they know."""
    authority = Authority(tmp_path)
    place = tmp_path / f"config/containers/certs.d/{name}"
    place.mkdir(parents=True)
    (place / "ca.crt").write_bytes(authority.certificate.read_bytes())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Registry(tls=authority.sign("server", "DNS:registry-1.docker.io")) as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pr0xy@127.0.0.1:{proxy.server_port}")
        assert pulled("docker.io").blobs == server.image.blobs
        assert set(proxy.asked) == {"CONNECT registry-1.docker.io:443"}
