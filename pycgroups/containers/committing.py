"""``commit``: the image of a container that is held, with what it has changed as one more layer."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager

from pycgroups import runtime
from pycgroups.containers import opening
from pycgroups.containers.config_json import from_json
from pycgroups.errors import NotFound, StateError, Unsupported
from pycgroups.images.copying import copy
from pycgroups.images.extending import source
from pycgroups.images.reference import Reference
from pycgroups.runtime.state import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pycgroups.containers.home import Home
    from pycgroups.containers.place import Place
    from pycgroups.images.image import Image
    from pycgroups.runtime.container import Container


def commit(
    place: Place,
    home: Home,
    name: str | None,
    *,
    changes: Sequence[str],
    author: str | None,
    message: str | None,
) -> Image:
    """Make the image; its layers below are shared with the container's own.

    Raises:
        Unsupported: what it has changed is not known: see `opening.upper`.
        InvalidConfig: the name or a change is none.
        Error: a file cannot be read, or written.
    """
    called = None if name is None else str(Reference.parse(name, "name"))
    record = home.record()
    config = from_json(record.config)
    with opening.upper(place, home) as changed:
        made = source(
            place.images.get(record.image, platform=config.platform),
            changed.layer(),
            changes=changes,
            author=author,
            message=message,
            created=time_text(time.time_ns()),
            created_by=" ".join(config.command or ()),
            directory=place.images.store.blobs.tmp,
        )
    try:
        copied = copy(made, place.images.store.destination(called))
    finally:
        made.close()
    return place.images.get(called or copied.digest)


@contextmanager
def paused(place: Place, home: Home, *, must: bool) -> Iterator[None]:
    """Keep a container that runs from changing its files meanwhile.

    Args:
        place: where it is.
        home: its directory.
        must: or else that is an error.

    Raises:
        Unsupported: it has no group that can be frozen.
    """
    with ExitStack() as after:
        home.note_frozen()
        after.callback(home.forget_frozen)
        try:
            held = runtime.get(home.id, root=place.runtime)
            held.pause()
            after.callback(_resume, held)
        except (NotFound, StateError):  # it has ended meanwhile
            pass
        except Unsupported:
            if must:
                raise
        yield


def _resume(held: Container) -> None:
    try:
        held.resume()
    except (NotFound, StateError):  # it was killed meanwhile
        pass
