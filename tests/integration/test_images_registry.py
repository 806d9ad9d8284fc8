"""Images through Debian's docker-registry: what we push skopeo and podman pull and run, and the other way round."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.images import layouts
from pycgroups.images.collection import Images
from pycgroups.images.copying import copy
from pycgroups.images.digest import Digest
from pycgroups.images.registry import uploads
from tests.images import Image, Index, location
from tests.podman import Podman
from tests.registry.places import Place

slow_in_vm = pytest.mark.slow_in_vm("programs in Go, once more")
pytestmark = [pytest.mark.requires("userns", "docker-registry", "skopeo", "openssl")]
KINDS = ["plain", pytest.param("htpasswd", marks=slow_in_vm), pytest.param("tls", marks=slow_in_vm)]
NAME = "docker.io/library/box:1"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def layer(**files):
    """A layer with these files, all of which may be run."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o755, 1_700_000_000
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


BASE = layer(**{"bin/cat": Path("/bin/busybox").read_bytes(), "note": b"lower\n"})
IMAGE = Image(BASE, layer(note=b"kept\n"), Cmd=["cat", "/note"], Env=["PATH=/bin"], architecture=MACHINE)


@pytest.fixture(scope="module", params=KINDS)
def place(request, tmp_path_factory):
    with ExitStack() as stack:
        yield Place(request.param, tmp_path_factory.mktemp(request.param), stack)


@pytest.fixture
def images(scratch):
    made = Images(scratch / "store")
    yield made
    made.prune(all=True)
    made.close()


def ran(image):
    result = pc.run(None, image=image, text=True, timeout=300)
    assert result.returncode == 0, result
    return result.stdout


def test_what_we_push(images, place, scratch):
    """Skopeo has the same bytes, podman runs them, and we have them again."""
    copy(IMAGE, images.store.destination(NAME))
    name = f"{place.domain}/me/ours:1"
    assert images.push("box:1", name, registry=place.options) == IMAGE.digest
    assert place.skopeo("inspect", "--raw", f"docker://{name}") == IMAGE.text.decode()
    place.skopeo("copy", f"docker://{name}", f"dir:{scratch}/theirs", side="src-")
    for digest, blob in IMAGE.blobs.items():
        assert (scratch / "theirs" / digest[7:]).read_bytes() == blob
    images.remove("box:1")
    assert images.list() == []
    pulled = images.pull(name, registry=place.options)
    assert (pulled.reference, pulled.digest) == (name, IMAGE.digest)
    assert ran(pulled) == "kept\n"
    again = images.pull(f"{place.domain}/me/ours@{IMAGE.digest}", registry=place.options)
    assert again.id == pulled.id


def test_no_blob_is_sent_twice_to_a_registry(images, place, monkeypatch):
    """Where it came from, or went to, is kept: another repository of the registry takes it from there."""
    copy(IMAGE, images.store.destination(NAME))
    first, second, third = (f"{place.domain}/me/{name}:1" for name in ("first", "second", "third"))
    images.push("box:1", first, registry=place.options)
    monkeypatch.setattr(uploads, "upload", None)  # nobody calls it
    images.push("box:1", second, registry=place.options)
    images.prune(all=True)
    assert os.listdir(f"{images.store.root}/repositories") == []
    pulled = images.pull(second, registry=place.options)
    images.push(pulled, third, registry=place.options)
    images.prune(all=True)
    assert images.pull(third, registry=place.options).digest == IMAGE.digest
    known = images.store.repositories.of(Digest.parse(pulled.id))
    assert known == (f"{place.domain}/me/third",)


@pytest.mark.requires("podman")
@slow_in_vm
def test_podman_pulls_runs_and_pushes(images, place):
    copy(IMAGE, images.store.destination(NAME))
    ours, theirs = (f"{place.domain}/me/{name}:1" for name in ("for-podman", "of-podman"))
    images.push("box:1", ours, registry=place.options)
    with Podman(network=True) as podman:
        podman("pull", "--quiet", *place.flags(), ours)
        assert podman("image", "inspect", "--format", "{{.Digest}}", ours).strip() == IMAGE.digest
        assert podman("run", "--rm", ours) == "kept\n"
        digest = podman.directory / "digest"
        podman("push", "--quiet", *place.flags(), f"--digestfile={digest}", ours, theirs)
        pulled = images.pull(theirs, registry=place.options)
        assert pulled.digest == digest.read_text()
    assert pulled.id == images.get("box:1").id
    assert ran(pulled) == "kept\n"


def test_what_skopeo_pushes(images, place, scratch):
    copy(IMAGE, layouts.destination(location("oci", scratch / "layout", "one")))
    name = f"{place.domain}/me/skopeos:1"
    place.skopeo("copy", "--preserve-digests", f"oci:{scratch}/layout:one", f"docker://{name}", side="dest-")
    pulled = images.pull(name, registry=place.options)
    assert pulled.digest == IMAGE.digest
    assert ran(pulled) == "kept\n"


def test_an_index(images, place, scratch):
    """All of it is pushed; of it, this machine's is pulled and run."""
    other = {"amd64": "arm64", "arm64": "amd64"}[MACHINE]
    both = Index(Image(layer(note=b"other\n"), architecture=other), IMAGE)
    copy(both, images.store.destination(NAME))
    name = f"{place.domain}/me/both:1"
    assert images.push("box:1", name, registry=place.options) == both.digest
    assert place.skopeo("inspect", "--raw", f"docker://{name}") == both.text.decode()
    place.skopeo("copy", "--all", f"docker://{name}", f"dir:{scratch}/theirs", side="src-")
    assert (scratch / "theirs/manifest.json").read_bytes() == both.text
    images.prune(all=True)
    pulled = images.pull(name, registry=place.options)
    assert (pulled.digest, pulled.manifest_digest) == (both.digest, IMAGE.digest)
    assert ran(pulled) == "kept\n"
    assert json.loads(place.skopeo("inspect", "--config", f"docker://{name}"))["architecture"] == MACHINE


def test_the_face_of_the_registry(images, place):
    """Tags, what refers to an image, and deletion: by `pc.images.registry`."""
    copy(IMAGE, images.store.destination(NAME))
    for tag in ("1", "2"):
        images.push("box:1", f"{place.domain}/me/tagged:{tag}", registry=place.options)
    face, reference = pc.images.registry, place.reference("me/tagged:1")
    assert sorted(face.tags(reference, options=place.options)) == ["1", "2"]
    digest = face.attach(reference, {"note": b"hi"}, artifact_type="text/x-note", options=place.options)
    (found,) = face.referrers(reference, artifact_type="text/x-note", options=place.options)
    assert found.digest == digest
    fetched = face.fetch(reference._replace(tag=None, digest=digest), options=place.options)
    assert fetched.files == {"note": b"hi"}
    face.delete(reference._replace(tag=None, digest=IMAGE.digest), options=place.options)
    with pytest.raises(pc.ImageNotFound):
        images.pull(str(reference), registry=place.options)
    assert ran(images.get("box:1")) == "kept\n"
