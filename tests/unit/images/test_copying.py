"""From any source to any destination: order, events, and what ends it."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import pycgroups as pc
from pycgroups.images.copying import copy
from pycgroups.images.events import Advanced, Ended, Started
from pycgroups.images.platforms import parse_platform
from pycgroups.oci import image_spec as spec
from tests.images import Image, Index, sha256, tar

if TYPE_CHECKING:
    from collections.abc import Iterator

AMD, ARM = (Image(tar(("a", name.encode())), architecture=name) for name in ("amd64", "arm64"))


class Shelf:
    """A destination in memory, which remembers what was done to it."""

    name = "shelf"

    def __init__(self, *there: str) -> None:
        self.blobs: dict[str, bytes] = dict.fromkeys(there, b"")
        self.manifests: list[tuple[str, bool]] = []
        self.expected: list[spec.Manifest] = []
        self.order: list[str] = []
        self.closed: bool | None = None

    def expect(self, manifest: spec.Manifest) -> None:
        self.expected.append(manifest)

    def has(self, blob: spec.Descriptor, origin: Any) -> bool:
        return blob.digest in self.blobs

    def put_blob(self, blob: spec.Descriptor, chunks: Any) -> None:
        data = b"".join(chunks(0))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != blob.digest:
            raise pc.DigestMismatch("other")
        self.blobs[blob.digest] = data
        self.order.append(blob.digest)

    def put_manifest(self, text: bytes, media_type: str, *, top: bool, digest: str | None = None) -> str:
        self.manifests.append((sha256(text), top))
        return sha256(text)

    def interrupt(self) -> None:
        raise AssertionError("nobody has interrupted")

    def close(self, *, failed: bool) -> None:
        assert self.closed is None, "closed twice"
        self.closed = failed


def test_the_configuration_comes_first_and_the_manifest_last() -> None:
    shelf = Shelf()
    image = Image(tar(("a", b"x")), tar(("b", b"y")))
    copied = copy(image, shelf)
    assert shelf.order[0] == sha256(image.config)
    assert set(shelf.order[1:]) == {layer["digest"] for layer in json.loads(image.text)["layers"]}
    assert shelf.manifests == [(image.digest, True)]
    assert copied == (image.digest, spec.MANIFEST, len(image.text), image.digest)
    assert shelf.closed is False
    assert len(shelf.expected) == 1


def test_what_is_there_is_not_sent() -> None:
    image = Image(tar(("a", b"x")))
    shelf = Shelf(*image.blobs)
    events: list[Any] = []
    copy(image, shelf, progress=events.append)
    assert shelf.order == []
    assert {event.outcome for event in events if isinstance(event, Ended)} == {"there"}


def test_a_layer_that_is_there_twice_is_sent_once() -> None:
    same = tar(("a", b"x"))
    shelf = Shelf()
    copy(Image(same, same), shelf)
    assert len(shelf.order) == len(set(shelf.order)) == 2


def test_of_an_index_the_platform_that_fits() -> None:
    shelf = Shelf()
    index = Index(AMD, ARM)
    copied = copy(index, shelf, platform=parse_platform("linux/arm64"))
    assert shelf.manifests == [(ARM.digest, False), (index.digest, True)]
    assert (copied.digest, copied.manifest) == (index.digest, ARM.digest)
    assert set(shelf.blobs) == set(ARM.blobs)


def test_of_an_index_all() -> None:
    shelf = Shelf()
    index = Index(AMD, ARM)
    copied = copy(index, shelf)
    assert shelf.manifests == [(AMD.digest, False), (ARM.digest, False), (index.digest, True)]
    assert copied.manifest is None


def test_of_an_index_none_that_fits() -> None:
    shelf = Shelf()
    with pytest.raises(pc.ImageNotFound, match=r"linux/amd64, linux/arm64"):
        copy(Index(AMD, ARM), shelf, platform=parse_platform("linux/s390x"))
    assert shelf.manifests == []
    assert shelf.closed is True


class Endless(Index):
    """An index that names itself, in other words each time."""

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        entry = {"mediaType": spec.INDEX, "digest": sha256((digest or "").encode()), "size": 1}
        entry["platform"] = {"os": "linux", "architecture": "amd64"}
        return json.dumps({"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": [entry]}).encode(), spec.INDEX


@pytest.mark.parametrize("platform", [None, "linux/amd64"])
def test_an_index_in_an_index_without_end(platform: str | None) -> None:
    shelf = Shelf()
    with pytest.raises(pc.ImageError, match="deep"):
        copy(Endless(AMD), shelf, platform=platform and parse_platform(platform))
    assert shelf.closed is True


def test_an_index_of_too_many() -> None:
    with pytest.raises(pc.ImageError, match="256"):
        copy(Index(*(Image(tar(("a", b"")), architecture=f"a{number}") for number in range(300))), Shelf())


def test_an_index_of_something_else() -> None:
    index = Index(AMD)
    document = json.loads(index.text)
    document["manifests"][0]["mediaType"] = "application/vnd.other"
    index.text = json.dumps(document).encode()
    with pytest.raises(pc.ImageError, match="no manifest"):
        copy(index, Shelf())


@pytest.mark.parametrize("text", [b"", b"{}", b"<html>", b'{"schemaVersion":2,"manifests":[],"layers":[]}'])
def test_no_manifest(text: bytes) -> None:
    image = Image(tar(("a", b"x")))
    image.text = text
    shelf = Shelf()
    with pytest.raises(pc.ImageError) as caught:
        copy(image, shelf)
    assert "memory" in str(caught.value)
    assert shelf.closed is True


def test_events_tell_how_far_it_is() -> None:
    big = tar(("a", bytes(3_000_000)))

    class InPieces(Image):
        def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
            data = self.blobs[blob.digest]
            yield from (data[at : at + 100_000] for at in range(0, len(data), 100_000))

    image = InPieces(big, compressed=False)
    events: list[Any] = []
    copy(image, Shelf(), progress=events.append)
    (layer,) = (layer["digest"] for layer in json.loads(image.text)["layers"])
    mine = [event for event in events if event.digest == layer]
    assert mine[0] == Started("copy", layer, len(big))
    assert mine[-1] == Ended("copy", layer, "done")
    done = [event.done for event in mine if isinstance(event, Advanced)]
    assert done == sorted(done)
    assert len(done) >= 3
    assert done[-1] <= len(big)


def test_what_a_callback_raises_ends_it() -> None:
    shelf = Shelf()

    def full(_event: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        copy(Image(tar(("a", b"x"))), shelf, progress=full)
    assert shelf.closed is True


def test_more_bytes_than_the_manifest_says() -> None:
    class Long(Image):
        def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
            while True:
                yield bytes(1000)

    with pytest.raises(pc.DigestMismatch, match="more than"):
        copy(Long(tar(("a", b"x"))), Shelf())


def test_when_one_blob_fails_the_others_are_given_up() -> None:
    failed = threading.Event()
    pieces = []

    class Mixed(Image):
        def blob(self, blob: spec.Descriptor, start: int = 0) -> Iterator[bytes]:
            if blob.digest == sha256(self.config):
                yield self.config
            elif blob.digest == json.loads(self.text)["layers"][0]["digest"]:
                failed.set()
                raise pc.RegistryError("gone")
            else:
                data = self.blobs[blob.digest]
                assert failed.wait(10)
                for at in range(0, len(data), 10):
                    pieces.append(at)
                    yield data[at : at + 10]
                    threading.Event().wait(0.001)

    image = Mixed(tar(("a", b"x")), tar(("b", bytes(200_000))), compressed=False)
    shelf = Shelf()
    with pytest.raises(pc.RegistryError, match="gone"):
        copy(image, shelf)
    assert len(pieces) < 20_000
    assert shelf.closed is True
    assert shelf.manifests == []
