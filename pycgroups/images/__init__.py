"""Images: pull, push, build upon; a store on disk, layers, registries and archives.

    >>> import pycgroups as pc
    >>> image = pc.images.pull("debian:13")        # doctest: +SKIP
    >>> pc.run(["cat", "/etc/debian_version"], image=image).stdout        # doctest: +SKIP

The functions here work on the default store, `pycgroups.images.collection.Images`; `pycgroups.Store` is another one.

    collection, image       the faces
    copying, transport      from any place to any other
    store, blobs, names     an OCI image layout on disk
    layers, unpack ...      layers in overlayfs's form
    registry                the client
    layouts, archives ...   images in directories and files
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import Any

    from pycgroups.images.collection import Images
    from pycgroups.images.image import Image

    _images = Images()
    copy = _images.copy
    df = _images.df
    gc = _images.gc
    get = _images.get
    import_ = _images.import_
    inspect = _images.inspect
    load = _images.load
    list = _images.list  # noqa: A001 (docker-py's name)
    prune = _images.prune
    pull = _images.pull
    push = _images.push
    remove = _images.remove
    repair = _images.repair
    save = _images.save
    tag = _images.tag
    verify = _images.verify
else:
    from pycgroups.caches import lru_cache

__all__ = [
    "Image",
    "Images",
    "copy",
    "default",
    "df",
    "gc",
    "get",
    "import_",
    "inspect",
    "list",
    "load",
    "prune",
    "pull",
    "push",
    "remove",
    "repair",
    "save",
    "tag",
    "verify",
]


@lru_cache(maxsize=1)
def default() -> Images:
    """Return the images of the default store."""
    from pycgroups.images.collection import Images

    return Images()


def __getattr__(name: str) -> Any:
    """Find the classes, and the functions of the default store (PEP 562)."""
    if name == "Image":
        from pycgroups.images.image import Image

        return Image
    if name == "Images":
        from pycgroups.images.collection import Images

        return Images
    if name == "registry":
        from importlib import import_module

        return import_module("pycgroups.images.registry")  # `from ... import` would ask here again
    if name in __all__:
        return getattr(default(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> tuple[str, ...]:
    """List the public names, for whoever completes or looks them up."""
    return (*globals(), *__all__)
