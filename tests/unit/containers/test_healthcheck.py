"""Healthchecks as options: what may be written, and what an image adds."""

from __future__ import annotations

import pytest

from pycgroups.containers.healthcheck import Healthcheck, read, settle
from pycgroups.errors import InvalidConfig
from pycgroups.oci.image_spec import ImageDefaults, ImageHealthcheck

DEFAULTS = {"interval": 30.0, "timeout": 30.0, "start_period": 0.0, "start_interval": 5.0, "retries": 3}


def image(shell=(), **words):
    return ImageDefaults(shell=shell, healthcheck=ImageHealthcheck(**words))


@pytest.mark.parametrize(
    ("value", "test"),
    [
        ("true", ("CMD-SHELL", "true")),
        ({"test": ["CMD", "true", "-x"]}, ("CMD", "true", "-x")),
        (Healthcheck(test=["CMD-SHELL", "a | b"]), ("CMD-SHELL", "a | b")),
        ({"test": ("NONE",)}, ("NONE",)),
        ({"retries": 2}, None),
    ],
)
def test_what_may_be_written(value, test):
    assert read(value).test == test
    assert read(read(value)) == read(value)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (7, "healthcheck"),
        ({"command": "true"}, "healthcheck"),
        ({"test": []}, "healthcheck.test"),
        ({"test": ["true"]}, "healthcheck.test"),
        ({"test": ["CMD"]}, "healthcheck.test"),
        ({"test": ["CMD-SHELL", "a", "b"]}, "healthcheck.test"),
        ({"test": ["NONE", "a"]}, "healthcheck.test"),
        ({"interval": 0}, "healthcheck.interval"),
        ({"timeout": "30s"}, "healthcheck.timeout"),
        ({"start_period": -1}, "healthcheck.start_period"),
        ({"retries": 0}, "healthcheck.retries"),
    ],
)
def test_what_is_refused(value, key):
    with pytest.raises(InvalidConfig) as raised:
        read(value)
    assert raised.value.path == key


@pytest.mark.parametrize(
    ("asked", "defaults", "expected"),
    [
        (None, None, {}),
        (None, ImageDefaults(), {}),
        ("a", None, {"test": ["CMD-SHELL", "a"], "command": ["/bin/sh", "-c", "a"], **DEFAULTS}),
        (None, image(test=("CMD", "b")), {"test": ["CMD", "b"], "command": ["b"], **DEFAULTS}),
        (None, image(test=("NONE",)), {}),
        ({"test": ["NONE"]}, image(test=("CMD", "b")), {}),
        (
            {"retries": 5, "timeout": 2},
            image(("/sh", "-e"), test=("CMD-SHELL", "b"), interval=1_500_000_000, timeout=10**9, retries=7),
            {
                "test": ["CMD-SHELL", "b"],
                "command": ["/sh", "-e", "b"],
                **DEFAULTS,
                "interval": 1.5,
                "timeout": 2.0,
                "retries": 5,
            },
        ),
    ],
)
def test_what_an_image_says_holds_where_nobody_else_does(asked, defaults, expected):
    assert settle(read(asked), defaults) == expected


@pytest.mark.parametrize("defaults", [None, image(interval=10**9)])
def test_without_a_test_there_is_nothing_to_check(defaults):
    with pytest.raises(InvalidConfig, match="no test"):
        settle(Healthcheck(interval=1), defaults)
