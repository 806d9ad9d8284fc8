"""Flags of what is done to containers."""

from __future__ import annotations

import pytest

from pycgroups.cli.flags import UsageError
from pycgroups.cli.verbs import main
from pycgroups.containers import collection

YEAR = 365 * 86_400


class One:
    """A container that remembers how long it was given."""

    def __init__(self):
        self.patience = None

    def get(self, _name):
        return self

    def stop(self, patience, *, signal):
        assert signal is None
        self.patience = patience


@pytest.fixture
def one(monkeypatch):
    made = One()
    monkeypatch.setattr(collection, "default", lambda: made)
    return made


@pytest.mark.parametrize(("text", "least", "most"), [("0", 0, 0), ("1.5", 1.5, 1.5), ("-1", 30 * YEAR, 10**9)])
def test_how_long_a_stop_waits(one, text, least, most):
    assert main(["-t", text, "web"], "stop") == 0
    assert least <= one.patience <= most


@pytest.mark.parametrize("text", ["nan", "inf", "1e10", "soon", ""])
def test_what_is_no_time_is_refused_before_anything_is_done(one, text):
    with pytest.raises(UsageError, match="-1 for no end"):
        main(["-t", text, "web"], "stop")
    assert one.patience is None
