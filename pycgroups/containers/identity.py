"""Who the program is: ids from numbers, and from names looked up in the container's own passwd and group files.

The files belong to the image and may be hostile: they are opened inside the root only, must be regular files, and
no more than a megabyte of them is read. passwd(5), group(5).
"""

from __future__ import annotations

import os
import stat

from pycgroups._native import vfs
from pycgroups.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

LARGEST = 2**20
LAST_ID = 2**32 - 2


class Identity(NamedTuple):
    """The ids of a process, and where its home is."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"


ROOT = Identity()


def identify(
    user: tuple[int | str, int | str | None] | None, groups: tuple[int | str, ...], root: tuple[str, ...]
) -> Identity:
    """Find the ids for the options ``user`` and ``groups`` in a root file system: a directory, or layers of an image.

    The layers are directories in overlayfs's form, the topmost first. Without any, there are but numbers.

    A user without a group has the group of their passwd entry, and 0 without an entry, as docker has it. A user
    given by name is in the supplementary groups that list them, too.

    Raises:
        InvalidConfig: a name is not in the container's files, or a number there is none.
    """
    if user is None and not groups:
        return ROOT
    name, group = user or (0, None)
    entry = _passwd_entry(root, name)
    if entry is None and isinstance(name, str):
        raise _unknown("user", name, "/etc/passwd")
    account, uid, own_gid, home = entry or ("", int(name), 0, "/root" if name == 0 else "/")
    gid = own_gid if group is None else _group_id(root, group, "user")
    extra = {_group_id(root, some, "groups") for some in groups}
    if isinstance(name, str) and group is None:
        extra |= {number for _, number, members in _groups(root) if account in members}
    return Identity(uid=uid, gid=gid, groups=tuple(sorted(extra - {gid})), home=home or "/")


def _passwd_entry(root: tuple[str, ...], wanted: int | str) -> tuple[str, int, int, str] | None:
    for fields in _lines(root, "/etc/passwd", 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and wanted == (uid if isinstance(wanted, int) else fields[0]):
            return fields[0], uid, gid, fields[5]
    return None


def name_of(uid: int, root: str) -> str:
    """Return the name of a user in a root file system; "" if there is none."""
    entry = _passwd_entry((root,), uid)
    return "" if entry is None else entry[0]


def _groups(root: tuple[str, ...]) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(root, "/etc/group", 4):
        gid = _number(fields[2])
        if gid is not None:
            yield fields[0], gid, fields[3].split(",")


def _group_id(root: tuple[str, ...], wanted: int | str, option: str) -> int:
    if isinstance(wanted, int):
        return wanted
    for name, gid, _ in _groups(root):
        if name == wanted:
            return gid
    raise _unknown(option, wanted, "/etc/group")


def _unknown(option: str, name: str, file: str) -> InvalidConfig:
    message = f"{name!r} is not in the container's {file}; ids work without"
    return InvalidConfig(message, operation="option", path=option)


def _number(text: str) -> int | None:
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(LAST_ID))
    return int(text) if digits and int(text) <= LAST_ID else None


def _lines(root: tuple[str, ...], path: str, fields: int) -> Iterator[list[str]]:
    for line in _read(root, path).split("\n"):
        parts = line.split(":")
        if len(parts) == fields:
            yield parts


def _read(root: tuple[str, ...], path: str) -> str:
    if len(root) > 1:
        return _read_layers(root, path)
    if not root:
        return ""
    fd = vfs.open_inside(os.fsencode(root[0]), os.fsencode(path))
    if fd < 0:
        return ""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return ""
    with open(fd, "rb") as file:
        return os.fsdecode(file.read(LARGEST))


def _read_layers(layers: tuple[str, ...], path: str) -> str:
    from pycgroups.images.lookup import Lookup  # few containers are of several layers and name a user

    fds: list[int] = []
    try:
        fds.extend(os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for layer in layers)
        return os.fsdecode(Lookup(fds).read(os.fsencode(path), LARGEST) or b"")
    finally:
        for fd in fds:
            os.close(fd)
