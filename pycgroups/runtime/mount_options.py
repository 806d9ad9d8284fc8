"""OCI mount options -> mount attributes, propagation and data; config.md "Linux mount options". Pure."""

from __future__ import annotations

from pycgroups._native.calls import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

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
    "atime": (lib.MOUNT_ATTR_RELATIME, lib.MOUNT_ATTR__ATIME),
    "relatime": (lib.MOUNT_ATTR_RELATIME, lib.MOUNT_ATTR__ATIME),
    "strictatime": (lib.MOUNT_ATTR_STRICTATIME, lib.MOUNT_ATTR__ATIME),
    "nostrictatime": (lib.MOUNT_ATTR_RELATIME, lib.MOUNT_ATTR__ATIME),
    "nodiratime": (lib.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, lib.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (lib.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, lib.MOUNT_ATTR_NOSYMFOLLOW),
}
_RECURSIVE = {f"r{name}": value for name, value in _ATTRIBUTES.items()}

# What says nothing, or nothing that a mount of today has: relatime is all that norelatime could lead to, and the mount
# API has no word for silence, and none for the counters that file systems keep of themselves.
_IGNORED = frozenset(
    {
        *("defaults", "nofail", "nouser", "auto", "noauto", "user", "users"),
        *("norelatime", "rnorelatime", "silent", "loud", "iversion", "noiversion"),
    }
)
# What the kernel knows of every file system, as data: fsconfig(2). A bind mount has it of its source.
_FILE_SYSTEM = frozenset({"sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"})

PROPAGATION: dict[str, int] = {
    "private": lib.MS_PRIVATE,
    "slave": lib.MS_SLAVE,
    "shared": lib.MS_SHARED,
    "unbindable": lib.MS_UNBINDABLE,
}
PROPAGATION.update({f"r{name}": value for name, value in list(PROPAGATION.items())})

# What says how a mount comes to be.
_MANNERS = frozenset({"bind", "rbind", "idmap", "ridmap", "tmpcopyup", "copy-symlink"})
KNOWN = frozenset({*_ATTRIBUTES, *_RECURSIVE, *PROPAGATION, *_IGNORED, *_MANNERS, *_FILE_SYSTEM})
"""All options that are no one file system's own."""

_NAMES = {attributes: name for name, (attributes, _) in reversed(_ATTRIBUTES.items()) if attributes}


class Options(NamedTuple):
    """What a list of options says; ``data`` is for the file system itself.

    ``attributes``, ``clear`` and ``propagation`` are for a whole tree ("rro", "rslave"), ``top``, ``top_clear`` and
    ``top_propagation`` for its uppermost mount, after that ("ro", "slave"). With only one mount, all are the former.
    Likewise ``idmap_all`` ("ridmap") and ``idmap``.
    """

    bind: bool
    recursive: bool
    attributes: int
    clear: int
    top: int
    top_clear: int
    propagation: int
    top_propagation: int
    idmap: bool
    idmap_all: bool
    copy_up: bool
    copy_link: bool
    data: tuple[str, ...]


_parsed: dict[tuple[str, ...], Options] = {}
_PARSED_MOST = 256


def parse(options: tuple[str, ...]) -> Options:
    """Sort options into attributes, propagation, and the file system's own."""
    if options not in _parsed:
        if len(_parsed) >= _PARSED_MOST:
            _parsed.clear()
        _parsed[options] = _parse(options)
    return _parsed[options]


def _parse(options: tuple[str, ...]) -> Options:
    whole, top = _Attributes(), _Attributes()
    propagation = top_propagation = 0
    words, data = set(), []
    for option in options:
        if option in _ATTRIBUTES:
            top.take(*_ATTRIBUTES[option])
        elif option in _RECURSIVE:
            whole.take(*_RECURSIVE[option])
        elif option in PROPAGATION:
            top_propagation = PROPAGATION[option]
            if option.startswith("r"):
                propagation, top_propagation = top_propagation, 0
        elif option in _MANNERS:
            words.add(option)
        elif option not in _IGNORED:
            data.append(option)
    recursive = "rbind" in words
    if not recursive:
        whole.take(top.on, top.off)
        top = _Attributes()
        propagation, top_propagation = top_propagation or propagation, 0
    return Options(
        bind=recursive or "bind" in words,
        recursive=recursive,
        attributes=whole.on,
        clear=whole.off,
        top=top.on,
        top_clear=top.off,
        propagation=propagation,
        top_propagation=top_propagation,
        idmap="idmap" in words or "ridmap" in words,
        idmap_all="ridmap" in words,
        copy_up="tmpcopyup" in words,
        copy_link="copy-symlink" in words,
        data=tuple(data),
    )


class _Attributes:
    """Attributes to set and to clear; the last word on each counts."""

    def __init__(self) -> None:
        self.on = self.off = 0

    def take(self, on: int, off: int) -> None:
        self.on = self.on & ~off | on
        self.off = self.off & ~on | off


def lower_directories(data: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers of an overlay, the topmost first; filesystems/overlayfs.rst, "Multiple lower layers".

    A colon parts two, a backslash takes the next character as it is.
    """
    import re  # few mount overlays

    text = next((option[9:] for option in data if option.startswith("lowerdir=")), "")
    parts = re.findall(r"(?:\\.|[^:\\])+", text, re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)


def names(attributes: int) -> Iterator[str]:
    """Yield the names of attributes, for people."""
    for bit, name in _NAMES.items():
        if attributes & bit:
            yield name
