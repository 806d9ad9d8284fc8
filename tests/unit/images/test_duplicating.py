"""Copies of upper directories, as far as this user can make such."""

from __future__ import annotations

import os
import socket
import stat

import pytest

import pycgroups as pc
from pycgroups.images.duplicating import duplicate

WHEN = 1_000_000_000_123_456_789


@pytest.fixture
def upper(tmp_path):
    path = tmp_path / "upper"
    (path / "dir/inner").mkdir(parents=True)
    (path / "dir/file").write_bytes(b"content")
    os.link(path / "dir/file", path / "linked")
    os.symlink("/etc/passwd", path / "dir/link")
    os.mkfifo(path / "fifo")
    for name in ("gone", "dir/gone"):
        os.mknod(path / name, stat.S_IFCHR | 0o600, 0)
    os.link(path / "gone", path / "gone too")  # overlayfs makes them so
    os.setxattr(path / "dir", "user.overlay.opaque", b"y")
    os.setxattr(path / "linked", "user.word", b"\0")
    with (path / "sparse").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"x")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path / "s"))
    (path / "dir/inner").chmod(0o1750)
    (path / "dir/file").chmod(0o4711)
    for name in ("dir/inner", "dir/file", "dir", "sparse", "fifo", "."):
        os.utime(path / name, ns=(WHEN, WHEN))
    return path


def seen(path):
    """All that a tree is, but for numbers that have to differ."""
    found = {}
    for place, directories, files in os.walk(path):
        for name in (".", *directories, *files):
            one = os.path.join(place, name)
            facts = os.lstat(one)
            attributes = (
                {} if stat.S_ISLNK(facts.st_mode) else {key: os.getxattr(one, key) for key in os.listxattr(one)}
            )
            is_whiteout = stat.S_ISCHR(facts.st_mode)
            found[os.path.relpath(one, path)] = (
                stat.S_IFMT(facts.st_mode) if is_whiteout else facts.st_mode,
                (facts.st_uid, facts.st_gid, facts.st_rdev),
                None if stat.S_ISDIR(facts.st_mode) else facts.st_size,
                facts.st_nlink if stat.S_ISREG(facts.st_mode) else None,
                facts.st_mtime_ns if facts.st_mtime_ns == WHEN else None,
                attributes,
                os.readlink(one) if stat.S_ISLNK(facts.st_mode) else None,
            )
    return found


@pytest.mark.parametrize("owner", ["kept", "caller"])
def test_all_that_a_tree_is(owner, upper, tmp_path):
    duplicate(str(upper), str(tmp_path / "copy"), owner)
    assert seen(tmp_path / "copy") == seen(upper)
    assert (tmp_path / "copy/linked").samefile(tmp_path / "copy/dir/file")
    assert (tmp_path / "copy/linked").read_bytes() == b"content"
    assert (tmp_path / "copy/sparse").read_bytes() == (upper / "sparse").read_bytes()
    assert (tmp_path / "copy/sparse").stat().st_blocks * 512 < 1_000_000


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        duplicate(str(tmp_path / "none"), str(tmp_path / "copy"), "kept")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError):
        duplicate(str(tmp_path), str(tmp_path / "there"), "kept")


def test_attributes_that_are_refused_are_an_error(upper, tmp_path, monkeypatch):
    from pycgroups.images import xattrs

    monkeypatch.setattr(xattrs, "read", lambda *_, **__: {b"system.none": b"y"})
    with pytest.raises(pc.Error, match="extended attributes"):
        duplicate(str(upper), str(tmp_path / "copy"), "caller")
