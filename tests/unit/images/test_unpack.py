"""Layers are the same whether their files are made many at a time, in C, or one by one."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pycgroups as pc
from pycgroups._native import tree
from pycgroups.images.removing import remove
from pycgroups.images.unpack import LayerLimits, unpack
from tests import tars
from tests.tars import BLOCK, END, GNU, V7, chunked
from tests.trees import facts

OWNERS = ("kept", "caller") if os.geteuid() == 0 else ("caller",)


def unpacked(data, size, limits, owner):
    """What a layer becomes that comes in chunks of so many bytes: its files, and what is said of it."""
    place = tempfile.mkdtemp(prefix="pycgroups-test-")
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        said = unpack(chunked(data, size), fd, limits=limits, owner=owner)
        found = {name: _without_time(*fact) for name, fact in facts(place).items() if name != "."}
    except pc.Error as error:
        return str(error)
    else:
        return said, found
    finally:
        os.close(fd)
        remove(place)


def _without_time(mode, owner, mtime, *others):
    """Whiteouts have the time of now."""
    return mode, owner, mtime if mode != oct(stat.S_IFCHR) else None, *others


def is_same(data, limits=LayerLimits(), owners=OWNERS):  # noqa: B008 (never changed)
    """In chunks that are too small for a header, nothing is made many at a time."""
    for owner in owners:
        first, *others = [unpacked(data, size, limits, owner) for size in (2**18, BLOCK + 100, BLOCK // 4)]
        assert others == [first, first]


def one_of_each():
    """Files among which each is meant otherwise, for some reason or other."""
    odd = [
        tars.directory(b"d/"),
        tars.file(b"d/in", mode=0o6755, uid=7, gid=8, mtime=tars.binary(-5, 12)),
        tars.file(b"e/f/implied"),
        tars.file(b"./d/./odd//name"),
        tars.file(b"trailing/"),
        tars.file(b"/absolute"),
        tars.file(b".hidden"),
        tars.file(b"..almost"),
        tars.file(b"...", b""),
        tars.file(b"d/.wh.gone", b""),
        tars.file(b"d/.wh..wh..opq", b""),
        tars.file(b".wh..wh.aufs", b""),
        tars.directory(b".wh..wh.plnk"),
        tars.file(b".wh..wh.plnk/left-out"),
        tars.file(b"d.wh.stays"),
        tars.symlink(b"s", b"d"),
        tars.file(b"s/through-a-link"),
        tars.link(b"l", b"first"),
        tars.file(b"l", b"no longer linked"),
        tars.link(b"m", b"not-here"),
        tars.file(b"in-the-way"),
        tars.directory(b"in-the-way"),
        tars.file(b"in-the-way/below"),
        tars.file(b"in-the-way"),
        tars.file(b"large", b"x" * 2000),
        tars.file(b"empty", b""),
        tars.file(b"n" * 100),
        tars.file(b"n" * 99, prefix=b"long"),
        tars.file(b"old", magic=GNU),
        tars.file(b"oldest", magic=V7),
        tars.block(b"older/", b"\0", magic=V7),
        tars.entry(b"reserved", b"7", b"data"),
        tars.entry(b"label", b"V"),
        tars.pax({b"SCHILY.xattr.user.a": b"b", b"mtime": b"1.5"}) + tars.file(b"attributes"),
        tars.long_name(b"l" * 200) + tars.file(b"short"),
        tars.pax({b"mode": b"5", b"uid": b"5"}, b"g") + tars.file(b"of-all"),
        tars.pax({b"uid": b""}, b"g") + tars.file(b"of-itself"),
    ]
    return b"".join(
        tars.file(b"first") + one + tars.file(b"%d" % number, b"x" * number) for number, one in enumerate(odd)
    )


def test_one_of_each():
    is_same(one_of_each() + END)


BROKEN = {
    "parent": tars.file(b"d/../f"),
    "root": tars.file(b"."),
    "below a file": tars.file(b"1/f"),
    "checksum": tars.block(b"f", checksum=b"0000001\0"),
    "no mode": tars.file(b"f", mode=b"9"),
    "no owner": tars.file(b"f", uid=tars.binary(2**32 - 1, 8)),
    "negative owner": tars.file(b"f", gid=tars.binary(-1, 8)),
    "no time": tars.file(b"f", mtime=tars.binary(2**70, 12)),
    "negative size": tars.block(b"f", size=tars.binary(-1, 12)),
    "large size": tars.block(b"f", size=tars.binary(2**63 - 1, 12)),
    "no size": tars.block(b"f", size=b"x"),
    "no name": tars.file(b""),
    "long name": tars.long_name(b"n" * 256) + tars.file(b"f"),
    "cut off": tars.block(b"f", size=5000),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken(what):
    data = tars.file(b"1") + tars.file(b"2") + BROKEN[what] + tars.file(b"3")
    assert isinstance(unpacked(data + END, 2**18, LayerLimits(), "caller"), str)
    is_same(data + END)


@pytest.mark.parametrize(
    ("limits", "more"),
    [
        (LayerLimits(entries=20), LayerLimits(entries=19)),
        (LayerLimits(size=2000), LayerLimits(size=1999)),
        (LayerLimits(depth=3), LayerLimits(depth=2)),
        (LayerLimits(2**70, 2**70, 2**70), LayerLimits(-1, -1, -1)),
    ],
)
def test_limits(limits, more):
    """What is allowed is; one more is not."""
    directories = tars.directory(b"a") + tars.directory(b"a/b")
    data = directories + tars.file(b"a/b/c", b"") + b"".join(tars.file(b"%d" % n, b"x" * 100) for n in range(17))
    data += tars.file(b"rest", b"x" * 300)[: 2 * BLOCK if limits.entries != 20 or limits.size == 2000 else 0]
    assert not isinstance(unpacked(data + END, 2**18, limits, "caller"), str)
    assert "limit of" in unpacked(data + END, 2**18, more, "caller")
    is_same(data + END, limits)
    is_same(data + END, more)


NAMES = st.lists(
    st.sampled_from([b"a", b"b", b"a", b".", b"", b"..", b".wh.a", b".wh..wh..opq", b".wh.", b"n" * 60]), max_size=4
).map(b"/".join)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            NAMES,
            st.sampled_from([b"0", b"0", b"0", b"\0", b"1", b"2", b"5", b"6"]),
            st.binary(max_size=1500),
            st.integers(0, 0o7777),
            st.integers(-(2**40), 2**40),
        ),
        max_size=8,
    ),
    st.one_of(
        st.builds(LayerLimits, entries=st.integers(1, 9)),
        st.builds(LayerLimits, size=st.integers(BLOCK, 10_000)),
        st.builds(LayerLimits, depth=st.integers(1, 4)),
    ),
)
@example([(b"a", b"0", b"x" * 512, 0o4755, -1)], LayerLimits(size=512))
def test_any_layer(entries, limits):
    data = b"".join(
        tars.entry(name, kind, data if kind in b"0\0" else b"", mode=mode, mtime=tars.binary(mtime, 12), target=b"a/b")
        for name, kind, data, mode, mtime in entries
    )
    is_same(data + END, limits)


def test_nothing_beyond_the_chunk_is_read():
    with tree.Tree(-1) as made:
        for at in (-1, BLOCK + 1):
            with pytest.raises(ValueError, match="beyond"):
                made.files(bytes(BLOCK), at, 1, owner=True)
        assert made.files(bytes(BLOCK), BLOCK, 1, owner=True) == (BLOCK, 0, 0)
