"""The light caches do what those of functools do."""

import functools

import pytest

from pycgroups import caches


@pytest.mark.parametrize("maxsize", [0, 2, None])
def test_answers_are_kept_as_functools_keeps_them(maxsize):
    told = []
    for module in (caches, functools):
        asked: list[int] = []

        @module.lru_cache(maxsize)
        def double(number, asked=asked):
            asked.append(number)
            return 2 * number

        answers = [double(number) for number in (1, 1, 2, 3, 1, 3)]
        info = double.cache_info()
        double.cache_clear()
        told.append((answers, asked, tuple(info), tuple(double.cache_info())))
    assert told[0] == told[1]


def test_all_answers_are_kept():
    @caches.cache
    def name(number):
        """Say it."""
        return str(number)

    assert name(5) is name(5)
    assert name.cache_info().maxsize is None
    assert (name.__name__, name.__doc__) == ("name", "Say it.")
    assert name.__wrapped__(5) == "5"


def test_what_is_no_key_is_a_type_error():
    with pytest.raises(TypeError):
        caches.cache(len)([])
