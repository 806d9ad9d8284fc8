"""``image=``: an image as a container's root, and what it says of how to run it.

Its configuration says what nobody else does: the entry point and the command, variables, the user, the working
directory, the stop signal. Docker's rules: ``command`` takes the place of the image's command, ``entrypoint`` that of
both; variables are added, and those that are given win. Its volumes are directories like others here: what is written
goes to the throw-away top.
"""

from __future__ import annotations

from pycgroups.containers import joining
from pycgroups.containers.ids import choose_map
from pycgroups.errors import Error, ImageError, ImageNotFound, InvalidConfig, Unsupported
from pycgroups.images import default, snapshots
from pycgroups.images.image import Image
from pycgroups.images.reference import Location, is_digest
from pycgroups.namespaces.caller import caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import Self

    from attrs import evolve

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.images.collection import Images, Root
    from pycgroups.images.events import Progress
    from pycgroups.images.locks import Lock
    from pycgroups.images.snapshots import Copy
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.oci.image_spec import ImageDefaults
    from pycgroups.runtime.launch import Running
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve


class ImageRoot:
    """An image that a container is made of, kept until it is released; a context manager.

    Attributes:
        config: the options, with what the image says.
        root: its layers.
    """

    def __init__(
        self, config: ContainerConfig, root: Root, *, lock: Lock | None = None, copy: Copy | None = None
    ) -> None:
        """Take it.

        Args:
            config: the options.
            root: the layers.
            lock: what keeps them.
            copy: where they may be copied to, if they may be.
        """
        self.config = config
        self.root = root
        self._lock = lock
        self._copy = copy

    def copy(self) -> None:
        """Copy the layers, for a container that does without overlayfs.

        Raises:
            Unsupported: the writes to it cannot be limited, as ``disk`` asks.
            Error: there is no room.
        """
        assert self._copy is not None
        check_copy(self.config)
        self._copy.make(self.root)
        self.root = self.root._replace(copy=self._copy.path)

    def await_overlay(self, running: Running) -> None:
        """Wait until overlayfs has taken the layers or refused, unless it has taken such before.

        Raises:
            LaunchError: a step failed, of that or another.
        """
        if self._copy is None or self.root.copy is not None or self.root.directory in _JOINED:
            return
        running.until(_is_made)
        if _is_made(running):
            _JOINED.add(self.root.directory)

    def can_do_without(self, error: Error) -> bool:
        """Tell whether a copy would help: what failed was to join the layers."""
        if self._copy is None or self.root.copy is not None:
            return False
        needs_it = any(mount.kind == "overlay" for mount in self.config.mounts)
        return snapshots.is_refused(error) and not needs_it

    def release(self) -> None:
        """Let go of the layers, and remove the copy; may be called again.

        Raises:
            Error: the copy cannot be removed; the next who copies tries again.
        """
        try:
            if self._copy is not None:
                self._copy.release()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of it."""
        self.release()


def check_copy(config: ContainerConfig) -> None:
    """Refuse to copy the layers for a container whose writes are to be limited.

    Raises:
        Unsupported: they are.
    """
    if config.disk is not None and config.require_limits:
        message = "the image is copied for each container, and the writes to a copy have no limit"
        hint = "`pycgroups doctor` tells why overlayfs is not used; or require_limits=False"
        raise Unsupported(message, operation="option", path="disk", hint=hint)


_JOINED: set[str] = set()
"""Directories whose layers overlayfs has taken, so that the next containers need not wait for its answer."""


def _is_made(running: Running) -> bool:
    """Tell whether the root is there: what is reported comes after it."""
    return running.started or bool(running.descriptors)


def prepare(config: ContainerConfig, *, change: bool = True) -> ImageRoot:
    """Find the image, fetch it where that is asked for, and keep it.

    Args:
        config: with ``image``.
        change: fetch and unpack what is not there, which is an error otherwise; and copy what is to be copied.

    Raises:
        ImageNotFound: it is not here, and is not to be fetched; or there is none.
        RegistryError: it could not be fetched.
        ImageError: it is broken, or its configuration cannot be used.
        InvalidConfig: nothing says what to run.
        Unsupported: with the map of ids that the container is to have, its files would be others'.
    """
    image = find(config if change else evolve(config, pull="never"))
    way = snapshots.asked()
    root, lock = default().hold(image, idmap=idmap_of(config), unpack=change)
    copy = None if way == "overlay" else snapshots.Copy(image.scratch)
    made = ImageRoot(config, root, lock=lock, copy=copy)
    try:
        made.config = with_defaults(config, root.defaults)
        if copy is not None and way == "copy":
            if change:
                made.copy()
            made.root = root._replace(copy=copy.path)
    except BaseException:
        made.release()
        raise
    return made


def idmap_of(config: ContainerConfig) -> IdMap | None:
    """Return the map that decides whose the files of the image are; None where that is left to idmapped mounts."""
    who = caller()
    if who.owns_mounts:
        return None
    with joining.opened(config) as spaces:
        joined = spaces.joined.user
    idmap = choose_map(config, who) if joined is None else joined.idmap
    return idmap if idmap.kind == "map" else None


def find(config: ContainerConfig, *, progress: Progress | None = None, images: Images | None = None) -> Image:
    """Return the image, fetched where the option ``pull`` says so; `progress` is told of that.

    It is looked for in the default store, or in that of `images`.
    """
    images, wanted = images or default(), config.image
    if isinstance(wanted, Image):
        return images.get(wanted, platform=config.platform)
    assert wanted is not None
    if is_digest(wanted):  # of an image that is here: a registry knows none without a name
        return images.get(wanted, platform=config.platform)
    if Location.parse(wanted).transport == "docker" and config.pull != "always":
        try:
            return images.get(wanted, platform=config.platform)
        except ImageNotFound:
            if config.pull == "never":
                raise
    if config.pull == "never":
        message = 'is a place to fetch an image from, and pull="never"'
        raise ImageNotFound(message, operation="find image", path=wanted, hint="pull it, and name it by its digest")
    return images.pull(wanted, platform=config.platform, progress=progress)


@lru_cache(maxsize=64)
def with_defaults(config: ContainerConfig, defaults: ImageDefaults) -> ContainerConfig:
    """Return the options with what the image says where nobody else does."""
    given = config.command is not None or config.entrypoint is not None
    entrypoint = config.entrypoint if config.entrypoint is not None else defaults.entrypoint or None
    command = config.command if given else defaults.cmd or None
    if not (entrypoint or ()) + (command or ()):
        message = "neither the image nor the options name a program"
        raise InvalidConfig(message, operation="option", path="command")
    names = {name for name, _ in config.environment}
    try:
        return evolve(
            config,
            entrypoint=entrypoint,
            command=command,
            env=tuple(pair for pair in _variables(defaults.env) if pair[0] not in names) + config.environment,
            env_file=(),
            cwd=config.cwd or defaults.working_dir or None,
            user=config.user if config.user is not None else defaults.user or None,
            stop_signal=config.stop_signal if config.stop_signal is not None else defaults.stop_signal or None,
        )
    except Error as error:
        message = f"its configuration cannot be used: {error}"
        raise ImageError(message, operation="use image", path=str(config.image)) from error


def _variables(env: tuple[str, ...]) -> list[tuple[str, str]]:
    """Take ``NAME=VALUE``; the last one of a name wins, as for execve(2)'s readers."""
    found: dict[str, str] = {}
    for variable in env:
        name, equals, value = variable.partition("=")
        if not name or not equals:
            raise ImageError(f"its configuration has the variable {variable!r}", operation="use image", path="Env")
        found[name] = value
    return list(found.items())
