"""Pieces that a thread makes ahead: all of them, in order, not too many, and no thread stays."""

from __future__ import annotations

import threading

import pytest

from pycgroups.images.ahead import MOST, ahead
from tests.waiting import wait_for


def none_left():
    return all(thread.name != "pycgroups-ahead" for thread in threading.enumerate())


def test_all_pieces_in_order():
    with ahead(iter(range(1000))) as pieces:
        assert list(pieces) == list(range(1000))
    assert none_left()


def test_they_are_made_elsewhere_and_not_too_many():
    made, by = [], set()

    def make():
        for number in range(100):
            made.append(number)
            by.add(threading.get_ident())
            yield number

    with ahead(make()) as pieces:
        assert next(pieces) == 0
        wait_for(lambda: len(made) == MOST + 2)
        assert [next(pieces), next(pieces)] == [1, 2]
    assert len(made) <= MOST + 5
    assert by.isdisjoint({threading.get_ident()})
    assert none_left()


def test_an_error_comes_after_what_was_before_it():
    def make():
        yield 1
        raise OSError("cut off")

    with ahead(make()) as pieces:
        assert next(pieces) == 1
        with pytest.raises(OSError, match="cut off"):
            next(pieces)
    assert none_left()


def test_who_gives_up_leaves_no_thread():
    def give_up():
        with ahead(iter(range(1000))) as pieces:
            next(pieces)
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        give_up()
    assert none_left()
