"""Extended attributes of files in layers: overlayfs's own say what a layer is, and are none of the files'; xattr(7)."""

from __future__ import annotations

import errno
import os

OVERLAYS = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.")
"Begin the names of the attributes of overlayfs and fuse-overlayfs."
KEPT = (b"user.", b"trusted.", b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default")
"""Begin the names of those that layers have. Others, as labels of security modules, are the host's."""
_OPAQUE = (b"trusted.overlay.opaque", b"user.overlay.opaque")
_NOT_THERE = {errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}


def are_kept(name: bytes) -> bool:
    """Tell whether layers have attributes of this name."""
    return name.startswith(KEPT) and not name.startswith(OVERLAYS)


def read(directory: int, path: bytes, *, overlays: bool = False) -> dict[bytes, bytes]:
    """Return the attributes of a file that layers have; a symlink at the end is not followed.

    Args:
        directory: that the path begins in.
        path: of the file.
        overlays: with those of overlayfs.
    """
    at = _at(directory, path)
    try:
        names = [os.fsencode(name) for name in os.listxattr(at, follow_symlinks=False)]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    found = {name: _value(at, name) for name in names if are_kept(name) or (overlays and name.startswith(OVERLAYS))}
    return {name: value for name, value in found.items() if value is not None}


def is_opaque(directory: int, path: bytes) -> bool:
    """Tell whether a directory of a layer hides what layers below have in it."""
    at = _at(directory, path)
    return any(_value(at, name) == b"y" for name in _OPAQUE)


def has(directory: int, path: bytes, name: bytes) -> bool:
    """Tell whether a file has an attribute."""
    return _value(_at(directory, path), name) is not None


def _at(directory: int, path: bytes) -> bytes:
    """Return a path; the calls for attributes take no directory."""
    return b"/proc/self/fd/%d/%s" % (directory, path)


def _value(at: bytes, name: bytes) -> bytes | None:
    try:
        return os.getxattr(at, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
