"""Opening what is in a container that is held: its files, and what it has changed of its image.

Of one that runs, its files are what its process sees, with all that is mounted there. Of one that does not, they are
its layers, mounted for the moment and for nobody else, or its directory; nobody starts it meanwhile.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from pycgroups.containers import image_root, limited
from pycgroups.containers.config_json import from_json
from pycgroups.containers.files import RootFiles
from pycgroups.containers.ids import choose_map
from pycgroups.containers.roots import Layers
from pycgroups.containers.starting import COPY, copied
from pycgroups.containers.upper import Upper
from pycgroups.errors import NotFound, Unsupported
from pycgroups.namespaces.caller import caller
from pycgroups.runtime.signals import open_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.home import Home, Record
    from pycgroups.containers.place import Place
    from pycgroups.images.collection import Root
    from pycgroups.images.image import Image
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.namespace import Namespace


@contextmanager
def running(home: Home) -> Iterator[RootFiles]:
    """Show the files of a container that runs.

    Raises:
        NotFound: it has ended.
    """
    start = home.start()
    pidfd = -1 if start is None else open_process(start.pid)
    if pidfd < 0:
        raise NotFound("its process has ended", operation="open root", path=home.called)
    try:
        with RootFiles.running(pidfd) as found:
            yield found
    finally:
        os.close(pidfd)


@contextmanager
def stopped(place: Place, home: Home) -> Iterator[RootFiles]:
    """Show the files of a container that does not run; its home is locked.

    Raises:
        Unsupported: they were in memory.
    """
    record = home.record()
    config = from_json(record.config)
    idmap = _idmap(config)
    if config.rootfs is not None:
        with RootFiles.stopped(config.rootfs, idmap=idmap) as found:
            yield found
    elif is_in_memory(home, record):
        raise Unsupported(
            "what it writes, over the host's root or with a limit (disk=) here, is in memory, and gone with its end",
            operation="open root",
            path=home.called,
            hint="start it; or make it of an image without that limit, or with a volume",
        )
    else:
        with _held_image(place, record) as (root, image):
            copy = copied(home, root, image, config).copy
            with RootFiles.stopped(copy, idmap=idmap) if copy else _stacked(home, root, config) as found:
                yield found


@contextmanager
def upper(place: Place, home: Home) -> Iterator[Upper]:
    """Show what a container has changed of its image.

    Raises:
        Unsupported: it has none, or a copy of it, which does not tell.
    """
    record = home.record()
    if not record.image or has_copy(home) or is_in_memory(home, record):
        reason = "it was not made of an image"
        if record.image:
            reason = "it has a copy of its image, which does not tell" if has_copy(home) else "it is in memory (disk=)"
        raise Unsupported(f"what it has changed is not known: {reason}", operation="compare", path=home.called)
    config = from_json(record.config)
    with _held_image(place, record) as (root, _):
        layers = _layers(home, root, config)
        with Upper(layers, idmap=_idmap(config), spaces=_shown(home)) as found:
            yield found


def has_copy(home: Home) -> bool:
    """Tell whether a container has a copy of its image."""
    return os.path.isdir(f"{home.path}/{COPY}")


def is_in_memory(home: Home, record: Record) -> bool:
    """Tell whether what a container writes is in memory: over the host's root, and with the limit of a tmpfs."""
    if record.config.get("rootfs") is not None:
        return False
    on_disk = record.config.get("disk") is None or limited.is_there(home) or has_copy(home)
    return not (record.image and on_disk)


def layer(home: Home, record: Record) -> str | None:
    """Tell where a container writes: on "disk", to "memory", or, None, to the directory that is its root."""
    if record.config.get("rootfs") is not None:
        return None
    return "memory" if is_in_memory(home, record) else "disk"


def _idmap(config: ContainerConfig) -> IdMap | None:
    """Return the map by which files on disk have other ids than in the container; None for mounts that are idmapped."""
    who = caller()
    if who.owns_mounts:
        return None
    idmap = choose_map(config, who)
    return idmap if idmap.kind == "map" else None


@contextmanager
def _held_image(place: Place, record: Record) -> Iterator[tuple[Root, Image]]:
    """Have the layers of a container's image, which nobody removes meanwhile."""
    config = from_json(record.config)
    image = place.images.get(record.image, platform=config.platform)
    root, lock = place.images.hold(image, idmap=image_root.idmap_of(config))
    with lock:
        yield root, image


def _stacked(home: Home, root: Root, config: ContainerConfig) -> RootFiles:
    """Show the files of a container that has layers, and does not run."""
    return RootFiles.stopped(_layers(home, root, config), idmap=_idmap(config), spaces=_shown(home))


def _shown(home: Home) -> tuple[Namespace, ...]:
    """Make the namespace in which a layer can be seen that is a file system of its own."""
    return (limited.shown([home]),) if limited.is_there(home) else ()


def _layers(home: Home, root: Root, config: ContainerConfig) -> Layers:
    """Name the layers of a container; its own is made, if it was never started."""
    top = home.path
    if own := limited.is_there(home):
        top = f"{home.path}/{limited.PLACE}"
    else:
        _make_upper(home, root.mode, _idmap(config))
    return Layers(
        lower=tuple(os.fsencode(f"{root.directory}/{layer}") for layer in root.layers),
        upper=os.fsencode(f"{top}/upper"),
        work=os.fsencode(f"{top}/work"),
        # As the mount of the container itself has it: with a user namespace, `pycgroups.runtime.plan`.
        user=choose_map(config, caller()).kind != "host",
        own=own,
    )


def _make_upper(home: Home, mode: int, idmap: IdMap | None) -> None:
    if os.path.isdir(f"{home.path}/upper"):
        return
    if idmap is None:
        make_directories(home.path, mode)
        return
    from pycgroups import namespaces

    with ExitStack() as held:
        spaces = namespaces.create("user", userns=idmap)
        for space in spaces:
            held.callback(space.close)
        namespaces.call(spaces, make_directories, home.path, mode)


def make_directories(path: str, mode: int) -> None:
    """Make what overlayfs writes to, as the owner that the container's root is."""
    for name, its_mode in (("work", 0o700), ("upper", mode)):
        os.makedirs(f"{path}/{name}", exist_ok=True)
        os.chmod(f"{path}/{name}", its_mode)
