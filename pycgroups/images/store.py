"""One store of images on disk.

    ROOT/               0700: what is below is nobody else's, whatever its modes
      lock              shared by who adds, held alone by who removes
      images/           an OCI image layout, for other tools to read, too: blobs, and index.json with the names
      layers/           unpacked layers
      mapped/KEY/       the same for containers that have another map of ids; KEY is a hash of it
      repositories/     of which registries have a blob, too
      tmp/              what is being made; what a crash has left there is found by the next who adds or removes

Nothing is counted: what is in use is found, each time, from what is on disk. The kernel gives back the locks of whoever
dies, so no state is ever half held.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from pycgroups.errors import ImageError, ImageNotFound, InvalidConfig, Unsupported, invalid
from pycgroups.images.blobs import Blobs
from pycgroups.images.digest import Digest
from pycgroups.images.files import ANOTHER_STORE, io_errors
from pycgroups.images.inside import Inside
from pycgroups.images.layers import Layers, chains_of
from pycgroups.images.locks import Lock
from pycgroups.images.names import Names, name_of
from pycgroups.images.platforms import check_platform, choose, host_platform, shown_platform
from pycgroups.images.repositories import Repositories
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import LARGEST_MANIFEST, read_image_config, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from functools import lru_cache

    from pycgroups.images.blobs import State
    from pycgroups.images.events import Progress
    from pycgroups.images.stored import StoreDestination, StoreSource
    from pycgroups.images.unpack import LayerLimits
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.oci.image_spec import Descriptor, ImageConfig, Index, Manifest, Platform
    from pycgroups.oci.runtime_spec import IdMapping
else:
    from pycgroups.caches import lru_cache

LARGEST_CONFIG = LARGEST_MANIFEST
_TMP = "tmp"
_MAPPED = "mapped"
_KEY = 32


def default_root() -> str:
    """Return where a store is when nobody says: ``$PYCGROUPS_STORE``, or where the XDG specification puts data.

    That is ``/var/lib/pycgroups`` for root, and ``$XDG_DATA_HOME/pycgroups`` for others.

    Raises:
        InvalidConfig: the variable is a relative path, which would be another store in each directory.
    """
    told = os.environ.get("PYCGROUPS_STORE", "")
    if told:
        if not told.startswith("/"):
            raise invalid("$PYCGROUPS_STORE", told, "an absolute path")
        return told
    if os.geteuid() == 0:
        return "/var/lib/pycgroups"
    data = os.environ.get("XDG_DATA_HOME", "")
    return f"{data if data.startswith('/') else os.path.expanduser('~/.local/share')}/pycgroups"


class ImageStore:
    """A directory with images. The objects of several processes may work on it at once.

    Attributes:
        root: the directory.
        blobs: manifests, configurations and packed layers.
        layers: unpacked layers.
        names: what is called how.
        repositories: which of registries have a blob, too.
    """

    def __init__(self, root: str, *, read_only: bool = False) -> None:
        """Open a store, and make it when it is not there.

        Args:
            root: the directory; made with its parents, 0700.
            read_only: it is there, and nothing in it is changed: an additional store.

        Raises:
            ImageError: it cannot be made or opened.
        """
        self.root = root
        self.read_only = read_only
        self.inside = Inside()
        try:
            if not read_only:
                _make(root)
            directory = os.open(f"{root}/images", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
            raise ImageError(operation="open store", path=root, errno=number, hint=ANOTHER_STORE) from error
        self._directory = directory
        self.blobs = Blobs(f"{root}/images/blobs", f"{root}/{_TMP}")
        self.layers = Layers(f"{root}/layers", f"{root}/{_TMP}", self.inside)
        self.repositories = Repositories(f"{root}/repositories")
        self.names = Names(directory, f"{root}/images")
        if not read_only:
            try:
                with io_errors("open store", root):
                    self.names.begin()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let go of the directory."""
        directory, self._directory = self._directory, -1
        if directory >= 0:
            os.close(directory)

    def adding(self) -> Lock:
        """Keep, until it is released, what is added from being taken for unused."""
        return Lock(f"{self.root}/lock", shared=True)

    def removing(self) -> Lock:
        """Keep everybody from adding."""
        return Lock(f"{self.root}/lock")

    # -- layers for other maps of ids ---------------------------------------------------------------------------------

    def layers_for(self, idmap: IdMap | None) -> Layers:
        """Return the layers whose files belong to the right ids in containers with a map; not all are there.

        Args:
            idmap: the map; None where mounts are idmapped, or there is no user namespace.

        Raises:
            Unsupported: with this map nobody can make them.
        """
        if idmap is None or self.inside.fits(idmap):
            return self.layers
        if not (_has_both(idmap.uids, os.geteuid()) and _has_both(idmap.gids, os.getegid())):
            raise Unsupported(
                "files of an image belong to root, and those of the store to you: the map has not both",
                operation="option",
                path="userns",
                hint='"auto", "keep-id", or an IdMap with 0 inside and with your own ids',
            )
        key = Digest.of(repr((idmap.uids, idmap.gids)).encode()).encoded[:_KEY]
        return self._mapped(key, Inside(idmap))

    def all_layers(self) -> list[Layers]:
        """Return the usual layers, and those for other maps that there are."""
        place = f"{self.root}/{_MAPPED}"
        keys = sorted(os.listdir(place)) if os.path.isdir(place) else []
        return [self.layers, *(self._mapped(key, self.inside) for key in keys)]

    def drop_empty(self) -> None:
        """Forget the maps for which there are no layers any more; nobody adds meanwhile."""
        for layers in self.all_layers()[1:]:
            with suppress(OSError):
                os.rmdir(layers.root)

    def _mapped(self, key: str, inside: Inside) -> Layers:
        return Layers(f"{self.root}/{_MAPPED}/{key}", f"{self.root}/{_TMP}", inside, label=f"{key}-")

    # -- what there is ------------------------------------------------------------------------------------------

    def entry(self, name: str) -> Descriptor | None:
        """Return what is called so: a full reference, as ``docker.io/library/debian:13``; None when nothing is."""
        for entry in self.names.all():
            if name_of(entry) == name:
                return entry
        return None

    @io_errors("read manifest")
    def document(self, digest: Digest, media_type: str | None = None) -> Manifest | Index:
        """Return a manifest or an index that is here.

        Raises:
            ImageNotFound: it is not.
            ImageError: it is damaged.
        """
        return _document(self.blobs, digest, media_type, self.blobs.state(digest))

    @io_errors("read manifest")
    def manifest(self, entry: Descriptor, platform: Platform | None = None) -> tuple[Digest, Manifest]:
        """Return the manifest that an entry is, or of an index the one that fits and is here.

        Args:
            entry: from `names`.
            platform: which; by default that of this machine, or the only one that is here.

        Raises:
            ImageNotFound: there is none for this platform, or it was not pulled.
            ImageError: it is damaged.
        """
        digest, name = Digest.parse(entry.digest), name_of(entry) or entry.digest
        document = self.document(digest, entry.media_type)
        if platform is not None and isinstance(document, spec.Manifest):
            check_platform(self.config(document), platform, name)
        while isinstance(document, spec.Index):
            here = [one for one in document.manifests if self.blobs.size(Digest.parse(one.digest)) is not None]
            if len(here) == 1 and platform is None:
                chosen = here[0]
            else:
                wanted = platform or host_platform()
                chosen = choose(document, wanted, name)
                if chosen not in here:
                    raise _not_pulled(name, wanted, here)
            digest = Digest.parse(chosen.digest)
            document = self.document(digest, chosen.media_type)
        return digest, document

    @io_errors("read configuration")
    def config(self, manifest: Manifest) -> ImageConfig:
        """Return the configuration of an image.

        Raises:
            ImageNotFound: it is not here.
            ImageError: it is damaged, or the manifest is no image's but an artifact's.
        """
        config = manifest.config
        if config.media_type not in spec.CONFIGS:
            message = f"no image, but an artifact: {manifest.artifact_type or config.media_type}"
            raise ImageError(message, operation="read configuration", path=config.digest)
        digest = Digest.parse(config.digest)
        found = _config(self.blobs, digest, self.blobs.state(digest))
        if len(found.rootfs.diff_ids) != len(manifest.layers):
            message = f"the manifest has {len(manifest.layers)} layers, the configuration {len(found.rootfs.diff_ids)}"
            raise ImageError(message, operation="read configuration", path=config.digest)
        return found

    # -- from and to ----------------------------------------------------------------------------------------------

    def source(self, entry: Descriptor, platform: Platform | None = None) -> StoreSource:
        """Return what is to be copied from here.

        Args:
            entry: from `names`.
            platform: of an index, one manifest alone: what is here may be only that.
        """
        from pycgroups.images.stored import StoreSource

        if platform is not None or self._is_part(entry):
            digest, manifest = self.manifest(entry, platform)
            return StoreSource(self, digest, manifest.media_type or spec.MANIFEST)
        return StoreSource(self, Digest.parse(entry.digest), entry.media_type)

    def _is_part(self, entry: Descriptor) -> bool:
        """Tell whether an index is here, but not all that it names."""
        document = self.document(Digest.parse(entry.digest), entry.media_type)
        if not isinstance(document, spec.Index):
            return False
        return any(self.blobs.size(Digest.parse(one.digest)) is None for one in document.manifests)

    @io_errors("open store")
    def destination(
        self,
        name: str | None,
        *,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
        unpack: bool = True,
        platform: Platform | None = None,
    ) -> StoreDestination:
        """Return where an image is to be copied to.

        Args:
            name: what it will be called; a full reference, or None.
            limits: what its layers may hold.
            progress: is told of what is unpacked.
            unpack: its layers, as they come.
            platform: an image of another one is refused.
        """
        from pycgroups.images.stored import StoreDestination

        return StoreDestination(self, name, limits=limits, progress=progress, unpack=unpack, platform=platform)

    @io_errors("unpack")
    def unpacked(
        self,
        manifest: Manifest,
        *,
        layers: Layers | None = None,
        unpack: bool = True,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
    ) -> tuple[Digest, ...]:
        """Return the chain ids of an image's layers, the lowest first, all of them unpacked.

        Args:
            manifest: of the image.
            layers: which ones, `layers_for` a map of ids.
            unpack: those that are not; never in an additional store.
            limits: what they may hold.
            progress: is told of them.

        Raises:
            ImageError: a layer is broken, is not here, or is not to be unpacked.
        """
        chains = chains_of(self.config(manifest).rootfs.diff_ids)
        layers = layers or self.layers
        if layers.have(chains):
            return chains
        if self.read_only or not unpack:
            where = "in an additional store, which is not changed" if self.read_only else "yet"
            message = f"its layers are not unpacked {where}"
            hint = "pull it" if self.read_only or layers is self.layers else "run it once with this map of ids"
            raise ImageError(message, operation="use image", path=self.root, hint=hint)
        with self.adding(), layers.inside:
            self.sweep()
            os.makedirs(layers.root, mode=0o700, exist_ok=True)
            from pycgroups.images.unpacking import Unpacking

            unpacking = Unpacking(self, manifest, layers=layers, limits=limits, progress=progress)
            try:
                for layer in manifest.layers:
                    unpacking.begin(layer)
                unpacking.finish()
            finally:
                unpacking.close()
        return chains

    def sweep(self) -> None:
        """Remove what dead processes have left in ``tmp``, but half blobs: who wants those goes on with them."""
        tmp = f"{self.root}/{_TMP}"
        for name in os.listdir(tmp):
            if name.startswith("gone-"):
                self.layers.clear(f"{tmp}/{name}")
            elif name.endswith(".lock"):
                lock = Lock(f"{tmp}/{name}")
                if lock.take(wait=False):
                    try:
                        self.layers.clear(f"{tmp}/{name.removesuffix('.lock')}")
                        os.unlink(f"{tmp}/{name}")
                    finally:
                        lock.release()


def _has_both(mappings: tuple[IdMapping, ...], own: int) -> bool:
    """Tell whether a map has root inside, and an id of the host; that may be all it has."""
    has_root = any(each.container_id == 0 for each in mappings)
    has_own = any(each.host_id <= own < each.host_id + each.size for each in mappings)
    return has_own and (has_root or [each.size for each in mappings] == [1])


def _not_pulled(name: str, wanted: Platform, here: Sequence[Descriptor]) -> ImageNotFound:
    others = ", ".join(shown_platform(one.platform) for one in here if one.platform) or "its index"
    platform = shown_platform(wanted)
    return ImageNotFound(
        f"of its platforms {platform} is not here, but {others}",
        operation="find image",
        path=name,
        hint=f"pycgroups pull --platform {platform} {name}",
    )


def _make(root: str) -> None:
    os.makedirs(root, mode=0o700, exist_ok=True)
    for name in ("images", "images/blobs", "images/blobs/sha256", "layers", "repositories", _TMP):
        try:
            os.mkdir(f"{root}/{name}", 0o700)
        except FileExistsError:
            continue
    if os.stat(root).st_mode & 0o077:
        os.chmod(root, 0o700)


# What has a digest never changes, so that a run need not read again what an earlier one has read and checked.


@lru_cache(maxsize=64)
def _document(blobs: Blobs, digest: Digest, media_type: str | None, _state: State) -> Manifest | Index:
    text = blobs.read(digest, LARGEST_MANIFEST)
    try:
        return read_manifest(text, media_type)
    except InvalidConfig as error:
        raise ImageError(str(error), operation="read manifest", path=str(digest)) from error


@lru_cache(maxsize=64)
def _config(blobs: Blobs, digest: Digest, _state: State) -> ImageConfig:
    try:
        return read_image_config(blobs.read(digest, LARGEST_CONFIG))
    except InvalidConfig as error:
        raise ImageError(str(error), operation="read configuration", path=str(digest)) from error
