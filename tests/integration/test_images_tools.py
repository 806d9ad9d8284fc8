"""Layouts, archives and directories of images: what we write other tools read, what they write we read."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from pycgroups.images import archives, directory, layouts
from pycgroups.images.copying import copy
from tests.images import Image, Index, content, location, sha256, tar
from tests.podman import Podman

NAME = "docker.io/library/debian:13"
TRANSPORTS = {"oci": layouts, "oci-archive": archives, "docker-archive": archives, "dir": directory}
KEEPING = ["oci", "oci-archive", "dir"]
"Those that keep the manifest as it is."
slow_in_vm = pytest.mark.slow_in_vm("programs in Go, which ask little of the kernel")


@pytest.fixture
def image():
    return Image(tar(("etc/hostname", b"box\n")), tar(("big", os.urandom(300_000))), Cmd=["sh"], Env=["A=1"])


def write(image, transport, path, name=None):
    return copy(image, TRANSPORTS[transport].destination(location(transport, path, name)))


def read(transport, path, name=None):
    """The manifest, and the configuration and the layers, each of them checked."""
    source = TRANSPORTS[transport].source(location(transport, path, name))
    try:
        return source.manifest()[0], *content(source)
    finally:
        source.close()


@pytest.fixture
def skopeo(scratch):
    (scratch / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def run(*words):
        settings = [f"--policy={scratch}/policy.json", f"--tmpdir={scratch}", f"--registries.d={scratch}"]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "CONTAINERS_REGISTRIES_CONF": "/dev/null"}
        done = subprocess.run(["skopeo", *settings, *words], env=env, cwd=scratch, capture_output=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    return run


@pytest.mark.requires("skopeo")
@slow_in_vm
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_skopeo_reads_what_we_write(scratch, skopeo, image, transport):
    name = None if transport == "dir" else NAME
    write(image, transport, scratch / "ours", name)
    place = f"{transport}:ours{f':{name}' if name else ''}"
    skopeo("copy", "--preserve-digests", place, "dir:theirs")
    _, config, layers = read("dir", scratch / "theirs")
    if transport == "docker-archive":
        assert (config, layers) == (image.config, list(image.layers))
    else:
        assert skopeo("inspect", "--raw", place) == image.text
        assert [config, *layers] == list(image.blobs.values())
        assert read("dir", scratch / "theirs")[0] == image.text


@pytest.mark.requires("skopeo")
@slow_in_vm
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_we_read_what_skopeo_writes(scratch, skopeo, image, transport):
    name = None if transport == "dir" else NAME
    write(image, "oci", scratch / "ours", "one")
    skopeo("copy", "oci:ours:one", f"{transport}:theirs{f':{name}' if name else ''}")
    for asked in {name, None}:
        manifest, config, layers = read(transport, scratch / "theirs", asked)
        assert config == image.config
        if transport == "docker-archive":
            assert layers == list(image.layers)
        else:
            assert manifest == image.text
            assert layers == list(image.blobs.values())[1:]


@pytest.mark.requires("skopeo")
@slow_in_vm
@pytest.mark.parametrize("transport", KEEPING)
def test_all_platforms(scratch, skopeo, transport):
    both = Index(Image(architecture="amd64"), Image(tar(("x", b"")), architecture="arm64"))
    write(both, transport, scratch / "ours")
    skopeo("copy", "--all", f"{transport}:ours", f"{transport}:theirs")
    source = TRANSPORTS[transport].source(location(transport, scratch / "theirs"))
    assert source.manifest()[0] == both.text
    for digest, image in both.images.items():
        assert source.manifest(digest)[0] == image.text
    source.close()


@pytest.mark.requires("skopeo")
@slow_in_vm
def test_writers_in_turn(scratch, skopeo, image):
    """What is in a layout stays, whoever writes the next one into it."""
    other = Image(tar(("other", b"")))
    write(image, "oci", scratch / "shared", "ours")
    write(other, "oci", scratch / "other", "one")
    skopeo("copy", "oci:other:one", "oci:shared:theirs")
    write(other, "oci", scratch / "shared", "ours-too")
    assert read("oci", scratch / "shared", "ours")[0] == image.text
    assert read("oci", scratch / "shared", "theirs")[0] == other.text
    assert skopeo("inspect", "--raw", "oci:shared:ours-too") == other.text


@pytest.mark.requires("umoci")
@slow_in_vm
def test_umoci(scratch, image):
    write(image, "oci", scratch / "layout", "ours")

    def umoci(*words):
        done = subprocess.run(["umoci", *words], cwd=scratch, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    assert umoci("ls", "--layout", "layout") == "ours\n"
    umoci("unpack", "--rootless", "--image", "layout:ours", "bundle")
    assert (scratch / "bundle/rootfs/etc/hostname").read_bytes() == b"box\n"
    (scratch / "bundle/rootfs/new").write_bytes(b"new")
    umoci("repack", "--image", "layout:theirs", "bundle")
    _, config, layers = read("oci", scratch / "layout", "theirs")
    assert layers[:2] == list(image.blobs.values())[1:]
    assert len(json.loads(config)["rootfs"]["diff_ids"]) == len(layers) == 3
    assert read("oci", scratch / "layout", "ours")[0] == image.text
    umoci("gc", "--layout", "layout")
    assert read("oci", scratch / "layout", "ours")[0] == image.text


@pytest.mark.requires("podman", "userns")
@slow_in_vm
@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_podman_loads_and_saves(scratch, form):
    images = {f"localhost/{name}:1": Image(tar(("f", b"")), tar((name, b""))) for name in ("one", "two")}
    with archives.ArchiveWriter(scratch / "ours", form) as writer:
        for name, image in images.items():
            copy(image, writer.destination(name))
    with Podman() as podman:
        if form == "docker-archive":
            podman("load", "--input", scratch / "ours")
        else:  # podman takes one image of an oci-archive
            for name, image in images.items():
                write(image, form, scratch / "single", name)
                podman("load", "--input", scratch / "single")
        for name, image in images.items():
            assert podman("image", "inspect", "--format", "{{.Id}}", name).strip() == sha256(image.config)[7:]
            podman("save", "--format", form, "--output", scratch / f"{image.digest[7:]}", name)
            _, config, layers = read(form, scratch / image.digest[7:], name)
            assert config == image.config
            assert len(layers) == 2
        podman("save", "--multi-image-archive", "--output", scratch / "both", *images)
        with archives.open_archive(scratch / "both") as archive:
            assert sorted(archive.names()) == sorted(images)
            for name, image in images.items():
                assert content(archive.source(name)) == (image.config, list(image.layers))
