"""App Container Images of rkt's days become images."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from typing import Any

import pytest

import pycgroups as pc
from pycgroups.images import archives
from tests.images import content, link, sha256, tar

MANIFEST: dict[str, Any] = {
    "acKind": "ImageManifest",
    "acVersion": "0.8.11",
    "name": "example.com/reduce-worker",
    "labels": [
        {"name": "version", "value": "1.0.0"},
        {"name": "arch", "value": "aarch64"},
        {"name": "os", "value": "linux"},
        {"name": "channel", "value": "stable"},
    ],
    "app": {
        "exec": ["/usr/bin/reduce-worker", "--quiet"],
        "user": "100",
        "group": "300",
        "supplementaryGIDs": [400],
        "workingDirectory": "/opt/work",
        "environment": [{"name": "DEBUG", "value": "a=b"}],
        "isolators": [{"name": "resource/memory", "value": {"limit": "1G"}}],
        "mountPoints": [{"name": "work", "path": "/var/lib/work", "readOnly": False}],
        "ports": [
            {"name": "health", "port": 4000, "protocol": "tcp", "socketActivated": True},
            {"name": "data", "port": 5000, "count": 2, "protocol": "udp"},
        ],
    },
    "annotations": [
        {"name": "authors", "value": "A <a@example.com>"},
        {"name": "created", "value": "2014-10-27T19:32:27.67021798Z"},
        {"name": "homepage", "value": "https://example.com"},
    ],
}
FILES = ("rootfs/etc/os-release", b"ID=box\n"), link("rootfs/usr/hard", "rootfs/etc/os-release", tarfile.LNKTYPE)


def aci(*files, **changes):
    return tar(("manifest", json.dumps({**MANIFEST, **changes}).encode()), *files)


def app(**changes):
    return {**MANIFEST["app"], **changes}


def open_ended(data):
    """An archive without its end mark."""
    data = data.rstrip(b"\0")
    return data + bytes(-len(data) % 512)


def opened(data, **options):
    return archives.open_archive(io.BytesIO(data), **options).source(shared=False)


def converted(data, **options):
    source = opened(data, **options)
    try:
        config, (layer,) = content(source)
    finally:
        source.close()
    document = json.loads(config)
    assert document.pop("rootfs") == {"type": "layers", "diff_ids": [sha256(layer)]}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return document, archive.getmembers(), [archive.extractfile(each).read() for each in archive if each.isfile()]


def test_what_the_manifest_says():
    document, _, _ = converted(aci(*FILES))
    assert document == {
        "created": "2014-10-27T19:32:27.67021798Z",
        "author": "A <a@example.com>",
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "config": {
            "User": "100:300",
            "Entrypoint": ["/usr/bin/reduce-worker", "--quiet"],
            "Env": ["DEBUG=a=b"],
            "WorkingDir": "/opt/work",
            "Volumes": {"/var/lib/work": {}},
            "ExposedPorts": {"4000/tcp": {}, "5000/udp": {}, "5001/udp": {}},
            "Labels": {
                "org.opencontainers.image.title": "example.com/reduce-worker",
                "org.opencontainers.image.version": "1.0.0",
                "org.opencontainers.image.authors": "A <a@example.com>",
                "org.opencontainers.image.created": "2014-10-27T19:32:27.67021798Z",
                "org.opencontainers.image.url": "https://example.com",
                "channel": "stable",
                "appc.isolators": '[{"name":"resource/memory","value":{"limit":"1G"}}]',
                "appc.supplementaryGIDs": "[400]",
            },
        },
    }


def test_an_image_without_an_app():
    document, _, _ = converted(aci(*FILES, app=None, annotations=None))
    assert document["config"].keys() == {"Labels"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_compression(compress):
    plain, packed = (opened(data) for data in (aci(*FILES), compress(aci(*FILES))))
    assert content(plain) == content(packed)
    plain.close()
    packed.close()


def test_the_root_file_system_becomes_the_layer():
    root, symlink = tarfile.TarInfo("./rootfs/"), link("rootfs/lib", "/usr/lib")
    root.type, root.mode = tarfile.DIRTYPE, 0o750
    file = tarfile.TarInfo("rootfs/" + "d" * 90 + "/" + "f" * 90)
    file.uid, file.mode, file.pax_headers = 7, 0o4711, {"SCHILY.xattr.user.a": "b"}
    _, members, contents = converted(aci(root, *FILES, symlink, file))
    found = {each.name: (each.type, each.mode, each.uid, each.linkname) for each in members}
    assert found == {
        ".": (tarfile.DIRTYPE, 0o750, 0, ""),
        "etc/os-release": (tarfile.REGTYPE, 0o644, 0, ""),
        "usr/hard": (tarfile.LNKTYPE, 0o644, 0, "etc/os-release"),
        "lib": (tarfile.SYMTYPE, 0o644, 0, "/usr/lib"),
        file.name.removeprefix("rootfs/"): (tarfile.REGTYPE, 0o4711, 7, ""),
    }
    assert members[-1].pax_headers["SCHILY.xattr.user.a"] == "b"
    assert contents == [b"ID=box\n", b""]


def test_sparse_files():
    holes, data = [(3, 2), (1000, 1)], b"abc"
    for end in (1001, 600_000):
        head = {
            "GNU.sparse.size": str(end),
            "GNU.sparse.numblocks": "2",
            "GNU.sparse.map": ",".join(str(number) for hole in holes for number in hole),
            "GNU.sparse.name": "rootfs/sparse",
        }
        file = tarfile.TarInfo("rootfs/sparse")
        file.pax_headers, file.size = head, len(data)
        raw = open_ended(aci()) + file.tobuf(tarfile.PAX_FORMAT) + data + bytes(509) + bytes(1024)
        _, (member,), (found,) = converted(raw)
        assert (member.name, member.size) == ("sparse", end)
        assert found == bytes(3) + b"ab" + bytes(995) + b"c" + bytes(end - 1001)


def test_it_is_known_by_its_content():
    """Whatever it is called, and whichever comes first; and it is called by its name and version."""
    manifest = ("manifest", json.dumps(MANIFEST).encode())
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    for data in (tar(manifest, *FILES), tar(*FILES, manifest), tar(folder, manifest, *FILES)):
        with archives.open_archive(io.BytesIO(data)) as archive:
            assert (archive.form, archive.names()) == ("appc", ["example.com/reduce-worker:1.0.0"])
            assert content(archive.source("example.com/reduce-worker:1.0.0")) == content(archive.source())
            with pytest.raises(pc.ImageNotFound, match=r"example.com/reduce-worker:1.0.0"):
                archive.source("other")
    with archives.open_archive(io.BytesIO(aci(*FILES, labels=[{"name": "arch", "value": "amd64"}]))) as archive:
        assert archive.names() == ["example.com/reduce-worker"]


def test_a_whitelist():
    files = [("rootfs/a/b/c", b"1"), ("rootfs/a/b/d", b"2"), ("rootfs/e", b"3")]
    folder = tarfile.TarInfo("rootfs/a")
    folder.type = tarfile.DIRTYPE
    _, members, _ = converted(aci(folder, *files, pathWhitelist=["/a/b/c"]))
    assert [each.name for each in members] == ["a", "a/b/c"]
    hard = link("rootfs/kept", "rootfs/e", tarfile.LNKTYPE)
    with pytest.raises(pc.ImageError, match="does not become part"):
        converted(aci(*files, hard, pathWhitelist=["/kept"]))


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"<html>" * 1000, pc.ImageError, "read tar"),
        (tar(("rootfs/a", b"")), pc.ImageError, "no manifest"),
        (tar(("manifest", b"<html>")), pc.InvalidConfig, "not JSON"),
        (tar(("manifest", b"[]")), pc.ImageError, "manifest is"),
        (tar(("manifest", b" " * (4 * 2**20 + 1))), pc.ImageError, "a manifest of"),
        (aci(acKind="PodManifest"), pc.ImageError, "acKind"),
        (aci(dependencies=[{"imageName": "example.com/base"}]), pc.Unsupported, "example.com/base"),
        (aci(labels=[]), pc.ImageError, "for which machine"),
        (aci(labels=[{"name": "arch", "value": "vax"}]), pc.Unsupported, "'vax'"),
        (aci(labels=[{"name": "arch"}]), pc.ImageError, "value is None"),
        (aci(name=None), pc.ImageError, "name is None"),
        (aci(app=app(user="/etc/passwd")), pc.Unsupported, "owner of a file"),
        (aci(app=app(group=None)), pc.ImageError, "group is None"),
        (aci(app=app(exec="sh")), pc.ImageError, "exec is 'sh'"),
        (aci(app=app(exec=[1])), pc.ImageError, r"exec\[0\] is 1"),
        (aci(app=app(exec=["a\0b"])), pc.InvalidConfig, "NUL"),
        (aci(app=app(environment=[{"name": "\ud800", "value": ""}])), pc.InvalidConfig, "Unicode"),
        (aci(app=app(ports=[{"port": 65535, "count": 2, "protocol": "tcp"}])), pc.ImageError, "ports is"),
        (aci(app=app(ports=[{"port": 0, "protocol": "tcp"}])), pc.ImageError, "ports is"),
        (aci(("other", b"")), pc.ImageError, "neither the manifest"),
        (aci(("../rootfs/a", b"")), pc.ImageError, "neither the manifest"),
        (aci(link("rootfs/a", "/etc/passwd", tarfile.LNKTYPE)), pc.ImageError, "does not become part"),
        (aci(link("rootfs/a", "manifest", tarfile.LNKTYPE)), pc.ImageError, "does not become part"),
        (open_ended(aci(("rootfs/a", b"1" * 1000)))[:-600], pc.ImageError, "cut off"),
    ],
)
def test_what_is_refused(data, kind, reason):
    with pytest.raises(kind, match=reason):
        opened(data)


def test_bounds():
    huge = gzip.compress(aci(("rootfs/zeros", bytes(10**6))))
    with pytest.raises(pc.ImageError, match="larger than is allowed"):
        converted(huge, largest=10**5)


def test_names_that_lead_out_are_left_to_who_unpacks():
    _, members, _ = converted(aci(("rootfs/../../etc/passwd", b""), ("rootfs//abs", b"")))
    assert [each.name for each in members] == ["../../etc/passwd", "abs"]
