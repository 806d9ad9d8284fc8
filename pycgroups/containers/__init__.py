"""Containers: `run`, and `Container` with its collection; what `pycgroups.containers` shows are those that are held.

    >>> import pycgroups as pc
    >>> container = pc.containers.create(["sleep", "inf"], name="web", detach=True)        # doctest: +SKIP
    >>> container.start()                                                                  # doctest: +SKIP
    >>> pc.containers.get("web").stop()                                                    # doctest: +SKIP

The functions here work on the default store, `pycgroups.containers.collection.Containers`; `pycgroups.Store` is another
one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups import images
    from pycgroups.containers.collection import Containers

    _containers = Containers(None, images.default())
    after_boot = _containers.after_boot
    create = _containers.create
    get = _containers.get
    list = _containers.list  # noqa: A001 (docker-py's name)
    prune = _containers.prune

__all__ = ["Containers", "after_boot", "create", "get", "list", "prune"]


def __getattr__(name: str) -> Any:
    """Find the class, and the functions of the default store (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pycgroups.containers import collection

    return collection.Containers if name == "Containers" else getattr(collection.default(), name)


def __dir__() -> tuple[str, ...]:
    """List the public names, for whoever completes or looks them up."""
    return (*globals(), *__all__)
