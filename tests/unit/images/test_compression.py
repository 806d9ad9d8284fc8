"""Compressed layers: of several members and frames, damaged, cut off, and other than their media type says."""

from __future__ import annotations

import gzip
import itertools
import random
import tracemalloc
import zlib

import pytest

import pycgroups as pc
from pycgroups.images import compression
from pycgroups.images.compression import compressor, decompress, zstd
from tests.tars import chunked

DATA = random.Random(5).randbytes(200_000) + bytes(1_000_000)
TYPE = "application/vnd.oci.image.layer.v1.tar"
TYPES = {None: TYPE, "gzip": f"{TYPE}+gzip", "zstd": f"{TYPE}+zstd"}
KINDS = ["gzip", "zstd"]


@pytest.fixture(params=["isal", "zlib"])
def inflate(request, monkeypatch):
    """Both libraries; the second is there when the first is not."""
    if request.param == "zlib":
        monkeypatch.setitem(__import__("sys").modules, "isal", None)


def packed(kind, data=DATA):
    if kind is None:
        return data
    return gzip.compress(data) if kind == "gzip" else zstd().compress(data)


def unpacked(data, media_type, size=10_000):
    return b"".join(decompress(chunked(data, size), media_type))


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("size", [1, 1000, 10**7])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_chunks_of_any_size(kind, size):
    data = DATA[:3000] if size == 1 else DATA
    assert unpacked(packed(kind, data), TYPES[kind], size) == data


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/vnd.docker.image.rootfs.diff.tar", None),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "zstd"),
    ],
)
def test_media_types(media_type, kind):
    assert unpacked(packed(kind), media_type) == DATA


@pytest.mark.parametrize("media_type", ["", "text/html", "application/vnd.oci.image.layer.v1.tar+xz", "tar+gzip"])
def test_unknown_media_types(media_type):
    with pytest.raises(pc.ImageError):
        decompress(iter([DATA]), media_type)


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("size", [1, 1000, 10**7])
@pytest.mark.parametrize("kind", KINDS)
def test_members_and_frames(kind, size):
    data = packed(kind, b"one") + packed(kind, b"") + packed(kind, b"three")
    assert unpacked(data, TYPES[kind], size) == b"onethree"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_frames_that_are_skipped(at):
    frames = [packed("zstd", b"one"), packed("zstd", b"two")]
    frames.insert(at, b"\x5a\x2a\x4d\x18" + (300).to_bytes(4, "little") + bytes(300))
    assert unpacked(b"".join(frames), TYPES["zstd"], 7) == b"onetwo"


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0001, 0.5, 0.9999])
def test_cut_off(kind, share):
    data = packed(kind)
    with pytest.raises(pc.ImageError, match="cut off"):
        unpacked(data[: max(5, int(share * len(data)))], TYPES[kind])


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [b"\0", b"garbage", bytes(5000), b"\x1f", b"\x28\xb5\x2f"])
def test_something_follows(kind, rest):
    with pytest.raises(pc.ImageError):
        unpacked(packed(kind) + rest, TYPES[kind])


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(kind):
    """Every byte of some: noticed, or without meaning, as the time in gzip's header is."""
    data = packed(kind, b"some data that is compressed " * 3)
    if kind == "zstd":
        options = {zstd().CompressionParameter.checksum_flag: 1}
        data = zstd().compress(b"some data that is compressed " * 3, options=options)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x10
        try:
            assert unpacked(bytes(broken), TYPES[kind]) == b"some data that is compressed " * 3
        except pc.ImageError:
            continue


@pytest.mark.parametrize(("kind", "other"), list(itertools.permutations([None, *KINDS], 2)))
def test_other_than_the_media_type_says(kind, other):
    with pytest.raises(pc.ImageError, match="of the media type"):
        decompress(iter([packed(kind)]), TYPES[other])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_no_layer(kind):
    with pytest.raises(pc.ImageError):
        decompress(iter([]), TYPES[kind])


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_bounded(kind):
    data = packed(kind, bytes(100 * 2**20))
    tracemalloc.start()
    total = sum(map(len, decompress(iter([data]), TYPES[kind])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 100 * 2**20
    assert peak < 4 * 2**20


@pytest.mark.usefixtures("inflate")
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_compressed_and_back(kind):
    def made():
        one = compressor(kind)
        return b"".join(map(one.compress, chunked(DATA, 7000))) + one.flush()

    assert unpacked(made(), TYPES[kind]) == DATA
    assert made() == made()


def test_without_a_package_for_zstd(monkeypatch):
    modules = __import__("sys").modules
    for name in ("compression", "backports", "backports.zstd"):
        monkeypatch.setitem(modules, name, None)
    with pytest.raises(pc.Unsupported, match=r"pycgroups\[images\]"):
        decompress(iter([b"\x28\xb5\x2f\xfd"]), TYPES["zstd"])


def test_zlib_is_what_is_left_without_isal(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "isal", None)
    assert compression._gzip()[1] is zlib.error
