"""The registry client and Debian's docker-registry, with skopeo for a second opinion."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack

import pytest

import pycgroups as pc
from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions
from pycgroups.oci import image_spec as spec
from tests.registry.memory import Memory, copy, image, index
from tests.registry.misbehaving import USER
from tests.registry.places import Place

pytestmark = [
    pytest.mark.requires("docker-registry", "skopeo", "openssl"),
    pytest.mark.slow_in_vm("large programs in Go, many times"),
]
KINDS = ("plain", "htpasswd", "token", "tls")


@pytest.fixture(scope="module", params=KINDS)
def place(request, tmp_path_factory):
    with ExitStack() as stack:
        yield Place(request.param, tmp_path_factory.mktemp(request.param), stack)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with ExitStack() as stack:
        yield Place("plain", tmp_path_factory.mktemp("plain"), stack)


def test_push_and_pull(place):
    made = image(300_000, 20, seed=3)
    assert place.push("me/app:1", made) == made.top
    for text in ("me/app:1", f"me/app@{made.top}"):
        here = place.pull(text)
        assert here.blobs == made.blobs
        assert here.manifests == made.manifests
    assert place.push("me/app:1", made) == made.top


def test_push_and_pull_an_index(place):
    made = index(image(3000, seed=4), image(2000, 10, seed=5))
    assert place.push("me/index:1", made) == made.top
    here = place.pull("me/index:1")
    assert (here.blobs, here.manifests, here.top) == (made.blobs, made.manifests, made.top)


def test_upload_in_chunks(place):
    made = image(300_000, 100, seed=6)
    place.push("me/chunks:1", made, chunk_size=70_000)
    assert place.pull("me/chunks:1").blobs == made.blobs


def test_skopeo_sees_what_we_push(place, tmp_path):
    made = image(30_000, 40, seed=7)
    place.push("me/seen:2", made)
    found = json.loads(place.skopeo("inspect", f"docker://{place.domain}/me/seen:2"))
    assert found["Digest"] == made.top
    assert found["RepoTags"] == ["2"]
    place.skopeo("copy", "--preserve-digests", f"docker://{place.domain}/me/seen:2", f"oci:{tmp_path}:x", side="src-")
    copied = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert [each["digest"] for each in copied] == [made.top]


def test_we_see_what_skopeo_pushes(place, tmp_path):
    made = image(30_000, 40, seed=8)
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    for digest, content in (*made.blobs.items(), *((name, text) for name, (text, _) in made.manifests.items())):
        (blobs / digest.partition(":")[2]).write_bytes(content)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    descriptor = {"mediaType": spec.MANIFEST, "digest": made.top, "size": len(made.manifest()[0])}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    place.skopeo("copy", "--preserve-digests", f"oci:{tmp_path}", f"docker://{place.domain}/me/theirs:1", side="dest-")
    here = place.pull("me/theirs:1")
    assert (here.blobs, here.top) == (made.blobs, made.top)


def test_blobs_of_another_repository_are_mounted(place, monkeypatch):
    made = image(50_000, seed=9)
    place.push("me/origin:1", made)
    destination = registry.destination(place.reference("me/mounted:1"), options=place.options)
    origin = registry.source(place.reference("me/origin:1"), options=place.options)
    monkeypatch.setattr(origin, "blob", None)  # nobody calls it
    copy(origin, destination)
    assert place.pull("me/mounted:1").blobs == made.blobs


def test_tags_and_deleting(place):
    made = image(10, seed=10)
    for number in range(3):
        place.push(f"me/tags:{number}", made)
    assert sorted(registry.tags(place.reference("me/tags"), options=place.options)) == ["0", "1", "2"]
    with pytest.raises(pc.RegistryError) as caught:  # this one cannot, and says so
        registry.delete(place.reference("me/tags:1"), options=place.options)
    assert made.top in caught.value.hint
    registry.delete(place.reference(f"me/tags@{made.top}"), options=place.options)
    assert registry.tags(place.reference("me/tags"), options=place.options) == []
    with pytest.raises(pc.ImageNotFound) as gone:
        registry.delete(place.reference("me/tags:1"), options=place.options)
    assert str(gone.value).startswith("delete ")
    with pytest.raises(pc.ImageNotFound, match=r"^pull "):
        place.pull("me/tags:1")
    blob = next(iter(made.blobs))
    registry.delete_blob(place.reference("me/tags"), blob, options=place.options)
    with pytest.raises(pc.ImageNotFound):
        registry.delete_blob(place.reference("me/tags"), blob, options=place.options)


def test_what_is_not_there(place):
    for ask in (
        lambda: place.pull("me/nothing:1"),
        lambda: registry.tags(place.reference("me/nothing"), options=place.options),
        lambda: registry.delete(place.reference("me/nothing@sha256:" + "0" * 64), options=place.options),
    ):
        with pytest.raises(pc.ImageNotFound):
            ask()


def test_artifacts(place):
    made = image(10, seed=11)
    place.push("me/signed:1", made)
    reference = place.reference("me/signed:1")
    assert registry.referrers(reference, options=place.options) == ()
    kinds = ("application/spdx+json", "application/x.signature")
    files = {"list.json": b'{"a": 1}', "empty": b""}
    digests = [
        registry.attach(reference, files, artifact_type=kind, annotations={"by": "us"}, options=place.options)
        for kind in kinds
    ]
    listed = registry.referrers(reference, options=place.options)
    assert [(each.digest, each.artifact_type) for each in listed] == list(zip(digests, kinds, strict=True))
    (only,) = registry.referrers(reference, artifact_type=kinds[1], options=place.options)
    fetched = registry.fetch(reference._replace(tag=None, digest=only.digest), options=place.options)
    assert fetched.files == files
    assert fetched.manifest.subject.digest == made.top
    assert fetched.digest == digests[1]


def test_a_wrong_password(place):
    if place.kind not in {"htpasswd", "token"}:
        return
    with pytest.raises(pc.RegistryError) as caught:
        place.pull("me/app:1", credentials=(USER, "wrong"))
    assert caught.value.status == 401
    assert "wrong" not in str(caught.value)


def test_login_and_logout(place, tmp_path):
    authfile = str(tmp_path / "auth.json")
    if place.kind not in {"htpasswd", "token"}:
        return
    with pytest.raises(pc.RegistryError):
        registry.login(place.domain, options=place.given(credentials=(USER, "wrong"), authfile=authfile))
    assert not (tmp_path / "auth.json").exists()
    assert registry.login(place.domain, options=place.given(authfile=authfile)) == authfile
    made = image(10, seed=12)
    place.push("me/login:1", made, credentials=None, authfile=authfile)
    # skopeo can read it, too
    subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"--authfile={authfile}", f"docker://{place.domain}/me/login:1"],
        check=True,
        capture_output=True,
    )
    assert registry.logout(place.domain, options=RegistryOptions(authfile=authfile)) == [authfile]
    with pytest.raises(pc.RegistryError):
        place.push("me/login:2", image(10, seed=13), credentials=None, authfile=authfile)


def test_one_token_is_for_many_requests(tmp_path):
    with ExitStack() as stack:
        place = Place("token", tmp_path, stack)
        place.push("me/app:1", image(10, 20, 30, 40, seed=14))
        assert place.service.asked == [["repository:me/app:pull,push"]]
        place.pull("me/app:1", credentials=None)  # anybody may
        assert place.service.asked[1:] == [["repository:me/app:pull"]]


def test_mirrors(plain, tmp_path):
    made = image(1000, seed=15)
    plain.push("mirror/me/app:1", made)
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f"""
[[registry]]
prefix = "registry.invalid"
location = "{plain.domain}/nothing"
[[registry.mirror]]
location = "127.0.0.1:1/none"
[[registry.mirror]]
location = "{plain.domain}/mirror"
"""
    )
    options = RegistryOptions(registries_conf=str(conf), retries=0)
    here = Memory()
    copy(registry.source(Reference.parse("registry.invalid/me/app:1"), options=options), here)
    assert here.top == made.top
    with pytest.raises(pc.ImageNotFound) as caught:
        copy(registry.source(Reference.parse("registry.invalid/me/other:1"), options=options), Memory())
    assert "127.0.0.1:1" in str(caught.value)
