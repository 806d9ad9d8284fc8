"""Durations and moments as they are written on a command line."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from pycgroups.cli.times import duration, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1h2m3s4ms", 3723.004),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("5000000000ns", 5.0),
    ],
)
def test_durations(text, expected):
    assert duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-1s", "5x", "5s5", ".s", "5 s", "1e3s", "5sm", "infs", "1..2s"])
def test_no_duration(text):
    with pytest.raises(ValueError, match=r"5s|float"):
        duration(text)


def test_moments():
    assert moment("1700000000.5") == 1700000000.5
    assert moment("2026-01-31T12:00:00Z") == 1769860800
    assert moment("2026-01-31T13:00:00.25+01:00") == 1769860800.25
    assert moment("2026-01-31") == datetime(2026, 1, 31).timestamp()  # noqa: DTZ001 (local time is meant)
    before = time.time()
    assert before - 600 <= moment("10m") <= time.time() - 600
    assert before <= moment("0s") <= time.time()


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "nan", "inf", "2026-13-01"])
def test_no_moment(text):
    with pytest.raises(ValueError, match="that long ago"):
        moment(text)
