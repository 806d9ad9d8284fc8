"""Entries made of files, and written and read again."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pycgroups._native import vfs
from pycgroups.errors import Error, ImageError
from pycgroups.images import entries
from pycgroups.images.entries import Entries, Seen, open_file, walk
from pycgroups.images.tar.reader import Reader
from pycgroups.images.tar.writer import archive


@pytest.fixture
def tree(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def seen(directory, name):
    return Seen(directory, name, name, os.stat(name, dir_fd=directory, follow_symlinks=False))


def test_a_tree_in_order(tree, tmp_path):
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "b/c/d").write_text("")
    (tmp_path / "b.c").write_text("")
    (tmp_path / "b/z").symlink_to("c")
    (tmp_path / "a").write_text("")
    assert [one.path for one in walk(tree)] == [b"", b"a", b"b", b"b/c", b"b/c/d", b"b/z", b"b.c"]
    assert [one.path for one in walk(tree, enters=lambda one: one.path != b"b/c")][3:5] == [b"b/c", b"b/z"]
    with pytest.raises(ImageError):
        list(walk(tree, most=5))


def test_what_becomes_a_link_meanwhile_is_not_followed(tree, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("")
    (tmp_path / "a/y").write_text("")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/z").write_text("")
    found = []
    for one in walk(tree):
        found.append(one.path)
        if one.path == b"a/x":
            os.rename(tmp_path / "a", tmp_path / "gone")
            os.symlink("/etc", tmp_path / "a")
        if one.path == b"b":
            os.rename(tmp_path / "b", tmp_path / "gone too")
            os.symlink("/etc", tmp_path / "b")
    assert found == [b"", b"a", b"a/x", b"a/y", b"b"]
    assert vfs.open_in_root(tree, b"a/passwd", os.O_PATH) < 0


def test_only_files_are_opened(tree, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "dir").mkdir()
    for name in (b"fifo", b"link", b"dir"):
        with pytest.raises(OSError, match=r"address|links|directory"):
            open_file(tree, name)


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (10**6, {}),
        (10**7, {2**20: b"x" * 5000, 2**21: b"y"}),
        (2**20 + 1, {2**20: b"z"}),
        (3 * 2**20, {0: b"begin"}),
        (2**35, {2**34: b"far"}),
    ],
)
def test_holes_are_left_out(tree, tmp_path, size, parts):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(size)
        for at, data in parts.items():
            os.pwrite(file.fileno(), data, at)
    made = Entries(sparse=True).entry(seen(tree, b"sparse"))
    assert made is not None
    packed = b"".join(archive([made]))
    assert len(packed) < 10**5
    reader = Reader(iter([packed]))
    entry = next(reader)
    assert (entry.name, entry.size) == (b"sparse", size)
    pieces = b"".join(chunk[at : at + length] for chunk, at, length in reader.pieces())
    assert len(pieces) == sum(length for _, length in entry.extents or ())
    if size < 10**8:
        with tarfile.open(fileobj=io.BytesIO(packed)) as others, others.extractfile("sparse") as file:
            assert file.read() == (tmp_path / "sparse").read_bytes()


def test_a_file_that_becomes_shorter(tree, tmp_path):
    (tmp_path / "file").write_text("long")
    made = Entries().entry(seen(tree, b"file"))
    assert made is not None
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="shorter"):
        list(made[1])


@pytest.mark.parametrize("sparse", [True, False])
def test_a_file_that_becomes_shorter_is_padded(tree, tmp_path, sparse):
    with open(tmp_path / "file", "wb") as file:
        file.write(b"x" * 600_000)
        if sparse:
            file.truncate(2**21)
    made = Entries(sparse=sparse, padded=True).entry(seen(tree, b"file"))
    assert made is not None
    os.truncate(tmp_path / "file", 5)
    packed = b"".join(archive([made]))
    with tarfile.open(fileobj=io.BytesIO(packed)) as others, others.extractfile("file") as file:
        read = file.read()
    assert len(read) == (2**21 if sparse else 600_000)
    assert read.rstrip(b"\0") == b"x" * 5


def test_files_whose_size_is_not_what_the_kernel_says():
    for directory, name in (
        ("/proc", b"version"),
        ("/proc/self", b"cmdline"),
        ("/sys/kernel/mm/transparent_hugepage", b"enabled"),
    ):
        if not os.path.exists(f"{directory}/{os.fsdecode(name)}"):
            continue
        fd = os.open(directory, os.O_RDONLY)
        try:
            for sparse in (True, False):
                made = Entries(sparse=sparse).entry(seen(fd, name))
                assert made is not None
                content = b"".join(made[1])
                assert content == Path(directory, os.fsdecode(name)).read_bytes()
                assert made[0].size == len(content)
        finally:
            os.close(fd)


def test_what_says_nothing_of_its_size_and_has_no_end(monkeypatch):
    monkeypatch.setattr(entries, "_MOST_UNKNOWN", 100)
    fd = os.open("/proc", os.O_RDONLY)
    try:
        with pytest.raises(Error, match="read sys/meminfo: tells no size, and has more than 100 bytes"):
            Entries().entry(seen(fd, b"meminfo")._replace(path=b"sys/meminfo"))
    finally:
        os.close(fd)


def test_a_file_that_grows_is_as_large_as_it_was(tree, tmp_path):
    (tmp_path / "file").write_text("")
    empty = seen(tree, b"file")
    (tmp_path / "file").write_text("more")
    made = Entries().entry(empty)
    assert made is not None
    assert (made[0].size, b"".join(made[1])) == (0, b"")


@pytest.mark.parametrize("name", [b"file", b"sparse", b"link", b"hard"])
def test_what_vanishes_or_becomes_something_else_has_no_entry(tree, tmp_path, name):
    (tmp_path / "file").write_text("long")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "hard").write_text("")
    os.link(tmp_path / "hard", tmp_path / "other")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**20)
    entries = Entries(sparse=True)
    one = seen(tree, name)
    os.unlink(name, dir_fd=tree)
    assert entries.entry(one) is None
    os.mkfifo(name, dir_fd=tree)
    assert entries.entry(one) is None
    made = entries.entry(seen(tree, b"other"))
    assert made is not None
    assert made[0].target == b""  # and not a link to what is not there


def test_what_is_mounted():
    root = os.open("/", os.O_PATH)
    try:
        assert vfs.is_mounted(root, b"proc") is True
        assert vfs.is_mounted(root) is True
        assert vfs.is_mounted(root, b"etc") is vfs.is_mounted(root, b"nothing") is False
        proc = os.open("/proc", os.O_PATH)
        assert vfs.file_system(proc) == 0x9FA0
        os.close(proc)
    finally:
        os.close(root)
