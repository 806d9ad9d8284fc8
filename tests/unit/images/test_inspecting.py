"""What an image elsewhere is: manifests and the configuration, and not one layer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups.images.inspecting import inspect
from pycgroups.images.platforms import parse_platform
from tests.images import Image, Index, tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.oci.image_spec import Descriptor


class NoLayers(Image):
    def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
        assert blob.digest == json.loads(self.text)["config"]["digest"], "a layer was fetched"
        yield from super().blob(blob, start)


def test_an_image() -> None:
    image = NoLayers(tar(("a", b"x")), Cmd=["sh"])
    facts = inspect(image)
    assert facts["digest"] == facts["manifestDigest"] == image.digest
    assert facts["config"]["config"] == {"Cmd": ["sh"]}
    json.dumps(facts)


def test_an_index() -> None:
    amd, arm = NoLayers(tar(("a", b"x"))), NoLayers(tar(("a", b"y")), architecture="arm64")
    index = Index(amd, arm)
    facts = inspect(index, parse_platform("arm64"))
    assert facts["digest"] == index.digest
    assert facts["manifestDigest"] == arm.digest
    assert facts["config"]["architecture"] == "arm64"
    assert len(facts["index"]["manifests"]) == 2
    with pytest.raises(pc.ImageNotFound):
        inspect(index, parse_platform("s390x"))


def test_another_configuration() -> None:
    class Other(Image):
        def blob(self, blob: Descriptor, start: int = 0) -> Iterator[bytes]:
            while True:
                yield b"other"

    with pytest.raises(pc.DigestMismatch):
        inspect(Other(tar(("a", b"x"))))


@pytest.mark.parametrize("text", [b"", b"{}", b"[]"])
def test_no_manifest(text: bytes) -> None:
    image = Image(tar(("a", b"x")))
    image.text = text
    with pytest.raises(pc.ImageError):
        inspect(image)
