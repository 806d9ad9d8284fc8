"""`Image`: one image of a store, to look at and to work with."""

from __future__ import annotations

import os
from contextlib import contextmanager

from pycgroups.errors import ImageError
from pycgroups.images import snapshots
from pycgroups.images.layers import chains_of
from pycgroups.images.names import name_of
from pycgroups.images.platforms import shown_platform
from pycgroups.oci import image_spec as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any, Literal, NamedTuple

    from pycgroups.images.collection import Images
    from pycgroups.images.registry import RegistryOptions
    from pycgroups.images.store import ImageStore
    from pycgroups.oci.image_spec import Descriptor, ImageConfig, ImageDefaults, Manifest, Platform
else:
    from pycgroups.records import NamedTuple

_SHORT = 12


class HistoryStep(NamedTuple):
    """What one instruction made.

    Attributes:
        created: when, as RFC 3339 writes it, or None.
        created_by: the instruction or the command.
        comment: what its tool has to say.
        size: bytes of its layer, packed; 0 when it made none.
        layer: the digest of its layer, packed, or None.
    """

    created: str | None
    created_by: str
    comment: str
    size: int
    layer: str | None


class Image:
    """An image of a store; what it was when it was looked up, whatever its name is given to since.

    Two are equal when they are of the same digest.
    """

    def __init__(self, images: Images, store: ImageStore, entry: Descriptor, platform: Platform | None = None) -> None:
        """Made by `pycgroups.images.get` and its like."""
        self._images = images
        self._store = store
        self._entry = entry
        self._digest, self._manifest = store.manifest(entry, platform)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def reference(self) -> str | None:
        """What it is called, in full: ``docker.io/library/debian:13``; None when its name was given to another."""
        return name_of(self._entry)

    @property
    def digest(self) -> str:
        """The digest of what its reference names: a manifest, or an index of several platforms'."""
        return self._entry.digest

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self._manifest

    @property
    def manifest_digest(self) -> str:
        """The digest of its manifest, which is of one platform."""
        return str(self._digest)

    @property
    def id(self) -> str:
        """The digest of its configuration; what Docker and podman call the image's id."""
        return self._manifest.config.digest

    @property
    def short_id(self) -> str:
        """The first twelve letters of the id."""
        return self.id.partition(":")[2][:_SHORT]

    @property
    def is_artifact(self) -> bool:
        """Whether it is something else than an image: no container can be made of it."""
        return self._manifest.config.media_type not in spec.CONFIGS

    @property
    def document(self) -> ImageConfig:
        """Its whole configuration.

        Raises:
            ImageError: it is damaged, or an artifact has none.
        """
        return self._store.config(self._manifest)

    @property
    def config(self) -> ImageDefaults:
        """How its containers are run unless somebody says otherwise: ``env``, ``entrypoint``, ``cmd``, ``user``..."""
        return self.document.config

    @property
    def created(self) -> datetime | None:
        """When it was made; None when it does not say."""
        from datetime import datetime

        text = self.document.created
        try:
            return None if text is None else datetime.fromisoformat(text)
        except ValueError:
            return None

    @property
    def platform(self) -> str:
        """What it is for: ``linux/amd64``."""
        document = self.document
        return shown_platform(
            spec.Platform(os=document.os, architecture=document.architecture, variant=document.variant)
        )

    @property
    def labels(self) -> dict[str, str]:
        """Text by name."""
        return dict(self.config.labels)

    @property
    def layers(self) -> tuple[str, ...]:
        """The digests of its packed layers, the lowest first."""
        return tuple(layer.digest for layer in self._manifest.layers)

    @property
    def packed_size(self) -> int:
        """Bytes of its configuration and packed layers: what a pull takes."""
        return self._manifest.config.size + sum(layer.size for layer in self._manifest.layers)

    @property
    def size(self) -> int:
        """Bytes of the files in its unpacked layers; of those that are not unpacked, packed."""
        if self.is_artifact:
            return self.packed_size
        chains = chains_of(self.document.rootfs.diff_ids)
        return sum(
            (self._store.layers.find(chain) or layer).size
            for chain, layer in zip(chains, self._manifest.layers, strict=True)
        )

    def history(self) -> list[HistoryStep]:
        """Return what made it, step by step, the first one first."""
        document = self.document
        layers = iter(self._manifest.layers)
        steps = []
        for step in document.history:
            layer = None if step.empty_layer else next(layers, None)
            steps.append(
                HistoryStep(
                    created=step.created,
                    created_by=step.created_by or "",
                    comment=step.comment or "",
                    size=0 if layer is None else layer.size,
                    layer=None if layer is None else layer.digest,
                )
            )
        return steps + [HistoryStep(None, "", "", layer.size, layer.digest) for layer in layers]

    def inspect(self) -> dict[str, Any]:
        """Return all that is known of it as plain data."""
        facts: dict[str, Any] = {
            "reference": self.reference,
            "digest": self.digest,
            "manifestDigest": self.manifest_digest,
            "id": self.id,
            "packedSize": self.packed_size,
            "manifest": self._manifest.to_json(),
        }
        if not self.is_artifact:
            facts |= {"size": self.size, "platform": self.platform, "config": self.document.to_json()}
        return facts

    # -- its files ------------------------------------------------------------------------------------------------

    @contextmanager
    def mount(self) -> Iterator[str]:
        """Show its files, read-only, at a path of this process; a context manager.

        ::

            with image.mount() as root:
                print(os.listdir(root))

        Nothing is mounted in any place: the path is below ``/proc``, for this process and those that it hands it to as
        long as it runs, and there is nothing to clean up. What is in it is the image's word: a symlink may lead out.

        Where overlayfs is not to be had, or this process may not mount (CAP_SYS_ADMIN where its mount namespace
        belongs), the files are copied into the store, and the copy is removed in the end. For an ordinary user it is
        writable, to no effect, and files of others than the image's root may be closed to him.

        Raises:
            Unsupported: overlayfs is not to be had, and ``$PYCGROUPS_SNAPSHOTS`` forbids a copy.
            ImageError: a layer is broken.
            Error: there is no room for a copy.

        Sources: fsopen(2), open_tree(2), overlayfs. Without a copy, Linux 6.7 for more than one layer.
        """
        root, lock = self._images.hold(self)
        with lock, snapshots.shown(root, self.scratch, self.reference or self.digest) as fd:
            yield f"/proc/{os.getpid()}/fd/{fd}"

    # -- what can be done with it -----------------------------------------------------------------------------------

    def tag(self, name: str) -> Image:
        """Give it another name, besides those that it has; see `pycgroups.images.tag`."""
        return self._images.tag(self, name)

    def save(
        self, target: str | os.PathLike[str], *, form: Literal["oci-archive", "docker-archive"] = "oci-archive"
    ) -> None:
        """Write it to an archive; see `pycgroups.images.save`."""
        self._images.save(self, target, form=form)

    def push(self, to: str | None = None, *, registry: RegistryOptions | None = None) -> str:
        """Send it to a registry; see `pycgroups.images.push`."""
        return self._images.push(self, to, registry=registry)

    def remove(self) -> None:
        """Take its name away, and with its last name what no other image needs; see `pycgroups.images.remove`."""
        self._images.remove(self)

    # -- for Python and people ----------------------------------------------------------------------------------

    @property
    def store(self) -> ImageStore:
        """The store that it is in."""
        return self._store

    @property
    def scratch(self) -> ImageStore:
        """The store that copies of its files are made in: its own, unless that is never changed."""
        return self._images.store if self._store.read_only else self._store

    @property
    def entry(self) -> Descriptor:
        """What the store knows it by."""
        return self._entry

    def __eq__(self, other: object) -> bool:
        """Compare what they are, and not what they are called."""
        return isinstance(other, Image) and other.manifest_digest == self.manifest_digest

    def __hash__(self) -> int:
        """Go with `__eq__`."""
        return hash(self.manifest_digest)

    def __repr__(self) -> str:
        """Show the name and the digest."""
        return f"<Image {self.reference or '(no name)'} {self.manifest_digest[: _SHORT + len('sha256:')]}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook, as a table."""
        from html import escape

        rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in self._facts())
        return f"<table>{rows}</table>"

    def __rich__(self) -> object:
        """Show it in a terminal, as a table; for the library rich."""
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False)
        for key, value in self._facts():
            table.add_row(Text(key, "bold"), Text(value))
        return table

    def _facts(self) -> list[tuple[str, str]]:
        from pycgroups.errors import printable

        facts = [("reference", self.reference or "(none)"), ("digest", self.digest), ("id", self.id)]
        try:
            document = self.document
        except ImageError as error:
            return [*facts, ("configuration", str(error))]
        defaults = document.config
        facts += [
            ("platform", self.platform),
            ("created", document.created or ""),
            ("size", f"{self.size} bytes, packed {self.packed_size}"),
            ("layers", str(len(self.layers))),
            ("command", " ".join((*defaults.entrypoint, *defaults.cmd))),
            ("user", defaults.user or ""),
            *((f"label {name}", value) for name, value in defaults.labels),
        ]
        return [(key, printable(value)) for key, value in facts if value]
