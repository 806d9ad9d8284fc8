"""Digests: parsed with suspicion, hashed by hashlib."""

from __future__ import annotations

import hashlib

import pytest

import pycgroups as pc
from pycgroups.images.digest import Digest, check


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_parse_and_hash(algorithm: str) -> None:
    text = f"{algorithm}:{hashlib.new(algorithm, b'data').hexdigest()}"
    digest = Digest.parse(text)
    assert str(digest) == text
    made = digest.hash()
    made.update(b"data")
    check(made.hexdigest(), digest, operation="read", path="blob")


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:../x", "md5:00", None, 5]
)
def test_what_is_none(text: object) -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        Digest.parse(text, "layers[0].digest")  # type: ignore[arg-type]
    assert caught.value.path == "layers[0].digest"


def test_other_bytes() -> None:
    with pytest.raises(pc.DigestMismatch) as caught:
        check("b" * 64, Digest("sha256", "a" * 64), operation="read", path="blob")
    assert "a" * 64 in str(caught.value)
    assert "b" * 64 in str(caught.value)
