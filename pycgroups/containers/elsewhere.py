"""Functions called where a container's ids are: here, or in a child in the container's user namespace.

Archives come and go through pipes:

    this process                                   the child
    copy in:   files ──▶ tar ──▶ pipe ─────────────▶ tar ──▶ the root
    copy out:  files ◀── tar ◀── pipe ◀───────────── tar ◀── the root
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from pycgroups import namespaces
from pycgroups.images.writing import write_all
from pycgroups.namespaces import own
from pycgroups.runtime.calling import Handed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Self, TypeVar, TypeVarTuple

    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.namespace import Namespace

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

_PIECE = 2**18


def spaces_of(idmap: IdMap | None, *kinds: str) -> tuple[Namespace, ...]:
    """Make namespaces with the ids of a container, where files on disk have others."""
    return () if idmap is None or own.is_privileged() else namespaces.create(*kinds, userns=idmap)


class Elsewhere:
    """Calls functions where a container's ids are: here, or in namespaces."""

    def __init__(self, root: int, spaces: Sequence[Namespace]) -> None:
        self._root = Handed(root)
        self._spaces = tuple(spaces)

    def __enter__(self) -> Self:
        """Hold it until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the root and the namespaces; may be called twice."""
        root, self._root = self._root, Handed(-1)
        if root >= 0:
            os.close(root)
        for space in self._spaces:
            space.close()

    def _call(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        return namespaces.call(self._spaces, fn, *args) if self._spaces else fn(*args)

    def _out(self, fn: Callable[..., None], *args: object) -> Generator[bytes]:
        """Yield what a function in the namespaces writes to the descriptor that is its last argument."""
        theirs: int
        ours, theirs = os.pipe()
        with ThreadPoolExecutor(1, "pycgroups-copy") as pool, open(ours, "rb", buffering=0) as pipe:
            done = pool.submit(self._with, theirs, fn, *args)
            while piece := pipe.read(_PIECE):
                yield piece
            done.result()

    def _in(self, fn: Callable[..., T], chunks: Iterator[bytes], *args: object) -> T:
        """Have a function in the namespaces read a stream from the descriptor that is its last argument."""
        theirs, ours = os.pipe()
        with ThreadPoolExecutor(1, "pycgroups-copy") as pool:
            try:
                done = pool.submit(self._with, theirs, fn, *args)
                for chunk in chunks:
                    write_all(ours, chunk)
            except BrokenPipeError:  # it has ended: it says why
                pass
            finally:
                os.close(ours)
            return done.result()

    def _with(self, theirs: int, fn: Callable[..., T], *args: object) -> T:
        """Call a function with an end of a pipe, closed here once it has ended: who has the other end learns of it."""
        try:
            value: T = namespaces.call(self._spaces, fn, *(*args, Handed(theirs)))
            return value
        finally:
            os.close(theirs)
