"""Volumes among the mounts of a container: each becomes a bind mount of its directory.

On disk the files of a volume belong to the ids that layers of images have: for root those inside, and every container
sees them through its own map of ids (an idmapped mount); for an ordinary user those that the container's ids are on the
host, so that containers with another map see other owners.
"""

from __future__ import annotations

from pycgroups.containers.assemble import check_rootfs
from pycgroups.containers.config import HOST
from pycgroups.containers.mounts import Mount
from pycgroups.namespaces.caller import caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache

    from attrs import evolve

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.volumes.collection import Volumes
    from pycgroups.images.collection import Root
    from pycgroups.images.locks import Lock

    Places = tuple[tuple[str, str], ...]
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve


def prepare(
    config: ContainerConfig, image: Root | None, volumes: Volumes, *, change: bool = True
) -> tuple[ContainerConfig, list[Lock]]:
    """Have the volumes that a container names, and keep them.

    Args:
        config: the options.
        image: the layers of its image, or None: the host's root is no first content of a volume.
        volumes: of which store.
        change: make those that are not there, and fill those that are empty; otherwise nothing is touched.

    Returns:
        The options with bind mounts in the place of volumes, and what keeps those until it is released.

    Raises:
        NotFound: there is no such rootfs. No volume was made.
        InvalidConfig: it is none; likewise.
        Error: one cannot be made or filled.
    """
    layers = _layers(config, image)
    held: list[Lock] = []
    places: dict[str, str] = {}
    try:
        for mount in (*config.mounts, *config.volumes):
            if mount.kind != "volume":
                continue
            assert mount.source is not None
            places[mount.source] = volumes.place(mount.source)
            if change:
                _, lock = volumes.use(mount.source, layers, mount.destination)
                held.append(lock)
        return _as_binds(config, tuple(places.items()), idmap=caller().owns_mounts and config.userns != HOST), held
    except BaseException:
        for lock in held:
            lock.release()
        raise


def _layers(config: ContainerConfig, image: Root | None) -> tuple[str, ...]:
    if image is not None:
        return tuple(f"{image.directory}/{layer}" for layer in image.layers)
    if config.rootfs is None:
        return ()
    check_rootfs(config.rootfs)
    return (config.rootfs,)


@lru_cache(maxsize=64)
def _as_binds(config: ContainerConfig, places: Places, *, idmap: bool) -> ContainerConfig:
    paths = dict(places)

    def lowered(mount: Mount) -> Mount:
        if mount.kind != "volume":
            return mount
        assert mount.source is not None
        return Mount.bind(
            paths[mount.source], mount.destination, read_only=mount.read_only, idmap=idmap, recursive=False
        )

    return evolve(
        config,
        env=config.environment,
        env_file=(),
        mounts=tuple(map(lowered, config.mounts)),
        volumes=tuple(map(lowered, config.volumes)),
    )
