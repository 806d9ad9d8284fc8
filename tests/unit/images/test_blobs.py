"""Blobs: whole and checked, or not there; what an earlier try has left is gone on with."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups.images.blobs import Blobs
from pycgroups.images.digest import Digest
from pycgroups.oci.image_spec import LAYER, Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(range(256)) * 5000


def descriptor(data: bytes = DATA) -> Descriptor:
    return Descriptor(media_type=LAYER, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))


DIGEST = Digest.parse(descriptor().digest)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "tmp").mkdir()
    return Blobs(str(tmp_path / "blobs"), str(tmp_path / "tmp"))


def half(blobs: Blobs) -> list[str]:
    return os.listdir(blobs.tmp)


def test_put_and_read(blobs: Blobs) -> None:
    blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    assert blobs.size(DIGEST) == len(DATA)
    assert b"".join(blobs.checked(DIGEST)) == DATA
    assert b"".join(blobs.chunks(DIGEST, 1000)) == DATA[1000:]
    assert blobs.read(DIGEST, len(DATA)) == DATA
    assert half(blobs) == []


def test_an_empty_blob(blobs: Blobs) -> None:
    blobs.put(descriptor(b""), lambda _start: iter([]))
    assert blobs.size(Digest.of(b"")) == 0


def test_what_is_there_is_not_fetched(blobs: Blobs) -> None:
    blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    blobs.put(descriptor(), lambda _start: pytest.fail("fetched"))


def test_an_interrupted_try_is_gone_on_with(blobs: Blobs) -> None:
    def breaks(start: int) -> Iterator[bytes]:
        yield DATA[start : start + 1000]
        raise ConnectionError

    with pytest.raises(pc.ImageError):  # an error of the system is taken for one of the disk, and nothing stays
        blobs.put(descriptor(), breaks)
    assert half(blobs) == []

    def interrupted(start: int) -> Iterator[bytes]:
        yield DATA[start : start + 1000]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blobs.put(descriptor(), interrupted)
    assert blobs.size(DIGEST) is None
    starts = []

    def rest(start: int) -> Iterator[bytes]:
        starts.append(start)
        yield DATA[start:]

    blobs.put(descriptor(), rest)
    assert starts == [1000]
    assert b"".join(blobs.chunks(DIGEST)) == DATA


@pytest.mark.parametrize(
    "other",
    [DATA[:-1], DATA + b"x", b"", DATA[:-1] + b"x", b"y" * len(DATA)],
    ids=["short", "long", "none", "end", "all"],
)
def test_another_content_leaves_nothing(blobs: Blobs, other: bytes) -> None:
    with pytest.raises(pc.DigestMismatch):
        blobs.put(descriptor(), lambda start: iter([other[start:]]))
    assert blobs.size(DIGEST) is None
    assert half(blobs) == []


def test_a_damaged_half_is_found_out(blobs: Blobs) -> None:
    Path(blobs.tmp, f"blob-sha256-{DIGEST.encoded}").write_bytes(b"rotten")
    with pytest.raises(pc.DigestMismatch):
        blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    assert blobs.read(DIGEST, len(DATA)) == DATA


def test_a_half_that_is_too_long_is_begun_anew(blobs: Blobs) -> None:
    Path(blobs.tmp, f"blob-sha256-{DIGEST.encoded}").write_bytes(DATA + b"more")
    blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    assert blobs.read(DIGEST, len(DATA)) == DATA


def test_rot_is_found_when_it_is_read(blobs: Blobs) -> None:
    blobs.put(descriptor(), lambda start: iter([DATA[start:]]))
    with open(blobs.path(DIGEST), "r+b") as file:
        file.seek(100)
        file.write(b"\xff\xfe")
    with pytest.raises(pc.DigestMismatch) as caught:
        blobs.read(DIGEST, len(DATA))
    assert DIGEST.encoded in str(caught.value)
    with pytest.raises(pc.DigestMismatch):
        for _ in blobs.checked(DIGEST):
            pass


def test_a_symlink_is_no_blob(blobs: Blobs, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    os.mkdir(f"{blobs.root}/sha256")
    os.symlink(secret, blobs.path(DIGEST))
    assert blobs.size(DIGEST) is None
    with pytest.raises(pc.ImageError, match="no regular file"):
        blobs.open(DIGEST)


def test_several_who_want_the_same_fetch_it_once(blobs: Blobs) -> None:
    fetched = []
    begun, go_on = threading.Event(), threading.Event()

    def slowly(start: int) -> Iterator[bytes]:
        fetched.append(start)
        begun.set()
        go_on.wait(10)
        yield DATA[start:]

    threads = [threading.Thread(target=blobs.put, args=(descriptor(), slowly)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert fetched == [0]
    assert blobs.size(DIGEST) == len(DATA)
    assert half(blobs) == []
