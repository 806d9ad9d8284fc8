"""A store whose directory this account may not look into: no empty one."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest

import pycgroups as pc

_NOBODY = 65534


@contextmanager
def nobody():
    """Be somebody to whom permissions apply."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("what", ["images", "containers", "volumes"])
def test_it_is_an_error_that_names_another_place(tmp_path, what):
    place = tmp_path / "store"
    for name in ("images", "containers", "volumes"):
        (place / name).mkdir(parents=True)
    store = pc.Store(root=place)
    assert list(getattr(store, what).list()) == []
    store.images.close()
    place.chmod(0)
    try:
        with nobody(), pytest.raises(pc.Error, match=r"EACCES.*\$PYCGROUPS_STORE"):
            getattr(store, what).list()
    finally:
        place.chmod(0o700)


@pytest.mark.parametrize("what", ["images", "containers", "volumes"])
def test_a_relative_place_is_no_place(monkeypatch, what):
    monkeypatch.setenv("PYCGROUPS_STORE", "store")
    with pytest.raises(pc.InvalidConfig, match=r"option \$PYCGROUPS_STORE: got 'store', allowed: an absolute path"):
        getattr(pc.Store(), what).list()


def test_a_store_tells_where_it_is(monkeypatch):
    assert repr(pc.Store("/srv/judge")) == "<Store /srv/judge>"
    monkeypatch.setenv("PYCGROUPS_STORE", "/srv/other")
    assert repr(pc.Store()) == "<Store /srv/other>"
