"""How far the work on a blob is, in a file: who does it, perhaps another process, writes how many bytes are taken.

here:   with told("unpack", digest, path, tell): ...     looks at the file, and tells
there:  for piece in metered(pieces, path): ...          writes it
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from pycgroups.images.events import Advanced
from pycgroups.threads import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pycgroups.images.events import Doing, Progress

_SIZE = 8
_EVERY = 0.1
"""Seconds between two looks: as often as bars are drawn."""


def metered(pieces: Iterable[bytes], path: str) -> Generator[bytes]:
    """Yield pieces, and write the number of bytes that were taken to a file, which is there, until it is closed."""
    done = 0
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            yield piece
            done += len(piece)
            os.pwrite(file.fileno(), done.to_bytes(_SIZE), 0)


@contextmanager
def told(doing: Doing, digest: str, path: str, tell: Progress) -> Iterator[None]:
    """Tell of the number in a file, whenever it is another one, as long as the context lasts and at its end.

    What `tell` raises is raised at the end: who works elsewhere is not disturbed.
    """
    over = threading.Event()
    last = 0
    raised: list[BaseException] = []

    def look() -> None:
        nonlocal last
        with open(path, "rb", buffering=0) as file:
            done = int.from_bytes(file.read(_SIZE))
        if done != last:
            last = done
            tell(Advanced(doing, digest, done))

    def watch() -> None:
        try:
            while not over.wait(_EVERY):
                look()
            look()
        except BaseException as error:  # noqa: BLE001 (it is raised elsewhere)
            raised.append(error)

    thread = Thread(watch, "pycgroups-meter")
    try:
        thread.start()
        yield
    finally:
        over.set()
        thread.join()
    if raised:
        raise raised[0]
