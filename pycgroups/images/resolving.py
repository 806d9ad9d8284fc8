"""Resolve a path in a tree that is not mounted, as path_resolution(7) has it and as if the tree were "/"."""

from __future__ import annotations

import errno
import stat

from pycgroups.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

_LINKS = 40
"As many as the kernel follows."


def resolve(
    path: bytes,
    facts: Callable[[bytes], os.stat_result | None],
    target: Callable[[bytes], bytes],
    *,
    follow: bool = True,
) -> bytes:
    """Return the path without symlinks that another one leads to, whether anything is there or not.

    Args:
        path: relative to the tree, or absolute in it; ".." stays inside.
        facts: what is at a path without symlinks, itself not followed; None when nothing is.
        target: where the symlink at such a path leads.
        follow: whether a symlink at the end is followed.

    Raises:
        ImageError: there are more than 40 symlinks on the way, which may be a loop.
    """
    todo = _reversed(path)
    real: list[bytes] = []
    links = 0
    while todo:
        name = todo.pop()
        if name == b"..":
            del real[-1:]
            continue
        real.append(name)
        here = b"/".join(real)
        found = facts(here) if todo or follow else None
        if found is None or not stat.S_ISLNK(found.st_mode):
            continue
        links += 1
        if links > _LINKS:
            raise ImageError("a loop of symlinks", operation="resolve", path=path, errno=errno.ELOOP)
        leads = target(here)
        if leads.startswith(b"/"):
            real.clear()
        else:
            real.pop()
        todo += _reversed(leads)
    return b"/".join(real)


def _reversed(path: bytes) -> list[bytes]:
    return [name for name in reversed(path.split(b"/")) if name not in {b"", b"."}]


def is_whiteout(found: os.stat_result) -> bool:
    """Tell a whiteout of overlayfs: a character device 0:0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
