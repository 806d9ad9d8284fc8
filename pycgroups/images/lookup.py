"""Find files in layers that are not mounted: what overlayfs would show.

https://docs.kernel.org/filesystems/overlayfs.html, "Upper and Lower" and "Whiteouts and opaque directories"
"""

from __future__ import annotations

import os
import stat

from pycgroups.errors import ImageError
from pycgroups.images.resolving import is_whiteout, resolve
from pycgroups.images.xattrs import is_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REMEMBERED = 4096


class Found(NamedTuple):
    """A file of the union.

    Attributes:
        layer: the index of the topmost layer that has it.
        path: its path there, without symlinks; ``b""`` is the root.
        stat: its facts.
    """

    layer: int
    path: bytes
    stat: os.stat_result


class Lookup:
    """Layers, one on top of the other, that nobody changes meanwhile."""

    def __init__(self, layers: Sequence[int]) -> None:
        """Take descriptors of the layers' directories, the topmost first; they stay the caller's."""
        self._layers = tuple(layers)
        # What was found: a path is looked up name by name, and most have their beginning in common with another.
        self._seen = {b"": [Found(index, b"", os.fstat(fd)) for index, fd in enumerate(self._layers)]}

    def find(self, path: str | bytes, *, follow: bool = True) -> Found | None:
        """Find what is at a path, or None when nothing is.

        Args:
            path: absolute or not, it begins at the root of the union, and no symlink or ".." leads out of that.
            follow: whether a symlink at its end is followed; those before are in any case.

        Raises:
            ImageError: a loop of symlinks, or a layer that cannot be read.
        """
        return self.top(self.real(path, follow=follow))

    def real(self, path: str | bytes, *, follow: bool = True) -> bytes:
        """Return the path without symlinks that a path leads to, whether anything is there or not.

        Raises:
            ImageError: as `find`.
        """
        return resolve(os.fsencode(path), self._facts, self._target, follow=follow)

    def read(self, path: str | bytes, limit: int) -> bytes | None:
        """Return what is in a regular file, or None when there is none, or something else.

        Args:
            path: as for `find`.
            limit: bytes at most.

        Raises:
            ImageError: there is more in it; or as `find`.
        """
        found = self.find(path)
        if found is None or not stat.S_ISREG(found.stat.st_mode):
            return None
        if found.stat.st_size > limit:
            raise ImageError(f"more than {limit} bytes", operation="read", path=path)
        with open(os.open(found.path, _FILE, dir_fd=self._layers[found.layer]), "rb") as file:
            return file.read(limit)

    def top(self, path: bytes) -> Found | None:
        """Find what is at a path that no symlink is on."""
        return next(iter(self.all(path)), None)

    def all(self, path: bytes) -> list[Found]:
        """Return all that is at a path that no symlink is on: directories that are merged, or one of another kind."""
        here = self._seen.get(path)
        known = path
        while here is None:
            known = known.rpartition(b"/")[0]
            here = self._seen.get(known)
        while known != path:
            end = path.find(b"/", len(known) + 1)
            known = path[:end] if end > 0 else path
            here = self._seen[known] = self.below(here, known)
        if len(self._seen) > _REMEMBERED:
            self._seen = {b"": self._seen[b""]}
        return here

    def below(self, merged: list[Found], path: bytes) -> list[Found]:
        """Return what is at a path in directories that are merged, those that it is in."""
        found: list[Found] = []
        for layer, _, parent in merged:
            facts = _facts(self._layers[layer], path) if stat.S_ISDIR(parent.st_mode) else None
            if facts is None:
                continue
            if is_whiteout(facts) or (found and not stat.S_ISDIR(facts.st_mode)):
                break
            found.append(Found(layer, path, facts))
            if not stat.S_ISDIR(facts.st_mode) or is_opaque(self._layers[layer], path):
                break
        return found

    def _facts(self, path: bytes) -> os.stat_result | None:
        found = self.top(path)
        return None if found is None else found.stat

    def _target(self, path: bytes) -> bytes:
        found = self.top(path)
        assert found is not None
        return os.readlink(path, dir_fd=self._layers[found.layer])


def _facts(layer: int, path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path, dir_fd=layer, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ImageError(operation="look up", path=path, errno=error.errno) from error
