"""Mount points for criu, in roots that somebody else filled."""

from __future__ import annotations

import pytest

from pycgroups.errors import Error
from pycgroups.oci.runtime_spec import Mount, Root, Spec
from pycgroups.runtime import mount_points


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def make(root, *mounts):
    mount_points.make(str(root), str(root.parent), Spec(root=Root(path="root"), mounts=mounts))


def test_directories_and_files(root):
    (root.parent / "hosts").write_text("")
    (root.parent / "data").mkdir()
    make(
        root,
        Mount(destination="/proc", type="proc"),
        Mount(destination="/etc/hosts", type="bind", source="hosts"),
        Mount(destination="srv//data/", source="data", options=("rbind",)),
    )
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "etc",
        "etc/hosts",
        "proc",
        "srv",
        "srv/data",
    ]
    assert (root / "etc/hosts").is_file()
    assert (root / "srv/data").is_dir()


def test_what_is_there_stays(root):
    (root / "etc").mkdir(mode=0o700)
    (root / "etc/hosts").write_text("here")
    make(root, Mount(destination="/etc/hosts", type="bind", source="hosts"), Mount(destination="/etc", type="tmpfs"))
    assert (root / "etc/hosts").read_text() == "here"
    assert (root / "etc").stat().st_mode & 0o777 == 0o700


def test_a_copied_link_needs_none(root):
    (root.parent / "zone").symlink_to("nonesuch")
    make(root, Mount(destination="/zone", source="zone", options=("bind", "copy-symlink")))
    assert [*root.iterdir()] == []


def test_what_is_in_a_tmpfs_comes_back_with_it(root):
    make(root, Mount(destination="/dev", type="tmpfs"), Mount(destination="/dev/shm", type="tmpfs"))
    assert [path.name for path in root.rglob("*")] == ["dev"]


def test_nothing_is_made_outside(root):
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "absolute").symlink_to(outside)
    (root / "relative").symlink_to("../outside")
    (root / "outside").mkdir()
    make(root, Mount(destination="/relative/x", type="proc"), Mount(destination="../y", type="proc"))
    with pytest.raises(Error, match="make mount point"):  # a link to nothing
        make(root, Mount(destination="/absolute/x", type="proc"))
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in (root / "outside").iterdir()) == ["x"]
    assert (root / "y").is_dir()
