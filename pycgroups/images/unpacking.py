"""The layers of one image, unpacked side by side as they come, and settled in their order.

Two processes that unpack the same share the work: who finds a layer's lock taken goes on with others, and waits for
what is missing at the end, from the lowest layer up. So nobody waits for a lock while holding one that is lower.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from pycgroups.errors import invalid
from pycgroups.images.digest import Digest
from pycgroups.images.layers import chain_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future

    from pycgroups.images.events import Progress
    from pycgroups.images.layers import Layers, Making
    from pycgroups.images.store import ImageStore
    from pycgroups.images.unpack import LayerLimits
    from pycgroups.oci.image_spec import Descriptor, Manifest

_AT_ONCE = 2


class Unpacking:
    """The layers of one image on their way."""

    def __init__(
        self,
        store: ImageStore,
        manifest: Manifest,
        *,
        layers: Layers | None = None,
        limits: LayerLimits | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Read the configuration, which is there.

        Raises:
            ImageError: it is broken, or of another number of layers.
        """
        from pycgroups.images.unpack import LayerLimits

        self._store = store
        self._limits = LayerLimits() if limits is None else limits
        if not isinstance(self._limits, LayerLimits):
            raise invalid("limits", limits, "LayerLimits")
        self._progress = progress
        self._diffs = [Digest.parse(diff) for diff in store.config(manifest).rootfs.diff_ids]
        self._chains = chain_ids(self._diffs)
        self._layers = manifest.layers
        self._unpacked = layers or store.layers
        self._pool = ThreadPoolExecutor(_AT_ONCE, "pycgroups-unpack")
        self._begun: dict[int, Future[Making | None]] = {}
        self._lock = threading.Lock()

    def begin(self, layer: Descriptor) -> None:
        """Unpack a layer whose blob is there, wherever the image has it."""
        with self._lock:
            for position, other in enumerate(self._layers):
                if other.digest == layer.digest and position not in self._begun:
                    self._begun[position] = self._pool.submit(self._unpack, position)

    def _unpack(self, position: int, *, wait: bool = False) -> Making | None:
        """Unpack one; None when that is done, or another process is at it."""
        layer, chain = self._layers[position], self._chains[position]
        if self._unpacked.has(chain):
            return None
        return self._unpacked.unpack(
            chain,
            self._diffs[position],
            layer,
            self._store.blobs.path(Digest.parse(layer.digest)),
            limits=self._limits,
            progress=self._progress if self._layers.index(layer) == position else None,  # each blob is told of once
            wait=wait,
        )

    def finish(self) -> list[Digest]:
        """Wait for all, put them where they belong, and return their chain ids, the lowest first.

        Raises:
            ImageError: one is broken; those below it stay.
        """
        try:
            for position, chain in enumerate(self._chains):
                begun = self._begun.pop(position, None)
                making = None if begun is None else begun.result()
                if making is None and not self._unpacked.has(chain):
                    making = self._unpack(position, wait=True)
                if making is not None:
                    making.settle(self._chains[:position])
        finally:
            self.close()
        return self._chains

    def close(self) -> None:
        """Give up what is not finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        begun, self._begun = self._begun, {}
        for future in begun.values():
            if not future.cancelled() and future.exception() is None:
                making = future.result()
                if making is not None:
                    making.give_up()
