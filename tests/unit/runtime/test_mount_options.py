from __future__ import annotations

import pytest

from pycgroups._native.calls import lib
from pycgroups.runtime import mount_options


def parse(*words):
    return mount_options.parse(words)


def test_attributes_propagation_and_data_are_told_apart():
    options = parse("rbind", "ro", "nosuid", "rslave", "size=5", "idmap")
    assert (options.bind, options.recursive, options.idmap) == (True, True, True)
    assert options.top == lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NOSUID
    assert options.propagation == lib.MS_SLAVE
    assert options.data == ("size=5",)


def test_the_last_word_counts():
    assert parse("ro", "rw").attributes == 0
    assert parse("ro", "rw").clear == lib.MOUNT_ATTR_RDONLY
    assert parse("rw", "ro").attributes == lib.MOUNT_ATTR_RDONLY
    assert parse("rw", "ro").clear == 0


@pytest.mark.parametrize(
    ("words", "whole", "top"),
    [
        (("rbind",), 0, 0),
        (("rbind", "slave"), 0, lib.MS_SLAVE),
        (("rbind", "rslave"), lib.MS_SLAVE, 0),
        (("rbind", "rslave", "shared"), lib.MS_SLAVE, lib.MS_SHARED),
        (("rbind", "shared", "rprivate"), lib.MS_PRIVATE, 0),
        (("bind", "unbindable"), lib.MS_UNBINDABLE, 0),
        (("rslave", "shared"), lib.MS_SHARED, 0),
    ],
)
def test_propagation_of_a_tree_and_of_its_top(words, whole, top):
    assert parse(*words)[6:8] == (whole, top)


@pytest.mark.parametrize("word", ["ro", "nosuid", "nodev", "noexec", "nodiratime", "nosymfollow"])
def test_recursive_spellings_are_for_the_whole_tree(word):
    assert parse(f"r{word}") == parse(word)  # where there is no tree
    whole, top = parse("rbind", f"r{word}"), parse("rbind", word)
    assert (whole.attributes, whole.top) == (top.top, top.attributes) == (parse(word).attributes, 0)
    assert list(mount_options.names(parse(word).attributes)) == [word]


def test_a_bind_mount_is_not_recursive_unless_told():
    assert (parse("bind").bind, parse("bind").recursive) == (True, False)
    assert not parse("nosuid").bind


def test_access_times():
    options = parse("noatime")
    assert options.attributes == lib.MOUNT_ATTR_NOATIME
    assert options.clear == lib.MOUNT_ATTR__ATIME
    assert parse("noatime", "norelatime") == options
    assert parse("noatime", "atime") == parse("strictatime", "nostrictatime") == parse("relatime")


@pytest.mark.parametrize(
    ("text", "directories"),
    [
        ("/a", ("/a",)),
        ("/a:/b", ("/a", "/b")),
        (r"/a\:b:/c\\", ("/a:b", "/c\\")),
        (r"/a\\:/b,c", ("/a\\", "/b,c")),
        ("/a\n:/b\\\n", ("/a\n", "/b\n")),
    ],
)
def test_lower_directories(text, directories):
    assert mount_options.lower_directories(("ro", f"lowerdir={text}", "upperdir=/u")) == directories


def test_no_lower_directories():
    assert mount_options.lower_directories(("upperdir=/u",)) == ()
