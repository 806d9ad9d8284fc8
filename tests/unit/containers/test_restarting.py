"""Restart policies, as data."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.containers import restarting
from pycgroups.containers.monitor import NO_COMMAND


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("no", "no"),
        ("always", "always"),
        ("unless-stopped", "unless-stopped"),
        ("on-failure", "on-failure"),
        ("on-failure:0", "on-failure"),
        ("on-failure:3", "on-failure:3"),
    ],
)
def test_words(word, normal):
    assert restarting.parse(word) == restarting.parse(normal) == normal


@pytest.mark.parametrize(
    "word",
    [
        *(
            "",
            "never",
            "Always",
            "always:3",
            "no:",
            "on-failure:",
            "on-failure:-1",
            "on-failure:03",
            "on-failure:\u0663",
        ),
        *("on-failure:" + "9" * 5000, "on-failure:3:3", None, True, 3, ["always"]),
    ],
    ids=lambda word: ascii(word)[:20],
)
def test_what_is_none(word):
    with pytest.raises(pc.InvalidConfig, match="restart"):
        restarting.parse(word)


def test_it_takes_twice_as_long_each_time():
    waited, delays = 0.0, []
    for restarts in range(12):
        waited = restarting.command("always", restarts, waited, ["/x"], {}).delay
        delays.append(round(waited, 3))
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]


def test_when_it_comes():
    def command(policy, restarts=0):
        return restarting.command(policy, restarts, 0, ["/x"], {"A": "1"})

    assert command("no") == NO_COMMAND
    always = command("always", 10**6)
    assert (always.words, always.environment, always.again, always.if_failed) == (["/x"], {"A": "1"}, True, False)
    assert (always.settled, always.first) == (10, 0.1)
    assert command("unless-stopped") == command("always")
    assert command("on-failure", 10**6).if_failed
    assert command("on-failure:2", 1).if_failed
    assert command("on-failure:2", 2) == NO_COMMAND


@pytest.mark.parametrize(
    ("policy", "stopped", "starts"),
    [
        ("no", False, False),
        ("on-failure:3", False, False),
        ("always", True, True),
        ("unless-stopped", False, True),
        ("unless-stopped", True, False),
    ],
)
def test_after_a_reboot(policy, stopped, starts):
    assert restarting.starts_after_boot(policy, stopped=stopped) == starts
