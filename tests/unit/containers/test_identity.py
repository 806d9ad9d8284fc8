from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pycgroups.containers.identity import LARGEST, ROOT, Identity, identify
from pycgroups.errors import InvalidConfig

PASSWD = """root:x:0:0:root:/root:/bin/sh
user:x:1000:100:A User:/home/user:/bin/sh
homeless:x:1001:1001:::
twice:x:5:5::/first:
twice:x:6:6::/second:
short:x:7
bad:x:99999999999:0::/:
negative:x:-1:0::/:
spaced:x: 0:0::/:
largest:x:4294967295:0::/:
"""
GROUP = """root:x:0:
users:x:100:user,other
wheel:x:10:user
tape:x:26:homeless
bad:x:x:user
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


def who(root, user=None, groups=()):
    return identify(user, groups, (os.fspath(root),))


def test_nobody_asked_for_is_root_without_a_look(tmp_path):
    assert who(tmp_path / "missing") is ROOT


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (("user", None), Identity(uid=1000, gid=100, groups=(10,), home="/home/user")),
        ((1000, None), Identity(uid=1000, gid=100, home="/home/user")),
        (("user", "wheel"), Identity(uid=1000, gid=10, home="/home/user")),
        (("user", 77), Identity(uid=1000, gid=77, home="/home/user")),
        ((4321, None), Identity(uid=4321, gid=0, home="/")),
        ((0, 5), Identity(uid=0, gid=5, home="/root")),
        (("homeless", None), Identity(uid=1001, gid=1001, groups=(26,), home="/")),
        (("twice", None), Identity(uid=5, gid=5, home="/first")),
    ],
    ids=str,
)
def test_users(root, user, expected):
    assert who(root, user) == expected


@pytest.mark.parametrize("name", ["nobody", "short", "bad", "negative", "spaced", "largest", "0", "x"])
def test_names_that_are_not_there(root, name):
    with pytest.raises(InvalidConfig, match="not in the container's /etc/passwd") as caught:
        who(root, (name, None))
    assert caught.value.path == "user"


def test_groups(root):
    assert who(root, None, ("wheel", 26, 99, 10)).groups == (10, 26, 99)
    assert who(root, ("user", None), (100, "tape")).groups == (10, 26)  # without the primary one
    for option, call in (("groups", lambda: who(root, None, ("nope",))), ("user", lambda: who(root, (0, "nope")))):
        with pytest.raises(InvalidConfig, match="not in the container's /etc/group") as caught:
            call()
        assert caught.value.path == option


def test_a_root_without_files(tmp_path):
    assert who(tmp_path, (5, 6), (7,)) == Identity(uid=5, gid=6, groups=(7,), home="/")
    with pytest.raises(InvalidConfig):
        who(tmp_path, ("root", None))


def test_links_stay_in_the_root(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "passwd"
    outside.write_text("evil:x:0:0::/:\n")
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to(outside)
    with pytest.raises(InvalidConfig):
        who(root, ("evil", None))
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to("/real")
    (root / "real").write_text("inner:x:8:9::/h:\n")
    assert who(root, ("inner", None)).uid == 8


@pytest.mark.parametrize("kind", ["fifo", "directory", "loop"])
def test_what_is_no_regular_file_is_not_read(root, kind):
    file = root / "etc/passwd"
    file.unlink()
    {"fifo": lambda: os.mkfifo(file), "directory": file.mkdir, "loop": lambda: file.symlink_to("passwd")}[kind]()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidConfig):
        who(root, ("user", None))
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_a_megabyte_is_read(root):
    (root / "etc/passwd").write_text("#" * LARGEST + "\nlate:x:1:1::/:\n")
    with pytest.raises(InvalidConfig):
        who(root, ("late", None))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_whatever_the_files_hold(root, content):
    (root / "etc/passwd").write_bytes(content)
    (root / "etc/group").write_bytes(content)
    try:
        found = who(root, ("user", None), ("users",))
    except InvalidConfig:
        return
    assert found.uid < 2**32 - 1
