"""``import``: a root file system becomes an image."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest

import pycgroups as pc
from pycgroups.images import importing, layouts
from pycgroups.images.copying import copy
from pycgroups.images.platforms import host_platform
from pycgroups.oci.image_reading import read_image_config
from pycgroups.oci.image_spec import LAYER, ImageDefaults, Platform
from tests.images import content, location, sha256, tar, tree

ROOT = tar(("bin/sh", os.urandom(100_000)), ("etc/passwd", b"root:x:0:0::/:/bin/sh\n"))


def imported(origin, **options):
    source = importing.source(origin, **options)
    try:
        manifest = json.loads(source.manifest()[0])
        config, layers = content(source)
        assert [layer["mediaType"] for layer in manifest["layers"]] == [LAYER]
        return config, layers
    finally:
        source.close()


def test_a_tar_in_every_wrapping(tmp_path):
    (tmp_path / "root.tar").write_bytes(ROOT)
    (tmp_path / "root.tar.gz").write_bytes(gzip.compress(ROOT))
    first = imported(tmp_path / "root.tar")
    assert first[1] == [ROOT]
    for origin in (tmp_path / "root.tar.gz", io.BytesIO(ROOT), io.BytesIO(gzip.compress(ROOT))):
        assert imported(origin) == first


def test_a_directory(tmp_path):
    """Its files with all that a layer has of them, and the same bytes each time."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_bytes(b"root\n")
    (root / "etc/link").symlink_to("passwd")
    os.link(root / "etc/passwd", root / "etc/same")
    (root / "etc/passwd").chmod(0o4640)
    os.utime(root / "etc/passwd", ns=(0, 1_234_567_890_123_456_789))
    (root / "empty").mkdir(mode=0o711)
    config, (layer,) = imported(root)
    assert imported(str(root)) == (config, [layer])
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        found = {member.name: member for member in archive}
        assert list(found) == [".", "empty", "etc", "etc/link", "etc/passwd", "etc/same"]
        passwd = found["etc/passwd"]
        assert (passwd.mode, passwd.uid, passwd.gid) == (0o4640, os.getuid(), os.getgid())
        assert passwd.pax_headers["mtime"] == "1234567890.123456789"
        assert archive.extractfile("etc/passwd").read() == b"root\n"
    assert (found["etc/link"].linkname, found["empty"].mode) == ("passwd", 0o711)
    assert (found["etc/same"].linkname, found["etc/same"].type) == ("etc/passwd", tarfile.LNKTYPE)


def test_a_name_that_would_remove_another(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.wh.etc").write_bytes(b"")
    with pytest.raises(pc.ImageError, match=r"\.wh\.etc.*removed file"):
        imported(tmp_path / "root")


def test_a_tar_is_read_to_its_end_before_anything_is_copied(tmp_path):
    (tmp_path / "root.tar").write_bytes(ROOT[:-1024].rstrip(b"\0"))
    with pytest.raises(pc.ImageError, match=r"root.tar.*: cut off"):
        importing.source(tmp_path / "root.tar")


def test_what_the_image_says():
    config, _ = imported(
        io.BytesIO(ROOT),
        config=ImageDefaults(user="me", env=("A=1",)),
        changes=["CMD sh", "USER you", "EXPOSE 80"],
        platform=Platform(os="linux", architecture="arm64", variant="v8"),
        created="2026-11-26T00:00:00Z",
        message="made by hand",
    )
    assert json.loads(config) == {
        "created": "2026-11-26T00:00:00Z",
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "config": {"User": "you", "Env": ["A=1"], "Cmd": ["/bin/sh", "-c", "sh"], "ExposedPorts": {"80/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": [sha256(ROOT)]},
        "history": [{"created": "2026-11-26T00:00:00Z", "created_by": "import", "comment": "made by hand"}],
    }


def test_what_it_says_by_default():
    config, _ = imported(io.BytesIO(ROOT))
    read = read_image_config(config)
    assert (read.os, read.architecture, read.variant) == (
        "linux",
        host_platform().architecture,
        host_platform().variant,
    )
    assert read.config == ImageDefaults()
    assert read.created is None


def test_into_a_destination(tmp_path):
    places = [location("oci", tmp_path / name, "root") for name in ("a", "b")]
    for place in places:
        made = importing.source(io.BytesIO(ROOT))
        copy(made, layouts.destination(place))
        made.close()
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    source = layouts.source(places[0])
    assert content(source)[1] == [ROOT]
    source.close()


def test_what_is_refused(tmp_path):
    for origin, options in [
        (io.BytesIO(b"no tar" * 1000), {}),
        (io.BytesIO(b""), {}),
        (io.BytesIO(gzip.compress(ROOT)[:-1]), {}),
        (tmp_path / "nothing", {}),
        (io.BytesIO(ROOT), {"changes": ["RUN true"]}),
        (io.BytesIO(ROOT), {"created": "yesterday"}),
        (io.BytesIO(ROOT), {"created": 5}),
        (io.BytesIO(gzip.compress(ROOT)), {"largest": 1000}),
    ]:
        with pytest.raises(pc.Error):
            importing.source(origin, directory=str(tmp_path), **options)
        assert os.listdir(tmp_path) == []
