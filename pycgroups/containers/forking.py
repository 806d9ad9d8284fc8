"""``fork``: containers that begin with the files that another one has now.

They share the layers of the image. What the other has written is copied, into the writable layer of each. So none
depends on another, and each can be changed, started, compared, committed and removed as any.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext

from pycgroups import namespaces
from pycgroups.containers import committing, image_root, limited, opening, options
from pycgroups.containers.config_json import from_json
from pycgroups.containers.home import new_id
from pycgroups.containers.starting import COPY
from pycgroups.errors import Unsupported
from pycgroups.images.duplicating import duplicate
from pycgroups.images.files import io_errors
from pycgroups.images.inside import Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.containers.home import Home, Record
    from pycgroups.containers.place import Place
    from pycgroups.images.unpack import Owner


_MOST_MOUNTED = 100
"""Layers at once; a plan has room for some more."""
MOST_LOCKED = 100
"""Homes that stay open for longer. Each takes a descriptor, and so does a start of one."""


def fork(place: Place, home: Home, names: Sequence[str | None], *, freezes: bool) -> list[Home]:
    """Make containers; their homes, locked as this one is. Those beyond `MOST_LOCKED` are to be closed next.

    Args:
        place: where it is.
        home: of the one whose files they get.
        names: what each is called; None for the usual.
        freezes: it runs, and is not to change its files meanwhile. That takes as long as one copy.

    Raises:
        Unsupported: its files are not on disk, or not its own.
        AlreadyExists: a name is taken. No container was made.
        Error: they cannot be copied. No container was made.
    """
    record = home.record()
    check(home, record)
    records = [_fresh(record, name) for name in names]
    for its in records:  # before the copies, which take their time
        place.homes.check_name(its.name, its.id)
    homes: list[Home] = []
    try:
        for its in records:
            homes.append(place.homes.begin(its))  # noqa: PERF401 (those that were made before one that fails count)
        with Inside(image_root.idmap_of(from_json(record.config))) as inside:
            for made in homes:
                _make_layer(home, made)
            with committing.paused(place, home, must=False) if freezes else nullcontext():
                _copy(inside, home, homes[:1])
            _copy(inside, homes[0], homes[1:])
        for made, its in zip(homes, records, strict=True):
            place.homes.finish(made, its)
        for its in records:
            place.events.append("container", "create", id_=its.id, name=its.name)
    except BaseException:
        _remove(place, homes)
        for made in homes:
            made.close()
        raise
    return homes


def names(name: object, count: int) -> list[str | None]:
    """Say what so many containers are called; None for the usual.

    Raises:
        InvalidConfig: it is no name, or too long for several.
    """
    if name is None:
        return [None] * count
    first = options.name(name, "name")
    return [first] if count == 1 else [options.name(f"{first}-{number + 1}", "name") for number in range(count)]


def _remove(place: Place, homes: list[Home]) -> None:
    """Remove what was made, but for what has removed itself."""
    for home in homes:
        if home.fd >= 0:
            place.homes.remove(home)


def check(home: Home, record: Record) -> None:
    """Refuse a container whose files cannot be copied.

    Raises:
        Unsupported: why.
    """
    in_memory = opening.is_in_memory(home, record)
    if record.image and not in_memory:
        return
    why = "what it writes is in memory" if in_memory else "its root is a directory that it only uses"
    hint = "containers made of an image can be forked, with disk= where `pycgroups doctor` says that it is on disk"
    raise Unsupported(why, operation="fork", path=record.name, hint=hint)


def _fresh(record: Record, name: str | None) -> Record:
    id_ = new_id()
    config = {key: value for key, value in record.config.items() if key != "name"}
    return record._replace(id=id_, name=name or f"c{id_[:11]}", created=time.time_ns(), config=config)


def _make_layer(source: Home, home: Home) -> None:
    """Make the file system of a writable layer, where that of the source is one of its own."""
    if limited.is_there(source) and not limited.make(home, source.record().config["disk"]):
        raise Unsupported(
            "the limit (disk) of its source is not to be had any more", operation="fork", path=source.called
        )


@io_errors("fork")
def _copy(inside: Inside, source: Home, homes: list[Home]) -> None:
    owner: Owner = "kept" if inside.has_all_ids else "caller"
    for name in ("upper", COPY):
        if homes and os.path.isdir(f"{source.path}/{name}"):
            inside.apart(copy, source.path, [home.path for home in homes], name, owner)
    if limited.is_there(source):
        for first in range(0, len(homes), _MOST_MOUNTED):
            _copy_mounted(source, homes[first : first + _MOST_MOUNTED])


def _copy_mounted(source: Home, homes: list[Home]) -> None:
    places = [f"{home.path}/{limited.PLACE}" for home in (source, *homes)]
    with limited.shown([source, *homes]) as space:
        namespaces.call([space], _copy_synced, places[0], places[1:])


def _copy_synced(source: str, places: list[str]) -> None:
    for place in places:
        with limited.synced(place):
            copy(source, [place], "upper", "kept")


def copy(source: str, places: list[str], name: str, owner: Owner) -> None:
    """Copy what a container has written to directories of others, with the empty one that overlayfs wants beside it."""
    for place in places:
        duplicate(f"{source}/{name}", f"{place}/{name}", owner)
        if name != COPY:
            os.mkdir(f"{place}/work", 0o700)
