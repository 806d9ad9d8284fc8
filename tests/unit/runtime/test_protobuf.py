"""Messages as criu has them."""

from __future__ import annotations

import pytest

from pycgroups.runtime.protobuf import decode, encode


def test_the_bytes_are_those_of_the_specification():
    assert encode((1, 150)) == b"\x08\x96\x01"
    assert encode((2, b"testing")) == b"\x12\x07testing"
    assert encode((3, encode((1, 150)))) == b"\x1a\x03\x08\x96\x01"


@pytest.mark.parametrize(
    "fields", [(), ((1, 0),), ((1, 127), (1, 128)), ((50, 1), (2, b"")), ((5, b"x" * 300), (1, 2**64 - 1))]
)
def test_what_was_encoded_is_decoded(fields):
    assert tuple(decode(encode(*fields))) == fields


@pytest.mark.parametrize("data", [b"\x08", b"\x08\x96", b"\x12\x07test", b"\x0d\x01\x02\x03\x04"])
def test_what_is_cut_off_or_of_another_type_is_an_error(data):
    with pytest.raises(ValueError, match=r"cut off|type 5"):
        list(decode(data))
