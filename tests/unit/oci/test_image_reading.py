"""Documents of images: a model, or an error that names the key path."""

from __future__ import annotations

import json

import pytest

import pycgroups as pc
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_image_config, read_manifest

DIGEST = "sha256:" + "a" * 64
BLOB = {"mediaType": spec.LAYER_GZIP, "digest": DIGEST, "size": 10}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": spec.MANIFEST,
    "config": {**BLOB, "mediaType": spec.CONFIG},
    "layers": [BLOB],
}
INDEX = {"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": [{**BLOB, "mediaType": spec.MANIFEST}]}


def text(document: object, **changes: object) -> bytes:
    assert isinstance(document, dict)
    return json.dumps({**document, **changes}).encode()


def test_a_manifest() -> None:
    manifest = read_manifest(text(MANIFEST), spec.MANIFEST)
    assert isinstance(manifest, spec.Manifest)
    assert manifest.layers[0].digest == DIGEST
    assert manifest.config.media_type == spec.CONFIG


def test_an_index_with_platforms() -> None:
    platform = {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "6"}
    index = read_manifest(text(INDEX, manifests=[{**BLOB, "platform": platform}]))
    assert isinstance(index, spec.Index)
    assert index.manifests[0].platform == spec.Platform(architecture="arm64", os="linux", variant="v8", os_version="6")


def test_a_docker_manifest_says_the_same_in_its_own_words() -> None:
    manifest = read_manifest(text(MANIFEST, mediaType=spec.DOCKER_MANIFEST), spec.DOCKER_MANIFEST)
    assert isinstance(manifest, spec.Manifest)


@pytest.mark.parametrize(
    ("document", "said", "words"),
    [
        (MANIFEST, spec.INDEX, "announced as"),
        (INDEX, spec.MANIFEST, "announced as"),
        ({**MANIFEST, "manifests": []}, None, "both a manifest and an index"),
        ({**MANIFEST, "mediaType": spec.INDEX}, None, "has 'layers'"),
        ({**MANIFEST, "layers": None}, None, "the list 'layers' is missing"),
        ({**MANIFEST, "layers": {}}, None, "the list 'layers' is missing"),
        ({**MANIFEST, "layers": [1]}, None, "manifest.layers[0]"),
        ({**MANIFEST, "mediaType": "text/html"}, None, "manifest.mediaType"),
        ({**MANIFEST, "schemaVersion": 1}, None, "manifest.schemaVersion"),
        ({**MANIFEST, "schemaVersion": "2"}, None, "manifest.schemaVersion"),
        ({**MANIFEST, "config": None}, None, "'config' is missing"),
        *(
            ({**MANIFEST, "layers": [{**BLOB, "size": size}]}, None, "manifest.layers[0]")
            for size in (-1, 1.5, "10", None, True, 2**63)
        ),
        *(
            ({**MANIFEST, "layers": [{**BLOB, "digest": digest}]}, None, "manifest.layers[0].digest")
            for digest in ("", "sha256:", "sha256:../../etc/passwd", DIGEST.upper(), DIGEST[:-1], "md5:" + "a" * 32, 5)
        ),
    ],
)
def test_what_is_none(document: dict[str, object], said: str | None, words: str) -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        read_manifest(text(document), said)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff\xfe", b"[]", b"null", b'{"a":' * 5000, b"<html>", b" " * (LARGEST_MANIFEST + 1)]
)
def test_what_is_no_json(damaged: bytes) -> None:
    with pytest.raises(pc.InvalidConfig):
        read_manifest(damaged)


def test_a_configuration() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": "app:app",
            "Env": ["PATH=/bin"],
            "Cmd": ["sh"],
            "Entrypoint": None,
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {"a": "b"},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
        "history": [{"created_by": "COPY . .", "empty_layer": True}],
    }
    image = read_image_config(json.dumps(document).encode())
    assert image.config.user == "app:app"
    assert image.config.entrypoint == ()
    assert [port for port, _ in image.config.exposed_ports] == ["80/tcp"]
    assert image.config.labels == (("a", "b"),)
    assert image.config.healthcheck is not None
    assert image.config.healthcheck.test == ("CMD", "true")
    assert image.rootfs.diff_ids == (DIGEST,)
    assert image.history[0].empty_layer


def test_a_configuration_of_a_wrong_type() -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        read_image_config(text({"architecture": "a", "os": "b", "rootfs": {"type": "layers"}}, config={"Cmd": [1]}))
    assert caught.value.path == "image.config.Cmd[0]"
