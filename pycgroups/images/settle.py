"""Settle a layer on those below it: what its tar means depends on them in three places.

- A directory that is in the layer because something in it is, without an entry of its own, is the one below: it takes
  its attributes. Where there is a symlink below, as in /lib -> usr/lib, what the layer has in its place belongs where
  that leads: overlayfs would show the layer's directory and hide the symlink.
- A hard link to a file that is below: the file comes up, and has both names.
- An opaque root: overlayfs does not look at that, so that everything below is hidden by name.
"""

from __future__ import annotations

import os
import stat

from pycgroups._native import tree
from pycgroups.errors import Error, ImageError
from pycgroups.images import xattrs
from pycgroups.images.lookup import Lookup
from pycgroups.images.removing import remove_tree
from pycgroups.images.resolving import is_whiteout, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.images.lookup import Found
    from pycgroups.images.unpack import Unpacked

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEFAULT = tree.Attributes(0o755, tree.NOBODY, tree.NOBODY, 0, b"")
_PIECE = 2**20


def settle(layer_fd: int, lowers: Sequence[int], unpacked: Unpacked) -> None:
    """Settle a layer that was just unpacked; nothing happens when nothing of it depends on those below.

    Args:
        layer_fd: its directory, which nobody else changes meanwhile.
        lowers: descriptors of the directories of the layers below, the topmost first; settled, and never changed.
        unpacked: what `pycgroups.images.unpack.unpack` said of it.

    Raises:
        ImageError: a hard link to what is nowhere, or a path through what is no directory.
    """
    try:
        with tree.Tree(layer_fd) as made:
            _Settling(layer_fd, lowers, made).run(unpacked)
    except Error:
        raise
    except OSError as error:
        raise ImageError(operation="settle layer", path=error.filename, errno=error.errno) from error


class _Settling:
    def __init__(self, layer: int, lowers: Sequence[int], made: tree.Tree) -> None:
        self._layer = layer
        self._layers = (layer, *lowers)
        self._union = Lookup(self._layers)
        self._tree = made
        self._moved: list[tuple[bytes, bytes]] = []
        self._directories: dict[bytes, tree.Attributes] = {}

    def run(self, unpacked: Unpacked) -> None:
        if unpacked.opaque_root:
            self._hide_all()
        for path in unpacked.implied:
            self._settle_directory(self._now(path))
        for path, target in unpacked.missing_links:
            self._link(self._now(path), target)
        self._finish_directories()

    def _now(self, path: bytes) -> bytes:
        """Return where a path of the layer is after what was moved."""
        for old, new in self._moved:
            if path == old or path.startswith(old + b"/"):
                path = (new + path[len(old) :]).lstrip(b"/")
        return path

    def _own(self, path: bytes) -> os.stat_result | None:
        """Return what the layer itself has at a path, a whiteout too."""
        try:
            return os.stat(path or b".", dir_fd=self._layer, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _check(self, result: int, path: bytes) -> int:
        if result < 0:
            step = f"settle layer: {tree.STEPS[self._tree.failed]}"
            raise ImageError(operation=step, path=path, errno=-result)
        return result

    def _changes(self, directory: bytes) -> None:
        """Have a directory of the layer as it must be to be changed; it will be as it was in the end."""
        self._union = Lookup(self._layers)
        found = self._own(directory)
        if found is None:
            return
        of = tree.Attributes(found.st_mode, tree.NOBODY, tree.NOBODY, found.st_mtime_ns, b"")
        self._directories.setdefault(directory, of)
        if found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            changed = of._replace(mode=found.st_mode | stat.S_IRWXU)
            self._check(self._tree.directory_finish(directory, changed), directory)

    def _finish_directories(self) -> None:
        """Set their attributes, those of what is in a directory before its own."""
        there = {self._now(path): of for path, of in self._directories.items()}
        for path in sorted(there, reverse=True):
            found = self._own(path)
            if found is not None and stat.S_ISDIR(found.st_mode):
                self._check(self._tree.directory_finish(path, there[path]), path)

    # -- directories --------------------------------------------------------------------------------------------

    def _hide_all(self) -> None:
        """Hide by name what is below in the root."""
        lower = Lookup(self._layers[1:])
        self._changes(b"")
        for name in sorted({os.fsencode(name) for layer in self._layers[1:] for name in os.listdir(layer)}):
            if lower.top(name) is not None:
                self._check(self._tree.whiteout(name), name)

    def _settle_directory(self, path: bytes) -> None:
        below = self._below(path)
        if below is not None and stat.S_ISDIR(below.stat.st_mode):
            self._take_attributes(path, below)
        elif below is not None and stat.S_ISLNK(below.stat.st_mode):
            self._move(path, below)

    def _below(self, path: bytes) -> Found | None:
        """Find what a directory of the layer covers."""
        if not path:
            return next(iter(self._union.all(b"")[1:]), None)
        covered = self._union.below(self._union.all(_parent(path))[1:], path)
        return covered[0] if covered else None

    def _take_attributes(self, path: bytes, below: Found) -> None:
        self._directories[path] = self._attributes(below)

    def _attributes(self, of: Found) -> tree.Attributes:
        packed = tree.packed(xattrs.read(self._layers[of.layer], of.path))
        return tree.Attributes(of.stat.st_mode, of.stat.st_uid, of.stat.st_gid, of.stat.st_mtime_ns, packed)

    def _make_directories(self, path: bytes) -> None:
        """Have a directory in the layer, with its parents; what is below has its attributes."""
        names = path.split(b"/") if path else []
        for depth in range(1, len(names) + 1):
            here = b"/".join(names[:depth])
            own = self._own(here)
            below = self._union.top(here)
            if below is not None and not stat.S_ISDIR(below.stat.st_mode):
                raise ImageError("is no directory", operation="settle layer", path=here)
            if own is not None and stat.S_ISDIR(own.st_mode):
                continue
            self._changes(_parent(here))
            self._check(self._tree.directory(here), here)
            self._directories[here] = _DEFAULT if below is None else self._attributes(below)

    # -- through symlinks ---------------------------------------------------------------------------------------

    def _move(self, path: bytes, link: Found) -> None:
        """Move what is in a directory to where the symlink leads that it covers."""

        def facts(at: bytes) -> os.stat_result | None:
            found = link if at == path else self._union.top(at)
            return None if found is None else found.stat

        def target(at: bytes) -> bytes:
            found = link if at == path else self._union.top(at)
            assert found is not None
            return os.readlink(found.path, dir_fd=self._layers[found.layer])

        to = resolve(path, facts, target)
        self._make_directories(to)
        self._merge(path, to)
        self._moved.append((path, to))

    def _merge(self, path: bytes, to: bytes) -> None:
        """Move all that a directory holds into another one, and remove it."""
        self._changes(_parent(path))
        todo = [(path, to)]
        emptied = []
        while todo:
            source, into = todo.pop()
            emptied.append(source)
            self._changes(into)
            if xattrs.is_opaque(self._layer, source):
                self._check(self._tree.opaque(_join(into, b".")), into)
            names = os.listdir(b"/proc/self/fd/%d/%s" % (self._layer, source))
            pairs = [(_join(source, name), _join(into, name)) for name in names]
            todo += [pair for pair in pairs if self._moves(*pair)]
        for source in reversed(emptied):
            os.rmdir(source, dir_fd=self._layer)

    def _moves(self, source: bytes, into: bytes) -> bool:
        """Move one file or directory; tell whether that is left to the caller: both are directories."""
        own, there = self._own(source), self._own(into)
        assert own is not None
        if there is not None and is_whiteout(own):
            self._check(self._tree.whiteout(into), into)
            os.unlink(source, dir_fd=self._layer)
            return False
        if there is not None and stat.S_ISDIR(own.st_mode) and stat.S_ISDIR(there.st_mode):
            return True
        hides = there is not None and stat.S_ISDIR(own.st_mode)
        if there is not None:
            remove_tree(self._layer, into)
        os.rename(source, into, src_dir_fd=self._layer, dst_dir_fd=self._layer)
        if hides:
            self._check(self._tree.opaque(_join(into, b".")), into)
        return False

    # -- hard links ---------------------------------------------------------------------------------------------

    def _link(self, path: bytes, target: bytes) -> None:
        real = self._union.real(target, follow=False)
        found = self._union.top(real)
        if found is None:
            raise ImageError(f"a hard link to {target!r}, which is nowhere", operation="settle layer", path=path)
        if stat.S_ISDIR(found.stat.st_mode):
            raise ImageError(f"a hard link to the directory {target!r}", operation="settle layer", path=path)
        own = self._own(path)
        if own is not None and not is_whiteout(own):  # something else has come in its place
            return
        if found.layer:
            self._make_directories(_parent(real))
            self._changes(_parent(real))
            self._copy_up(found)
        self._changes(_parent(path))
        self._check(self._tree.link(path, real), path)

    def _copy_up(self, found: Found) -> None:
        of, path, lower = self._attributes(found), found.path, self._layers[found.layer]
        if stat.S_ISLNK(found.stat.st_mode):
            result = self._tree.symlink(path, of, os.readlink(path, dir_fd=lower))
        elif stat.S_ISREG(found.stat.st_mode):
            result = self._copy_file(path, of, lower)
        else:
            result = self._tree.node(path, of, found.stat.st_rdev)
        self._check(result, path)

    def _copy_file(self, path: bytes, of: tree.Attributes, lower: int) -> int:
        with (
            open(os.open(path, _FILE, dir_fd=lower), "rb") as source,
            open(self._check(self._tree.create(path), path), "wb") as to,
        ):
            while os.sendfile(to.fileno(), source.fileno(), None, _PIECE):
                continue
            return self._tree.finish(to.fileno(), of)


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
