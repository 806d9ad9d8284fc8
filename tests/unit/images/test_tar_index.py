"""The tar around an image: read strictly, or not at all."""

from __future__ import annotations

import io
import os
import tarfile

import hypothesis
import hypothesis.strategies as st
import pytest

import pycgroups as pc
from pycgroups.images.files import read
from pycgroups.images.tar_index import TarFiles, entries, plain
from tests.images import link, tar


def files(data):
    fd = os.memfd_create("archive")
    os.write(fd, data)
    return TarFiles(fd, "archive.tar")


def listed(data):
    fd = os.memfd_create("archive")
    try:
        os.write(fd, data)
        return [(os.fsdecode(entry.name), entry.kind, entry.size) for entry, _ in entries(fd, "archive.tar")]
    finally:
        os.close(fd)


def header(*, name=b"a", size=b"%011o\0" % 0, kind=b"0", link=b"", magic=b"ustar\x0000", prefix=b""):
    """A header as it should be, but for what is given."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"0000644\0" * 3
    block[124 : 124 + len(size)] = size
    block[136:148] = b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records, kind=b"x"):
    content = b"".join(_record(key, value) for key, value in records)
    return header(size=b"%011o\0" % len(content), kind=kind) + padded(content)


def _record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def padded(content):
    return content + bytes(-len(content) % 512)


END = bytes(1024)
CONTENT = padded(b"content")


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tar_makes(kind):
    made = {"a": b"1", "d/b": b"2" * 512, f"{'d' * 90}/{'e' * 90}": b"3" * 513, "./c": b""}
    if kind != tarfile.USTAR_FORMAT:
        made["f" * 300] = b"4"
    archive = files(tar(*made.items(), kind=kind))
    for name, content in made.items():
        assert read(archive, name.removeprefix("./"), 1000) == content
        assert b"".join(archive.chunks(name, 1)) == content[1:]
    assert "c" in archive
    assert "nothing" not in archive
    with pytest.raises(pc.ImageNotFound):
        archive.size("nothing")
    archive.close()


def test_numbers():
    big = b"\x80" + (7).to_bytes(11, "big")
    for size in (b"%011o\0" % 7, b"0000007 ", b"      7\0", big):
        assert listed(header(size=size) + CONTENT + END) == [("a", b"0", 7)]
    assert listed(pax((b"size", b"7")) + header() + CONTENT + END) == [("a", b"0", 7)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"<html>" * 100, "wrong checksum"),
        (b"x", "cut off"),
        (header(), "cut off"),
        (header(size=b"%011o\0" % 7), "cut off"),
        (header(size=b"%011o\0" % 7) + b"content", "cut off"),
        (header(size=b"77777777777\0") + CONTENT + END, "cut off"),
        (header(size=b"\xff" * 12) + CONTENT + END, "a size of -1"),
        (header() + header()[:-1] + b"x" + END, "wrong checksum"),
        (pax((b"path", b"b")) + END, "ends after an extended header"),
        (pax((b"path", b"b"), kind=b"g") + header() + END, "a global pax header"),
        (header(kind=b"L", size=b"77777777777\0") + END, "an extended header of"),
    ],
)
def test_what_is_refused(data, reason):
    with pytest.raises(pc.ImageError, match=reason):
        listed(data)
    with pytest.raises(pc.ImageError, match=reason):
        files(data)


def test_a_sparse_file():
    """Which is none of an archive of images; in a layer they are."""
    said = pax((b"GNU.sparse.map", b"0,7"), (b"GNU.sparse.size", b"99"))
    archive = files(said + header(size=b"%011o\0" % 7) + CONTENT + END)
    with pytest.raises(pc.ImageError, match="a sparse file"):
        archive.size("a")
    archive.close()


def test_the_data_is_not_read(monkeypatch):
    data, read = tar(("a", bytes(10**7)), ("b", b"content")), 0
    pread = os.pread

    def counted(fd, size, at):
        nonlocal read
        read += size
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", counted)
    assert [name for name, _, _ in listed(data)] == ["a", "b"]
    assert read < 10**6


def test_a_size_that_is_said_twice_counts_as_pax_says():
    """CVE-2025-62518: what is content to one reader would be entries to another."""
    inner = header(name=b"smuggled")
    assert listed(pax((b"size", b"512")) + header() + inner + header(name=b"b") + END) == [
        ("a", b"0", 512),
        ("b", b"0", 0),
    ]


def test_what_comes_after_the_end_mark_is_hidden():
    assert listed(header() + END + header(name=b"b") + END) == [("a", b"0", 0)]


def test_harmless_things():
    comment = pax((b"comment", b"of git"), kind=b"g")
    long_names = header(kind=b"L", size=b"%011o\0" % 4) + padded(b"abc\0")
    assert listed(comment + long_names + header() + END) == [("abc", b"0", 0)]
    assert listed(header(magic=b"\0" * 8) + END) == [("a", b"0", 0)]
    assert listed(header(prefix=b"p") + END) == [("p/a", b"0", 0)]
    assert listed(header(kind=b"\0") + END) == [("a", b"0", 0)]


def test_links_stay_in_the_archive():
    archive = files(
        tar(
            ("d/file", b"content"),
            link("d/near", "file"),
            link("e/far", "../d/./near"),
            link("hard", "d/file", tarfile.LNKTYPE),
            link("out", "../../etc/passwd"),
            link("absolute", "/d/file"),
            link("d/absolute", "/d/file"),
            link("loop", "loop"),
            link("dangling", "nowhere"),
        )
    )
    for name in ("d/near", "e/far", "hard"):
        assert read(archive, name, 100) == b"content"
    for name in ("out", "absolute", "d/absolute", "dangling", "../etc/passwd", "/d/file"):
        with pytest.raises(pc.ImageNotFound):
            read(archive, name, 100)
    with pytest.raises(pc.ImageError, match="too many links"):
        read(archive, "loop", 100)
    archive.close()


def test_a_name_that_is_there_twice():
    archive = files(tar(("a", b"1"), ("./a", b"2"), ("b", b"3")))
    with pytest.raises(pc.ImageError, match="twice"):
        read(archive, "a", 100)
    assert read(archive, "b", 100) == b"3"
    archive.close()


def test_a_file_that_is_too_large():
    archive = files(tar(("a", b"12345")))
    with pytest.raises(pc.ImageError, match="5 bytes, allowed: up to 4"):
        read(archive, "a", 4)
    archive.close()


def test_too_many_files(monkeypatch):
    monkeypatch.setattr("pycgroups.images.tar_index._MOST_ENTRIES", 3)
    files(tar(*[(name, b"") for name in "abc"])).close()
    with pytest.raises(pc.ImageError, match="more than 3 files"):
        files(tar(*[(name, b"") for name in "abcd"]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", "a"), ("./a//b/.", "a/b"), ("a/../b", "b"), ("..", None), ("a/../../b", None), ("/a", None), ("", "")],
)
def test_plain_names(name, expected):
    assert plain(name) == expected


GOOD = pax((b"path", b"x"), (b"size", b"7")) + header() + CONTENT
GOOD += tar(("a", b"1" * 600), ("b" * 200, b"2"), link("c", "a"), kind=tarfile.GNU_FORMAT)


@hypothesis.given(st.data())
def test_whatever_it_holds_it_is_read_or_refused(data):
    spoiled = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    cut = spoiled[: data.draw(st.integers(0, len(GOOD)))]
    try:
        for _, _, size in listed(bytes(cut)):
            assert 0 <= size <= len(cut)
    except pc.ImageError:
        pass


def test_the_same_as_tarfile_where_both_read():
    data = tar(*[(f"{number}/{'n' * number}", b"c" * number) for number in range(1, 120)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert listed(data) == [(member.name, b"0", member.size) for member in archive]
