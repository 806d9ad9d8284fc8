"""What a long operation tells while it goes on: typed events for a callback; the command line draws bars of them.

    def show(event: Event) -> None: ...
    pc.images.pull("debian:13", progress=show)

A callback is called by the thread that does the work, one call at a time; what it raises ends the operation.
"""

from __future__ import annotations

import threading

from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, NamedTuple

    Doing = Literal["copy", "unpack", "verify"]
    Outcome = Literal["done", "there", "failed"]
else:
    from pycgroups.records import NamedTuple


class Started(NamedTuple):
    """Work on one blob begins.

    Attributes:
        doing: ``"copy"`` (download, upload), ``"unpack"`` or ``"verify"``.
        digest: of the blob, as ``sha256:…``. With ``doing`` it tells which events belong together; a layer that is
            copied and then unpacked has the same in both.
        total: the blob's size in bytes; a layer's is that of what is packed, also while it is unpacked.
    """

    doing: Doing
    digest: str
    total: int


class Advanced(NamedTuple):
    """So much is done.

    Attributes:
        doing: as in `Started`.
        digest: as in `Started`.
        done: bytes since the beginning. It can fall: what came broken is fetched again.
    """

    doing: Doing
    digest: str
    done: int


class Ended(NamedTuple):
    """Work on one blob is over.

    Attributes:
        doing: as in `Started`.
        digest: as in `Started`.
        outcome: ``"done"``; ``"there"``, nothing had to be done; or ``"failed"``, and an error is raised.
    """

    doing: Doing
    digest: str
    outcome: Outcome


if TYPE_CHECKING:
    Event = Started | Advanced | Ended
    Progress = Callable[[Event], None]


def serial(progress: Progress | None) -> Progress:
    """Return what tells the same, one thread at a time; and nobody, when there is nobody.

    Raises:
        InvalidConfig: it cannot be called.
    """
    if progress is None:
        return lambda _event: None
    if not callable(progress):
        raise invalid("progress", progress, "a function of one event")
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            progress(event)

    return tell
