"""Make a layer of what was changed: of an upper directory of overlayfs, or of two trees.

image-spec, layer.md, "Representing Changes". The tar is the same whenever the files are: names are sorted, directories
come before what is in them, and there is no clock in it.
"""

from __future__ import annotations

import os
import stat

from pycgroups.errors import ImageError
from pycgroups.images import xattrs
from pycgroups.images.entries import Entries, Seen, content, join, names, walk
from pycgroups.images.lookup import Lookup
from pycgroups.images.resolving import is_whiteout
from pycgroups.images.tar.entry import FILE, Entry
from pycgroups.images.tar.writer import archive
from pycgroups.images.unpack import OPAQUE, WHITEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeVar

    from pycgroups.images.lookup import Found

    T = TypeVar("T")

    Made = Iterator[tuple[Entry, Iterator[bytes]]]

_UNREADABLE = (b"overlay.redirect", b"overlay.metacopy")
"Attributes of a file whose content or place is not in this directory: of mounts with redirect_dir or metacopy."


def changes(layer_fd: int) -> Iterator[bytes]:
    """Yield the tar of a layer in overlayfs's form: an unpacked one, or the upper directory of a mount.

    Whiteouts and opaque directories become names with ``.wh.``. Sockets are left out: no archive can have one.

    Args:
        layer_fd: its directory. What is changed meanwhile may be there as it was before or after, but nothing of what
            is outside.

    Raises:
        ImageError: it cannot be read; a name in it begins with ``.wh.``; or parts of its files are elsewhere: it was
            mounted with ``metacopy`` or ``redirect_dir``.
    """
    return told(archive(_changed(layer_fd)))


def diff(lowers: Sequence[int], uppers: Sequence[int]) -> Iterator[bytes]:
    """Yield the tar of the layer that makes one tree of another one.

    A file is changed when its type, mode, owner, time, extended attributes or content is another.

    Args:
        lowers: the one, as layers, the topmost first, that nobody changes meanwhile; a plain directory is one layer.
        uppers: the other, likewise.

    Raises:
        ImageError: one of them cannot be read.
    """
    return told(archive(_Difference(lowers, uppers).entries()))


def told(pieces: Iterator[T]) -> Iterator[T]:
    """Let an `OSError` on the way be an `ImageError`."""
    try:
        yield from pieces
    except OSError as error:
        raise ImageError(operation="pack layer", path=error.filename, errno=error.errno) from error


def _checked(path: bytes) -> None:
    """Refuse a name that would mean something else in a layer."""
    if path.rpartition(b"/")[2].startswith(WHITEOUT):
        raise ImageError("a name that stands for a removed file in layers", operation="pack layer", path=path)


def _hidden(path: bytes, of: os.stat_result) -> tuple[Entry, Iterator[bytes]]:
    """Make the whiteout of a path, or another mark; it is as old as what it is in."""
    return Entry(path, FILE, 0, of.st_uid, of.st_gid, of.st_mtime_ns), iter(())


def _changed(layer: int) -> Made:
    entries = Entries()
    for seen in walk(layer):
        directory, name, path, found = seen
        if is_whiteout(found):
            above, _, name = path.rpartition(b"/")
            yield _hidden(join(above, WHITEOUT + name), os.fstat(directory))
            continue
        _checked(path)
        _check_whole(seen)
        if made := entries.entry(seen):
            yield made
        if stat.S_ISDIR(found.st_mode) and xattrs.is_opaque(directory, name):
            yield _hidden(join(path, OPAQUE), found)


def _check_whole(seen: Seen) -> None:
    for name in _UNREADABLE:
        if xattrs.has(seen.directory, seen.name, b"trusted." + name) or xattrs.has(
            seen.directory, seen.name, b"user." + name
        ):
            raise ImageError(f"has {os.fsdecode(name)}: not all of it is here", operation="pack layer", path=seen.path)


class _Difference:
    def __init__(self, lowers: Sequence[int], uppers: Sequence[int]) -> None:
        self._lowers, self._uppers = tuple(lowers), tuple(uppers)
        self._lower, self._upper = Lookup(lowers), Lookup(uppers)
        self._files = Entries()

    def entries(self) -> Made:
        todo = [b""]
        while todo:
            path = todo.pop()
            old, new = self._lower.all(path), self._upper.all(path)
            if old and not new:
                directory, _, name = path.rpartition(b"/")
                above = self._upper.all(directory)[0]
                yield _hidden(join(directory, WHITEOUT + name), above.stat)
            if not new:
                continue
            top = new[0]
            if not old or self._differ(old[0], top):
                _checked(path)
                made = self._files.entry(Seen(self._uppers[top.layer], path or b".", path, top.stat))
                if made is not None:
                    yield made
            if stat.S_ISDIR(top.stat.st_mode):
                inside = self._inside(self._uppers, new)
                if old and stat.S_ISDIR(old[0].stat.st_mode):
                    inside |= self._inside(self._lowers, old)
                todo += [join(path, name) for name in sorted(inside, reverse=True)]

    @staticmethod
    def _inside(layers: Sequence[int], merged: list[Found]) -> set[bytes]:
        """Return the names in a directory of layers; some of them may be hidden."""
        return {name for one in merged for name in names(layers[one.layer], one.path or b".")}

    def _differ(self, old: Found, new: Found) -> bool:
        if os.path.samestat(old.stat, new.stat):
            return False
        lower, upper = self._lowers[old.layer], self._uppers[new.layer]
        return (
            _facts(old.stat) != _facts(new.stat)
            or xattrs.read(lower, old.path) != xattrs.read(upper, new.path)
            or _contents_differ(lower, old, upper, new)
        )


def _facts(found: os.stat_result) -> tuple[int, ...]:
    size = (0, 0) if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_rdev)
    return (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, *size)


def _contents_differ(lower: int, old: Found, upper: int, new: Found) -> bool:
    """Compare two files of the same type and size."""
    if stat.S_ISLNK(old.stat.st_mode):
        return os.readlink(old.path, dir_fd=lower) != os.readlink(new.path, dir_fd=upper)
    if not stat.S_ISREG(old.stat.st_mode):
        return False
    size = old.stat.st_size
    whole = ((0, size),)
    pieces = zip(content(lower, old.path, whole), content(upper, new.path, whole), strict=True)
    return any(one != other for one, other in pieces)
