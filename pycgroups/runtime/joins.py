"""In which order a container joins namespaces, where its user namespace need not own them all."""

from __future__ import annotations

from pycgroups.namespaces.files import FILES
from pycgroups.namespaces.namespace import Namespace, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {name: kind for kind, name in FILES.items()}


def order(paths: Mapping[str, str]) -> tuple[str, ...]:
    """Look at namespaces, and say in which order to join them; OCI's kinds.

    Args:
        paths: where they are, by kind.

    Raises:
        As `pycgroups.namespaces.files.open_namespace`.
    """
    spaces: list[Namespace] = []
    try:
        for kind, path in paths.items():
            spaces.append(Namespace.open(path, kind))
        before, after = in_order(spaces)
        return tuple(_KINDS[space.kind] for space in (*before, *after))
    finally:
        for space in spaces:
            space.close()
