"""OCI mount options -> mount attributes, propagation and data; config.md "Linux mount options". Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pycgroups._native.calls import lib

if TYPE_CHECKING:
    from collections.abc import Iterator

# name -> (attributes set, attributes cleared)
_ATTRIBUTES = {
    "ro": (lib.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, lib.MOUNT_ATTR_RDONLY),
    "nosuid": (lib.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, lib.MOUNT_ATTR_NOSUID),
    "nodev": (lib.MOUNT_ATTR_NODEV, 0),
    "dev": (0, lib.MOUNT_ATTR_NODEV),
    "noexec": (lib.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, lib.MOUNT_ATTR_NOEXEC),
    "noatime": (lib.MOUNT_ATTR_NOATIME, lib.MOUNT_ATTR__ATIME),
    "relatime": (lib.MOUNT_ATTR_RELATIME, lib.MOUNT_ATTR__ATIME),
    "strictatime": (lib.MOUNT_ATTR_STRICTATIME, lib.MOUNT_ATTR__ATIME),
    "nodiratime": (lib.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, lib.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (lib.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, lib.MOUNT_ATTR_NOSYMFOLLOW),
}
# The recursive spellings ("rro") mean what the plain ones do here: a tree is always changed whole (MNT-11).
_ATTRIBUTES.update({f"r{name}": value for name, value in list(_ATTRIBUTES.items())})

_PROPAGATION = {
    "private": lib.MS_PRIVATE,
    "slave": lib.MS_SLAVE,
    "shared": lib.MS_SHARED,
    "unbindable": lib.MS_UNBINDABLE,
}
_PROPAGATION.update({f"r{name}": value for name, value in list(_PROPAGATION.items())})

_NAMES = {attributes: name for name, (attributes, _) in reversed(_ATTRIBUTES.items()) if attributes}


class Options(NamedTuple):
    """What a list of options says; ``data`` is for the file system itself."""

    bind: bool
    recursive: bool
    attributes: int
    clear: int
    propagation: int
    idmap: bool
    data: tuple[str, ...]


@lru_cache(maxsize=256)
def parse(options: tuple[str, ...]) -> Options:
    """Sort options into attributes, propagation, and the file system's own."""
    attributes = clear = propagation = 0
    words, data = set(), []
    for option in options:
        if option in _ATTRIBUTES:
            on, off = _ATTRIBUTES[option]
            attributes = attributes & ~off | on
            clear = clear & ~on | off
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        elif option in ("bind", "rbind", "idmap", "ridmap"):
            words.add(option)
        else:
            data.append(option)
    return Options(
        bind="bind" in words or "rbind" in words,
        recursive="rbind" in words,
        attributes=attributes,
        clear=clear,
        propagation=propagation,
        idmap="idmap" in words or "ridmap" in words,
        data=tuple(data),
    )


def lower_directories(data: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers of an overlay, the topmost first; filesystems/overlayfs.rst, "Multiple lower layers".

    A colon parts two, a backslash takes the next character as it is.
    """
    text = next((option[9:] for option in data if option.startswith("lowerdir=")), "")
    parts = re.findall(r"(?:\\.|[^:\\])+", text, re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)


def names(attributes: int) -> Iterator[str]:
    """Yield the names of attributes, for people."""
    for bit, name in _NAMES.items():
        if attributes & bit:
            yield name
