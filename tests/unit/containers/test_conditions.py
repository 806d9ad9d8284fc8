"""A text in what a container writes, which comes in pieces."""

from __future__ import annotations

import re

import pytest

from pycgroups.containers.conditions import Written
from pycgroups.containers.logs import Record


class Pieces:
    """What comes at each look, all on one stream."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def read(self):
        return [Record(10, "stdout", piece) for piece in self.looks.pop(0)]


@pytest.mark.parametrize(
    ("wanted", "looks", "found"),
    [
        ("ready", [[b"re", b"ady\n"]], [True]),
        ("ready", [[b"re"], [b"ady\n"]], [False, True]),
        ("a\nb", [[b"a\n"], [b"b\n"]], [False, True]),
        (re.compile("^b$", re.MULTILINE), [[b"a\n"], [b"b\n"]], [False, True]),
        (re.compile(b"\xff"), [[b"\xff\n"]], [True]),
        (re.compile("\ufffd"), [[b"\xff\n"]], [True]),
        ("ready", [[b"ready\n"] + [b"x" * 16384] * 9], [True]),
        ("ready", [[b"x" * 16384] * 9 + [b"re"], [b"ady"]], [False, True]),
    ],
)
def test_a_text_is_found_whatever_the_pieces(wanted, looks, found):
    condition = Written(Pieces(*looks), 0, wanted)
    assert [condition() for _ in looks] == found


def test_what_was_written_before_does_not_count():
    assert not Written(Pieces([b"ready\n"]), 11, "ready")()


def test_no_more_is_kept_than_a_window():
    condition = Written(Pieces(*([b"0123456789\n" * 1000] * 20 for _ in range(5))), 0, "ready")
    assert not any(condition() for _ in range(5))
    assert len(condition._unread["stdout"]) <= 2**16
