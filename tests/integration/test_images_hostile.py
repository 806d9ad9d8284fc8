"""Images that were made to do harm: each is refused with an error of ours, or does what it does inside.

Files outside every container, the canary, are named by absolute paths in the images. They stay as they are, nothing
that is in them comes to light, and the store is whole and can be emptied after each.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import struct
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import pycgroups as pc
from pycgroups.images.registry import RegistryOptions
from pycgroups.images.unpack import LayerLimits
from pycgroups.oci import image_spec as spec
from tests.boxes import BASE, BUSYBOX, directory, entry, layer, put, say, symlink
from tests.images import Image, link, sha256
from tests.registry.misbehaving import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("hundreds of images: cgroup v2 changes nothing about them"),
]

SECRET, VICTIM = "the secret of the host", "as it was"
PATH = "PATH=/bin"


@pytest.fixture
def canary(tmp_path):
    """Files of the host that images are after; where the tests are while they take them.

    Not in /dev, where a container has its own file system, so that the same paths can be asked for inside.
    """
    place = tmp_path / "canary"
    (place / "dir").mkdir(parents=True)
    (place / "secret").write_text(SECRET)
    (place / "victim").write_text(VICTIM)
    (place / "dir/keep").write_text(VICTIM)
    before = facts(place)
    here = os.getcwd()
    os.chdir(place)
    yield str(place)
    os.chdir(here)
    assert facts(place) == before


def facts(place):
    found = {}
    for path in (place, *place.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        found[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns, content)
    return found


class Layout:
    """An image layout in which anything may be wrong."""

    def __init__(self, image: Any, *, entry: dict[str, Any] | None = None) -> None:
        self.image = image
        self.mark: bytes | None = b'{"imageLayoutVersion": "1.0.0"}'
        named = {"annotations": {"org.opencontainers.image.ref.name": "t"}}
        described = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.text)}
        index = {"schemaVersion": 2, "manifests": [{**described, **(entry or {}), **named}]}
        self.index = json.dumps(index).encode()

    def write(self, path):
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "index.json").write_bytes(self.index)
        if self.mark is not None:
            (path / "oci-layout").write_bytes(self.mark)
        for digest, blob in {self.image.digest: self.image.text, **self.image.blobs}.items():
            (path / "blobs" / digest.replace(":", "/")).write_bytes(blob)
        return f"oci:{path}:t"


def pulled(images, scratch, layout, **options):
    path = scratch / "layout"
    path.mkdir()
    return images.pull(layout.write(path), **options)


def is_refused(images, pull, match):
    with pytest.raises(pc.Error, match=match) as caught:
        pull()
    assert str(caught.value).isprintable()
    assert SECRET not in str(caught.value)
    assert images.list() == []
    assert images.verify() == []
    halves = [name for name in os.listdir(images.store.blobs.tmp) if name.startswith("blob-")]
    assert os.listdir(images.store.blobs.tmp) == halves  # that others of the image's were not fetched to their end


# -- layers ------------------------------------------------------------------------------------------------------------


class Hostile(NamedTuple):
    """Layers on top of busybox.

    Attributes:
        layers: makes them, of the path of the canary.
        refused: what the error says, when they are refused.
        shows: what a script says in a container, when they are taken; ``CANARY`` stands for that path.
    """

    layers: Callable[[str], list[bytes]]
    refused: str | None = None
    shows: tuple[str, str] | None = None


def with_xattrs(name, **xattrs):
    made, content = entry(name, b"x")
    made.pax_headers = {f"SCHILY.xattr.{key.replace('__', '.')}": value for key, value in xattrs.items()}
    return made, content


def device(name, kind, major, minor):
    made, _ = entry(name, kind=kind, mode=0o666)
    made.devmajor, made.devminor = major, minor
    return made, b""


def hard_link(name, target):
    return link(name, target, tarfile.LNKTYPE), b""


def damaged(tar, at, value):
    """Change a tar, and the checksum of the header that this is in."""
    changed = bytearray(tar)
    changed[at : at + len(value)] = value
    start = at // 512 * 512
    changed[start + 148 : start + 156] = b" " * 8
    changed[start + 148 : start + 156] = b"%06o\0 " % sum(changed[start : start + 512])
    return bytes(changed)


UP = "../" * 40
OVERLAY = ("redirect", "opaque", "metacopy", "origin", "whiteout", "impure", "nlink")
ONE = layer(entry("one", b"1" * 600))
HOSTILE = {
    "absolute": Hostile(lambda canary: [layer(entry(f"{canary}/new", b"in\n"))], shows=("cat CANARY/new", "in")),
    "dotdot": Hostile(lambda canary: [layer(entry(f"{UP}{canary}/new", b"x"))], refused=r"'\.\.'"),
    "dotdot-mode": Hostile(lambda _: [layer(directory("..", mode=0o777))], refused=r"'\.\.'"),
    "symlink-write": Hostile(
        lambda canary: [layer(symlink("a", canary), entry("a/new", b"in\n"))], shows=("cat /a/new CANARY/new", "in\nin")
    ),
    "symlink-relative-write": Hostile(
        lambda canary: [layer(symlink("a", f"{UP}{canary}"), entry("a/new", b"in\n"))], shows=("cat CANARY/new", "in")
    ),
    "symlink-lower": Hostile(
        lambda canary: [layer(symlink("a", canary)), layer(entry("a/victim", b"in\n"))], shows=("cat /a/victim", "in")
    ),
    "symlink-chain": Hostile(
        lambda canary: [layer(symlink("a", "b"), symlink("b", "/c"), symlink("c", canary), entry("a/victim", b"in\n"))],
        shows=("cat CANARY/victim", "in"),
    ),
    "symlink-replaced": Hostile(
        lambda canary: [layer(symlink("f", f"{canary}/victim"), entry("f", b"in\n"))], shows=("cat /f", "in")
    ),
    "symlink-replaced-above": Hostile(
        lambda canary: [layer(symlink("f", f"{canary}/victim")), layer(entry("f", b"in\n"))], shows=("cat /f", "in")
    ),
    "directory-becomes-symlink": Hostile(
        lambda canary: [layer(directory("x"), entry("x/1"), symlink("x", canary), entry("x/victim", b"in\n"))],
        shows=("cat /x/victim", "in"),
    ),
    "symlink-loop": Hostile(lambda _: [layer(symlink("a", "b"), symlink("b", "a"), entry("a/x"))], refused="ELOOP"),
    "symlink-to-nothing": Hostile(lambda _: [layer(symlink("a", ""))], refused="empty"),
    "root-is-a-symlink": Hostile(lambda canary: [layer(symlink(".", canary))], refused="root of a layer"),
    "root-is-a-file": Hostile(lambda _: [layer(entry("./", b"x"))], refused="root of a layer"),
    "hard-link": Hostile(lambda canary: [layer(hard_link("h", f"{canary}/secret"))], refused="nowhere"),
    "hard-link-written": Hostile(
        lambda canary: [layer(hard_link("h", f"{canary}/victim"), entry("h", b"x"), hard_link("g", "h/../h"))],
        refused="hard link",
    ),
    "hard-link-dotdot": Hostile(lambda canary: [layer(hard_link("h", f"{UP}{canary}/secret"))], refused="hard link"),
    "hard-link-through-symlink": Hostile(
        lambda canary: [layer(symlink("s", canary), hard_link("h", "s/secret"))], refused="nowhere"
    ),
    "hard-link-to-what-comes": Hostile(lambda _: [layer(hard_link("h", "f"), entry("f"))], refused="later"),
    "hard-link-to-itself": Hostile(lambda _: [layer(hard_link("h", "h"))], refused="nowhere"),
    "hard-link-to-a-directory": Hostile(lambda _: [layer(directory("d"), hard_link("h", "d"))], refused="EISDIR"),
    "hard-link-below": Hostile(lambda _: [layer(hard_link("h", "etc/first"))], shows=("cat /h", "first")),
    "whiteout-of-dots": Hostile(lambda _: [layer(entry(".wh..."))], refused="whiteout"),
    "whiteout-dotdot": Hostile(lambda canary: [layer(entry(f"{UP}{canary}/.wh.victim"))], refused=r"'\.\.'"),
    "whiteout-absolute": Hostile(
        lambda canary: [layer(entry(f"{canary}/.wh.victim"))], shows=("cat CANARY/victim 2>/dev/null; echo in", "in")
    ),
    "whiteout-below-a-symlink": Hostile(
        lambda canary: [layer(symlink("a", canary)), layer(entry("a/.wh.victim"), entry("a/.wh..wh..opq"))],
        shows=("cat /a/victim 2>/dev/null; echo in", "in"),
    ),
    "whiteout-and-file": Hostile(
        lambda _: [layer(entry("etc/.wh.both"), entry("etc/both", b"in\n"), entry("x", b"x\n"), entry(".wh.x"))],
        shows=("cat /etc/both /x", "in\nx"),
    ),
    "overlay-device": Hostile(lambda _: [layer(device("etc/both", tarfile.CHRTYPE, 0, 0))], refused="hide"),
    "overlay-attributes": Hostile(
        lambda canary: [
            layer(
                *(with_xattrs(f"etc/{name}", **{f"trusted__overlay__{name}": canary}) for name in OVERLAY),
                *(with_xattrs(f"etc/u{name}", **{f"user__overlay__{name}": "y"}) for name in OVERLAY),
            )
        ],
        shows=("cat /etc/both /etc/redirect /etc/metacopy /etc/whiteout /etc/uwhiteout", "lower\nxxxx"),
    ),
    "devices": Hostile(
        lambda _: [layer(device("mem", tarfile.CHRTYPE, 1, 1), device("disk", tarfile.BLKTYPE, 254, 0))],
        shows=("(cat /mem | head -c 1 | wc -c; cat /disk | head -c 1 | wc -c) 2>/dev/null", "0\n0"),
    ),
    "name-too-long": Hostile(lambda _: [layer(entry("n" * 256))], refused="ENAMETOOLONG"),
    "name-of-escapes": Hostile(lambda _: [layer(entry("\x1b]0;owned\x07\n", b"in"))], shows=("cat /*owned*", "in")),
    "name-not-utf8": Hostile(lambda _: [layer(entry("\udcff\udcfe", b"in"))], shows=("cat /[!a-z]*", "in")),
    "deep": Hostile(
        lambda _: [layer(*(directory("d/" * depth) for depth in range(1, 1000, 9)), entry("d/" * 999 + "f", b"x"))],
        shows=("ls /d", "d"),
    ),
    "again-and-again": Hostile(
        lambda _: [layer(entry("q", b"x"), directory("q"), entry("q/r"), symlink("q", "r"), entry("q", b"in"))],
        shows=("cat /q", "in"),
    ),
    "negative-size": Hostile(lambda _: [damaged(ONE, 124, b"\xff" * 10 + b"\xfe\x00")], refused="a size of -512"),
    "size-of-exabytes": Hostile(
        lambda _: [damaged(ONE, 124, b"\x80\0\0\0" + struct.pack(">Q", 2**63 - 1))], refused="limit of size"
    ),
    "cut-off": Hostile(lambda _: [ONE[:700]], refused="cut off"),
    "bad-checksum": Hostile(lambda _: [ONE[:1536] + bytes([ONE[0] ^ 1]) + ONE[1:]], refused="checksum"),
    "behind-the-end": Hostile(
        lambda _: [layer(entry("shown")) + layer(entry("hidden"))], shows=("ls /shown /hidden 2>/dev/null", "/shown")
    ),
    "nothing": Hostile(lambda _: [b""], refused="cut off"),
    "empty": Hostile(lambda _: [bytes(1024)], shows=("cat /etc/both", "lower")),
    "mode-0": Hostile(
        lambda _: [layer(directory("shut", mode=0), entry("shut/in", b"x", mode=0), directory("shut/2", mode=0))],
        shows=("ls /shut >/dev/null; echo done", "done"),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_layer(images, scratch, canary, name):
    case = HOSTILE[name]
    layout = Layout(Image(BASE, *case.layers(canary), Env=[PATH]))
    if case.refused is not None:
        is_refused(images, lambda: pulled(images, scratch, layout), case.refused)
        return
    assert case.shows is not None
    script, shown = (text.replace("CANARY", canary) for text in case.shows)
    image = pulled(images, scratch, layout)
    assert say(image, script).strip() == shown
    assert SECRET not in say(image, f"cat {canary}/* /*/secret /a/* 2>/dev/null")
    say(image, f"echo x > {canary}/victim; echo x > /a/victim; rm -rf {canary}/*")
    assert images.verify() == []


@pytest.mark.parametrize(
    ("limits", "match"),
    [(LayerLimits(entries=400), "entries"), (LayerLimits(size=2**20), "size"), (LayerLimits(depth=3), "depth")],
)
def test_limits_of_what_a_layer_may_hold(images, scratch, canary, limits, match):
    bomb = layer(*(entry(f"{number}") for number in range(500)), entry("zeros", bytes(2**21)), directory("a/b/c/d"))
    layout = Layout(Image(bomb))
    is_refused(images, lambda: pulled(images, scratch, layout, limits=limits), f"limit of {match}")
    assert len(images.pull(f"oci:{scratch}/layout:t").layers) == 1


def test_many_files_and_great_depth_are_removed(images, scratch):
    many = layer(*(entry(f"many/{number}") for number in range(20_000)))
    deep = layer(*(directory("d/" * depth) for depth in range(1, 1900, 90)), directory("d/" * 1900))
    pulled(images, scratch, Layout(Image(many, deep)))
    assert images.prune(all=True).layers == 2


# -- documents ---------------------------------------------------------------------------------------------------------


def plain(**defaults):
    return Image(BASE, layer(entry("etc/new", b"new\n")), Env=[PATH], **defaults)


def changed(*path, to):
    """An image whose manifest is wrong in one place."""

    def make():
        image = plain()
        manifest = json.loads(image.text)
        place = manifest
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to
        image.text = json.dumps(manifest).encode()
        return image

    return make


def other_config(**document):
    def make():
        image = plain()
        text = json.dumps({**json.loads(image.config), **document}).encode()
        manifest = json.loads(image.text)
        manifest["config"] = image._described(text, spec.CONFIG)
        image.text = json.dumps(manifest).encode()
        return image

    return make


def other_blob(which, change):
    """An image in which a blob has other bytes than its digest says."""

    def make():
        image = plain()
        manifest = json.loads(image.text)
        digest = (manifest["config"] if which == "config" else manifest["layers"][which])["digest"]
        image.blobs[digest] = change(image.blobs[digest])
        return image

    return make


def other_layer(change):
    """An image whose packed layer is another one, and has the digest of that."""

    def make():
        image = plain()
        manifest = json.loads(image.text)
        blob = change(image.blobs[manifest["layers"][1]["digest"]])
        manifest["layers"][1] = image._described(blob, spec.LAYER_GZIP)
        image.text = json.dumps(manifest).encode()
        return image

    return make


def text(make):
    """An image whose manifest is some text, made of a proper one."""

    def made():
        image = plain()
        image.text = make(image.text)
        return image

    return made


def flip(blob):
    return blob[:50] + bytes([blob[50] ^ 1]) + blob[51:]


def without_a_blob():
    image = plain()
    del image.blobs[json.loads(image.text)["layers"][1]["digest"]]
    return image


def index_of(depth):
    """Indexes in each other."""

    def make():
        image = plain()
        for _ in range(depth):
            image.blobs[image.digest] = image.text
            inner = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.text)}
            image.text = json.dumps({"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": [inner]}).encode()
            image.media_type = spec.INDEX
        return image

    return make


def for_other_machines():
    image = plain()
    image.blobs[image.digest] = image.text
    inner = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.text)}
    entries = [{**inner, "platform": {"os": "windows", "architecture": each}} for each in ("amd64", "arm64")]
    image.text = json.dumps({"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": entries}).encode()
    image.media_type = spec.INDEX
    return image


def both_kinds(manifest):
    entries = [{"mediaType": spec.MANIFEST, "digest": sha256(b""), "size": 0}]
    return json.dumps({**json.loads(manifest), "manifests": entries}).encode()


LAYERS = ("layers", 1)
WRONG: tuple[Any, ...] = ({}, None, "x", [1, 2])
ZEROS = f"sha256:{'0' * 64}"
DOCUMENTS = {
    **{
        f"size {size!r}": (changed(*LAYERS, "size", to=size), "size|bytes")
        for size in (10, 10_000_000, 0, -1, "123", 1.5, None)
    },
    **{
        f"digest {digest!r}": (changed(*LAYERS, "digest", to=digest), "digest")
        for digest in (
            *("sha256:../../../canary/secret", "sha256/../../x:00", "", "md5:d41d8cd98f00b204e9800998ecf8427e"),
            *(ZEROS.replace("0", "A"), "sha256:abcd", 7, "sha256:" + "*" * 64, ZEROS + "\n"),
        )
    },
    **{f"layers {layers!r}": (changed("layers", to=layers), "layers") for layers in WRONG},
    "layer-changed": (other_blob(1, flip), "expected sha256:"),
    "config-changed": (other_blob("config", flip), "expected sha256:"),
    "layer-longer": (other_blob(1, lambda blob: blob + b"x"), "bytes"),
    "layer-shorter": (other_blob(1, lambda blob: blob[:-1]), "bytes"),
    "layer-missing": (without_a_blob, "ENOENT|no such blob|404"),
    "layer-cut-off": (other_layer(lambda blob: blob[: len(blob) // 2]), "cut off"),
    "layer-not-packed": (other_layer(gzip.decompress), "not compressed"),
    "layer-with-more": (other_layer(lambda blob: blob + b"more"), "gzip"),
    "layer-of-another-kind": (changed(*LAYERS, "mediaType", to="application/x-rar"), "application/x-rar"),
    "layer-encrypted": (changed(*LAYERS, "mediaType", to=f"{spec.LAYER_GZIP}+encrypted"), "encrypted"),
    "diff-id-wrong": (
        other_config(rootfs={"type": "layers", "diff_ids": [sha256(BASE), ZEROS]}),
        "expected sha256:0000",
    ),
    "diff-id-missing": (other_config(rootfs={"type": "layers", "diff_ids": [sha256(BASE)]}), "2 layers"),
    "diff-id-traversal": (
        other_config(rootfs={"type": "layers", "diff_ids": [sha256(BASE), "sha256:../../x"]}),
        "diff_ids",
    ),
    "rootfs-null": (other_config(rootfs=None), "rootfs"),
    "annotations-of-numbers": (changed("annotations", to={"a": 1, "b": None}), "annotations"),
    "index-and-manifest": (text(both_kinds), "manifests|both"),
    "says-it-is-an-index": (changed("mediaType", to=spec.INDEX), "index|manifests|media"),
    "keys-twice": (text(lambda manifest: manifest[:-1] + b', "layers": []}'), "twice|layers"),
    "deep": (text(lambda manifest: manifest[:-1] + b', "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "."),
    "large-number": (text(lambda manifest: manifest[:-1] + b', "x": ' + b"9" * 100_000 + b"}"), "."),
    "not-a-number": (text(lambda manifest: manifest[:-1] + b', "x": NaN}'), "."),
    "8 MiB": (text(lambda manifest: manifest + b" " * 2**23), "bytes"),
    "html": (text(lambda _manifest: b"<html>\x1b[31m"), "."),
    "empty": (text(lambda _manifest: b""), "."),
    "index-too-deep": (index_of(20), "deep"),
    "index-of-others": (for_other_machines, "platform"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(images, scratch, canary, name):
    make, match = DOCUMENTS[name]
    is_refused(images, lambda: pulled(images, scratch, Layout(make())), match)


class Served(Image):
    """An image, as the registry of the tests has it."""

    def __init__(self, image):
        self.__dict__.update(image.__dict__)
        self.manifests = {image.digest: (image.text, image.media_type)}
        for digest, blob in image.blobs.items():
            for media_type in (spec.INDEX, spec.MANIFEST):
                if f'"mediaType": "{media_type}"'.encode() in blob:
                    self.manifests[digest] = blob, media_type


@pytest.mark.requires("host")  # short timeouts
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_from_a_registry(images, canary, name):
    make, _ = DOCUMENTS[name]
    with Registry() as server:
        server.image = Served(make())
        options = RegistryOptions(registries_conf="/dev/null", retries=0, read_timeout=5.0)
        is_refused(images, lambda: images.pull(server.reference, registry=options), ".")


@pytest.mark.requires("host")
@pytest.mark.parametrize("name", ["absolute", "symlink-write", "hard-link", "overlay-device", "whiteout-absolute"])
def test_a_layer_from_a_registry(images, canary, name):
    case = HOSTILE[name]
    with Registry() as server:
        server.image = Served(Image(BASE, *case.layers(canary), Env=[PATH]))
        options = RegistryOptions(registries_conf="/dev/null")
        if case.refused is not None:
            is_refused(images, lambda: images.pull(server.reference, registry=options), case.refused)
        else:
            script, shown = (text.replace("CANARY", canary) for text in case.shows)
            assert say(images.pull(server.reference, registry=options), script) == shown


def test_sound_ones_are_taken(images, scratch):
    """That the tables above are refused for what they say."""
    for number, make in enumerate(
        (plain, index_of(1), index_of(4), other_layer(lambda blob: blob + gzip.compress(b"")))
    ):
        (scratch / str(number)).mkdir()
        image = images.pull(Layout(make()).write(scratch / str(number)))
        assert say(image, "cat /etc/new") == "new"


@pytest.mark.parametrize("mark", [None, b"", b"{}", b'{"imageLayoutVersion": "9.9.9"}', b"[" * 4000, b"\xff\xfe"])
def test_no_layout(images, scratch, canary, mark):
    layout = Layout(plain())
    layout.mark = mark
    is_refused(images, lambda: pulled(images, scratch, layout), ".")


@pytest.mark.parametrize(
    "index",
    [b"", b"<html>", b"{}", b"[]", b'{"schemaVersion": 2, "manifests": {}}', b'{"schemaVersion": 2, "manifests": [7]}'],
)
def test_no_index(images, scratch, canary, index):
    layout = Layout(plain())
    layout.index = index
    is_refused(images, lambda: pulled(images, scratch, layout), ".")


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink", "socket"])
def test_a_blob_that_is_no_file(images, scratch, canary, kind):
    layout = Layout(plain())
    (scratch / "layout").mkdir()
    place = layout.write(scratch / "layout")
    blob = scratch / "layout/blobs" / json.loads(layout.image.text)["layers"][1]["digest"].replace(":", "/")
    content = blob.read_bytes()
    blob.unlink()
    if kind == "directory":
        blob.mkdir()
    elif kind == "fifo":
        os.mkfifo(blob)
    elif kind == "socket":
        os.mknod(blob, stat.S_IFSOCK | 0o600)
    else:
        (scratch / "elsewhere").write_bytes(content)
        blob.symlink_to(scratch / "elsewhere")
    is_refused(images, lambda: images.pull(place), ".")


# -- how it is run -----------------------------------------------------------------------------------------------------


PASSWD = b"root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"
USERS = ("4294967295", "-0", "0x0", "0 ", "00", "1e0", "\u0661", "user:4294967296", "root\n", "a:b:c", ":", "../root")


@pytest.mark.parametrize("user", USERS)
def test_users_that_rows_of_passwd_name_as_root(images, user):
    rows = "".join(f"{row}:x:0:0::/:/bin/sh\n" for row in {user, user.partition(":")[0], user.strip()} if row)
    files = layer(entry("etc/passwd", PASSWD + rows.encode()))
    image = put(images, Image(BASE, files, Env=[PATH], User=user))
    with pytest.raises(pc.Error):
        say(image, "id -u")
    with pytest.raises(pc.Error):
        say(put(images, Image(BASE, files, Env=[PATH])), "id -u", user=user)


@pytest.mark.requires("subuid")
@pytest.mark.parametrize(
    "passwd",
    [
        lambda canary: [symlink("etc/passwd", f"{canary}/secret")],
        lambda _canary: [entry("etc/passwd", kind=tarfile.FIFOTYPE)],
        lambda _canary: [symlink("etc/passwd", "/dev/zero")],
        lambda _canary: [directory("etc/passwd")],
        lambda _canary: [device("etc/passwd", tarfile.CHRTYPE, 1, 5)],
        lambda _canary: [symlink("etc/passwd", "passwd")],
    ],
    ids=["symlink", "fifo", "zeros", "directory", "device", "loop"],
)
def test_a_passwd_that_is_no_file(images, canary, passwd):
    image = put(images, Image(BASE, layer(entry("etc/.wh.passwd")), layer(*passwd(canary)), Env=[PATH], User="user"))
    with pytest.raises(pc.Error) as caught:
        say(image, "true")
    assert SECRET not in str(caught.value)
    try:
        assert say(image, "echo in", user=1000) == "in"
    except pc.Error as error:
        assert "loop" in str(error)  # noqa: PT017 (one of them, and that it is refused, too, does no harm)


PLACES = ("proc", "sys", "dev", "dev/pts", "dev/shm", "run", "tmp", "etc/hosts", "etc/hostname", "etc/resolv.conf")
NODES = ("null", "zero", "full", "random", "urandom", "tty", "console", "stdin", "core", "log", "ptmx", "mqueue")
BLOCKING = {"dev/ptmx", "dev/random", "dev/urandom", "dev/tty", "dev/console"}
"""What can be read without an end, or in vain."""


@pytest.mark.parametrize("place", [*PLACES, *(f"dev/{name}" for name in NODES)])
def test_a_place_of_ours_that_is_a_symlink(images, canary, place):
    hidden = "/".join([*place.split("/")[:-1], f".wh.{os.path.basename(place)}"])
    target = f"{canary}/secret" if place.startswith("etc/") else canary
    image = put(images, Image(BASE, layer(entry(hidden)), layer(symlink(place, target)), Env=[PATH]))
    wanted = f"/{place}/secret /{place}/victim" + (f" /{place}" if place not in BLOCKING else "")
    for options in ({}, {"read_only": True}, {"user": 1000}, {"hostname": "other"}):
        try:
            shown = say(image, f"head -c 99 {wanted}; echo x > /{place}/victim; echo x > /{place}; echo end", **options)
        except pc.Error as error:
            shown = f"{error} end"
        assert shown.endswith("end"), (options, shown)
        assert SECRET not in shown


@pytest.mark.parametrize("number", range(3, 12))
@pytest.mark.parametrize("rest", ["", "/../../..", "/."])
def test_directories_by_descriptors(images, canary, number, rest):
    image = put(images, Image(BASE, Env=[PATH], WorkingDir=f"/proc/self/fd/{number}{rest}"))
    holding = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(holding, True)
    try:
        shown = say(image, "pwd; cat secret victim ../victim 2>/dev/null")
    except pc.Error as error:
        shown = str(error)
    finally:
        os.close(holding)
    assert SECRET not in shown
    assert "unreachable" not in shown


def test_a_directory_behind_a_symlink(images, canary):
    files = layer(symlink("work", canary))
    image = put(
        images, Image(BASE, files, Env=[PATH], WorkingDir="/work/dir/new", Volumes={f"/..{canary}": {}, "/work": {}})
    )
    try:
        shown = say(image, "pwd; cat secret ../secret ../../secret 2>/dev/null")
    except pc.Error as error:
        shown = str(error)
    assert SECRET not in shown


@pytest.mark.parametrize(
    "defaults",
    [
        {"Env": ["A"]}, {"Env": ["=a"]}, {"Env": ["A=\0b"]}, {"Env": [""]}, {"Env": [7]}, {"Env": {"A": "b"}},
        {"Env": [f"A={'x' * 3_000_000}"]}, {"Cmd": ["true", 7]}, {"Cmd": ["true", None]}, {"Cmd": ["a\0b"]},
        {"Entrypoint": [[]]}, {"StopSignal": "99"}, {"StopSignal": "-9"}, {"StopSignal": 0}, {"WorkingDir": ".."},
        {"WorkingDir": "a"}, {"WorkingDir": "/a\0b"}, {"User": 0}, {"Labels": {"a": 1}}, {"Volumes": ["/a"]},
    ],
    ids=lambda defaults: str(defaults)[:40],
)  # fmt: skip
def test_other_types_and_values(images, defaults):
    image = Image(BASE, **{"Env": [PATH], "Cmd": ["true"], **defaults})
    with pytest.raises(pc.Error) as caught:
        pc.run(None, image=put(images, image))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 5000


@pytest.mark.requires("subuid")
def test_programs_of_the_image_run_in_it_alone(images, canary, scratch):
    """Its tar, xz, newuidmap and Python modules: nothing of them is run by us, whatever comes of them inside."""
    evil = f"#!/bin/sh\necho owned > {canary}/owned\n".encode()
    places = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
    tools = ("tar", "gzip", "xz", "zstd", "ip", "nft", "newuidmap", "newgidmap", "mount", "python3")
    files = [entry(f"{place}/{tool}", evil, mode=0o4755) for place in places for tool in tools]
    files += [entry(f"usr/lib/python3/dist-packages/{name}.py", b"import os; os.abort()") for name in ("json", "zlib")]
    image = put(
        images, Image(BASE, layer(*files, entry("etc/nsswitch.conf", b"passwd: evil\n")), Env=[PATH], User="app")
    )
    assert say(image, "cat /etc/both") == "lower"
    images.save(image, scratch / "saved.tar")
    images.load(scratch / "saved.tar")


@pytest.mark.requires("subuid")
def test_files_with_the_rights_of_root_are_none_to_others(images):
    image = put(images, Image(BASE, layer(entry("bin/su", BUSYBOX, mode=0o4755)), Env=[PATH]))
    assert say(image, "/bin/su -c id 2>/dev/null; cat /proc/self/status | id -u", user="app") == "1000"
