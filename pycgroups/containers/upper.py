"""`Upper`: what a container has changed of its image, as a list and as a layer."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from pycgroups.containers.elsewhere import Elsewhere, spaces_of
from pycgroups.containers.spots import told
from pycgroups.images import changes, differences
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pycgroups.containers.roots import Layers
    from pycgroups.images.differences import Change
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.namespace import Namespace


class Upper(Elsewhere):
    """What a container has changed of its image: the upper directory of its layers. A context manager."""

    def __init__(self, layers: Layers, *, idmap: IdMap | None = None, spaces: Sequence[Namespace] = ()) -> None:
        """Take it.

        Args:
            layers: of the container, which may run.
            idmap: as for `RootFiles.stopped`.
            spaces: likewise.

        Raises:
            LaunchError: there cannot be such a namespace.
        """
        super().__init__(-1, spaces or spaces_of(idmap, "user"))
        self._layers = layers

    def diff(self) -> list[Change]:
        """Tell what was changed, sorted by path.

        Raises:
            ImageError: it cannot be read.
        """
        return self._call(_diff, self._layers)

    def layer(self) -> Generator[bytes]:
        """Yield the tar of the layer that the changes are; of a container that is paused or stopped, as a whole.

        Raises:
            ImageError: a name begins with ``.wh.``; or it cannot be read.

        Sources: image-spec, layer.md, "Representing Changes".
        """
        if self._spaces:
            yield from self._out(_layer_to, self._layers)
        else:
            yield from _layer(self._layers)


@contextmanager
def _opened(*paths: bytes) -> Iterator[list[int]]:
    with ExitStack() as stack:
        fds = []
        for path in paths:
            with told("open layer", path):
                fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            stack.callback(os.close, fds[-1])
        yield fds


def _diff(layers: Layers) -> list[Change]:
    with _opened(layers.upper, *layers.lower) as (upper, *lowers):
        return differences.differences(upper, lowers)


def _layer(layers: Layers) -> Iterator[bytes]:
    with _opened(layers.upper) as (upper,):
        yield from changes.changes(upper)


def _layer_to(layers: Layers, to: int) -> None:
    for chunk in _layer(layers):
        write_all(to, chunk)
