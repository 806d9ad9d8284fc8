"""Where a copy goes."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest

from pycgroups.containers.destinations import Goal, is_at, is_directory, name_of
from pycgroups.errors import Error, NotFound

DIRECTORY = os.stat("/")
with tempfile.NamedTemporaryFile() as one:
    FILE = os.fstat(one.fileno())
DEVICE = os.stat("/dev/null")
ours, theirs = os.pipe()
FIFO = os.fstat(ours)
os.close(ours)
os.close(theirs)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (b"/etc/passwd", b"passwd"),
        (b"etc", b"etc"),
        (b"/etc/", b"etc"),
        (b"/etc//", b"etc"),
        (b"/etc/.", b""),
        (b"/", b""),
        (b".", b""),
        (b"..", b""),
        (b"a/..", b""),
        (b"a/...", b"..."),
        (b"a\n/*", b"*"),
    ],
)
def test_what_a_source_is_called(source, name):
    assert name_of(source) == name


@pytest.mark.parametrize(
    ("path", "expected"), [(b"a", False), (b"a/", True), (b"a/.", True), (b"", True), (b"..", True)]
)
def test_paths_that_say_that_they_are_directories(path, expected):
    assert is_directory(path) is expected


@pytest.mark.parametrize(
    ("directory", "name", "path", "there", "expected"),
    [
        (False, b"f", b"/new", None, True),
        (False, b"f", b"/new/", None, NotFound),
        (False, b"f", b"/old", FILE, True),
        (False, b"f", b"/old/", FILE, Error),
        (False, b"f", b"/device", DEVICE, Error),
        (False, b"f", b"/fifo", FIFO, Error),
        (True, b"d", b"/device", DEVICE, Error),
        (False, b"f", b"/dir", DIRECTORY, False),
        (True, b"d", b"/new", None, True),
        (True, b"d", b"/new/", None, True),
        (True, b"d", b"/old", FILE, Error),
        (True, b"d", b"/dir", DIRECTORY, False),
        (True, b"", b"/dir", DIRECTORY, True),
        (True, b"", b"/new", None, True),
    ],
)
def test_the_table(directory, name, path, there, expected):
    goal = Goal(path, name)
    if isinstance(expected, bool):
        assert is_at(goal, directory=directory, there=there) is expected
    else:
        with pytest.raises(expected):
            is_at(goal, directory=directory, there=there)


def test_one_of_its_kind_takes_the_place_of_a_fifo():
    goal = Goal(b"/fifo", b"f")
    assert is_at(goal, directory=False, there=FIFO, by=stat.S_IFIFO) is True
    with pytest.raises(Error, match="its kind"):
        is_at(goal, directory=False, there=FIFO, by=stat.S_IFCHR)
