"""The reader of archives: every format as others read it, and nothing malformed gets through."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pycgroups as pc
from pycgroups._native import tar
from pycgroups.images.tar.entry import DIRECTORY, FILE, LINK, OTHER, SYMLINK, Entry
from pycgroups.images.tar.reader import SPECIAL, Reader
from tests import tars
from tests.tars import END, GNU, V7, block, chunked, entry, file, pax


def read(data, size=2**18):
    """All entries, each with its data."""
    reader = Reader(chunked(data, size))
    return [(found, b"".join(chunk[at : at + length] for chunk, at, length in reader.pieces())) for found in reader]


def only(data):
    ((found, content),) = read(data + END)
    return found, content


@pytest.mark.parametrize("size", [1, 7, 512, 513, 2**18])
def test_chunks_of_any_size(size):
    data = file(b"a", b"x" * 1000) + tars.directory(b"d/") + file(b"d/b", b"y" * 512) + file(b"d/c", b"") + END
    assert [(found.name, content) for found, content in read(data, size)] == [
        (b"a", b"x" * 1000),
        (b"d/", b""),
        (b"d/b", b"y" * 512),
        (b"d/c", b""),
    ]


def test_what_is_not_read_is_skipped():
    reader = Reader(chunked(file(b"a", b"x" * 5000) + file(b"b") + END, 700))
    assert [found.name for found in reader] == [b"a", b"b"]


def test_whole_in_one_chunk_or_not_at_all():
    data = file(b"a", b"x" * 100) + END
    reader = Reader(iter([data]))
    next(reader)
    assert reader.whole() == (data, 512, 100)
    reader = Reader(chunked(data, 512))
    next(reader)
    assert reader.whole() == (data[512:1024], 0, 100)
    reader = Reader(chunked(data, 550))
    next(reader)
    assert reader.whole() is None


def test_every_field():
    found, _ = only(entry(b"n", b"3", mode=0o4751, uid=7, gid=8, mtime=9, device=(10, 11)))
    assert found == Entry(b"n", b"3", 0o4751, 7, 8, 9_000_000_000, device=(10, 11))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (block(b"name", prefix=b"some/dir"), b"some/dir/name"),
        (block(b"n" * 100), b"n" * 100),
        (block(b"name", magic=GNU, rest=b"garbage that is no prefix"), b"name"),
        (block(b"name", magic=V7, rest=b"likewise"), b"name"),
        (tars.long_name(b"l" * 300) + block(b"short", magic=GNU), b"l" * 300),
        (pax({b"path": b"p" * 300}) + block(b"short"), b"p" * 300),
        (tars.long_name(b"gnu") + pax({b"path": b"pax"}) + block(b"short"), b"pax"),
        (block(b"\xff\xfe"), b"\xff\xfe"),
    ],
)
def test_names(data, name):
    assert only(data)[0].name == name


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (b"0", b"f", FILE),
        (b"\0", b"f", FILE),
        (b"7", b"f", FILE),
        (b"\0", b"d/", DIRECTORY),
        (b"z", b"f", FILE),
        (b"V", b"f", OTHER),
        (b"M", b"f", OTHER),
    ],
)
def test_types(kind, name, expected):
    assert only(entry(name, kind))[0].kind == expected


def test_size_of_what_has_no_data():
    data = b"".join(block(b"n", kind, 5000, target=b"t") for kind in (b"1", b"2", b"3", b"4", b"5", b"6")) + file(b"f")
    assert [found.size for found, _ in read(data + END)] == [0, 0, 0, 0, 0, 0, len(tars.DATA)]


def test_pax_beats_the_header():
    records = {
        b"size": b"1024",
        b"uid": b"3000000",
        b"gid": b"4000000",
        b"mtime": b"-1.5",
        b"linkpath": b"elsewhere",
        b"SCHILY.xattr.user.a": b"\0b=\n",
        b"comment": b"",
    }
    found, content = only(pax(records) + block(b"f", size=0, target=b"here") + file(b"x" * 90, b"y" * 512))
    assert found == Entry(
        b"f", FILE, 0o644, 3_000_000, 4_000_000, -1_500_000_000, 1024, b"elsewhere", (0, 0), {b"user.a": b"\0b=\n"}
    )
    assert content == file(b"x" * 90, b"y" * 512)


def test_global_headers_hold_until_taken_back():
    data = (
        pax({b"uid": b"5", b"comment": b"of git"}, b"g")
        + file(b"a")
        + pax({b"uid": b"6"})
        + file(b"b")
        + pax({b"uid": b""}, b"g")
        + file(b"c", uid=7)
    )
    assert [found.uid for found, _ in read(data + END)] == [5, 6, 7]


@pytest.mark.parametrize(
    ("field", "value"),
    [(tars.binary(2**33, 12), 2**33), (tars.binary(-5, 12), -5), (b" 17\0", 15), (b"17      ", 15), (b"", 0)],
)
def test_numbers(field, value):
    assert only(block(b"f", mtime=field))[0].mtime == value * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [(b"1.000000001", 1_000_000_001), (b"1.0000000019", 1_000_000_001), (b"-1", -(10**9)), (b"9" * 18, 2**63 - 1)],
)
def test_times(text, nanoseconds):
    assert only(pax({b"mtime": text}) + block(b"f"))[0].mtime == nanoseconds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"", 0),
        (b"\0 \0", 0),
        (b" 017\0 ", 15),
        (b"7" * 21, 2**63 - 1),
        (b"1" + b"0" * 21, tar.NONE),
        (b"8", tar.NONE),
        (b"1 1", tar.NONE),
        (b"-1", tar.NONE),
        (b"\x80" + b"\xff" * 7, 2**56 - 1),
        (b"\x80\0\0\0\x7f" + b"\xff" * 7, 2**63 - 1),
        (b"\x80\0\0\0\x80" + bytes(7), tar.NONE),
        (b"\xff\xff\xff\xff\x80" + bytes(6) + b"\1", -(2**63) + 1),
        (b"\xff\xff\xff\xff\x80" + bytes(7), tar.NONE),
        (b"\xff\xff\xff\xff\x7f" + b"\xff" * 7, tar.NONE),
        (b"\xff" * 12, -1),
        (b"\xc0", -64),
    ],
)
def test_numbers_of_fields(field, value):
    assert tar.number(field) == value


def test_signed_sums_are_taken_too():
    made = bytearray(tars.block(b"\xff\xfe"))
    made[148:156] = b"%06o\0 " % (sum(made[:148] + made[156:]) + 8 * 32 - 2 * 256)
    header = tar.header(bytes(made), 0)
    assert not isinstance(header, int)
    assert tar.name(header) == b"\xff\xfe"


def test_nothing_beyond_the_chunk_is_read():
    for at in (-1, 1, tars.BLOCK):
        with pytest.raises(ValueError, match="beyond"):
            tar.header(bytes(tars.BLOCK), at)


# -- sparse files -----------------------------------------------------------------------------------------------------

HOLED = b"A" * 512 + bytes(4096) + b"B" * 100
STORED = b"A" * 512 + b"B" * 100
SPARSE = {
    "old": block(
        b"s",
        b"S",
        len(STORED),
        magic=GNU,
        rest=bytes(41)
        + tars.octal(0, 12)
        + tars.octal(512, 12)
        + tars.octal(4608, 12)
        + tars.octal(100, 12)
        + bytes(49)
        + tars.octal(len(HOLED), 12),
    )
    + tars.padded(STORED),
    "0.0": pax(
        b"".join(
            tars.record(*pair)
            for pair in [
                (b"GNU.sparse.size", b"%d" % len(HOLED)),
                (b"GNU.sparse.numblocks", b"2"),
                (b"GNU.sparse.offset", b"0"),
                (b"GNU.sparse.numbytes", b"512"),
                (b"GNU.sparse.offset", b"4608"),
                (b"GNU.sparse.numbytes", b"100"),
            ]
        )
    )
    + file(b"s", STORED),
    "0.1": pax({b"GNU.sparse.size": b"%d" % len(HOLED), b"GNU.sparse.map": b"0,512,4608,100", b"GNU.sparse.name": b"s"})
    + file(b"GNUSparseFile.0/s", STORED),
    "1.0": pax(
        {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": b"s",
            b"GNU.sparse.realsize": b"%d" % len(HOLED),
        }
    )
    + file(b"GNUSparseFile.0/s", tars.padded(b"2\n0\n512\n4608\n100\n") + STORED),
}


@pytest.mark.parametrize("form", sorted(SPARSE))
def test_sparse_files(form):
    found, content = only(SPARSE[form])
    assert (found.name, found.size, found.extents) == (b"s", len(HOLED), ((0, 512), (4608, 100)))
    assert content == STORED


def test_a_long_map_of_the_old_format():
    extents = [(1024 * n, 512) for n in range(30)]
    fields = [tars.octal(offset, 12) + tars.octal(size, 12) for offset, size in extents]
    head = block(
        b"s", b"S", 30 * 512, magic=GNU, rest=bytes(41) + b"".join(fields[:4]) + b"\1" + tars.octal(30 * 1024, 12)
    )
    more = b"".join(fields[4:25]).ljust(504, b"\0") + b"\1" + bytes(7) + b"".join(fields[25:]).ljust(512, b"\0")
    found, content = only(head + more + b"x" * (30 * 512))
    assert found.extents == tuple(extents)
    assert content == b"x" * (30 * 512)


# -- what is malformed ------------------------------------------------------------------------------------------------

MALFORMED = {
    "nothing at all": b"",
    "no end": file(b"a"),
    "cut in a header": file(b"a")[:100],
    "cut in data": file(b"a", b"x" * 1000)[:1100],
    "cut in padding": file(b"a", b"x" * 10)[:600],
    "less data than a size": block(b"f", size=8 * 2**30 - 1) + bytes(512),
    "wrong checksum": file(b"a") + block(b"b", checksum=b"0000001\0") + END,
    "no checksum": block(b"b", checksum=bytes(8)) + END,
    "negative size": block(b"f", size=tars.binary(-512, 12)) + END,
    "size of 2^63": block(b"f", size=tars.binary(2**63, 12)) + END,
    "size that is no number": block(b"f", size=b"12x45678901\0") + END,
    "underscore in a number": block(b"f", mode=b"0_00644\0") + END,
    "sign in a number": block(b"f", mode=b"+000644\0") + END,
    "8 in an octal number": block(b"f", mode=b"0000844\0") + END,
    "negative owner": block(b"f", uid=tars.binary(-1, 8)) + END,
    "owner that is none": block(b"f", uid=tars.binary(2**32 - 1, 8)) + END,
    "no name": block(b"") + END,
    "zero byte in a name": pax({b"path": b"a\0b"}) + file(b"f") + END,
    "zero byte in a target": pax({b"linkpath": b"a\0b"}) + tars.symlink(b"f", b"x") + END,
    "number of a device": block(b"d", b"3", device=(2**20, 0)) + END,
    "extended headers without an end": tars.long_name(b"n") * 5000 + file(b"f") + END,
    "an extended header alone": file(b"f") + pax({b"path": b"a"}) + END,
    "a large extended header": block(b"PaxHeader", b"x", SPECIAL + 1) + bytes(SPECIAL + 512) + file(b"f") + END,
    "a global path": pax({b"path": b"a"}, b"g") + file(b"f") + END,
    "a global size": pax({b"size": b"1"}, b"g") + file(b"f") + END,
    "much of global headers": (b"".join(pax({b"%d" % n: b"x" * 900_000}, b"g") + file(b"f") for n in range(3)) + END),
    "an attribute without a name": pax({b"SCHILY.xattr.": b"v"}) + file(b"f") + END,
    "an attribute with a zero byte": pax({b"SCHILY.xattr.user.\0": b"v"}) + file(b"f") + END,
    "sparse 1.1": pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"1"}) + file(b"f") + END,
    "sparse, overlapping": pax({b"GNU.sparse.size": b"99", b"GNU.sparse.map": b"0,6,2,2"}) + file(b"f") + END,
    "sparse, beyond the end": pax({b"GNU.sparse.size": b"9", b"GNU.sparse.map": b"5,8"}) + file(b"f") + END,
    "sparse, other size": pax({b"GNU.sparse.size": b"99", b"GNU.sparse.map": b"0,7"}) + file(b"f") + END,
    "sparse, half a pair": pax({b"GNU.sparse.size": b"99", b"GNU.sparse.map": b"0,8,9"}) + file(b"f") + END,
    "sparse, no size": pax({b"GNU.sparse.map": b"0,8"}) + file(b"f") + END,
    "sparse, map without an end": pax(
        {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"99"}
    )
    + file(b"f", b"9" * 600)
    + END,
    **{
        f"record {data!r}": pax(data) + file(b"f") + END
        for data in [
            b"0 a=b\n",
            b"-7 a=b\n",
            b"+7 a=b\n",
            b"1_0 a=bc\n",
            b"99 a=b\n",
            b"6 a=b",
            b"6 a=b ",
            b"5 ab\n",
            b"5 =b\n",
            b" a=b\n",
            b"999999999999 a=b\n",
            b"nothing",
        ]
    },
    **{
        f"{key.decode()} {value[:9]!r}": pax({key: value}) + file(b"f") + END
        for key, values in {
            b"mtime": [b"nan", b"inf", b"1e309", b"-1e300", b"1_0", b"1.", b".5", b"--1", b"1.2.3", b"9" * 5000],
            b"uid": [b"9" * 5000, b"-1", b"4294967295", b"0x1", b" 1"],
            b"size": [b"9" * 5000, b"-1", b"9223372036854775808", b"1.0"],
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("what", sorted(MALFORMED))
@pytest.mark.parametrize("size", [2**18, 100])
def test_malformed(what, size):
    with pytest.raises(pc.ImageError) as caught:
        read(MALFORMED[what], size)
    assert caught.value.operation
    assert str(caught.value).isprintable()


def test_what_follows_the_end_is_not_read():
    assert [found.name for found, _ in read(file(b"shown") + END + file(b"hidden") + END)] == [b"shown"]


def test_memory_is_bounded():
    reader = Reader(iter([block(b"f", size=2**30), *[bytes(2**20)] * 2**10, END]))
    tracemalloc.start()
    next(reader)
    assert sum(length for _, _, length in reader.pieces()) == 2**30
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


# -- others read the same ---------------------------------------------------------------------------------------------

NAMES = st.binary(min_size=1, max_size=200).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            NAMES,
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
            st.binary(max_size=2000),
            st.integers(0, 0o7777),
            st.integers(0, 2**32 - 2),
            st.integers(-(2**31), 2**33),
        ),
        max_size=5,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 3000),
)
def test_as_tarfile_writes(files, form, size):
    file = io.BytesIO()
    expected = []
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, kind, data, mode, owner, mtime in files:
            info = tarfile.TarInfo(name.decode(errors="surrogateescape"))
            info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, owner, owner, mtime
            content = data if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                info.linkname = info.name[::-1]
            tar.addfile(info, io.BytesIO(content))
            target = info.linkname.encode(errors="surrogateescape")
            expected.append((name, kind, content, mode, owner, mtime * 10**9, target))
    found = [
        (one.name.removesuffix(b"/"), one.kind, data, one.mode, one.uid, one.mtime, one.target)
        for one, data in read(file.getvalue(), size)
    ]
    assert found == expected


@settings(max_examples=1000)
@given(
    st.sampled_from([*SPARSE.values(), pax({b"uid": b"5"}) + file(b"f"), tars.long_name(b"n" * 200) + file(b"f")]),
    st.lists(st.tuples(st.integers(0, 2**12), st.binary(max_size=12)), max_size=3),
    st.booleans(),
    st.integers(1, 3000),
)
def test_a_broken_archive_is_an_error_of_ours(data, changes, mended, size):
    """With some bytes changed; half of the time every header with a checksum that is right again."""
    made = bytearray(data + END)
    for at, new in changes:
        at %= len(made)  # noqa: PLW2901
        made[at : at + len(new)] = new[: len(made) - at]
    if mended:
        for at in range(0, len(made), 512):
            if made[at + 257 : at + 262] == b"ustar":
                made[at + 148 : at + 156] = b" " * 8
                made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
    try:
        found = read(bytes(made), size)
    except pc.ImageError:
        return
    assert all(one.size >= 0 for one, _ in found)


def test_links_keep_their_targets():
    data = tars.symlink(b"s", b"/a/../b") + tars.link(b"l", b"./s") + END
    assert [(found.kind, found.target) for found, _ in read(data)] == [(SYMLINK, b"/a/../b"), (LINK, b"./s")]
