"""Image layouts on disk: what others wrote is read with suspicion, what we write others read."""

from __future__ import annotations

import json
import os
import threading

import pytest

import pycgroups as pc
from pycgroups.images import layouts
from pycgroups.images.copying import copy
from pycgroups.images.names import NAME
from pycgroups.oci import image_spec as spec
from tests.images import Image, Index, content, location, sha256, tar, tree


def write(image, path, name=None):
    return copy(image, layouts.destination(location("oci", path, name)))


def read(path, name=None):
    source = layouts.source(location("oci", path, name))
    try:
        return source.manifest(), content(source)
    finally:
        source.close()


def index(path):
    return json.loads((path / "index.json").read_text())


def names(path):
    return [entry.get("annotations", {}).get(NAME) for entry in index(path)["manifests"]]


@pytest.mark.parametrize("name", [None, "13", "docker.io/library/debian:13"])
@pytest.mark.parametrize("compressed", [True, False])
def test_round_trip(tmp_path, name, compressed):
    image = Image(tar(("a", b"1")), tar(("b", b"2" * 1000)), compressed=compressed, Cmd=["sh"])
    assert write(image, tmp_path / "new/layout", name).digest == image.digest
    manifest, (config, layers) = read(tmp_path / "new/layout", name)
    assert manifest == (image.text, spec.MANIFEST)
    assert [config, *layers] == list(image.blobs.values())
    assert names(tmp_path / "new/layout") == [name]
    expected = {"oci-layout", "index.json", "blobs", "blobs/sha256"}
    blobs = {f"blobs/sha256/{digest.split(':')[1]}" for digest in [*image.blobs, image.digest]}
    assert tree(tmp_path / "new/layout").keys() == expected | blobs


def test_an_index_of_platforms(tmp_path):
    both = Index(Image(architecture="amd64"), Image(architecture="arm64"))
    write(both, tmp_path, "both")
    source = layouts.source(location("oci", tmp_path, "both"))
    assert source.manifest() == (both.text, spec.INDEX)
    for digest, image in both.images.items():
        assert source.manifest(digest) == (image.text, spec.MANIFEST)
    with pytest.raises(pc.ImageNotFound):
        source.manifest(sha256(b"another"))
    source.close()


def test_other_images_stay(tmp_path):
    first, second, third = (Image(tar((name, b""))) for name in "abc")
    write(first, tmp_path, "one")
    write(second, tmp_path, "two")
    write(third, tmp_path, "one")
    assert names(tmp_path) == ["two", "one"]
    assert read(tmp_path, "one")[0][0] == third.text
    assert read(tmp_path, "two")[0][0] == second.text
    write(first, tmp_path)
    write(first, tmp_path)
    assert names(tmp_path) == ["two", "one", None]


def test_what_others_wrote_into_the_index_stays(tmp_path):
    write(Image(), tmp_path, "one")
    document = index(tmp_path)
    document["annotations"] = {"by": "others"}
    document["manifests"][0]["org.example"] = [1]
    (tmp_path / "index.json").write_text(json.dumps(document))
    write(Image(tar(("x", b""))), tmp_path, "two")
    assert index(tmp_path)["annotations"] == {"by": "others"}
    assert index(tmp_path)["manifests"][0]["org.example"] == [1]


def test_the_choice_of_an_image(tmp_path):
    write(Image(tar(("a", b""))), tmp_path, "one")
    write(Image(tar(("b", b""))), tmp_path, "two")
    with pytest.raises(pc.ImageNotFound, match=r"2 images, and no name was given.*'one', 'two'"):
        read(tmp_path)
    with pytest.raises(pc.ImageNotFound, match=r"no image with the name 'three'.*'one', 'two'"):
        read(tmp_path, "three")
    document = index(tmp_path)
    assert read(tmp_path, document["manifests"][1]["digest"]) == read(tmp_path, "two")
    document["manifests"][1]["annotations"][NAME] = "one"
    (tmp_path / "index.json").write_text(json.dumps(document))
    with pytest.raises(pc.ImageError, match="several images with the name 'one'"):
        read(tmp_path, "one")
    (tmp_path / "index.json").write_text(json.dumps({**document, "manifests": []}))
    with pytest.raises(pc.ImageNotFound, match="no image"):
        read(tmp_path)


def test_names_are_never_paths(tmp_path):
    """Nor are they shown raw."""
    write(Image(), tmp_path / "layout", "good")
    document = index(tmp_path / "layout")
    document["manifests"].append(document["manifests"][0] | {"annotations": {NAME: "../../\x1b[31mevil\n"}})
    (tmp_path / "layout/index.json").write_text(json.dumps(document))
    with pytest.raises(pc.ImageNotFound, match=r"there are 'good', '\.\./\.\./\\x1b\[31mevil\\n'"):
        read(tmp_path / "layout", "evil")
    write(Image(tar(("x", b""))), tmp_path / "layout", "good")
    assert os.listdir(tmp_path) == ["layout"]


def test_nothing_is_sent_twice(tmp_path):
    image = Image()
    write(image, tmp_path, "one")
    before = {blob: (tmp_path / "blobs/sha256" / blob[7:]).stat().st_ino for blob in image.blobs}

    class Mute(Image):
        def blob(self, blob, start=0):
            raise AssertionError(f"asked for {blob}")

    write(Mute(), tmp_path, "two")
    assert {blob: (tmp_path / "blobs/sha256" / blob[7:]).stat().st_ino for blob in image.blobs} == before
    assert names(tmp_path) == ["one", "two"]


def test_a_blob_that_is_another(tmp_path):
    image = Image()
    digest = next(reversed(image.blobs))
    good = image.blobs[digest]
    for bad in (good[:-1], good + b"x", bytes([good[0] ^ 1]) + good[1:]):
        image.blobs[digest] = bad
        with pytest.raises(pc.ImageError):
            write(image, tmp_path, "one")
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed(tmp_path):
    left = tmp_path / ".pycgroups-0123"
    left.mkdir()
    (left / "1").write_bytes(b"half")
    held = layouts.destination(location("oci", tmp_path, "held"))
    write(Image(), tmp_path, "one")
    assert not left.exists()
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".pycgroups-")]) == 1
    held.close(failed=True)
    assert {path.name for path in tmp_path.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_many_writers_at_once(tmp_path):
    errors = []

    def put(number):
        try:
            write(Image(tar(("same", b"")), tar((str(number), b""))), tmp_path, f"n{number}")
        except BaseException as error:  # noqa: BLE001 (told below)
            errors.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(names(tmp_path)) == sorted(f"n{number}" for number in range(12))
    for number in range(12):
        assert read(tmp_path, f"n{number}")[1][1]


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(pc.AlreadyExists, match="other files"):
        layouts.destination(location("oci", tmp_path))
    assert tree(tmp_path) == {"mine": b"mine"}
    with pytest.raises(pc.Error, match="EEXIST"):
        layouts.destination(location("oci", tmp_path / "mine"))


def test_a_layout_whose_writer_was_killed_can_be_written(tmp_path):
    (tmp_path / "oci-layout").write_bytes(b'{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    write(Image(), tmp_path, "one")
    assert read(tmp_path, "one")


def test_what_is_no_layout(tmp_path):
    with pytest.raises(pc.ImageNotFound):
        read(tmp_path / "nothing")
    with pytest.raises(pc.ImageError, match="no image layout"):
        read(tmp_path)
    write(Image(), tmp_path)
    for text in (b"", b"[]", b'{"imageLayoutVersion": "2.0.0"}', b'{"imageLayoutVersion": 1}', b"x" * 10_000):
        (tmp_path / "oci-layout").write_bytes(text)
        with pytest.raises(pc.Error):
            read(tmp_path)
        with pytest.raises(pc.Error):
            layouts.destination(location("oci", tmp_path))


@pytest.mark.parametrize("text", [b"<html>", b"{}", b'{"schemaVersion": 2, "manifests": {}}', b"[" * 100_000])
def test_an_index_that_is_none(tmp_path, text):
    write(Image(), tmp_path)
    (tmp_path / "index.json").write_bytes(text)
    with pytest.raises(pc.ImageError):
        read(tmp_path)


def _blob(path, image):
    return path / "blobs/sha256" / next(iter(image.blobs)).split(":")[1]


def _to_link(path, secret):
    path.unlink()
    path.symlink_to(secret)


def _to_directory(path, _secret):
    path.unlink()
    path.mkdir()


def _to_fifo(path, _secret):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [_to_link, _to_directory, _to_fifo])
@pytest.mark.parametrize("which", ["blob", "index.json", "oci-layout"])
def test_only_regular_files_are_read(tmp_path, spoil, which):
    (tmp_path / "secret").write_text('{"imageLayoutVersion": "1.0.0"}')
    image = Image()
    write(image, tmp_path / "layout")
    spoil(_blob(tmp_path / "layout", image) if which == "blob" else tmp_path / "layout" / which, tmp_path / "secret")
    with pytest.raises(pc.ImageError, match="no regular file"):
        read(tmp_path / "layout")


def test_no_link_is_followed_on_the_way_to_a_blob(tmp_path):
    image = Image()
    write(image, tmp_path / "layout")
    (tmp_path / "layout/blobs/sha256").rename(tmp_path / "elsewhere")
    (tmp_path / "layout/blobs/sha256").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(pc.ImageError, match="symbolic link"):
        read(tmp_path / "layout")
    with pytest.raises(pc.Error):
        write(Image(tar(("new", b""))), tmp_path / "layout", "new")
    assert len(list((tmp_path / "elsewhere").iterdir())) == len(image.blobs) + 1


def test_a_manifest_that_is_another(tmp_path):
    image = Image()
    write(image, tmp_path)
    path = tmp_path / "blobs/sha256" / image.digest.split(":")[1]
    path.write_bytes(image.text.replace(b"2", b"3", 1))
    with pytest.raises(pc.DigestMismatch):
        read(tmp_path)
    path.write_bytes(image.text + b" ")
    with pytest.raises(pc.ImageError, match="its descriptor says"):
        read(tmp_path)
    path.write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(pc.ImageError, match="allowed: up to"):
        read(tmp_path)
