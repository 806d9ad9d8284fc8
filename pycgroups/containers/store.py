"""`Store`: all that is kept on disk, in a place of one's own."""

from __future__ import annotations

import os

from pycgroups.containers.collection import Containers
from pycgroups.containers.events import Events
from pycgroups.containers.volumes.collection import Volumes
from pycgroups.images.collection import Images
from pycgroups.images.store import default_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.containers.disk_use import StoreUse
    from pycgroups.containers.pruning import Pruned


class Store:
    """What pycgroups keeps on disk, elsewhere than usual: for tests, or for a program that has its own.

    ::

        store = pc.Store("/srv/judge")
        store.images.pull("debian:13")
        pc.run(["true"], image=store.images.get("debian:13"))

    Attributes:
        images: its images; what `pycgroups.images` is of the default store.
        containers: its containers; likewise.
        volumes: its volumes; likewise `pycgroups.volumes`.
        events: what has happened in it.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, additional: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Name the place; nothing is made before something is put there.

        Args:
            root: the directory; by default ``$PYCGROUPS_STORE``, else ``/var/lib/pycgroups`` for root and
                ``~/.local/share/pycgroups`` for others.
            additional: stores whose images can be used as well, and are never changed.
        """
        self.images = Images(root, additional=additional)
        self.containers = Containers(root, self.images)
        self.volumes = Volumes(root)
        self._root = None if root is None else os.path.abspath(os.fsdecode(root))
        self.events = Events(self._root)

    def __repr__(self) -> str:
        """Name the place."""
        return f"<Store {self._root or default_root()}>"

    def df(self) -> StoreUse:
        """Tell what takes how much of the disk. It looks at each file of containers and volumes.

        Raises:
            Error: something cannot be read.
        """
        from pycgroups.containers.disk_use import store_use

        return store_use(self)

    def prune(self, *, all: bool = False, volumes: bool = False) -> Pruned:  # noqa: A002 (docker's name)
        """Remove what nobody needs: containers that do not run, images without a name, blobs and layers of no image.

        What processes have left that were killed is removed, too. What a container has that runs stays.

        Args:
            all: also images with a name, if no container was made of them.
            volumes: also volumes that no container has, with their files.

        Returns:
            What was removed.

        Raises:
            Error: something cannot be removed; the rest is.
        """
        from pycgroups.containers.pruning import prune

        return prune(self, all=all, volumes=volumes)
