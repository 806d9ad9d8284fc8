"""What a container's root is made of, as data: a directory used as it is, or layers under a throw-away top.

The layers are pieces of the host (`Layered`), or those of an image (`Stacked`). Or it is there already (`Entered`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple


class Directory(NamedTuple):
    """A directory of the host that is the root file system.

    Attributes:
        path: the directory.
        idmapped: show it through the container's id map (mount_setattr(2), MOUNT_ATTR_IDMAP; Linux 5.12, and the
            file system must know it), so that what root owns on disk is root's inside.
        files: ``(path, content)`` of files to show, whatever the root holds there; they are not written to it.
        devices: its device nodes can be opened, as far as the container's cgroup allows; the default ones are made
            in it, unless they are there.
    """

    path: str
    idmapped: bool = False
    files: tuple[tuple[str, str], ...] = ()
    devices: bool = False


class Layer(NamedTuple):
    """One piece of a layered root.

    Attributes:
        source: a directory of the host.
        at: where it shows in the root; ``"/"`` is the root itself.
        overlay: writes are taken by the throw-away top; otherwise the piece is shown read-only, with all that is
            mounted below it.
    """

    source: str
    at: str
    overlay: bool = True


class Layered(NamedTuple):
    """A root whose writes go to a tmpfs of the container's own, and vanish with it.

    Attributes:
        layers: in the order of mounting; when the first is not at ``"/"``, the root is an empty tmpfs.
        links: ``(path, target)`` of symlinks to make.
        directories: ``(path, mode)`` of directories that are empty inside, whatever the layers hold there.
        writable: directories of the overlays that belong to the container's root, so that it can make files in them.
        files: as in `Directory`.
        size: bytes that all these may take together, or None for the kernel's default (half of the memory).
    """

    layers: tuple[Layer, ...]
    links: tuple[tuple[str, str], ...] = ()
    directories: tuple[tuple[str, int], ...] = ()
    writable: tuple[str, ...] = ()
    size: int | None = None
    files: tuple[tuple[str, str], ...] = ()


class Stacked(NamedTuple):
    """The unpacked layers of an image, under a top of the container's own that vanishes with it, or is on disk.

    Attributes:
        trees: directories of the host that have the layers below them, as a store has them all in one.
        layers: ``(number of the tree, path in it)`` of each layer, the topmost first, in overlayfs's form.
        mode: of the root directory.
        idmapped: show them through the container's id map (overlays know such layers since Linux 5.19).
        appends: the kernel takes layers one by one, any number of them (Linux 6.7); otherwise all have to fit in one
            option, and each is mounted by itself.
        size: bytes that may be written, or None for the kernel's default (half of the memory).
        files: as in `Directory`.
        top: a directory of the host whose ``upper`` takes what is written, with ``work`` beside it; both are made
            unless they are there. "" for a tmpfs.
        handed: the launch hands over a file system, mounted nowhere, that is such a top.
    """

    trees: tuple[str, ...]
    layers: tuple[tuple[int, str], ...]
    mode: int = 0o755
    idmapped: bool = False
    appends: bool = True
    size: int | None = None
    files: tuple[tuple[str, str], ...] = ()
    top: str = ""
    handed: bool = False


class Entered(NamedTuple):
    """The root of a mount namespace that is joined: nothing is made, mounted or covered in it.

    Attributes:
        namespace: where that is.
    """

    namespace: str


Made = Directory | Layered | Stacked
Rootfs = Made | Entered
