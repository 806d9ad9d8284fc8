"""TLS to registries: whom we believe, what we show, and that nothing is said in the clear instead."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import ExitStack

import pytest

import pycgroups as pc
from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions, retries
from tests.registry.certificates import PAST, Authority
from tests.registry.memory import Memory, copy
from tests.registry.misbehaving import NAME, PASSWORD, TAG, USER, Registry

pytestmark = [pytest.mark.requires("openssl"), pytest.mark.slow_in_vm("many keys")]
HOST = "registry.test"
"Not a loopback address by its name; see `name`."


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def name(monkeypatch, tmp_path):
    """Have a name for 127.0.0.1, and nothing of this machine's settings."""
    real = socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        return real("127.0.0.1" if host == HOST else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(retries, "FIRST", 0.005)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def start():
    with ExitStack() as stack:
        yield lambda mode="basic-ok", **more: stack.enter_context(Registry(mode, **more))


def pull(server: Registry, host: str = "127.0.0.1", **more) -> Memory:
    reference = Reference.parse(f"{host}:{server.domain.rpartition(':')[2]}/{NAME}:{TAG}")
    given = {"credentials": (USER, PASSWORD), "connect_timeout": 5.0, "read_timeout": 5.0, "retries": 1}
    options = RegistryOptions(**{**given, "registries_conf": os.devnull, **more})
    here = Memory()
    copy(registry.source(reference, options=options), here)
    return here


def certs(tmp_path, authority: Authority, *more) -> str:
    directory = tmp_path / "certs"
    directory.mkdir(parents=True)
    shutil.copy(authority.certificate, directory / "ca.crt")
    for path in more:
        shutil.copy(path, directory / f"client.{path.suffix[1:]}")
    return str(directory)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", HOST])
def test_an_authority_of_ours(start, authority, tmp_path, host):
    names = ("IP:127.0.0.1", "DNS:localhost", f"DNS:{HOST}")
    server = start(tls=authority.sign("good", *names))
    assert pull(server, host, certs=certs(tmp_path, authority)).blobs == server.image.blobs


@pytest.mark.parametrize("host", ["127.0.0.1", HOST])
def test_an_authority_in_certs_d(start, authority, tmp_path, host):
    server = start(tls=authority.sign("good", "IP:127.0.0.1", f"DNS:{HOST}"))
    place = tmp_path / f"config/containers/certs.d/{host}:{server.domain.rpartition(':')[2]}"
    certs(place, authority)
    place.joinpath("certs").rename(place.with_name("made"))
    place.rmdir()
    place.with_name("made").rename(place)
    assert pull(server, host).blobs == server.image.blobs


@pytest.mark.parametrize("host", ["127.0.0.1", HOST])
@pytest.mark.parametrize("kind", ["unknown", "wrong name", "expired"])
def test_certificates_that_are_not_taken(start, authority, tmp_path, host, kind):
    names = () if kind == "wrong name" else ("IP:127.0.0.1", f"DNS:{HOST}")
    options = {"options": PAST} if kind == "expired" else {}
    server = start(tls=authority.sign("bad", *names, **options))
    more = {} if kind == "unknown" else {"certs": certs(tmp_path, authority)}
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, host, **more)
    assert "certificate verify failed" in str(caught.value)
    assert server.requests == []
    assert pull(server, host, insecure=True, **more).blobs == server.image.blobs


def test_a_name_is_never_asked_in_the_clear(start):
    server = start()
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, HOST)
    assert "does not speak TLS" in str(caught.value)
    assert "insecure" in caught.value.hint
    assert server.credentials() == []
    assert pull(server, HOST, insecure=True).blobs == server.image.blobs


def test_a_loopback_address_is(start):
    server = start()
    assert pull(server).blobs == server.image.blobs
    with pytest.raises(pc.RegistryError, match="does not speak TLS"):
        pull(server, insecure=False)


def test_insecure_by_registries_conf(start, tmp_path):
    server = start()
    conf = tmp_path / "registries.conf"
    port = server.domain.rpartition(":")[2]
    conf.write_text(f'[[registry]]\nlocation = "{HOST}:{port}"\ninsecure = true\n')
    assert pull(server, HOST, registries_conf=str(conf)).blobs == server.image.blobs
    with pytest.raises(pc.RegistryError):
        pull(server, HOST, registries_conf=str(conf), insecure=False)


def test_a_certificate_of_ours(start, authority, tmp_path):
    server = start("ok", tls=authority.sign("server", "IP:127.0.0.1"), clients=authority.certificate)
    with pytest.raises(pc.RegistryError):
        pull(server, certs=certs(tmp_path / "without", authority))
    shown = certs(tmp_path / "with", authority, *authority.sign("client"))
    assert pull(server, certs=shown).blobs == server.image.blobs


def test_no_other_host_sees_our_certificate(start, authority, tmp_path):
    """It would know who we are; and here it wants to, so the connection fails."""
    both = authority.sign("server", "IP:127.0.0.1", "IP:127.0.0.2")
    other = start("ok", host="127.0.0.2", tls=both, clients=authority.certificate)
    server = start("redirect-other", tls=both, clients=authority.certificate, other=other)
    shown = certs(tmp_path, authority, *authority.sign("client"))
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, certs=shown)
    assert "127.0.0.2" in str(caught.value)
    assert other.requests == []


def test_no_redirect_to_plain_http(start, authority, tmp_path):
    other = start("ok", host="127.0.0.2")
    server = start("redirect-other", tls=authority.sign("server", "IP:127.0.0.1"), other=other)
    with pytest.raises(pc.RegistryError, match="from https to http"):
        pull(server, certs=certs(tmp_path, authority))
    assert other.requests == []


def test_no_token_service_in_the_clear(start, authority, tmp_path):
    other = start("ok", host="127.0.0.2")
    server = start("realm-other", tls=authority.sign("server", "IP:127.0.0.1"), other=other)
    with pytest.raises(pc.RegistryError, match="from https to http"):
        pull(server, certs=certs(tmp_path, authority))
    assert other.requests == []


@pytest.mark.parametrize("broken", ["ca.crt", "client.cert", "client.key"])
def test_files_that_are_none(start, authority, tmp_path, broken):
    directory = certs(tmp_path, authority, *authority.sign("client"))
    (tmp_path / "certs" / broken).write_text("nonsense")
    with pytest.raises(pc.InvalidConfig) as caught:
        pull(start(), HOST, certs=directory)
    assert "certs/" in str(caught.value)
