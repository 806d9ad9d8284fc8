"""oci-archive and docker-archive: written and read, from files and streams, hostile or not."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading

import hypothesis
import hypothesis.strategies as st
import pytest

import pycgroups as pc
from pycgroups.images import archives, layouts
from pycgroups.images.copying import copy
from pycgroups.images.platforms import parse_platform
from pycgroups.oci import image_spec as spec
from tests.images import Image, Index, content, docker_archive, link, location, sha256, tar, tree

FORMS = ["oci-archive", "docker-archive"]
NAME = "docker.io/library/debian:13"


def write(image, form, target, name=None, **options):
    place, stream = (location(form, target, name), None) if isinstance(target, str | os.PathLike) else (None, target)
    place = place or location(form, "-", name)
    return copy(image, archives.destination(place, stream), **options)


def read(form, path, name=None):
    source = archives.source(location(form, path, name))
    try:
        return content(source)
    finally:
        source.close()


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [None, NAME])
def test_round_trip(tmp_path, form, name):
    image = Image(tar(("a", b"1")), tar(("b", b"2" * 1000)), Cmd=["sh"])
    assert write(image, form, tmp_path / "archive", name).digest == image.digest
    config, layers = read(form, tmp_path / "archive", name)
    assert config == image.config
    assert [layer if form == "docker-archive" else gzip.decompress(layer) for layer in layers] == list(image.layers)
    assert os.listdir(tmp_path) == ["archive"]
    assert read(form, tmp_path / "archive") == (config, layers)
    with archives.open_archive(tmp_path / "archive") as archive:
        assert archive.form == form
        assert archive.names() == [name or ("@0" if form == "docker-archive" else image.digest)]


def test_an_oci_archive_keeps_every_digest(tmp_path):
    both = Index(Image(architecture="amd64"), Image(architecture="arm64"))
    write(both, "oci-archive", tmp_path / "archive", "both")
    source = archives.source(location("oci-archive", tmp_path / "archive", "both"))
    assert source.manifest() == (both.text, spec.INDEX)
    copy(source, layouts.destination(location("oci", tmp_path / "layout", "both")))
    source.close()
    assert members((tmp_path / "archive").read_bytes()) == {
        name: data for name, data in tree(tmp_path / "layout").items() if (tmp_path / "layout" / name).is_file()
    }


def test_the_form_of_docker_save(tmp_path):
    layers = tar(("a", b"1")), tar(("b", b"2")), tar(("a", b"1"))
    image = Image(*layers)
    write(image, "docker-archive", tmp_path / "archive", NAME)
    config, bottom, top = (sha256(data).split(":")[1] for data in (image.config, *layers[:2]))
    names = [f"{bottom}.tar", f"{top}.tar", f"{bottom}.tar"]
    found = members((tmp_path / "archive").read_bytes())
    assert json.loads(found.pop("manifest.json")) == [{"Config": f"{config}.json", "RepoTags": [NAME], "Layers": names}]
    assert json.loads(found.pop("repositories")) == {"docker.io/library/debian": {"13": bottom}}
    assert found == {f"{config}.json": image.config, f"{bottom}.tar": layers[0], f"{top}.tar": layers[1]}


@pytest.mark.parametrize("form", FORMS)
def test_several_images_in_one_archive(tmp_path, form):
    shared = tar(("shared", b""))
    images = {f"localhost/{name}:1": Image(shared, tar((name, b""))) for name in "abc"}
    with archives.ArchiveWriter(tmp_path / "archive", form) as writer:
        for name, image in images.items():
            copy(image, writer.destination(name))
    with archives.open_archive(tmp_path / "archive") as archive:
        assert archive.names() == list(images)
        for name, image in images.items():
            source = archive.source(name)
            assert content(source)[0] == image.config
            source.close()
        with pytest.raises(pc.ImageNotFound, match=r"3 images, and no name was given.*localhost/a:1"):
            archive.source()
        with pytest.raises(pc.ImageNotFound, match=r"localhost/d:1.*localhost/a:1"):
            archive.source("localhost/d:1")


def test_names_of_docker_archives(tmp_path):
    first, second = Image(), Image(tar(("x", b"")))
    with archives.ArchiveWriter(tmp_path / "archive", "docker-archive") as writer:
        copy(first, writer.destination("debian:13"))
        copy(first, writer.destination("debian:latest"))
        copy(second, writer.destination("debian"))
        copy(second, writer.destination())
    with archives.open_archive(tmp_path / "archive") as archive:
        assert archive.names() == [NAME, "docker.io/library/debian:latest"]
        for name, image in [("debian:13", first), ("debian", second), ("@0", first), ("@1", second)]:
            assert content(archive.source(name))[0] == image.config
        with pytest.raises(pc.ImageNotFound):
            archive.source("@2")
    with archives.ArchiveWriter(tmp_path / "archive", "docker-archive") as writer, pytest.raises(pc.InvalidConfig):
        writer.destination(f"debian@{first.digest}")


@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_each_time(tmp_path, form):
    class Backwards(Image):
        """Whose blobs come in another order."""

    layers = [tar((str(number), os.urandom(5000))) for number in range(9)]
    made = []
    for at_once in (1, 9):
        out = io.BytesIO()
        write(Image(*layers), form, out, NAME, at_once=at_once)
        made.append(out.getvalue())
    write(Backwards(*layers), form, tmp_path / "archive", NAME)
    assert made == [(tmp_path / "archive").read_bytes()] * 2


@pytest.mark.parametrize("form", FORMS)
def test_through_a_pipe(form):
    image = Image(tar(("big", os.urandom(300_000))))
    reader, writer = os.pipe()

    def send():
        with open(writer, "wb", buffering=0) as pipe:
            write(image, form, pipe, NAME)

    thread = threading.Thread(target=send)
    thread.start()
    with open(reader, "rb") as pipe:
        source = archives.source(location(form, "-", NAME), pipe)
    thread.join()
    assert content(source)[0] == image.config
    source.close()


@pytest.mark.parametrize("form", FORMS)
def test_to_a_fifo(tmp_path, form):
    os.mkfifo(tmp_path / "fifo")
    thread = threading.Thread(target=write, args=(Image(), form, tmp_path / "fifo", NAME))
    thread.start()
    data = (tmp_path / "fifo").read_bytes()
    thread.join()
    assert (tmp_path / "fifo").is_fifo()
    with archives.open_archive(io.BytesIO(data)) as archive:
        assert content(archive.source(NAME))[0] == Image().config


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_leaves_what_was_there(tmp_path, form):
    image = Image()
    (tmp_path / "archive").write_text("before")
    image.blobs[next(reversed(image.blobs))] += b"x"
    with pytest.raises(pc.DigestMismatch):
        write(image, form, tmp_path / "archive", NAME)
    with pytest.raises(KeyError), archives.ArchiveWriter(tmp_path / "archive", form):
        raise KeyError
    assert tree(tmp_path) == {"archive": b"before"}
    write(Image(), form, tmp_path / "archive", NAME)
    assert os.listdir(tmp_path) == ["archive"]
    with pytest.raises(pc.Error, match="ENOENT"):
        archives.ArchiveWriter(tmp_path / "nowhere/archive", form)


def test_a_link_to_an_archive_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/archive")
    write(Image(), "oci-archive", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == ["archive"]


def test_a_docker_archive_has_one_platform(tmp_path):
    both = Index(Image(architecture="amd64"), Image(architecture="arm64"))
    with pytest.raises(pc.Unsupported, match="one platform"):
        write(both, "docker-archive", tmp_path / "archive", NAME)
    write(both, "docker-archive", tmp_path / "archive", NAME, platform=parse_platform("linux/arm64"))
    assert json.loads(read("docker-archive", tmp_path / "archive")[0])["architecture"] == "arm64"


def test_a_docker_archive_checks_what_the_configuration_says(tmp_path):
    image = Image()
    for diff_ids in ([], [sha256(b"other")], [sha256(image.layers[0])] * 2):
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
        wrong = Image()
        described = {"mediaType": spec.CONFIG, "digest": sha256(config), "size": len(config)}
        wrong.blobs[sha256(config)] = config
        wrong.text = json.dumps({**json.loads(wrong.text), "config": described}).encode()
        with pytest.raises(pc.ImageError, match="configuration says"):
            write(wrong, "docker-archive", tmp_path / "archive", NAME)
    assert os.listdir(tmp_path) == []


def made(form):
    out = io.BytesIO()
    write(Image(), form, out, NAME)
    return out.getvalue()


GOOD = {form: made(form) for form in FORMS}


# -- what others made ----------------------------------------------------------------------------------------------

LAYER = tar(("file", b"content"))
IMAGE = Image(LAYER)
ITEM = {"Config": "config.json", "RepoTags": ["x:t"], "Layers": ["l/layer.tar"]}
FILES = ("config.json", IMAGE.config), ("l/layer.tar", LAYER)


def loaded(data, name=None):
    with archives.open_archive(io.BytesIO(data), "docker-archive") as archive:
        return content(archive.source(name))


def test_an_archive_of_docker_save():
    assert loaded(docker_archive([ITEM], *FILES)) == (IMAGE.config, [LAYER])
    assert loaded(docker_archive([{**ITEM, "RepoTags": None}], *FILES)) == (IMAGE.config, [LAYER])
    linked = [("config.json", Image(LAYER, LAYER).config), FILES[1], link("m/layer.tar", "../l/layer.tar")]
    twice = {**ITEM, "Layers": ["l/layer.tar", "m/layer.tar"]}
    assert loaded(docker_archive([twice], *linked))[1] == [LAYER, LAYER]


def test_layers_that_other_tools_compress():
    packed = gzip.compress(LAYER)
    assert loaded(docker_archive([ITEM], FILES[0], ("l/layer.tar", packed))) == (IMAGE.config, [packed])
    with pytest.raises(pc.ImageError, match="compressed with xz"):
        loaded(docker_archive([ITEM], FILES[0], ("l/layer.tar", b"\xfd7zXZ\0 and so on")))


def test_what_is_besides_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = [("../../outer", b"x"), link("esc", str(tmp_path)), ("esc/outer", b"x"), (f"{tmp_path}/absolute", b"x")]
    assert loaded(docker_archive([ITEM], *FILES, *evil)) == (IMAGE.config, [LAYER])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("images", "files", "reason"),
    [
        ([{**ITEM, "Config": "../../secret"}], FILES, "no such file in the archive"),
        ([{**ITEM, "Config": "/etc/hostname"}], FILES, "no such file in the archive"),
        ([{**ITEM, "Layers": ["../layer.tar"]}], FILES, "no such file in the archive"),
        ([ITEM], (FILES[0], link("l/layer.tar", "/etc/hostname")), "no such file in the archive"),
        ([ITEM], (FILES[0], link("l/layer.tar", "../../etc/hostname")), "no such file in the archive"),
        ([ITEM], (FILES[0], link("l/layer.tar", "/etc/hostname", tarfile.LNKTYPE)), "no such file in the archive"),
        ([ITEM], (*FILES, FILES[1]), "twice in the archive"),
        ([{**ITEM, "Layers": []}], FILES, "0 layers, the configuration says 1"),
        ([{**ITEM, "Layers": ["l/layer.tar"] * 1001}], FILES, "1001 layers"),
        ([{**ITEM, "RepoTags": ["../../evil:t"]}], FILES, "RepoTags"),
        ([{**ITEM, "RepoTags": ["x:t", "-rf:/"]}], FILES, r"RepoTags\[1\]"),
        ([{**ITEM, "RepoTags": ["A\nB:t"]}], FILES, "RepoTags"),
        ([{**ITEM, "RepoTags": ["x@sha256:zz"]}], FILES, "RepoTags"),
        ([{**ITEM, "RepoTags": "x:t"}], FILES, "RepoTags is no list"),
        ([{**ITEM, "Layers": [1]}], FILES, "Layers is no list"),
        ([{**ITEM, "Config": None}], FILES, "Config is None"),
        ([None], FILES, "no object"),
        ({}, FILES, "no list of images"),
        ([], FILES, "0 images"),
        ([ITEM], (("config.json", b"{}"), FILES[1]), "property"),
        ([ITEM], (("config.json", b"[" * 10**6), FILES[1]), "nested too deeply"),
    ],
)
def test_archives_that_are_refused(images, files, reason):
    with pytest.raises(pc.Error, match=reason):
        loaded(docker_archive(images, *files))


def test_a_layer_that_is_another():
    with archives.open_archive(
        io.BytesIO(docker_archive([ITEM], FILES[0], ("l/layer.tar", LAYER[:-1] + b"x")))
    ) as found:
        out = io.BytesIO()
        with pytest.raises(pc.DigestMismatch):
            write(found.source(), "oci-archive", out)
        assert out.getvalue() == b""


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", pc.ImageError),
        (b"no tar at all" * 100, pc.ImageError),
        (tar(), pc.ImageError),
        (tar(("file", b"")), pc.ImageError),
        (tar(("repositories", b"{}")), pc.Unsupported),
        (tar(("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')), pc.ImageNotFound),
        (tar(("oci-layout", b"{}"), ("index.json", b"{}")), pc.ImageError),
        (tar(("manifest.json", b"<html>")), pc.InvalidConfig),
    ],
)
def test_what_is_no_archive_of_images(data, kind):
    for origin in (io.BytesIO(data), io.BytesIO(gzip.compress(data))):
        with pytest.raises(kind):
            archives.open_archive(origin)


def test_a_blob_of_an_oci_archive_that_leads_out(tmp_path):
    image = Image()
    write(image, "oci-archive", tmp_path / "archive")
    found = members((tmp_path / "archive").read_bytes())
    name = next(name for name in found if sha256(image.config).split(":")[1] in name)
    del found[name]
    (tmp_path / "archive").write_bytes(tar(*found.items(), link(name, "/etc/hostname")))
    with pytest.raises(pc.ImageNotFound):
        read("oci-archive", tmp_path / "archive")


def test_a_name_that_two_images_have():
    other = Image(LAYER, User="other")
    files = *FILES, ("other.json", other.config)
    data = docker_archive([ITEM, {**ITEM, "Config": "other.json"}], *files)
    with pytest.raises(pc.ImageError, match="several images"):
        loaded(data, "x:t")
    assert loaded(data, "@1") == (other.config, [LAYER])


@hypothesis.given(st.sampled_from(FORMS), st.data())
def test_whatever_it_holds_it_is_read_or_refused(form, data):
    spoiled = bytearray(GOOD[form])
    for _ in range(data.draw(st.integers(1, 5))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    try:
        with archives.open_archive(io.BytesIO(bytes(spoiled))) as archive:
            for name in archive.names():
                copy(archive.source(name), archives.destination(location(form, "-", NAME), io.BytesIO()))
    except pc.Error:
        pass


def test_another_transport(tmp_path):
    with pytest.raises(pc.InvalidConfig):
        archives.source(location("dir", tmp_path))
