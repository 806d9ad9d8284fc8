"""What is written is read again as it was, by this reader and by Python's."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from pycgroups.images.tar.entry import CHARACTER, DIRECTORY, FIFO, FILE, LINK, SYMLINK, Entry
from pycgroups.images.tar.reader import Reader
from pycgroups.images.tar.writer import archive

TEXT = st.binary(min_size=1, max_size=300).filter(lambda text: b"\0" not in text)


def entry_and_data(name, kind, mode, ids, mtime, data, target, xattrs):  # noqa: PLR0917 (those of an entry)
    uid, gid = ids
    data = data if kind == FILE else b""
    target = target if kind in {LINK, SYMLINK} else b""
    device = (7, 9) if kind == CHARACTER else (0, 0)
    return Entry(name, kind, mode, uid, gid, mtime, len(data), target, device, xattrs), data


ENTRIES = st.builds(
    entry_and_data,
    TEXT,
    st.sampled_from([FILE, LINK, SYMLINK, CHARACTER, DIRECTORY, FIFO]),
    st.integers(0, 0o7777),
    st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    st.integers(-(2**62), 2**62),
    st.binary(max_size=1500),
    TEXT,
    st.dictionaries(TEXT.map(lambda name: b"user." + name.replace(b"=", b"")), st.binary(max_size=300), max_size=3),
)


@settings(max_examples=300)
@given(st.lists(ENTRIES, max_size=5))
def test_round_trip(files):
    made = b"".join(archive((entry, [data] if data else []) for entry, data in files))
    reader = Reader(iter([made]))
    found = [(one, b"".join(chunk[at : at + size] for chunk, at, size in reader.pieces())) for one in reader]
    assert found == files


@settings(max_examples=100)
@given(st.lists(ENTRIES, max_size=5))
def test_tarfile_reads_it(files):
    made = b"".join(archive((entry, [data] if data else []) for entry, data in files))
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        found = [(one.name.encode(errors="surrogateescape").rstrip(b"/"), one.mode, one.uid, one.gid) for one in tar]
    assert found == [(one.name.rstrip(b"/"), one.mode, one.uid, one.gid) for one, _ in files]


def test_a_large_size():
    (header, *_) = archive([(Entry(b"f", FILE, 0o644, 0, 0, 0, 2**40), [])])
    assert next(Reader(iter([header]))).size == 2**40


def test_the_same_bytes():
    entry = Entry(b"f", FILE, 0o644, 0, 0, 1, 1, xattrs={b"user.b": b"2", b"user.a": b"1"})
    other = entry._replace(xattrs={b"user.a": b"1", b"user.b": b"2"})
    assert b"".join(archive([(entry, [b"x"])])) == b"".join(archive([(other, [b"x"])]))
