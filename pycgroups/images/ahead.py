"""Work ahead of who wants the pieces, in a thread: decompression and hashes do not hold the interpreter's lock."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from pycgroups.threads import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import contextmanager
    from typing import TypeVar

    T = TypeVar("T")
else:
    from contextlib import contextmanager

MOST = 8
"Pieces that wait."


@contextmanager
def ahead(pieces: Iterator[T]) -> Iterator[Iterator[T]]:
    """Have a thread make pieces while earlier ones are worked on; it has ended when the context is left.

    Args:
        pieces: makes them; at most `MOST` and one wait. What it raises, the iterator raises after those before.
    """
    ready: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(MOST)
    left = threading.Event()

    def make() -> None:
        try:
            for piece in pieces:
                room.acquire()
                if left.is_set():
                    return
                ready.put((piece,))
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 (it is raised elsewhere)
            ready.put(error)

    def taken() -> Iterator[T]:
        while (got := ready.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            room.release()
            yield from got

    thread = Thread(make, "pycgroups-ahead")
    try:
        thread.start()
        yield taken()
    finally:
        left.set()
        room.release()
        thread.join()
