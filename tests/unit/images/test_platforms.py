"""Which image of an index fits."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images.platforms import choose, host_platform, parse_platform, shown_platform
from pycgroups.oci.image_spec import MANIFEST, Descriptor, Index, Platform


def index(*platforms: str | None) -> Index:
    return Index(
        schema_version=2,
        manifests=tuple(
            Descriptor(
                media_type=MANIFEST,
                digest=f"sha256:{number:064x}",
                size=1,
                platform=None if text is None else parse_platform(text),
            )
            for number, text in enumerate(platforms)
        ),
    )


@pytest.mark.parametrize(
    ("there", "wanted", "position"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", 1),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", 1),
        (["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", 1),
        (["linux/amd64", "linux/amd64/v2"], "linux/amd64/v3", 1),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 2),
        (["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", 0),
        (["linux/arm64/v8"], "linux/arm64", 0),
        (["linux/arm64"], "linux/arm64/v8", 0),
        (["unknown/unknown", "linux/amd64"], "amd64", 1),
        (["linux/amd64"], "x86_64", 0),
        ([None], "linux/amd64", 0),
    ],
)
def test_the_best_that_fits(there: list[str | None], wanted: str, position: int) -> None:
    assert choose(index(*there), parse_platform(wanted), "x").digest == f"sha256:{position:064x}"


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["linux/arm64"], "linux/amd64"),
        (["windows/amd64"], "linux/amd64"),
        (["linux/arm/v7"], "linux/arm/v6"),
        ([], "linux/amd64"),
        ([None, None], "linux/amd64"),
    ],
)
def test_none_fits(there: list[str | None], wanted: str) -> None:
    with pytest.raises(pc.ImageNotFound) as caught:
        choose(index(*there), parse_platform(wanted), "the/image")
    assert "the/image" in str(caught.value)


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux/amd 64\n", "toaster", 5])
def test_no_platform(text: object) -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        parse_platform(text)  # type: ignore[arg-type]
    assert caught.value.path == "platform"


def test_this_machine() -> None:
    assert host_platform().os == "linux"
    assert parse_platform(None) == host_platform()
    assert parse_platform(shown_platform(host_platform())) == host_platform()
    assert shown_platform(Platform(os="linux", architecture="arm", variant="v7")) == "linux/arm/v7"


@pytest.mark.parametrize(
    ("word", "system", "architecture"),
    [
        ("linux", "linux", None),
        ("Windows", "windows", None),
        ("arm64", "linux", "arm64"),
        ("AARCH64", "linux", "arm64"),
        ("riscv64", "linux", "riscv64"),
    ],
)
def test_one_word(word: str, system: str, architecture: str | None) -> None:
    here = host_platform()
    found = parse_platform(word)
    assert found.os == system
    if architecture is None:
        assert (found.architecture, found.variant) == (here.architecture, here.variant)
    else:
        assert (found.architecture, found.variant) == (architecture, None)
