"""The OCI image specification 1.1 as frozen data: descriptors, manifests, indexes and the configuration of an image.

Docker's schema 2 says the same in media types of its own, and is read alike. What is read is never written back: a
manifest and a configuration are named by the digest of their bytes, so the bytes are what is kept.

`pycgroups.oci.image_reading` makes these of a document.

Source: https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md, ``image-index.md``, ``config.md``,
``descriptor.md``; and https://distribution.github.io/distribution/spec/manifest-v2-2/.
"""

from __future__ import annotations

from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import field, frozen

    from pycgroups.oci.kinds import DigestText, MediaType, Nanoseconds64, SchemaVersion, Size
else:
    from pycgroups.frozen import field, frozen

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_INDEX})
CONFIGS = frozenset({CONFIG, DOCKER_CONFIG})
"""Configurations of images; what has another one is an artifact."""


@frozen(kw_only=True, repr=False)
class Platform(Model):
    """What a machine has to be to run an image, in Go's words: ``amd64``, ``arm64``; image-index.md, "platform"."""

    architecture: str
    os: str
    os_version: str | None = field(default=None, metadata={"json": "os.version"})
    os_features: tuple[str, ...] = field(default=(), metadata={"json": "os.features"})
    variant: str | None = None


@frozen(kw_only=True, repr=False)
class Descriptor(Model):
    """A blob by its digest and size, and what is in it; descriptor.md."""

    media_type: MediaType
    digest: DigestText
    size: Size
    urls: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    artifact_type: str | None = None
    data: str | None = None


@frozen(kw_only=True, repr=False)
class Manifest(Model):
    """One image of one platform, or an artifact; manifest.md."""

    schema_version: SchemaVersion
    media_type: str | None = None
    artifact_type: str | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True, repr=False)
class Index(Model):
    """Manifests for several platforms, or what an image layout holds; image-index.md."""

    schema_version: SchemaVersion
    media_type: str | None = None
    artifact_type: str | None = None
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True, repr=False)
class Nothing(Model):
    """An object whose keys are what matters, as of ``ExposedPorts``."""

    __annotations__ = {}


@frozen(kw_only=True, repr=False)
class ImageHealthcheck(Model):
    """Docker's ``HEALTHCHECK``; times are nanoseconds."""

    test: tuple[str, ...] = field(default=(), metadata={"json": "Test"})
    interval: Nanoseconds64 = field(default=0, metadata={"json": "Interval"})
    timeout: Nanoseconds64 = field(default=0, metadata={"json": "Timeout"})
    start_period: Nanoseconds64 = field(default=0, metadata={"json": "StartPeriod"})
    start_interval: Nanoseconds64 = field(default=0, metadata={"json": "StartInterval"})
    retries: Nanoseconds64 = field(default=0, metadata={"json": "Retries"})


@frozen(kw_only=True, repr=False)
class ImageDefaults(Model):
    """How containers of an image are run unless somebody says otherwise; config.md, "config"."""

    user: str | None = field(default=None, metadata={"json": "User"})
    exposed_ports: tuple[tuple[str, Nothing], ...] = field(default=(), metadata={"json": "ExposedPorts"})
    env: tuple[str, ...] = field(default=(), metadata={"json": "Env"})
    entrypoint: tuple[str, ...] = field(default=(), metadata={"json": "Entrypoint"})
    cmd: tuple[str, ...] = field(default=(), metadata={"json": "Cmd"})
    volumes: tuple[tuple[str, Nothing], ...] = field(default=(), metadata={"json": "Volumes"})
    working_dir: str | None = field(default=None, metadata={"json": "WorkingDir"})
    labels: tuple[tuple[str, str], ...] = field(default=(), metadata={"json": "Labels"})
    stop_signal: str | None = field(default=None, metadata={"json": "StopSignal"})
    shell: tuple[str, ...] = field(default=(), metadata={"json": "Shell"})
    on_build: tuple[str, ...] = field(default=(), metadata={"json": "OnBuild"})
    healthcheck: ImageHealthcheck | None = field(default=None, metadata={"json": "Healthcheck"})


@frozen(kw_only=True, repr=False)
class RootFs(Model):
    """The layers by the digests of their tars, the lowest first; config.md, "rootfs"."""

    type: str
    diff_ids: tuple[DigestText, ...] = field(default=(), metadata={"json": "diff_ids"})


@frozen(kw_only=True, repr=False)
class History(Model):
    """What made one layer, or an empty one; config.md, "history"."""

    created: str | None = None
    created_by: str | None = field(default=None, metadata={"json": "created_by"})
    author: str | None = None
    comment: str | None = None
    empty_layer: bool = field(default=False, metadata={"json": "empty_layer"})


@frozen(kw_only=True, repr=False)
class ImageConfig(Model):
    """An image's configuration, whose digest is the image's id; config.md."""

    created: str | None = None
    author: str | None = None
    architecture: str
    os: str
    os_version: str | None = field(default=None, metadata={"json": "os.version"})
    os_features: tuple[str, ...] = field(default=(), metadata={"json": "os.features"})
    variant: str | None = None
    config: ImageDefaults = ImageDefaults()
    rootfs: RootFs
    history: tuple[History, ...] = ()
