"""Typed functions over tree.h and unpack.h: make the files of a layer or of a root.

They return what C returned, a negative errno included.
"""

from __future__ import annotations

from pycgroups._native.calls import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Self
else:
    from pycgroups.records import NamedTuple

NOBODY: int = lib.NOBODY
STEPS: dict[int, str] = {
    lib.TREE_PARENT: "open parent",
    lib.TREE_TARGET: "find what is linked to",
    lib.TREE_MAKE: "make",
    lib.TREE_WRITE: "write",
    lib.TREE_OWNER: "set owner",
    lib.TREE_ATTRIBUTE: "set extended attributes",
    lib.TREE_MODE: "set mode",
    lib.TREE_TIMES: "set times",
}
OF_PARENT: int = lib.TREE_PARENT
OF_TARGET: int = lib.TREE_TARGET
OF_MAKING: int = lib.TREE_MAKE
OF_OWNER: int = lib.TREE_OWNER


class Attributes(NamedTuple):
    """What every file has.

    Attributes:
        mode: the permissions; of a node with its type.
        uid: owner, or `NOBODY`: it stays as it is.
        gid: group, likewise.
        mtime: nanoseconds since 1970.
        xattrs: as `packed` makes them.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: bytes


def packed(xattrs: dict[bytes, bytes]) -> bytes:
    """Write extended attributes as C reads them."""
    import sys

    return b"".join(
        name + b"\0" + len(value).to_bytes(4, sys.byteorder) + value for name, value in sorted(xattrs.items())
    )


class Made(NamedTuple):
    """The files that `Tree.files` has made.

    Attributes:
        at: where in the chunk is what comes after them.
        entries: how many they are.
        size: their bytes.
    """

    at: int
    entries: int
    size: int


class Tree:
    """A layer that is being made in a directory; used by one thread."""

    __slots__ = ("_tree",)

    def __init__(self, directory: int) -> None:
        """Take a directory, which stays the caller's."""
        self._tree: Any = ffi.new("struct tree *", {"root": directory, "parent": -1})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        lib.tree_close(self._tree)

    @property
    def failed(self) -> int:
        """The step that the latest failure was of: a key of `STEPS`."""
        return int(self._tree.failed)

    @property
    def refused(self) -> int:
        """How many extended attributes the kernel did not take."""
        return int(self._tree.refused)

    def file(self, path: bytes, of: Attributes, chunk: bytes, at: int, size: int) -> int:
        """Make a file of a part of a chunk; 0 or -errno."""
        if not 0 <= at <= at + size <= len(chunk):
            raise ValueError("beyond the end of the chunk")
        mode, uid, gid, mtime, xattrs = of
        return lib.tree_file(  # type: ignore[no-any-return]
            self._tree, path, mode, uid, gid, mtime, xattrs, len(xattrs), chunk, at, size
        )

    def files(self, chunk: bytes, at: int, depth: int, *, owner: bool) -> Made:
        """Make the ordinary files that come next in an archive, up to the first entry that is anything else.

        Args:
            chunk: of the archive; a file is made only if all of it is in there.
            at: where in it a header is.
            depth: names that a path may have.
            owner: give them to whom the archive says; otherwise they are the caller's, and no longer set-user-id.
        """
        if not 0 <= at <= len(chunk):
            raise ValueError("beyond the end of the chunk")
        made = ffi.new("struct unpacked *", {"at": at})
        lib.unpack_files(self._tree, chunk, len(chunk), depth, owner, made)
        return Made(made.at, made.entries, made.bytes)

    def create(self, path: bytes) -> int:
        """Make an empty file; a descriptor or -errno."""
        return int(lib.tree_create(self._tree, path))

    def write(self, fd: int, chunk: bytes, at: int, size: int) -> int:
        """Write a part of a chunk; 0 or -errno."""
        if not 0 <= at <= at + size <= len(chunk):
            raise ValueError("beyond the end of the chunk")
        return int(lib.tree_write(self._tree, fd, chunk, at, size))

    def finish(self, fd: int, of: Attributes) -> int:
        """Set the attributes of an open file; 0 or -errno."""
        mode, uid, gid, mtime, xattrs = of
        return int(lib.tree_finish(self._tree, fd, mode, uid, gid, mtime, xattrs, len(xattrs)))

    def directory(self, path: bytes) -> int:
        """Make a directory, or keep it; 0 or -errno."""
        return int(lib.tree_directory(self._tree, path))

    def directory_finish(self, path: bytes, of: Attributes) -> int:
        """Set the attributes of a directory; 0 or -errno."""
        mode, uid, gid, mtime, xattrs = of
        return int(lib.tree_directory_finish(self._tree, path, mode, uid, gid, mtime, xattrs, len(xattrs)))

    def symlink(self, path: bytes, of: Attributes, target: bytes) -> int:
        """Make a symlink; 0 or -errno."""
        _, uid, gid, mtime, xattrs = of
        return int(lib.tree_symlink(self._tree, path, target, uid, gid, mtime, xattrs, len(xattrs)))

    def node(self, path: bytes, of: Attributes, device: int) -> int:
        """Make a FIFO or a device; 0 or -errno."""
        mode, uid, gid, mtime, xattrs = of
        return int(lib.tree_node(self._tree, path, mode, device, uid, gid, mtime, xattrs, len(xattrs)))

    def link(self, path: bytes, target: bytes) -> int:
        """Make a hard link; 0 or -errno."""
        return int(lib.tree_link(self._tree, path, target))

    def rename(self, path: bytes, to: bytes) -> int:
        """Move what is there to another path in the same directory, over what that has; 0 or -errno."""
        return int(lib.tree_rename(self._tree, path, to))

    def remove(self, path: bytes) -> int:
        """Remove what is there, a directory excepted; 0 or -errno."""
        return int(lib.tree_remove(self._tree, path))

    def whiteout(self, path: bytes) -> int:
        """Hide what layers below have there; 0 or -errno."""
        return int(lib.tree_whiteout(self._tree, path))

    def opaque(self, path: bytes) -> int:
        """Hide all that layers below have in the directory that the path is in; 0 or -errno."""
        return int(lib.tree_opaque(self._tree, path))
