"""Where a copy goes: docker cp's rules, as a table.

    source                   destination            becomes
    ---------------------    -------------------    ------------------------------------------
    a file                   nothing                the destination; its directory must be there
    a file                   nothing, with a /      an error: no such directory
    a file                   a file                 the destination, which is replaced
    a file                   a file, with a /       an error: no directory
    a file                   a device, FIFO, socket an error, unless it is one of that kind, too
    a file                   a directory            destination/NAME
    a directory              nothing                the destination
    a directory              a file                 an error: no directory
    a directory              a directory            destination/NAME, with what is there
    a directory, with /.     a directory            the destination: what is in it joins what is there

A file is whatever is no directory. Nothing takes the place of a device, a FIFO or a socket but one of its kind, as
programs know it by its name: so a tree that has them can be copied again, and they can be alone. A symlink is followed
as the destination; as the source it is itself, but with a slash at its end it is the directory that it leads to.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups.containers.spots import refused
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_HERE = frozenset({b"", b".", b".."})
_REPLACED = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR})


class Goal(NamedTuple):
    """Where something is to go in a root.

    Attributes:
        path: the destination.
        name: what the source is called, used where the destination is a directory; ``b""`` when what is in the source
            is to join it.
        archive: the entries of somebody's archive go below the destination, a directory.
    """

    path: bytes
    name: bytes = b""
    archive: bool = False


def name_of(source: bytes) -> bytes:
    """Return what a source is called; ``b""`` when it is a root, or its path ends with ``.``."""
    if source.endswith(b"/.") or source.rpartition(b"/")[2] in {b".", b".."}:
        return b""
    name = os.path.basename(source.rstrip(b"/"))
    return b"" if name in _HERE else name


def is_directory(source: bytes) -> bool:
    """Tell whether a path says that it leads to a directory."""
    return source.rpartition(b"/")[2] in _HERE


def check_replaced(path: bytes, there: int, by: int | None = None) -> None:
    """Refuse to replace a device, a FIFO or a socket, unless by one of its kind.

    Args:
        path: where it is.
        there: its mode.
        by: the type of what comes, of a mode.

    Raises:
        Error: it is one.
    """
    if stat.S_IFMT(there) not in _REPLACED | {by}:
        raise Error(
            "a device, a FIFO or a socket, which nothing but its kind takes the place of", operation="copy", path=path
        )


def is_at(goal: Goal, *, directory: bool, there: os.stat_result | None, by: int | None = None) -> bool:
    """Tell whether a source becomes the destination, and not something in it.

    Args:
        goal: where to.
        directory: the source is one.
        there: what is at the destination.
        by: the type of the source, of a mode, as `check_replaced` takes it.

    Raises:
        NotFound: the destination is to be a directory, and is not.
        Error: a directory cannot take the place of a file, and nothing that of a device, a FIFO or a socket, but one of
            its kind.
    """
    if there is not None and stat.S_ISDIR(there.st_mode):
        return directory and not goal.name
    if there is not None and (directory or is_directory(goal.path)):
        message = "a directory cannot take the place of a file" if directory else "no directory"
        raise Error(message, operation="copy", path=goal.path)
    if not directory and is_directory(goal.path):
        raise refused("copy", goal.path, errno.ENOENT)
    if there is not None:
        check_replaced(goal.path, there.st_mode, by)
    return True
