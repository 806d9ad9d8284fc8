"""Work on files with the ids of containers: by root directly, by an ordinary user in a user namespace.

The layers of an ordinary user belong, on disk, to the ids that the user's containers have: the user is root in them,
and the subordinate ids (subuid(5)) are the rest. Only in a user namespace with that map can they be made and removed.
"""

from __future__ import annotations

import os
import threading

from pycgroups._native import vfs
from pycgroups.namespaces import own
from pycgroups.namespaces.caller import caller
from pycgroups.namespaces.idmap import END_OF_IDS, IdMap, covers, is_single, resolve_auto
from pycgroups.oci.runtime_spec import IdMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self, TypeVar, TypeVarTuple

    from pycgroups.namespaces import Worker

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

_ALL = (IdMapping(0, 0, END_OF_IDS),)
_CHANGING = threading.Lock()
"One for all: of a process that is forked while another thread starts a worker, it is the one to set free."
os.register_at_fork(after_in_child=_CHANGING._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001


class Inside:
    """Calls functions where the ids of containers are.

    A context manager: what is called while it is entered, by any thread, shares one child of this process, which is
    started with the first call, and ends when the last has left.
    """

    def __init__(self, idmap: IdMap | None = None) -> None:
        """Start nothing.

        Args:
            idmap: of the containers; by default the one that the user's usually have.
        """
        self._given = idmap
        self._entered = 0
        self._workers: list[Worker] = []  # one; those before it were killed, and threads may be about to learn that

    def __enter__(self) -> Self:
        """Keep the child, if one will be needed."""
        with _CHANGING:
            self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End it, unless somebody else keeps it."""
        with _CHANGING:
            self._entered -= 1
            workers = []
            if not self._entered:
                workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()

    def __call__(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function of a module, and return its value.

        Raises:
            BaseException: what it raises.
        """
        idmap = self._idmap()
        return fn(*args) if idmap is None else self._call(idmap, fn, *args)

    def apart(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call it in a process of its own, as the root of containers: files can be read whatever their modes.

        What it writes is complete for all. A file that this process had open would be so in a child that another thread
        starts meanwhile, and while that is so it cannot be executed: execve(2), ETXTBSY.

        Raises:
            BaseException: what it raises.
        """
        idmap = self._idmap() or (None if caller().uid == 0 else IdMap.single())
        if idmap is not None:
            return self._call(idmap, fn, *args)
        from pycgroups import namespaces

        return namespaces.call([], fn, *args)

    def _call(self, idmap: IdMap, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        with self:
            return self._started(idmap).call(fn, *args)

    def _started(self, idmap: IdMap) -> Worker:
        """Return the child; a new one when it was killed, or is that of a process that has forked this one."""
        with _CHANGING:
            if not self._workers or not self._workers[-1].is_there:
                from pycgroups import namespaces

                self._workers.append(namespaces.Worker(idmap))
            return self._workers[-1]

    def _idmap(self) -> IdMap | None:
        """Return the map of the user's containers; None for root, and where there is one id alone."""
        if self._given is not None:
            return None if is_single(self._given) else self._given
        who = caller()
        if who.uid == 0 or who.privileged or not who.subuids:
            return None
        return resolve_auto(who.uid, who.gid, who.subuids, who.subgids, 0)

    @property
    def has_all_ids(self) -> bool:
        """Whether files can have any owner of an image: not so where there is one id alone, which has all of them."""
        if self._given is not None:
            return not is_single(self._given)
        return own.is_privileged() or self._idmap() is not None

    def fits(self, idmap: IdMap) -> bool:
        """Whether files have the right owners in a container with this map; those beyond it are nobody's there."""
        if not self.has_all_ids:
            return True
        own = self._idmap()
        if own is None:
            return covers(_ALL, idmap.uids) and covers(_ALL, idmap.gids)
        return not is_single(idmap) and covers(own.uids, idmap.uids) and covers(own.gids, idmap.gids)

    @staticmethod
    def sync(fd: int) -> None:
        """Have all of a file system written to its disk: what is to survive a power cut, before it gets its name."""
        vfs.sync_file_system(fd)
