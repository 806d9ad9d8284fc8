"""The flags of healthchecks."""

from __future__ import annotations

import pytest

from pycgroups.cli.flags import UsageError, parse
from pycgroups.cli.health import FLAGS, asked, duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1h0.5m", 3630), ("2", 2), ("0.5", 0.5), ("0s", 0)],
)
def test_times(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "1e3", "inf", "nan", "1s1", "\u0661s"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="a time"):
        duration(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", None),
        ("--no-healthcheck", {"test": ["NONE"]}),
        ("--health-cmd true --health-retries=2", {"test": "true", "retries": 2}),
        ("--health-start-period 1m --health-start-interval 1s", {"start_period": 60, "start_interval": 1}),
        ("--health-interval 10s --health-timeout 500ms", {"interval": 10, "timeout": 0.5}),
    ],
)
def test_flags(line, expected):
    assert asked(parse(FLAGS, line.split())[0]) == expected


def test_flags_that_contradict_each_other():
    with pytest.raises(UsageError, match="no-healthcheck"):
        asked({"no_healthcheck": True, "health_cmd": "true"})
