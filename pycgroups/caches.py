"""`functools.cache` and `functools.lru_cache` for modules that a short command imports: as `records`, for its reason.

To a type checker they are the real ones::

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from functools import cache
    else:
        from pycgroups.caches import cache
"""

from __future__ import annotations

from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]  # what functools makes them of

from pycgroups.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class CacheInfo(NamedTuple):
    """What ``cache_info()`` returns."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


def cache(function: Callable[..., Any]) -> Any:
    """Keep every answer."""
    return lru_cache(None)(function)


def lru_cache(maxsize: int | None) -> Callable[[Callable[..., Any]], Any]:
    """Keep the answers to the ``maxsize`` latest questions."""

    def decorate(function: Callable[..., Any]) -> Any:
        cached = _lru_cache_wrapper(function, maxsize, False, CacheInfo)
        cached.__wrapped__, cached.__name__, cached.__doc__ = function, function.__name__, function.__doc__
        return cached

    return decorate
