"""A run of pytest, by one process or, with pytest-xdist, by several: which containers are its, and when they go.

::

    ROOT/pytest/ID          of the store; locked, shared with the others, by each process of the run that has containers
    ROOT/pytest/ID.making   locked by the one that makes a container for all

Each container has the run as a label. Whoever gets the lock alone is the last one, and removes them; the kernel gives
back the locks of those that crash. What a run leaves that was killed as a whole is removed by the next one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.containers.store import Store
from pycgroups.errors import Error, NotFound
from pycgroups.images.files import io_errors
from pycgroups.images.locks import Lock
from pycgroups.images.store import default_root

if TYPE_CHECKING:
    from pycgroups.containers.container import Container

LABEL = "pycgroups.pytest"
"""Its value is the id of the run that a container is of."""
_MAKING = ".making"


class Run:
    """What this process is a part of, as long as it is open.

    Attributes:
        id: of the run.
        containers: those of its store.
    """

    @io_errors("start run of pytest")
    def __init__(self, id_: str, root: str) -> None:
        """Take part in a run, and remove what those before it have left.

        Args:
            id_: of the run; the same in all its processes.
            root: of the store; "" for the default one.

        Raises:
            Error: the store cannot be written to.
        """
        self.id = id_
        self._store = Store(root or None)
        self.containers = self._store.containers
        self._directory = f"{os.path.abspath(root or default_root())}/pytest"
        os.makedirs(self._directory, 0o700, exist_ok=True)
        self._lock = Lock(f"{self._directory}/{id_}", shared=True)
        self._lock.take()
        self._sweep()

    def making(self) -> Lock:
        """Keep others of the run from making a container for all meanwhile."""
        return Lock(f"{self._directory}/{self.id}{_MAKING}")

    @io_errors("end run of pytest")
    def close(self) -> None:
        """Remove its containers, unless others take part.

        Raises:
            Error: one cannot be removed; the next run tries again.
        """
        self._lock.release()
        try:
            self._end(self.id)
        finally:
            self._store.images.close()

    def _sweep(self) -> None:
        for id_ in os.listdir(self._directory):
            if id_ != self.id and not id_.endswith(_MAKING):
                try:
                    self._end(id_)
                except Error:  # a later run tries again; this one has nothing to do with it
                    continue

    def _end(self, id_: str) -> None:
        """Remove the containers of a run that nobody takes part in."""
        lock = Lock(f"{self._directory}/{id_}")
        if not lock.take(wait=False):
            return
        with lock:
            for container in self.containers.list(all=True):
                if _run_of(container) == id_:
                    remove(container)
            for path in (f"{lock.path}{_MAKING}", lock.path):
                if os.path.lexists(path):
                    os.unlink(path)


def _run_of(container: Container) -> str:
    try:
        return container.labels.get(LABEL, "")
    except Error:  # removed meanwhile, or damaged
        return ""


def remove(container: Container) -> None:
    """Kill and remove a container, if it is still there."""
    try:
        container.remove(force=True)
    except NotFound:
        pass
