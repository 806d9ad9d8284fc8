"""What is mounted where, from texts of /proc."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import detect

V1 = "{id} 31 0:29 {root} {point} rw,relatime shared:9 - cgroup cgroup rw,{names}\n"
V2 = "{id} 31 0:29 {root} {point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER = (
    "24 31 0:22 / /proc rw,nosuid shared:7 - proc proc rw\n36 33 0:31 / / rw - overlay overlay rw,lowerdir=/cgroup\n"
)


def mounted(line, point, root="/", names=""):
    return line.format(id=41, root=root, point=str(point).replace(" ", r"\040"), names=names)


def only(found):
    (hierarchy,) = found
    return hierarchy


def test_blkio_is_called_as_on_v2(fake):
    fake.make("blkio/own")
    line = mounted(V1, fake.path / "blkio", names="blkio")
    assert only(detect.parse(line, "7:blkio:/own\n")).controllers == {"io"}


def test_v2(fake):
    fake.make("user/own")
    fake.make(".", cgroup_controllers="cpu memory\n")
    hierarchy = only(detect.parse(OTHER + mounted(V2, fake.path), "0::/user/own\n"))
    assert hierarchy == detect.Hierarchy(
        version=2,
        controllers=frozenset({"cpu", "memory"}),
        mount=str(fake.path),
        own=f"{fake.path}/user/own",
    )
    assert detect.kind((hierarchy,)) == "v2"


def test_v1_co_mounted(fake):
    fake.make("own")
    own = "4:cpu,cpuacct:/own\n1:name=systemd:/\n"
    hierarchy = only(detect.parse(mounted(V1, fake.path, names="cpu,cpuacct"), own))
    assert (hierarchy.version, hierarchy.controllers) == (1, {"cpu", "cpuacct"})
    assert hierarchy.own == f"{fake.path}/own"
    assert detect.kind((hierarchy,)) == "v1"


def test_hybrid(fake):
    for name in ("memory", "unified"):
        fake.make(name)
    mounts = mounted(V2, fake.path / "unified") + mounted(V1, fake.path / "memory", names="memory")
    found = detect.parse(mounts, "0::/\n8:memory:/\n7:pids:/\n")
    assert [hierarchy.version for hierarchy in found] == [1, 2]
    assert found[1].controllers == frozenset()
    assert detect.kind(found) == "hybrid"


def test_none():
    assert detect.parse("", "") == ()
    assert detect.parse(OTHER, "0::/\n") == ()
    assert detect.kind(()) == "none"


@pytest.mark.parametrize(
    ("root", "path", "relative"),
    [
        ("/", "/a/b", "a/b"),
        ("/", "/", ""),
        ("/docker/x", "/docker/x/y", "y"),
        ("/docker/x", "/docker/x", ""),
        ("/docker/x", "/docker/xy", None),
        ("/docker/x", "/elsewhere", None),
        ("/", "/../sibling", None),
        ("/../..", "/..", None),
        ("/..", "/../x", "x"),
    ],
)
def test_the_mounted_root_is_not_always_the_top(fake, root, path, relative):
    """A bind mount or a cgroup namespace shows a part of the hierarchy only."""
    for name in ("a/b", "y", "x"):
        fake.make(name)
    found = detect.parse(mounted(V2, fake.path, root=root), f"0::{path}\n")
    if relative is None:
        assert found == ()
    else:
        assert only(found).own == os.path.join(str(fake.path), relative).rstrip("/")


def test_a_hidden_mount_is_passed_over(fake):
    fake.make("visible/own")
    mounts = mounted(V2, fake.path / "hidden") + mounted(V2, fake.path / "visible")
    assert only(detect.parse(mounts, "0::/own\n")).mount == f"{fake.path}/visible"


def test_spaces_and_backslashes_in_mount_points(fake):
    point = fake.make("with space\tand\\040more")
    line = mounted(V2, str(point).replace("\\", r"\134").replace("\t", r"\011"))
    assert only(detect.parse(line, "0::/\n")).mount == str(point)


def test_paths_with_colons(fake):
    fake.make("a:b")
    assert only(detect.parse(mounted(V2, fake.path), "0::/a:b\n")).own.endswith("/a:b")


@given(st.text(alphabet=st.characters(max_codepoint=126, exclude_categories=["Cc"])))
def test_escapes_there_and_back(text):
    escaped = text.replace("\\", r"\134").replace(" ", r"\040")
    assert detect._unescape(escaped) == text
