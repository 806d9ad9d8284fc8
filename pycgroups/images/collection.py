"""`Images`: the images of a store. `pycgroups.images` is that of the default store."""

from __future__ import annotations

import os
import threading

from pycgroups.errors import ImageError, ImageNotFound, InvalidConfig, StateError, invalid
from pycgroups.images import cleaning
from pycgroups.images.events import serial
from pycgroups.images.files import io_errors
from pycgroups.images.image import Image
from pycgroups.images.names import name_of
from pycgroups.images.platforms import parse_platform
from pycgroups.images.reference import Location, Reference, is_digest, is_place
from pycgroups.images.store import ImageStore, default_root
from pycgroups.images.users import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import contextmanager
    from typing import Any, BinaryIO, Literal, NamedTuple

    from pycgroups.images.checking import Problem
    from pycgroups.images.cleaning import Freed
    from pycgroups.images.copying import Copied
    from pycgroups.images.disk_use import DiskUse
    from pycgroups.images.events import Progress
    from pycgroups.images.locks import Lock
    from pycgroups.images.registry import RegistryOptions
    from pycgroups.images.transport import Source
    from pycgroups.images.unpack import LayerLimits
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.oci.image_spec import Descriptor, ImageDefaults, Platform

    Named = "str | Image"
    Policy = Literal["missing", "always", "never"]
else:
    from contextlib import contextmanager

    from pycgroups.records import NamedTuple

POLICIES = ("missing", "always", "never")
_SHORTEST_ID = 6
_HEX = frozenset("0123456789abcdef")


class Root(NamedTuple):
    """An image as the root of a container.

    Attributes:
        directory: has all layers below it.
        layers: their paths in it, the topmost first.
        mode: of the root directory.
        defaults: how to run it.
        copy: a directory with all their files, of one container; None when overlayfs joins them.
    """

    directory: str
    layers: tuple[str, ...]
    mode: int
    defaults: ImageDefaults
    copy: str | None = None


class Images:
    """The images of one store.

    Args:
        root: the store's directory; by default ``/var/lib/pycgroups`` for root and ``~/.local/share/pycgroups`` for
            others, or what ``$PYCGROUPS_STORE`` says.
        additional: stores that are looked into as well, and never changed.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, additional: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Take the places; nothing is made before something is put there."""
        self._root = _directory(root, "root") if root is not None else None
        self._additional = [_directory(place, f"additional[{number}]") for number, place in enumerate(additional)]
        self._opening = threading.Lock()
        self._own: ImageStore | None = None
        self._others: list[ImageStore] = []

    def __reduce__(self) -> tuple[object, ...]:
        """Be pickled as the places: in another process these are the same."""
        return _at, (self._root or default_root(), self._additional)

    @property
    def store(self) -> ImageStore:
        """The store that is added to; made when it is not there.

        Raises:
            ImageError: it cannot be made or opened.
        """
        root = self._root or default_root()
        with self._opening:
            if self._own is None or self._own.root != root:
                self._own = ImageStore(root)
            return self._own

    def _open(self) -> Sequence[ImageStore]:
        """Return the stores that there are: to look into one makes none."""
        own = [self.store] if self.is_there else []
        with self._opening:
            if not self._others:
                self._others = [ImageStore(place, read_only=True) for place in self._additional]
            return own + self._others

    @property
    def is_there(self) -> bool:
        """Whether the store has a place for images yet."""
        try:
            os.stat(f"{self._root or default_root()}/images")
        except FileNotFoundError:
            return False
        except OSError:  # whoever opens it is told so
            pass
        return True

    def close(self) -> None:
        """Let go of the store's directory; it is opened again when it is wanted."""
        if self._own is not None:
            self._own.close()
        for store in self._others:
            store.close()
        self._own, self._others = None, []

    # -- what there is ------------------------------------------------------------------------------------------

    def list(self, *, dangling: bool = True) -> list[Image]:
        """Return the images that are here, by name.

        Args:
            dangling: those, too, whose name was given to another image.

        Raises:
            ImageError: the store's index is damaged.
        """
        found = []
        for store in self._open():
            for entry in sorted(store.names.all(), key=lambda entry: (name_of(entry) or "~", entry.digest)):
                if dangling or name_of(entry) is not None:
                    try:
                        found.append(Image(self, store, entry))
                    except (ImageError, ImageNotFound, InvalidConfig):
                        continue  # `verify` tells of it, and `remove` takes it away
        return found

    def get(self, name: str | Image, *, platform: str | Platform | None = None) -> Image:
        """Return an image that is here.

        Args:
            name: a reference, as ``debian:13``; or an image's id or digest, or at least six letters of it.
            platform: of an image for several, as ``linux/arm64``; by default this machine's.

        Raises:
            ImageNotFound: it is not here.
            InvalidConfig: it is no name of an image, or is the beginning of several ids.
        """
        wanted = None if platform is None else parse_platform(platform)
        if isinstance(name, Image):
            return name if wanted is None else Image(self, name.store, name.entry, wanted)
        store, entry = self._find(name)
        return Image(self, store, entry, wanted)

    def _find(self, name: str) -> tuple[ImageStore, Descriptor]:
        reference = Reference.parse(name) if not is_digest(name) else None
        if reference is not None:
            found = self._named(reference) or self._named(_resolved(name, None))
            if found is not None:
                return found
        fitting = list(self._by_id(name))
        if len({entry.digest for _, entry in fitting}) > 1:
            raise invalid("image", name, "a longer beginning: several ids begin so")
        if fitting:
            return fitting[0]
        fetch = "" if reference is None else f", pycgroups pull {name} fetches it"
        raise ImageNotFound(
            "not here",
            operation="find image",
            path=name if reference is None else str(reference),
            hint=f"pycgroups images tells what is here{fetch}",
        )

    def _named(self, reference: Reference) -> tuple[ImageStore, Descriptor] | None:
        """Find what has this name; one with a digest is also found where another name of its repository has that."""
        for store in self._open():
            for entry in store.names.all():
                called = name_of(entry)
                if called == str(reference):
                    return store, entry
                if (
                    called is not None
                    and reference.digest == entry.digest
                    and called.startswith((f"{reference.name}:", f"{reference.name}@"))
                ):
                    return store, entry
        return None

    def _by_id(self, name: str) -> Iterable[tuple[ImageStore, Descriptor]]:
        text = name.removeprefix("sha256:").removeprefix("sha512:")
        if len(text) < _SHORTEST_ID or not set(text) <= _HEX:
            return
        for store in self._open():
            for entry in store.names.all():
                digests = [entry.digest]
                try:
                    digest, manifest = store.manifest(entry)
                    digests += [str(digest), manifest.config.digest]
                except (ImageError, ImageNotFound, InvalidConfig):
                    pass
                if any(one.partition(":")[2].startswith(text) for one in digests):
                    yield store, entry

    # -- from and to elsewhere --------------------------------------------------------------------------------------

    def pull(
        self,
        name: str,
        *,
        platform: str | Platform | None = None,
        all_platforms: bool = False,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
        registry: RegistryOptions | None = None,
    ) -> Image:
        """Fetch an image, and unpack it. What is here already is not fetched again, nor what an earlier try has left.

        Args:
            name: a reference, or another place: ``oci:DIR[:TAG]``, ``oci-archive:FILE``, ``docker-archive:FILE``,
                ``dir:DIR``.
            platform: of an image for several, which; by default this machine's. An image of another one is refused when
                this is given.
            all_platforms: all of them, as a mirror needs.
            limits: what its layers may hold; see `pycgroups.images.unpack.LayerLimits`.
            progress: is told how far it is; see `pycgroups.images.events`.
            registry: how to talk to the registry.

        Returns:
            The image, which is called by its reference now. From another place it has the names that it has there, as
            far as they are such; without one it is found by its digest and its id.

        Raises:
            ImageNotFound: there is none.
            RegistryError: the registry refused, or cannot be reached.
            ImageError: it is broken. Its name, if it was here before, still names what it named.

        Sources: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md, "Pull".
        """
        progress = serial(progress)
        location = Location.parse(name)
        if location.transport == "docker":
            location = Location("docker", "", str(_resolved(name.removeprefix("docker://"), registry)))
        wanted = parse_platform(platform)
        asked = None if platform is None else wanted
        source = self._source(location, registry)
        try:
            called = self._take(
                source, platform=None if all_platforms else wanted, asked=asked, limits=limits, progress=progress
            )
        finally:
            source.close()
        return self.get(called, platform=platform)

    def _take(
        self,
        source: Source,
        *,
        platform: Platform | None = None,
        asked: Platform | None = None,
        limits: LayerLimits | None,
        progress: Progress,
    ) -> str:
        """Copy an image into the store, under each full name that its source has for it.

        Args:
            source: stays open.
            platform: of an index, which; None: all.
            asked: an image of another one is refused.
            limits: what its layers may hold.
            progress: is told how far it is.

        Returns:
            One of its names; its digest, where it has none.
        """
        from pycgroups.images.copying import copy

        names = [name for name in map(_full_name, source.called) if name is not None]
        for name in names or (None,):
            destination = self.store.destination(name, limits=limits, progress=progress, platform=asked)
            copied = copy(source, destination, platform=platform, progress=progress)
        return names[0] if names else copied.digest

    def push(
        self,
        image: str | Image,
        to: str | None = None,
        *,
        progress: Progress | None = None,
        registry: RegistryOptions | None = None,
    ) -> str:
        """Send an image to a registry; blobs that it has are not sent.

        Args:
            image: which.
            to: what it is to be called there; by default what it is called here.
            progress: is told how far it is.
            registry: how to talk to the registry.

        Returns:
            The digest that it has there: the same as here.

        Raises:
            ImageNotFound: it is not here.
            RegistryError: the registry refused, or cannot be reached.
            DigestMismatch: a blob here is damaged; it was not sent.
        """
        found = self.get(image)
        target = to or found.reference
        if target is None:
            raise invalid("to", to, "a reference: the image has no name of its own")
        return self.copy(found, target, progress=progress, registry=registry).digest

    def copy(
        self,
        source: str | Image,
        destination: str,
        *,
        platform: str | Platform | None = None,
        progress: Progress | None = None,
        registry: RegistryOptions | None = None,
    ) -> Copied:
        """Copy an image from anywhere to anywhere, without unpacking it; neither need be this store.

        Args:
            source: an `Image`, or a place: ``docker://REFERENCE``, ``oci:DIR[:TAG]``, ``oci-archive:FILE``,
                ``docker-archive:FILE``, ``dir:DIR``.
            destination: likewise a place.
            platform: of an image for several, which; by default all.
            progress: is told how far it is.
            registry: how to talk to registries.

        Returns:
            What was copied.

        Raises:
            Error: of the kinds that `pull` and `push` name.
        """
        from pycgroups.images import transports
        from pycgroups.images.copying import copy

        wanted = None if platform is None else parse_platform(platform)
        origin: Source
        if isinstance(source, Image):
            origin = source.store.source(source.entry, wanted)
        else:
            origin = transports.source(Location.parse(source, "source"), registry)
        try:
            return copy(
                origin,
                transports.destination(Location.parse(destination, "destination"), registry),
                platform=wanted,
                progress=progress,
            )
        finally:
            origin.close()

    def inspect(
        self,
        image: str | Image,
        *,
        platform: str | Platform | None = None,
        registry: RegistryOptions | None = None,
    ) -> dict[str, Any]:
        """Return all that is known of an image as plain data, without fetching one that is elsewhere.

        Args:
            image: one that is here, as for `get`; or a place: ``docker://REFERENCE``, ``oci:DIR[:NAME]`` and so on.
            platform: of an image for several, which; by default this machine's.
            registry: how to talk to the registry.

        Raises:
            ImageNotFound: there is none.
            ImageError: it is broken.
            RegistryError: the registry refused, or cannot be reached.
        """
        if isinstance(image, Image) or not is_place(image):
            return self.get(image, platform=platform).inspect()
        from pycgroups.images import inspecting, transports

        source = transports.source(Location.parse(image), registry)
        try:
            return inspecting.inspect(source, None if platform is None else parse_platform(platform))
        finally:
            source.close()

    def _source(self, location: Location, registry: RegistryOptions | None) -> Source:
        from pycgroups.images import transports

        return transports.source(location, registry, directory=self.store.blobs.tmp)

    # -- archives -------------------------------------------------------------------------------------------------

    def save(
        self,
        images: str | Image | Sequence[str | Image],
        target: str | os.PathLike[str] | BinaryIO,
        *,
        form: Literal["oci-archive", "docker-archive"] = "oci-archive",
        progress: Progress | None = None,
    ) -> None:
        """Write images to one archive, which `load`, docker and podman read. The same images make the same bytes.

        Args:
            images: which.
            target: a path, whose file is replaced when the new one is whole; or a stream to write to.
            form: ``"oci-archive"``, an image layout in a tar; or ``"docker-archive"``, what ``docker save`` wrote.
            progress: is told how far it is.

        Raises:
            ImageNotFound: one is not here.
            DigestMismatch: a blob is damaged.
            Error: it cannot be written; what was at the path is there still.
        """
        from pycgroups.images.archives import ArchiveWriter
        from pycgroups.images.copying import copy

        if form not in {"oci-archive", "docker-archive"}:
            raise invalid("form", form, "'oci-archive' or 'docker-archive'")
        if not isinstance(images, str | Image | list | tuple):
            raise invalid("images", images, "an image, or a list of images")
        wanted = [self.get(image) for image in ([images] if isinstance(images, str | Image) else images)]
        if not wanted:
            raise invalid("images", images, "at least one")
        with ArchiveWriter(target, form, directory=self.store.blobs.tmp) as writer:
            for image in wanted:
                copy(image.store.source(image.entry), writer.destination(image.reference), progress=progress)

    def load(
        self,
        origin: str | os.PathLike[str] | BinaryIO,
        *,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
    ) -> Sequence[Image]:
        """Take the images of an archive, of either form or of rkt's (``.aci``), by the names that they have in it.

        Args:
            origin: a path, or a stream, which need not be able to seek. gzip, zstd, bzip2 and xz are unpacked.
            limits: what their layers may hold.
            progress: is told how far it is.

        Returns:
            The images, in the archive's order.

        Raises:
            ImageNotFound: there is no such file.
            ImageError: it is no archive of images, or a broken one. Images before the broken one are taken.
        """
        from pycgroups.images.archives import open_archive

        progress = serial(progress)
        with open_archive(origin, directory=self.store.blobs.tmp) as archive:
            loaded = [self._take(archive.source(name), limits=limits, progress=progress) for name in archive.names()]
        return [self.get(name) for name in dict.fromkeys(loaded)]

    def import_(
        self,
        origin: str | os.PathLike[str] | BinaryIO,
        name: str | None = None,
        *,
        changes: Sequence[str] = (),
        platform: str | Platform | None = None,
        created: str | None = None,
        message: str | None = None,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
    ) -> Image:
        """Make an image of a root file system: a tar, or a directory. The same one gives the same digest each time.

        Args:
            origin: a path, or a stream of a tar, compressed or not; or the path of a directory, whose files keep
                their owners.
            name: what it is to be called.
            changes: instructions as a Dockerfile has them: ``CMD``, ``ENTRYPOINT``, ``ENV``, ``EXPOSE``, ``LABEL``,
                ``STOPSIGNAL``, ``USER``, ``VOLUME``, ``WORKDIR``.
            platform: what it is for; by default this machine's.
            created: when it was made, as RFC 3339 has it; not said by default.
            message: a comment in its history.
            limits: what it may hold.
            progress: is told how far it is.

        Raises:
            ImageNotFound: there is no such file.
            ImageError: it is no tar, or a broken one.
            InvalidConfig: a change is none.
        """
        from pycgroups.images import importing
        from pycgroups.images.copying import copy

        progress = serial(progress)
        called = None if name is None else str(Reference.parse(name, "name"))
        wanted = parse_platform(platform)
        made = importing.source(
            origin,
            changes=changes,
            platform=wanted,
            created=created,
            message=message,
            directory=self.store.blobs.tmp,
        )
        try:
            copied = copy(made, self.store.destination(called, limits=limits, progress=progress), progress=progress)
        finally:
            made.close()
        return self.get(called or copied.digest, platform=wanted)

    # -- names --------------------------------------------------------------------------------------------------

    def tag(self, image: str | Image, name: str) -> Image:
        """Give an image another name, besides those that it has. What had that name before has it no more.

        Raises:
            ImageNotFound: it is not here.
            InvalidConfig: the name is none, or has a digest.
        """
        found = self.get(image)
        reference = Reference.parse(name, "name")
        if reference.digest is not None:
            raise invalid("name", name, "a name and a tag: a digest is not given, it is what the image is")
        if found.store is not self.store:
            raise InvalidConfig("an additional store is not changed: pull the image", operation="tag", path=name)
        self.store.names.set(str(reference), found.entry)
        return self.get(str(reference))

    def remove(self, image: str | Image, *, force: bool = False) -> Freed:
        """Take an image's name away; with its last name, what no other image needs is removed.

        By an id or a digest, all names of the image are taken. Layers that a run uses stay until that has ended; the
        next removal, or `prune`, frees them. So they do while another process pulls.

        Args:
            image: which.
            force: take its last name, too, when containers were made of it. It stays without one, as they need it;
                `prune` frees it when the last of them was removed.

        Returns:
            What was removed.

        Raises:
            ImageNotFound: it is not here.
            StateError: containers were made of it, running or not; it says which. Nothing was removed.
        """
        name = image.reference or image.digest if isinstance(image, Image) else image
        store, entry = self._find(name)
        if store is not self.store:
            raise InvalidConfig("an additional store is not changed", operation="remove", path=name)
        by_name = name_of(entry) is not None and not _is_id_of(name, entry)
        with store.names.changing() as entries:
            gone = [
                one for one in entries if (name_of(one) == name_of(entry) if by_name else one.digest == entry.digest)
            ]
            used = users(store.root)
            if not force:
                _check_unused(name, gone, entries, used)
            store.names.take(entries, gone, used)
        names = tuple(name_of(one) or one.digest for one in gone if one not in entries)
        freed = cleaning.collect(store, wait=False)
        return (freed or cleaning.Freed((), 0, 0, 0))._replace(images=names)

    # -- the store ------------------------------------------------------------------------------------------------

    def prune(self, *, all: bool = False) -> Freed:  # noqa: A002 (docker's name)
        """Remove what is of no use: images without a name, blobs and layers that none needs, what was begun and left.

        An image that a container was made of stays, whether that runs or not.

        Args:
            all: those with a name, too.

        Returns:
            What was removed.
        """
        store = self.store
        with store.names.changing() as entries:
            used = users(store.root)
            gone = [one for one in entries if (all or name_of(one) is None) and one.digest not in used]
            store.names.take(entries, gone, used)
        freed = cleaning.collect(store)
        assert freed is not None
        return freed._replace(images=tuple(name_of(one) or one.digest for one in gone))

    def gc(self) -> Freed:
        """Remove the blobs and the layers that no image needs, and what was begun and left."""
        freed = cleaning.collect(self.store)
        assert freed is not None
        return freed

    def df(self) -> DiskUse:
        """Tell what takes how much of the disk."""
        from pycgroups.images.disk_use import disk_use

        return disk_use(self.store)

    def verify(self, *, progress: Progress | None = None) -> Sequence[Problem]:
        """Hash everything anew, and tell what is damaged or missing; nothing when all is well."""
        from pycgroups.images.checking import verify

        return verify(self.store, progress)

    def repair(self, *, progress: Progress | None = None) -> Sequence[str]:
        """Remove what is damaged, so that a pull fetches it anew; tell what was done, in words."""
        from pycgroups.images.checking import repair, verify

        return repair(self.store, verify(self.store, progress))

    # -- for containers -------------------------------------------------------------------------------------------

    @contextmanager
    def keeping(self, digest: str) -> Iterator[None]:
        """Keep an image from being removed, as long as the record of a container is made that needs it from then on.

        Raises:
            ImageNotFound: it has been removed already.
        """
        with self.store.names.unchanged():
            self._find(digest)
            yield

    def hold(self, image: Image, *, idmap: IdMap | None = None, unpack: bool = True) -> tuple[Root, Lock]:
        """Return an image as the root of a container, and what keeps its layers until it is released.

        Args:
            image: which.
            idmap: the map of ids that the container has, where its mounts are not idmapped.
            unpack: layers that are not.

        Raises:
            Unsupported: with that map nobody can unpack them.
            ImageError: a layer is broken; or is not unpacked, and is not to be.
        """
        store = image.store
        layers = store.layers_for(idmap)
        chains = store.unpacked(image.manifest, layers=layers, unpack=unpack)
        if not chains:
            raise ImageError("has no layers", operation="use image", path=image.reference or image.digest)
        lock = layers.use(chains[-1])
        top = layers.path(chains[-1])
        try:
            with io_errors("use image", top):
                mode = os.stat(top).st_mode & 0o7777
        except BaseException:
            lock.release()
            raise
        return Root(layers.root, layers.below_root(chains), mode, image.config), lock


def _at(root: str, additional: Iterable[str]) -> Images:
    return Images(root, additional=additional)


def _directory(path: str | os.PathLike[str], key: str) -> str:
    try:
        return os.path.abspath(os.fsdecode(path))
    except TypeError:
        raise invalid(key, path, "the path of a directory") from None


def _resolved(name: str, options: RegistryOptions | None) -> Reference:
    """Return what a name means on this machine, with the aliases of registries.conf."""
    from pycgroups.images import registry

    return registry.resolve(name, options=registry.given(options))


def _full_name(name: str) -> str | None:
    """Return a name in an archive or a layout as a full reference; None when it is none, as ``latest`` alone."""
    if not set(":/") & set(name):
        return None
    try:
        return str(Reference.parse(name))
    except InvalidConfig:
        return None


def _check_unused(
    name: str, gone: Sequence[Descriptor], entries: Sequence[Descriptor], used: dict[str, list[str]]
) -> None:
    """Refuse to take the last names of an image that containers were made of.

    Raises:
        StateError: there are some.
    """
    kept = {one.digest for one in entries if one not in gone}
    containers = [container for digest in {one.digest for one in gone} - kept for container in used.get(digest, ())]
    if containers:
        several = len(containers) > 1
        raise StateError(
            f"the container{'s' if several else ''} {', '.join(containers)} {'were' if several else 'was'} made of it",
            operation="remove image",
            path=name,
            hint=f"remove {'them' if several else 'it'} first; rmi --force, remove(force=True) takes its name alone",
        )


def _is_id_of(name: str, entry: Descriptor) -> bool:
    """Tell whether a name is no reference but the beginning of an id, or of the digest, of an entry."""
    if is_digest(name):
        return True
    called = name_of(entry)
    return called is not None and str(Reference.parse(name)) != called
