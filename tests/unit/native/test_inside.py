"""Files of a root that somebody else filled."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pycgroups._native import vfs


def opened(root, path):
    fd = vfs.open_inside(os.fsencode(root), os.fsencode(path))
    if fd < 0:
        return fd
    with open(fd, "rb") as file:
        return file.read()


def test_links_lead_nowhere_else(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "file").write_text("outside")
    (root / "file").write_text("inside")
    for target in ("/file", "../../file", "../file"):
        (root / "link").symlink_to(target)
        assert opened(root, "/link") == b"inside"
        (root / "link").unlink()
    (root / "link").symlink_to(tmp_path / "file")
    assert opened(root, "/link") == -errno.ENOENT


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert opened(tmp_path, "fifo") == -errno.ENXIO
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):  # there was no reader
        os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.requires("root")
def test_a_device_is_not_opened(tmp_path):
    os.mknod(tmp_path / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    assert opened(tmp_path, "ptmx") == -errno.ENXIO
