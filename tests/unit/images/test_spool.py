"""Archives as they come: files, pipes, compressed or not, broken or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import threading

import pytest

import pycgroups as pc
from pycgroups.images import compression, spool
from tests.images import tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DATA = tar(("random", os.urandom(300_000)), ("zeros", bytes(2_000_000)))
COMPRESS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def taken(origin, **options):
    fd, _ = spool.plain_file(origin, **options)
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def piped(data):
    """A pipe that data comes through; who reads it closes it."""
    reader, writer = os.pipe()

    def write():
        with open(writer, "wb") as pipe:
            try:
                pipe.write(data)
            except BrokenPipeError:
                pass

    threading.Thread(target=write, daemon=True).start()
    return open(reader, "rb")


@pytest.mark.parametrize("kind", COMPRESS)
def test_every_way_in(tmp_path, kind):
    data = COMPRESS[kind](DATA)
    (tmp_path / "archive").write_bytes(data)
    assert taken(tmp_path / "archive") == DATA
    assert taken(str(tmp_path / "archive")) == DATA
    assert taken(io.BytesIO(data)) == DATA
    with open(tmp_path / "archive", "rb") as file:
        assert taken(file) == DATA
        file.seek(0)
        assert file.read() == data
    with piped(data) as pipe:
        assert taken(pipe, directory=str(tmp_path)) == DATA
    with piped(data) as pipe:
        assert taken(f"/proc/self/fd/{pipe.fileno()}") == DATA
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_several_members_and_padding(kind):
    halves = COMPRESS[kind](DATA[:1000]) + COMPRESS[kind](DATA[1000:])
    assert taken(io.BytesIO(halves)) == DATA
    assert taken(io.BytesIO(halves + bytes(1000))) == DATA


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_broken_compression(kind):
    data = COMPRESS[kind](DATA)
    middle = len(data) // 2
    for broken in (data[:-1], data[:middle], data + b"garbage", data[:100] + bytes(1000) + data[1100:]):
        with pytest.raises(pc.ImageError):
            taken(io.BytesIO(broken))


def test_a_stream_is_read_from_where_it_is(tmp_path):
    (tmp_path / "file").write_bytes(b"skipped" + DATA)
    with open(tmp_path / "file", "rb") as file:
        file.seek(len(b"skipped"))
        assert taken(file) == DATA


def test_bounds(tmp_path):
    with pytest.raises(pc.ImageError, match="larger than is allowed"):
        taken(io.BytesIO(gzip.compress(bytes(10**7))), largest=10**6)
    assert taken(io.BytesIO(gzip.compress(bytes(10**6))), largest=10**6) == bytes(10**6)
    (tmp_path / "plain").write_bytes(DATA)
    assert taken(tmp_path / "plain", largest=1) == DATA  # takes no temporary file


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(pc.ImageNotFound):
        taken(tmp_path / "nothing")
    with pytest.raises(pc.Error, match="EISDIR"):
        taken(tmp_path)
    with pytest.raises(pc.InvalidConfig, match="a stream of text"):
        taken(io.StringIO("text"))
    with pytest.raises(pc.Error, match=r"temporary file .*/nowhere: .*ENOENT"):
        taken(io.BytesIO(DATA), directory=str(tmp_path / "nowhere"))


def test_a_bomb_takes_no_memory():
    bomb = bz2.compress(bytes(10**8))
    assert max(map(len, compression.expand(iter([bomb])))) <= 2**20
