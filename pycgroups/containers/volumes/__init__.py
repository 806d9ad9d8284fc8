"""Volumes: directories with a name, which containers share and which outlive them.

    >>> import pycgroups as pc
    >>> volume = pc.volumes.create("data", labels={"of": "the shop"})        # doctest: +SKIP
    >>> pc.run(["sh", "-c", "echo hi >/data/file"], volumes={"data": "/data"})        # doctest: +SKIP
    >>> volume.remove()        # doctest: +SKIP

The functions here work on the default store, `pycgroups.containers.volumes.collection.Volumes`; `pycgroups.Store` is
another one.

    collection, volume      the faces
    filling                 what an image has at a place, as a volume's first content
    mounting                volumes among the mounts of a container
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import Any

    from pycgroups.containers.volumes.collection import Volumes
    from pycgroups.containers.volumes.volume import Volume

    _volumes = Volumes()
    create = _volumes.create
    get = _volumes.get
    list = _volumes.list  # noqa: A001 (docker-py's name)
    prune = _volumes.prune
    remove = _volumes.remove
else:
    from pycgroups.caches import lru_cache

__all__ = ["Volume", "Volumes", "create", "default", "get", "list", "prune", "remove"]


@lru_cache(maxsize=1)
def default() -> Volumes:
    """Return the volumes of the default store."""
    from pycgroups.containers.volumes.collection import Volumes

    return Volumes()


def __getattr__(name: str) -> Any:
    """Find the classes, and the functions of the default store (PEP 562)."""
    if name == "Volume":
        from pycgroups.containers.volumes.volume import Volume

        return Volume
    if name == "Volumes":
        from pycgroups.containers.volumes.collection import Volumes

        return Volumes
    if name in __all__:
        return getattr(default(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> tuple[str, ...]:
    """List the public names, for whoever completes or looks them up."""
    return (*globals(), *__all__)
