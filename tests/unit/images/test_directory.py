"""dir: directories of one image."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images import directory
from pycgroups.images.copying import copy
from pycgroups.oci import image_spec as spec
from tests.images import Image, Index, content, location, sha256, tar, tree

VERSION = b"Directory Transport Version: 1.1\n"


def write(image, path):
    return copy(image, directory.destination(location("dir", path)))


def expected(image):
    manifests = {f"{digest[7:]}.manifest.json": inner.text for digest, inner in getattr(image, "images", {}).items()}
    blobs = {digest[7:]: blob for digest, blob in image.blobs.items()}
    return {**blobs, **manifests, "manifest.json": image.text, "version": VERSION}


@pytest.mark.parametrize("image", [Image(), Index(Image(architecture="amd64"), Image(architecture="arm64"))])
def test_round_trip(tmp_path, image):
    assert write(image, tmp_path / "new/dir").digest == image.digest
    assert tree(tmp_path / "new/dir") == expected(image)
    source = directory.source(location("dir", tmp_path / "new/dir"))
    assert source.manifest() == (image.text, image.media_type)
    write(source, tmp_path / "copy")
    source.close()
    assert tree(tmp_path / "copy") == expected(image)


def test_an_image_takes_the_place_of_another(tmp_path):
    shared = tar(("shared", b""))
    write(Image(shared, tar(("old", b""))), tmp_path)
    (tmp_path / "signature-1").write_text("")
    (tmp_path / "notes").write_text("mine")
    new = Image(shared, tar(("new", b"")))
    kept = tmp_path / next(digest for digest, blob in new.blobs.items() if (tmp_path / digest[7:]).exists())[7:]
    inode = kept.stat().st_ino
    write(new, tmp_path)
    assert tree(tmp_path) == {**expected(new), "notes": b"mine"}
    assert kept.stat().st_ino == inode


def test_a_failure_leaves_what_was_there(tmp_path):
    good, bad = Image(), Image(tar(("bad", b"")))
    bad.blobs[next(reversed(bad.blobs))] += b"x"
    with pytest.raises(pc.DigestMismatch):
        write(bad, tmp_path)
    assert tree(tmp_path) == {}
    write(good, tmp_path)
    with pytest.raises(pc.DigestMismatch):
        write(bad, tmp_path)
    assert tree(tmp_path) == expected(good)


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    for name, text in (("file", "mine"), ("version", "1.0")):
        (tmp_path / name).write_text(text)
        with pytest.raises(pc.AlreadyExists):
            directory.destination(location("dir", tmp_path))
        (tmp_path / name).unlink()


def test_what_is_no_image(tmp_path):
    with pytest.raises(pc.ImageNotFound):
        directory.source(location("dir", tmp_path / "nothing"))
    with pytest.raises(pc.ImageError, match="no image"):
        directory.source(location("dir", tmp_path))
    image = Image()
    write(image, tmp_path)
    source = directory.source(location("dir", tmp_path))
    with pytest.raises(pc.ImageNotFound):
        source.manifest(sha256(b"another"))
    blob = tmp_path / sha256(image.config)[7:]
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    with pytest.raises(pc.ImageError, match="symbolic link"):
        content(source)
    (tmp_path / f"{image.digest[7:]}.manifest.json").write_bytes(image.text + b" ")
    with pytest.raises(pc.DigestMismatch):
        source.manifest(image.digest)
    source.close()
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(pc.InvalidConfig):
        directory.source(location("dir", tmp_path)).manifest()


def test_media_types_without_a_word(tmp_path):
    image = Image()
    image.text = image.text.replace(b'"mediaType": "application/vnd.oci.image.manifest.v1+json", ', b"")
    assert b"manifest.v1" not in image.text
    write(image, tmp_path)
    source = directory.source(location("dir", tmp_path))
    assert source.manifest() == (image.text, spec.MANIFEST)
    source.close()
