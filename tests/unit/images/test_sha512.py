"""Manifests that an index names by their sha512 keep that name, wherever they are copied to."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images import archives, directory, layouts, registry
from pycgroups.images.copying import copy
from pycgroups.images.platforms import parse_platform
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions
from tests.images import Image, Index, content, location, tar
from tests.registry.memory import Memory
from tests.registry.misbehaving import NAME, Registry

TRANSPORTS = {"oci": layouts, "oci-archive": archives, "dir": directory}


@pytest.fixture
def both():
    return Index(Image(architecture="amd64"), Image(tar(("x", b"")), architecture="arm64"), algorithm="sha512")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_there_and_back(tmp_path, both, transport):
    place = location(transport, tmp_path / "there")
    assert copy(both, TRANSPORTS[transport].destination(place)).digest == both.digest
    source = TRANSPORTS[transport].source(place)
    assert source.manifest()[0] == both.text
    for digest, image in both.images.items():
        assert source.manifest(digest)[0] == image.text
    here = Memory()
    copy(source, here)
    source.close()
    assert set(here.manifests) == {both.digest, *both.images}


def test_one_of_them_in_a_docker_archive(tmp_path, both):
    place = location("docker-archive", tmp_path / "there", "box:1")
    copy(both, archives.destination(place), platform=parse_platform("linux/arm64"))
    source = archives.source(place)
    assert content(source)[1] == [tar(("x", b""))]
    source.close()


def test_to_a_registry(both):
    with Registry() as server:
        reference = Reference.parse(server.reference)
        copy(both, registry.destination(reference, options=RegistryOptions(registries_conf="/dev/null")))
        put = [path for method, path, _ in server.requests if (method, "manifests" in path) == ("PUT", True)]
        assert put == [*(f"/v2/{NAME}/manifests/{digest}" for digest in both.images), f"/v2/{NAME}/manifests/1"]


@pytest.mark.parametrize("module", [layouts, directory])
def test_another_manifest_than_the_digest_says(tmp_path, both, module):
    there = module.destination(location("oci" if module is layouts else "dir", tmp_path / "there"))
    with pytest.raises(pc.DigestMismatch, match="sha512"):
        there.put_manifest(both.text, both.media_type, top=False, digest=next(iter(both.images)))
    there.close(failed=True)
