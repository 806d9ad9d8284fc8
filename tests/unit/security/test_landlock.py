"""Rules -> ruleset, for kernels of every age: `abi` is made up."""

from __future__ import annotations

import errno
import pickle
import re
from pathlib import Path

import pytest

from pycgroups._native import calls
from pycgroups.errors import Unsupported
from pycgroups.security import landlock
from pycgroups.security.landlock import LETTERS, Landlock, ruleset

NEWEST = 7
HEADER = Path("/usr/include/linux/landlock.h")
EVERYTHING = Landlock(
    paths=(("/tmp", "rw"), ("/usr", "rx")), connect=(80, 443), bind=(), scopes=("abstract_unix_socket", "signal")
)


def refused(rules, version):
    with pytest.raises(Unsupported) as caught:
        ruleset(rules, version)
    assert caught.value.path == "landlock"
    assert caught.value.hint
    return str(caught.value)


def defined(prefix):
    text = HEADER.read_text()
    return {name: 1 << int(bit) for name, bit in re.findall(rf"#define {prefix}(\w+)\s+\(1ULL << (\d+)\)", text)}


def test_the_newest_kernel_is_told_all():
    made = ruleset(EVERYTHING, NEWEST)
    assert (made.files, made.network, made.scopes) == (0xFFFF, 3, 3)
    assert made.paths == (
        ("/tmp", LETTERS["r"] | LETTERS["w"], made.paths[0][2]),
        ("/usr", LETTERS["r"] | LETTERS["x"], made.paths[1][2]),
    )
    assert made.ports == ((2, 80), (2, 443))
    assert pickle.loads(pickle.dumps(made)) == made


def test_every_right_belongs_to_one_letter():
    for bit in range(16):
        assert len([letter for letter, rights in LETTERS.items() if rights >> bit & 1]) == 1
    assert sum(LETTERS.values()) == 0xFFFF


def test_the_numbers_are_the_kernels():
    """Headers of the machine that may be older, and know fewer."""
    files = defined("LANDLOCK_ACCESS_FS_")
    own = {name[1:]: value for name, value in vars(landlock).items() if re.fullmatch(r"_[A-Z_]+", name)}
    assert len(files) >= 13
    assert files == {name: own[name] for name in files}
    for name, value in defined("LANDLOCK_ACCESS_NET_").items():
        assert landlock.PORTS[name.removesuffix("_TCP").lower()] == value
    for name, value in defined("LANDLOCK_SCOPE_").items():
        assert landlock.SCOPES[name.lower()] == value


def test_a_file_gets_no_right_of_a_directory():
    """LANDLOCK_ACCESS_FS_*: READ_DIR, REMOVE_*, MAKE_* and REFER are refused for a file, with EINVAL."""
    of_directory, of_file = ruleset(Landlock(paths=(("/", "rwxd"),)), NEWEST).paths[0][1:]
    assert of_directory == 0xFFFF
    assert of_file == 0b1 | 0b10 | 0b100 | 1 << 14 | 1 << 15


@pytest.mark.parametrize("letter", LETTERS)
def test_every_letter_means_something_for_a_file(letter):
    assert ruleset(Landlock(paths=(("/f", letter),)), NEWEST).paths[0][2]


def test_kinds_without_rules_are_left_alone():
    assert ruleset(Landlock(connect=(1,)), NEWEST)[:3] == (0, 2, 0)
    assert ruleset(Landlock(bind=()), NEWEST)[:3] == (0, 1, 0)
    assert ruleset(Landlock(scopes=("signal",)), NEWEST)[:3] == (0, 0, 2)
    assert ruleset(Landlock(paths=(("/", "r"),)), NEWEST)[:3] == (0xFFFF, 0, 0)


@pytest.mark.parametrize(
    ("rules", "oldest", "kernel", "what"),
    [
        (Landlock(paths=(("/usr", "rx"),)), 5, "6.10", "ioctl"),
        (Landlock(paths=(("/", "d"), ("/usr", "rxd"))), 3, "6.2", "truncate"),
        (Landlock(paths=(("/", "wd"),)), 2, "5.19", "renames"),
        (Landlock(connect=()), 4, "6.7", "ports"),
        (Landlock(bind=(1,)), 4, "6.7", "ports"),
        (Landlock(scopes=("signal",)), 6, "6.12", "scopes"),
    ],
)
def test_the_oldest_kernel_that_can_keep_the_promise(rules, oldest, kernel, what):
    for version in range(1, oldest):
        text = refused(rules, version)
        assert f"this kernel has {version}" in text
    assert what in text
    assert f"Linux {kernel} or newer" in text
    for version in range(oldest, NEWEST + 2):
        ruleset(rules, version)


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_no_kernel_is_told_what_it_does_not_know(version):
    """It would answer EINVAL. What all may do anyway is not denied, and needs no knowledge."""
    known = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    made = ruleset(Landlock(paths=(("/", "rwxd"),)), version) if version > 1 else None
    if made is not None:
        assert made.files == known
        assert made.paths[0][1] == known
    assert ruleset(Landlock(paths=(("/", "d"),)), max(version, 3)).files & known


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSYS, "built without"),
        (errno.EOPNOTSUPP, "turned off"),
        (errno.EPERM, "filter"),
    ],
)
def test_no_landlock_at_all(number, text):
    assert text in refused(EVERYTHING, -number)


def test_in_words():
    assert landlock.describe_denied(0xFFFF, 3, 1) == "denies files, bind, connect, scope abstract_unix_socket"
    assert landlock.describe_path(LETTERS["r"] | LETTERS["w"]) == "rw"
    assert landlock.describe_port(2, 443) == "connect 443"
    assert landlock.describe_version(1) == "files"
    assert "TCP ports" in landlock.describe_version(4)


def test_the_kernel_is_asked():
    version = landlock.abi()
    assert version == calls.landlock_abi()
    assert version >= 1 or -version in {errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("/", ""),
        ("/work", ""),
        ("/worker/x", ""),
        ("/usr/bin", ""),
        ("/work/a", "/work"),
        ("/work/in/a", "/work"),
        ("/data/x/y/z", "/data/x"),
    ],
)
def test_where_the_program_could_make_a_link_of_a_path(path, above):
    rules = Landlock(paths=(("/usr", "rx"), ("/work", "rw"), ("/work/in", "rwx"), ("/data/x", "w")))
    assert landlock.uppermost(path, landlock.writable(ruleset(rules, 6))) == above


def test_all_is_below_a_root_that_may_be_written_to():
    writable = landlock.writable(ruleset(Landlock(paths=(("/", "rw"), ("/work", "rwx"))), 6))
    assert [landlock.uppermost(path, writable) for path in ("/", "/bin", "/work/x")] == ["", "/", "/"]
