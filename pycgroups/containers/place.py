"""Where the containers of one store are: on disk, and what there is of the running ones."""

from __future__ import annotations

import os

from pycgroups.containers.events import Events
from pycgroups.containers.home import Homes
from pycgroups.containers.volumes.collection import Volumes
from pycgroups.images.store import default_root
from pycgroups.namespaces import own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups.images.collection import Images
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple


class Place(NamedTuple):
    """Where they are.

    Attributes:
        homes: their directories.
        images: the images of the same store.
        volumes: its volumes.
        events: what has happened in it.
        runtime: where `pycgroups.runtime` keeps the state of those that run; gone after a reboot, if that can be.
    """

    homes: Homes
    images: Images
    volumes: Volumes
    events: Events
    runtime: str


def place(root: str | None, images: Images) -> Place:
    """Say where the containers of a store are; None for the default one. Nothing is made."""
    return _place(root or default_root(), os.environ.get("XDG_RUNTIME_DIR", ""), images)


@lru_cache(maxsize=8)
def _place(root: str, runtime_directory: str, images: Images) -> Place:
    import hashlib

    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    if os.geteuid() == 0 and not own.is_nested():
        runtime = f"/run/pycgroups/containers/{name}"
    elif runtime_directory.startswith("/"):
        runtime = f"{runtime_directory}/pycgroups/containers/{name}"
    else:  # it outlives a reboot here; what is in it is known to be of another boot
        runtime = f"{os.path.realpath(root)}/run"
    return Place(Homes(root), images, Volumes(root), Events(root), runtime)
