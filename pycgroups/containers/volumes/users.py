"""Which containers of a store have which volumes, whether they run or not: `pycgroups.images.users` for volumes."""

from __future__ import annotations

from pycgroups.images.users import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def users(root: str) -> dict[str, list[str]]:
    """Return the names of the containers by those of their volumes.

    Args:
        root: of the store.

    Raises:
        Error: a record cannot be read now.
    """
    found: dict[str, list[str]] = {}
    for record in records(root):
        for volume in _volumes(record.get("config")):
            found.setdefault(volume, []).append(str(record.get("name")))
    return found


def _volumes(config: Any) -> Iterator[str]:
    for key in ("mounts", "volumes"):
        mounts = config.get(key) if isinstance(config, dict) else None
        for mount in mounts if isinstance(mounts, list) else ():
            if isinstance(mount, dict) and mount.get("kind") == "volume":
                yield str(mount.get("source"))
