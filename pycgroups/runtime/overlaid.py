"""The plan of a root that is put together: pieces of the host, or an image's layers, under a top. Pure.

A part of `pycgroups.runtime.plan`, for containers whose root is no directory that is used as it is.
"""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import Unsupported
from pycgroups.runtime.plan import ROOT, SCRATCH, TEMPORARY
from pycgroups.runtime.rootfs import Layered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.runtime.plan import _Planner as Planner
    from pycgroups.runtime.rootfs import Layer, Stacked

_LONGEST_OPTION = 255


def make(plan: Planner, rootfs: Layered | Stacked) -> None:
    """Add the steps that put it together in the scratch.

    Raises:
        Unsupported: this kernel takes fewer layers.
    """
    if isinstance(rootfs, Layered):
        _make_layers(plan, rootfs)
    else:
        _make_stack(plan, rootfs)


def _make_layers(plan: Planner, rootfs: Layered) -> None:
    if not rootfs.layers or rootfs.layers[0].at != "/":
        plan.add(lib.OP_MKDIR, 0o755, 0, texts=(b"root",))
        plan.bind_scratch("root", ROOT)
    else:
        _overlay(plan, 0, rootfs.layers[0], ROOT, rootfs.writable)
    rest = [layer for layer in rootfs.layers if layer.at != "/"]
    slots = [_make_layer(plan, number, layer, rootfs.writable) for number, layer in enumerate(rest, 1)]
    for number, (_, mode) in enumerate(rootfs.directories):
        plan.add(lib.OP_MKDIR, mode, 0, texts=(b"empty%d" % number,))
    plan.use_root(ROOT)
    for slot, layer in zip(slots, rest, strict=True):
        plan.add(lib.OP_MOUNT, slot, 0, texts=(os.fsencode(layer.at),))
    for number, (path, _) in enumerate(rootfs.directories):
        plan.bind_scratch(f"empty{number}", TEMPORARY)
        plan.add(lib.OP_MOUNT, TEMPORARY, lib.RESOLVE_NO_SYMLINKS, texts=(os.fsencode(path),))
    for path, target in rootfs.links:
        plan.add(lib.OP_SYMLINK, texts=(os.fsencode(target), os.fsencode(path)))
    if rootfs.size is not None:  # whether it is full is asked from outside
        plan.add(lib.OP_SEND, SCRATCH)


def _make_layer(plan: Planner, number: int, layer: Layer, writable: Iterable[str]) -> int:
    if not layer.overlay:
        attributes = lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV
        return plan.tree(layer.source, attributes=attributes)
    slot = plan.held_slot()
    _overlay(plan, number, layer, slot, writable)
    plan.overlays.append(slot)
    return slot


def _overlay(plan: Planner, number: int, layer: Layer, slot: int, writable: Iterable[str]) -> None:
    """Overlay a directory with a fresh upper one.

    The options name directories of our own, so that no path of the user's is ever parsed by overlayfs, with its
    separators and escapes.
    """
    lower, upper, work = (f"{kind}{number}" for kind in ("lower", "upper", "work"))
    tree = plan.tree(layer.source, recursive=False, attributes=lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV)
    plan.add(lib.OP_MOUNT, tree, 0, texts=(lower.encode(),))
    top = layer.at.rstrip("/") + "/"
    own = [path[len(top) - 1 :] for path in writable if path.startswith(top)]
    for name in (upper, work, *(upper + path for path in own)):
        plan.add(lib.OP_MKDIR, 0o755, 0, texts=(os.fsencode(name),))
    plan.add(lib.OP_FCHDIR, SCRATCH)
    options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
    if plan.userns:  # a user namespace may not write trusted.* attributes: overlayfs.rst, "User xattr"
        options.append("userxattr")
    plan.file_system("overlay", slot, lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV, options)


def _make_stack(plan: Planner, rootfs: Stacked) -> None:
    """Overlay the layers of an image with a fresh upper directory.

    They are found below one tree for each store: to show a hundred of them costs no more than to show one, and
    their names, which are digests, need no escapes.
    """
    lowers = _appended(plan, rootfs) if rootfs.appends else _joined_lowers(plan, rootfs)
    if rootfs.handed:
        plan.add(lib.OP_MOUNT, plan.top, 0, texts=(b"top",))
    elif rootfs.top:
        _stage_tree(plan, rootfs.top, "top", rootfs, writable=True)
    above = "top/" if rootfs.handed or rootfs.top else ""
    plan.add(lib.OP_MKDIR, rootfs.mode, 0, texts=(f"{above}upper".encode(),))
    plan.add(lib.OP_MKDIR, 0o700, 0, texts=(f"{above}work".encode(),))
    plan.add(lib.OP_FCHDIR, SCRATCH)
    options = [*lowers, f"upperdir={above}upper", f"workdir={above}work"]
    if plan.userns:
        options.append("userxattr")
    plan.file_system("overlay", ROOT, lib.MOUNT_ATTR_NODEV, options)
    plan.use_root(ROOT)
    if rootfs.size is not None:
        plan.add(lib.OP_SEND, SCRATCH)


def _appended(plan: Planner, rootfs: Stacked) -> list[str]:
    for number, path in enumerate(rootfs.trees):
        _stage_tree(plan, path, f"image{number}", rootfs)
    return [f"lowerdir+=image{tree}/{path}" for tree, path in rootfs.layers]


def _joined_lowers(plan: Planner, rootfs: Stacked) -> list[str]:
    """Mount each by itself, so that all their names fit in one option: fsconfig(2) takes 255 bytes."""
    names = [f"{number:x}" for number in range(len(rootfs.layers))]
    lowers = f"lowerdir={':'.join(names)}"
    if len(lowers) - len("lowerdir=") > _LONGEST_OPTION:
        raise Unsupported(
            f"{len(names)} layers are more than this kernel takes",
            operation="mount overlay",
            hint="Linux 6.7, which takes them one by one; or an image with fewer layers",
        )
    for name, (tree, path) in zip(names, rootfs.layers, strict=True):
        _stage_tree(plan, f"{rootfs.trees[tree]}/{path}", name, rootfs)
    return [lowers]


def _stage_tree(plan: Planner, path: str, name: str, rootfs: Stacked, *, writable: bool = False) -> None:
    attributes = lib.MOUNT_ATTR_NODEV if writable else lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NODEV
    slot = plan.tree(path, recursive=False, attributes=attributes, idmap=None if rootfs.idmapped else False)
    plan.add(lib.OP_MOUNT, slot, 0, texts=(name.encode(),))
