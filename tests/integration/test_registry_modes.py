"""The registry client against a registry that misbehaves in every way that somebody has thought of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import Credentials, RegistryOptions, retries
from pycgroups.oci.image_reading import read_manifest
from tests.registry.memory import Memory, copy, image
from tests.registry.misbehaving import BASIC, IDENTITY, MODES, NAME, PASSWORD, TOKEN, USER, Registry

pytestmark = pytest.mark.requires("host")
"Timeouts are of one second, which the emulated machine takes for less."

if TYPE_CHECKING:
    from pycgroups.images.transport import Source

PULLS = {
    "ok": (
        *("ok", "basic-ok", "bearer-ok", "http10", "chunked-ok", "slow-ok", "redirect-relative", "redirect-chain5"),
        *("truncate-once", "resume-ok", "resume-ignored", "429-then-ok", "500x2", "redirect-other", "redirect-port"),
        *("layers-urls", "blob-gzip-encoding", "manifest-untyped"),
        "chunked-endless-trailers",
    ),
    "error": (
        *("truncate", "short-no-length", "reset-mid", "slow-body", "slow-headers", "hang", "close-now", "garbage-http"),
        *("hang-in-blobs", "hang-in-layers"),
        *("many-headers", "429-forever", "503-forever", "404", "403-html", "wrong-digest", "wrong-header-digest"),
        *("endless-blob", "manifest-huge", "manifest-huge-no-length", "manifest-cl-1t", "manifest-empty"),
        *("manifest-html", "manifest-deep", "manifest-deep-untyped", "manifest-ctype-index", "cl-short", "cl-long"),
        *("206-unasked", "resume-elsewhere", "redirect-loop", "redirect-chain50", "redirect-file", "realm-other"),
        *("realm-file", "auth-forever", "basic-forever", "challenge-garbage", "challenge-redos", "token-huge"),
        *("token-garbage", "token-injection", "endless-continue"),
    ),
}
PUSHES = {
    "ok": ("ok", "basic-ok", "bearer-ok", "push-drop-once", "push-500x2", "http10"),
    "error": ("push-503-forever", "push-digest-lie", "push-manifest-400", "push-413", "hang", "push-hang", "close-now"),
}
SLOW = {"hang", "hang-in-blobs", "hang-in-layers", "push-hang", "slow-body", "slow-headers"}
"Each try takes as long as the timeout."
MOST_REQUESTS = 40
"A client that goes on after that goes on for ever."


@pytest.fixture(autouse=True)
def _impatient(monkeypatch, tmp_path):
    monkeypatch.setattr(retries, "FIRST", 0.005)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def options(**more) -> RegistryOptions:
    given = {"credentials": (USER, PASSWORD), "connect_timeout": 1.0, "read_timeout": 1.0, "retries": 3}
    return RegistryOptions(**{**given, "registries_conf": "/dev/null", **more})


def tries(mode: str) -> int:
    return 1 if mode in SLOW else 3


@pytest.fixture
def servers():
    """Makes a registry in a mode, with another host and another port that see what comes."""
    with Registry(host="127.0.0.2") as other, Registry() as port:
        opened = []

        def make(mode: str) -> Registry:
            made = Registry(mode, other=other, port=port)
            opened.append(made)
            return made.__enter__()

        yield make
        for each in opened:
            each.__exit__()
        assert other.credentials() == []
        assert port.credentials() == []


def pull(server: Registry, reference: str | None = None, **more) -> Memory:
    here = Memory()
    copy(registry.source(Reference.parse(reference or server.reference), options=options(**more)), here)
    return here


def push(server: Registry, image: Source, **more) -> str:
    return copy(image, registry.destination(Reference.parse(server.reference), options=options(**more)))


def is_sound(error: pc.Error, server: Registry) -> None:
    """An error that can be shown, and holds no secret."""
    text = f"{error} {error!r}"
    assert str(error).isprintable()
    assert len(str(error)) < 1500
    assert not any(secret in text for secret in (PASSWORD, BASIC[6:], TOKEN))
    assert len(server.requests) < MOST_REQUESTS


def test_every_mode_is_in_a_table():
    apart = {
        "wrong-digest-manifest",
        "push-location-other",
        "push-drop-patch",
        "push-no-mount",
        "layers-elsewhere",
        "tags-loop",
        "tags-endless",
        "tags-elsewhere",
    }
    listed = [name for modes in (*PULLS.values(), *PUSHES.values()) for name in modes]
    assert {*listed, *apart} == {*MODES}


@pytest.mark.parametrize("mode", PULLS["ok"])
def test_pulls(servers, mode):
    server = servers(mode)
    here = pull(server)
    assert here.blobs == server.image.blobs
    assert here.top == server.image.top
    assert len(server.requests) < MOST_REQUESTS


@pytest.mark.parametrize("mode", PULLS["error"])
def test_pulls_that_fail(servers, mode):
    server = servers(mode)
    here = Memory()
    with pytest.raises(pc.Error) as caught:
        copy(registry.source(Reference.parse(server.reference), options=options(retries=tries(mode))), here)
    is_sound(caught.value, server)
    assert here.top is None
    assert here.failed


@pytest.mark.parametrize("mode", PUSHES["ok"])
def test_pushes(servers, mode):
    server = servers(mode)
    image = server.image
    server.image = Memory()
    assert push(server, image) == image.top
    assert server.uploaded.blobs == image.blobs
    assert server.uploaded.top == image.top


@pytest.mark.parametrize("mode", PUSHES["error"])
def test_pushes_that_fail(servers, mode):
    server = servers(mode)
    image = server.image
    server.image = Memory()
    with pytest.raises(pc.Error) as caught:
        push(server, image, retries=tries(mode))
    is_sound(caught.value, server)
    assert server.uploaded.top is None


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("404", pc.ImageNotFound, "MANIFEST_UNKNOWN"),
        ("429-forever", pc.RegistryError, "3600"),
        ("503-forever", pc.RegistryError, "503 not available: gone fishing"),
        ("403-html", pc.RegistryError, "]0;owned"),
        ("wrong-digest", pc.DigestMismatch, "expected sha256:"),
        ("wrong-header-digest", pc.DigestMismatch, "sha256:"),
        ("manifest-html", pc.RegistryError, "text/html"),
        ("realm-other", pc.RegistryError, "clear text"),
        ("realm-file", pc.RegistryError, "'file'"),
        ("redirect-file", pc.RegistryError, "'file'"),
        ("redirect-loop", pc.RegistryError, "10 redirects"),
        ("hang", pc.RegistryError, "no answer in time"),
        ("slow-body", pc.RegistryError, "bytes in"),
        ("auth-forever", pc.RegistryError, "pycgroups login"),
        ("token-garbage", pc.RegistryError, "no token"),
        ("challenge-garbage", pc.RegistryError, "no challenge"),
    ],
)
def test_what_errors_say(servers, mode, kind, said):
    with pytest.raises(kind) as caught:
        pull(servers(mode), retries=tries(mode))
    assert said in str(caught.value)


def test_an_error_has_the_status_and_the_code(servers):
    with pytest.raises(pc.RegistryError) as caught:
        pull(servers("429-forever"))
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")


def test_another_document_than_was_asked_for_by_digest(servers):
    server = servers("wrong-digest-manifest")
    with pytest.raises(pc.DigestMismatch):
        pull(server, f"{server.domain}/{NAME}@{server.image.top}")


def test_without_credentials_none_are_sent(servers):
    server = servers("basic-ok")
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, credentials=None)
    assert caught.value.status == 401
    assert server.domain in caught.value.hint
    assert server.credentials() == []


def test_an_identity_token_is_traded_for_another(servers):
    server = servers("bearer-ok")
    assert pull(server, credentials=Credentials(identity_token=IDENTITY)).top == server.image.top
    assert [shown for _, path, shown in server.requests if path.startswith("/token")] == [None]
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, credentials=Credentials(identity_token="other"))
    assert caught.value.status == 401


def test_an_identity_token_goes_to_no_other_host(servers):
    with pytest.raises(pc.RegistryError, match="clear text"):
        pull(servers("realm-other"), credentials=Credentials(identity_token=IDENTITY))


def test_a_wrong_password_is_tried_once(servers):
    server = servers("basic-ok")
    with pytest.raises(pc.RegistryError) as caught:
        pull(server, credentials=(USER, "wrong"))
    assert caught.value.status == 401
    assert [shown for _, _, shown in server.requests if shown is not None and shown != BASIC][1:] == []


@pytest.mark.parametrize("chunk_size", [100_000, 10**6])
def test_the_upload_goes_elsewhere_without_credentials(servers, chunk_size):
    server = servers("push-location-other")
    image = server.image
    server.image = Memory()
    assert push(server, image, chunk_size=chunk_size) == image.top
    assert server.more["other"].uploaded.blobs == image.blobs
    assert server.uploaded.blobs == {}


@pytest.mark.parametrize("mode", ["ok", "push-no-mount"])
def test_a_blob_that_is_not_taken_from_elsewhere_is_sent(servers, mode, monkeypatch):
    """A registry that does not know such requests begins an upload; one that refuses is asked for one."""
    made = image(*[1000] * 5, seed=3)
    server, seen = servers(mode), []
    known = tuple(f"{server.domain}/me/other{number}" for number in range(5))
    monkeypatch.setattr(made, "repositories", lambda _blob: known)
    monkeypatch.setattr(made, "seen", lambda blob, repository: seen.append((blob.digest, repository)))
    copy(made, registry.destination(Reference.parse(server.reference), options=options()))
    assert server.uploaded.blobs == made.blobs
    assert sorted(seen) == sorted((digest, f"{server.domain}/{NAME}") for digest in made.blobs)
    asked = [path for method, path, _ in server.requests if "mount=" in path]
    assert len(asked) == len(made.blobs) * (1 if mode == "ok" else 3)


@pytest.mark.parametrize("mode", ["ok", "push-drop-patch", "bearer-ok"])
def test_upload_in_chunks(servers, mode):
    server = servers(mode)
    image = server.image
    server.image = Memory()
    assert push(server, image, chunk_size=50_000) == image.top
    assert server.uploaded.blobs == image.blobs
    patches = [path for method, path, _ in server.requests if method == "PATCH"]
    assert len(patches) >= 6
    if mode == "push-drop-patch":  # it went on where it was
        assert len([path for method, path, _ in server.requests if method == "POST"]) == 3


@pytest.mark.parametrize("chunk_size", [50_000, 10**6])
def test_what_has_rotted_is_not_pushed(servers, chunk_size):
    server = servers("ok")
    image = server.image
    server.image = Memory()
    rotten = max(image.blobs, key=lambda digest: len(image.blobs[digest]))
    content = bytearray(image.blobs[rotten])
    content[1000] ^= 1
    image.blobs[rotten] = bytes(content)
    with pytest.raises(pc.DigestMismatch) as caught:
        push(server, image, chunk_size=chunk_size)
    assert rotten in str(caught.value)
    assert rotten not in server.uploaded.blobs
    assert server.uploaded.top is None


def test_many_threads_share_few_connections(servers):
    server = servers("bearer-ok")
    source = registry.source(Reference.parse(server.reference), options=options(connections=2, read_timeout=30.0))
    document = read_manifest(*source.manifest())
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda blob: b"".join(source.blob(blob)), [*document.layers] * 20))
    source.close()
    assert contents == [server.image.blobs[blob.digest] for blob in document.layers] * 20
    assert len(server._connections) <= 2
    assert len([path for _, path, _ in server.requests if path.startswith("/token")]) == 1


def test_a_blob_from_an_offset_on(servers):
    server = servers("ok")
    source = registry.source(Reference.parse(server.reference), options=options())
    (blob, _) = read_manifest(*source.manifest()).layers
    assert b"".join(source.blob(blob, 123_456)) == server.image.blobs[blob.digest][123_456:]
    assert b"".join(source.blob(blob, blob.size)) == b""
    source.close()


def test_a_generator_that_is_left_gives_its_connection_back(servers):
    server = servers("ok")
    source = registry.source(Reference.parse(server.reference), options=options(connections=1))
    (blob, other) = read_manifest(*source.manifest()).layers
    pieces = source.blob(blob)
    next(pieces)
    pieces.close()
    assert b"".join(source.blob(other)) == server.image.blobs[other.digest]
    source.close()


def test_all_connections_in_use_is_an_error_and_no_standstill(servers):
    server = servers("ok")
    source = registry.source(Reference.parse(server.reference), options=options(connections=1, retries=0))
    (blob, other) = read_manifest(*source.manifest()).layers
    pieces = source.blob(blob)
    next(pieces)
    with pytest.raises(pc.RegistryError, match="in use"):
        next(source.blob(other))
    pieces.close()
    source.close()


@pytest.mark.parametrize("mode", ["truncate", "503-forever"])
def test_from_one_registry_to_another(servers, mode):
    origin, target = servers("truncate-once"), servers("ok")
    image = origin.image
    target.image = Memory()
    destination = registry.destination(Reference.parse(target.reference), options=options(chunk_size=100_000))
    copy(registry.source(Reference.parse(origin.reference), options=options()), destination)
    assert target.uploaded.blobs == image.blobs
    # What the source has given up, the destination does not try again.
    broken = servers(mode)
    target.uploaded = Memory()
    with pytest.raises(pc.RegistryError):
        push(target, registry.source(Reference.parse(broken.reference), options=options()))
    blobs = [path for _, path, _ in broken.requests if "/blobs/" in path]
    assert len(blobs) <= 1 + 3 + 4
    assert target.uploaded.top is None


def test_tags(servers):
    server = servers("ok")
    reference = Reference.parse(server.reference)
    assert registry.tags(reference, options=options()) == ["0a", "0b", "1a", "1b", "2a", "2b"]


@pytest.mark.parametrize("mode", ["tags-loop", "tags-endless", "tags-elsewhere"])
def test_tags_without_an_end(servers, mode):
    server = servers(mode)
    with pytest.raises(pc.RegistryError) as caught:
        registry.tags(Reference.parse(server.reference), options=options())
    is_sound(caught.value, server)
