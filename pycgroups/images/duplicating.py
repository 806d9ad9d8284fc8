"""Copy the directory that overlayfs writes to, as it is: whiteouts, marks and owners are what makes it one.

Files that the file system can share are not copied: copy_file_range(2) makes reflinks on btrfs, XFS and their like.
Holes stay holes, and hard links are hard links.
"""

from __future__ import annotations

import errno
import os
import stat

from pycgroups._native import tree
from pycgroups.errors import Error
from pycgroups.images import xattrs
from pycgroups.images.entries import Seen, open_file, walk
from pycgroups.images.flatten import copy_data
from pycgroups.images.resolving import is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.unpack import Owner

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO})
"What is said of a file that was removed or replaced since its directory was read."
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def duplicate(source: str, place: str, owner: Owner) -> None:
    """Copy a directory to a new one.

    Args:
        source: what is changed in it meanwhile may be there as it was before or after; nothing of what is outside.
        place: of the new one.
        owner: whether files keep their owners, or are the caller's.

    Raises:
        Error: something cannot be read or made.
    """
    os.mkdir(place, 0o700)
    fds: list[int] = []
    try:
        fds.extend(os.open(path, _DIRECTORY) for path in (source, place))
        with tree.Tree(fds[1]) as made:
            _Duplicating(made, kept=owner == "kept").run(fds[0])
            if made.refused:
                message = f"the file system takes {made.refused} extended attributes of it not"
                raise Error(message, operation="copy", path=source)
    finally:
        for fd in fds:
            os.close(fd)


class _Duplicating:
    def __init__(self, made: tree.Tree, *, kept: bool) -> None:
        self._made = made
        self._kept = kept
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, source: int) -> None:
        directories: list[tuple[bytes, tree.Attributes]] = []
        for seen in walk(source):
            try:
                attributes = self._attributes(seen)
                if stat.S_ISDIR(seen.stat.st_mode):
                    self._check(self._made.directory(seen.path), seen)
                    directories.append((seen.path, attributes))
                elif not self._is_linked(seen):
                    self._copy(seen, attributes)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
        for path, attributes in reversed(directories):  # what is in a directory comes before it, and changes its time
            self._made.directory_finish(path, attributes)

    def _is_linked(self, seen: Seen) -> bool:
        """Make a hard link to a file that is there already; overlayfs makes such of whiteouts, which mean nothing."""
        first = self._first.get((seen.stat.st_dev, seen.stat.st_ino))
        if first is None:
            return False
        self._check(self._made.link(seen.path, first), seen)
        return True

    def _copy(self, seen: Seen, attributes: tree.Attributes) -> None:
        if is_whiteout(seen.stat):  # its owner and time mean nothing
            self._check(self._made.whiteout(seen.path), seen)
            return
        if stat.S_ISREG(seen.stat.st_mode):
            self._file(seen, attributes)
        elif stat.S_ISLNK(seen.stat.st_mode):
            target = os.readlink(seen.name, dir_fd=seen.directory)
            self._check(self._made.symlink(seen.path, attributes, target), seen)
        else:
            attributes = attributes._replace(mode=seen.stat.st_mode)
            self._check(self._made.node(seen.path, attributes, seen.stat.st_rdev), seen)
        if seen.stat.st_nlink > 1:
            self._first[seen.stat.st_dev, seen.stat.st_ino] = seen.path

    def _file(self, seen: Seen, attributes: tree.Attributes) -> None:
        source = open_file(seen.directory, seen.name)
        try:
            target = self._check(self._made.create(seen.path), seen)
            try:
                copy_data(source, target, os.fstat(source), shrinks=True)
                self._check(self._made.finish(target, attributes), seen)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _attributes(self, seen: Seen) -> tree.Attributes:
        of = seen.stat
        uid, gid = (of.st_uid, of.st_gid) if self._kept else (tree.NOBODY, tree.NOBODY)
        packed = tree.packed(xattrs.read(seen.directory, seen.name, overlays=True))
        return tree.Attributes(stat.S_IMODE(of.st_mode), uid, gid, of.st_mtime_ns, packed)

    def _check(self, result: int, seen: Seen) -> int:
        if result < 0:
            raise Error(operation=f"copy: {tree.STEPS[self._made.failed]}", path=seen.path, errno=-result)
        return result
