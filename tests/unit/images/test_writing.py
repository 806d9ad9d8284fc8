"""Where something goes when somebody names a target."""

from __future__ import annotations

import os
import tarfile

import pytest

from pycgroups.cli.export import _write
from pycgroups.errors import Error
from pycgroups.images import archives, writing


@pytest.mark.parametrize("way", ["/dev/fd/{}", "/proc/self/fd/{}", "link", "/proc/thread-self/fd/{}"])
@pytest.mark.parametrize("flags", [os.O_APPEND, 0])
def test_what_a_descriptor_leads_to_is_written_on(tmp_path, way, flags):
    (tmp_path / "all").write_bytes(b"before ")
    before = os.stat(tmp_path / "all").st_ino
    fd = os.open(tmp_path / "all", os.O_WRONLY | flags)
    os.lseek(fd, 0, os.SEEK_END)
    os.symlink(f"/proc/self/fd/{fd}", tmp_path / "link")
    target = str(tmp_path / "link") if way == "link" else way.format(fd)
    _write(target, iter([b"one", b" two"]))
    os.write(fd, b" after")
    os.close(fd)
    assert (tmp_path / "all").read_bytes() == b"before one two after"
    assert os.stat(tmp_path / "all").st_ino == before
    assert sorted(os.listdir(tmp_path)) == ["all", "link"]


def test_an_archive_is_written_to_a_descriptor_as_well(tmp_path):
    with open(tmp_path / "all", "wb") as file:
        archives.ArchiveWriter(f"/dev/fd/{file.fileno()}", "oci-archive").close(failed=False)
        assert os.fstat(file.fileno()).st_nlink == 1
    with tarfile.open(tmp_path / "all") as archive:
        assert archive.getnames()


def test_a_directory_is_refused_before_anything_is_read(tmp_path):
    chunks = iter([b"one"])
    with pytest.raises(Error, match="EISDIR"):
        _write(str(tmp_path), chunks)
    assert list(chunks) == [b"one"]
    with pytest.raises(Error, match="EISDIR"):
        archives.ArchiveWriter(tmp_path, "oci-archive")
    assert os.listdir(tmp_path) == []


def test_a_link_that_leads_in_a_circle_is_no_descriptor(tmp_path):
    os.symlink("loop", tmp_path / "loop")
    assert not writing.is_special(str(tmp_path / "loop"))
