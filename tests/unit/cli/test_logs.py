"""Flags of pycgroups logs."""

from __future__ import annotations

import pytest

from pycgroups.cli.flags import UsageError
from pycgroups.cli.logs import USAGE


@pytest.mark.parametrize(("text", "lines"), [("all", None), ("-1", None), ("-7", None), ("0", 0), ("12", 12)])
def test_how_many_lines(text, lines):
    asked = USAGE.read(["-n", text, "web"])
    assert asked is not None
    assert asked[0]["tail"] == lines


@pytest.mark.parametrize("text", ["-", "", "--1", "-all", "-\u0663", "\u0663", "1.5"])
def test_what_is_no_number_of_lines(text):
    with pytest.raises(UsageError, match="-1: all of them"):
        USAGE.read(["--tail", text, "web"])
