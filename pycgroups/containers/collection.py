"""`Containers`: all containers of a store; those of the default one are the functions of `pycgroups.containers`."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pycgroups import images as default_images
from pycgroups.containers import ending, limited, restarting, starting
from pycgroups.containers import healthcheck as checks
from pycgroups.containers.config import OPTIONS, ContainerConfig
from pycgroups.containers.config_json import to_json
from pycgroups.containers.home import Record, new_id
from pycgroups.containers.place import place
from pycgroups.errors import Error, InvalidConfig, NotFound, StateError
from pycgroups.misnamed import check_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from functools import lru_cache
    from typing import Any

    from typing_extensions import Unpack

    from pycgroups.containers.container import Container
    from pycgroups.containers.events import Events
    from pycgroups.containers.healthcheck import Healthcheck
    from pycgroups.containers.home import Home
    from pycgroups.containers.place import Place
    from pycgroups.containers.vocabulary import Options, Path
    from pycgroups.images.collection import Images

    List = list["Container"]
else:
    from pycgroups.caches import lru_cache

LIVE, IDLE = frozenset({"running", "paused", "restarting"}), frozenset({"created", "stopped"})
"""The statuses of containers that are at work, and of those that nobody misses; a damaged one's is neither."""


class Containers:
    """The containers of one store.

    Args:
        root: the store's directory; by default as for its images.
        images: those that they are made of.
    """

    def __init__(self, root: str | os.PathLike[str] | None, images: Images) -> None:
        """Take the place; nothing is made before a container is."""
        self._root = None if root is None else os.path.abspath(os.fsdecode(root))
        self._images = images

    @property
    def _place(self) -> Place:
        return place(self._root, self._images)

    @property
    def events(self) -> Events:
        """What has happened in the store, to be read and followed by any process: `Store.events`."""
        return self._place.events

    def create(
        self,
        command: Path | Sequence[Path] | None = None,
        *,
        detach: bool = False,
        remove: bool = False,
        stdin_open: bool = False,
        restart: str = "no",
        healthcheck: Healthcheck | Mapping[str, Any] | str | None = None,
        **options: Unpack[Options],
    ) -> Container:
        """Make a container, and do not start it.

        Args:
            command: as for `pycgroups.Container`.
            detach: likewise.
            remove: likewise.
            stdin_open: likewise.
            restart: likewise.
            healthcheck: likewise.
            **options: likewise.

        Raises:
            InvalidConfig: an option is wrong; nothing was made.
            Unsupported: a container that is held cannot have it.
            AlreadyExists: the name is taken.
            ImageNotFound, RegistryError: there is no such image.
        """
        check_options(Containers.create, options, OPTIONS)
        made, home = self._make(
            command,
            detach=detach,
            remove=remove,
            stdin_open=stdin_open,
            restart=restart,
            healthcheck=healthcheck,
            **options,
        )
        home.close()
        return made

    def started(self, command: Path | Sequence[Path] | None = None, **options: Any) -> Container:
        """Not for users: make one, and start it, so that nobody prunes it in between. Nothing is left if that fails."""
        made, home = self._make(command, **options)
        try:
            with home:
                made.start_in(home)
        except BaseException:
            home.close()
            made.discard()
            raise
        return made

    def _make(
        self,
        command: Path | Sequence[Path] | None,
        *,
        detach: bool = False,
        remove: bool = False,
        stdin_open: bool = False,
        restart: str = "no",
        healthcheck: Healthcheck | Mapping[str, Any] | str | None = None,
        **options: Unpack[Options],
    ) -> tuple[Container, Home]:
        """Make one; its home is locked."""
        policy = restarting.parse(restart, remove=remove)
        asked = checks.read(healthcheck)
        config = ContainerConfig(command=command, **options)
        starting.check(config)
        digest, mode, defaults = "", 0, None
        if config.image not in {None, "host"}:
            config, digest, mode = starting.settle(config, self._images)
            defaults = self._images.get(digest, platform=config.platform).config
        where, id_ = self._place, new_id()
        where.homes.sweep()
        record = Record(
            id=id_,
            name=config.name or f"c{id_[:11]}",
            created=time.time_ns(),
            config=to_json(config),
            image=digest,
            detach=detach,
            remove=remove,
            stdin=stdin_open,
            restart=policy,
            healthcheck=checks.settle(asked, defaults),
        )
        with (
            self._images.keeping(digest) if digest else nullcontext(),
            where.volumes.keeping() if config.names_volumes else nullcontext(),
            where.homes.making(record) as home,
        ):
            if digest and config.disk is not None:
                limited.make(home, config.disk, mode)
        made = _container(where, id_)
        try:
            where.events.append("container", "create", id_=id_, name=record.name)
        except BaseException:  # Ctrl-C: nobody would know of it
            home.close()
            made.discard()
            raise
        return made, home

    def get(self, name: str) -> Container:
        """Find a container by its name, its id, or the beginning of that.

        Raises:
            NotFound: there is none.
            InvalidConfig: several ids begin so.
        """
        where = self._place
        return _container(where, where.homes.find(name))

    def list(self, *, all: bool = False) -> List:  # noqa: A002 (docker-py's name)
        """Return the containers that run or are restarting, or all of them, those made last first.

        A damaged one is among all of them, with the status "damaged".
        """
        found = []
        for container in self._everything():
            try:
                if all or container.status in LIVE:
                    found.append((_made_at(container), container))
            except NotFound:  # removed meanwhile
                continue
        return [container for _, container in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def _everything(self) -> List:
        where = self._place
        return [_container(where, id_) for id_ in where.homes.ids()]

    def after_boot(self) -> List:
        """Return the containers that are to be started once the machine is up: there is no daemon that would.

        These are the detached ones that have stopped, with ``restart="always"``, and with ``"unless-stopped"`` if
        nobody has stopped them. ``pycgroups start --after-boot`` starts them. A damaged one is left alone.
        """
        found = []
        for container in self._everything():
            try:
                if container.starts_after_boot:
                    found.append(container)
            except (NotFound, InvalidConfig):  # removed meanwhile, or damaged
                continue
        return found

    def prune(self) -> List:
        """Remove all containers that do not run; returns them. What a crash has left goes as well.

        One that is just being restarted, or started by who makes it, stays.

        Raises:
            Error: something cannot be removed; the others are. A damaged one is left alone.
        """
        where = self._place
        failed = where.homes.sweep()
        try:
            ending.sweep(where)
        except Error as error:
            failed = error
        gone = []
        for container in self._everything():
            try:
                if container.status in IDLE:
                    container.remove()
                    gone.append(container)
            except (NotFound, StateError):  # somebody else has removed or started it
                continue
            except Error as error:
                failed = error
        if failed is not None:
            raise failed
        return gone


def _made_at(container: Container) -> float:
    try:
        return container.created
    except Error:
        return 0.0


def _container(where: Place, id_: str) -> Container:
    from pycgroups.containers.container import Container

    return Container.of(where, id_)


@lru_cache(maxsize=1)
def default() -> Containers:
    """Return the containers of the default store."""
    return Containers(None, default_images.default())
