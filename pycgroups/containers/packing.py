"""Files of a root as a tar, in pieces: what is copied out of it, into another one, or exported."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing

from pycgroups._native import vfs
from pycgroups.containers.roots import Layers, opened
from pycgroups.containers.spots import refused, spot, told
from pycgroups.errors import Error
from pycgroups.images.entries import Entries, Seen, join, walk
from pycgroups.images.tar.writer import archive
from pycgroups.images.unpack import DEFAULT_LIMITS, WHITEOUT, LayerLimits
from pycgroups.images.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pycgroups.images.tar.entry import Entry

    Made = Iterator[tuple[Entry, Iterator[bytes]]]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY, _EXPORT = "copy", "export"
_DEVICES = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_HINT = "limits=LayerLimits(…) sets what a copy may hold"
# linux/magic.h: procfs, sysfs, cgroups of both kinds, devpts, debugfs, tracefs, securityfs, mqueue, bpf, selinuxfs,
# pstore, configfs, binfmt_misc. What is in them is made when it is read.
_MADE_BY_THE_KERNEL = frozenset(
    {
        *(0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x1CD1, 0x64626720, 0x74726163, 0x73636673, 0x19800202, 0xCAFE4A11),
        *(0xF97CFF8C, 0x6165676C, 0x62656570, 0x42494E4D),
    }
)


def pack(  # noqa: PLR0917 (called by position)
    root: int,
    layers: Layers | None,
    path: bytes,
    called: bytes,
    limits: LayerLimits = DEFAULT_LIMITS,
    devices: bool = False,
) -> Generator[bytes]:
    """Yield the tar of a file or a tree.

    Symlinks are symlinks, hard links among what is copied are such, holes are left out, sockets too, and what file
    systems like procfs hold: the directory at which one is mounted is empty. Nothing but regular files is opened.

    Args:
        root: as for `pycgroups.containers.roots.opened`.
        layers: likewise.
        path: of what is copied. A symlink itself; with a slash at the end, the directory that it leads to.
        called: what that is called in the tar.
        limits: how much there may be.
        devices: have device nodes; otherwise they are left out of a tree, too.

    Raises:
        NotFound: nothing is there.
        Error: it cannot be read, is a socket or such a device, or more than allowed.
    """
    with told("copy", path), opened(root, layers) as top, spot(top, path, follow=False) as at:
        found = os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            directory = os.open(at.name, _DIRECTORY, dir_fd=at.directory)
            try:
                with closing(walk(directory, most=limits.entries, enters=_enters)) as seen:
                    yield from archive(_made(seen, called, limits, devices=devices))
            finally:
                os.close(directory)
            return
        if path.endswith(b"/"):
            raise refused(_COPY, path, errno.ENOTDIR)
        if stat.S_ISSOCK(found.st_mode) or (stat.S_IFMT(found.st_mode) in _DEVICES and not devices):
            raise refused(_COPY, path, errno.ENXIO)
        yield from archive(_made(iter([Seen(at.directory, at.name, b"", found)]), called, limits, devices=devices))


def pack_to(  # noqa: PLR0917 (called by position)
    root: int,
    layers: Layers | None,
    path: bytes,
    called: bytes,
    limits: LayerLimits,
    devices: bool,
    to: int,
) -> None:
    """Write what `pack` yields to a descriptor."""
    _write(pack(root, layers, path, called, limits, devices), to)


def export(root: int, layers: Layers | None) -> Generator[bytes]:
    """Yield the tar of a whole root, the same bytes whenever the files are.

    Names are sorted, and nothing but the files' own facts is in it. What is mounted in the root is not: a directory at
    which something is mounted is empty, and a file is left out.

    Raises:
        ImageError: a name begins with ``.wh.``, which is a removed file where such a tar is a layer.
        Error: it cannot be read.
    """
    with told(_EXPORT, b"/"), opened(root, layers) as top:
        directory = os.open(".", _DIRECTORY, dir_fd=top)
        try:
            with closing(walk(directory, enters=_is_not_mounted)) as seen:
                yield from archive(_exported(seen))
        finally:
            os.close(directory)


def export_to(root: int, layers: Layers | None, to: int) -> None:
    """Write what `export` yields to a descriptor."""
    _write(export(root, layers), to)


def _write(chunks: Generator[bytes], to: int) -> None:
    with closing(chunks):
        for chunk in chunks:
            write_all(to, chunk)


def _made(found: Iterator[Seen], called: bytes, limits: LayerLimits, *, devices: bool) -> Made:
    entries = Entries(sparse=True, padded=True)
    size = 0
    for seen in found:
        _check_size(size + (seen.stat.st_size if stat.S_ISREG(seen.stat.st_mode) else 0), seen.path or called, limits)
        if seen.path.count(b"/") >= limits.depth:
            raise Error(f"more than {limits.depth} deep", operation=_COPY, path=seen.path, hint=_HINT)
        if stat.S_IFMT(seen.stat.st_mode) in _DEVICES and not devices:
            continue
        made = entries.entry(seen, join(called, seen.path) if seen.path else called)
        if made is not None:
            size += made[0].size  # a file of procfs has more than it told
            _check_size(size, seen.path or called, limits)
            yield made


def _check_size(size: int, path: bytes, limits: LayerLimits) -> None:
    if size > limits.size:
        raise Error(f"more than {limits.size} bytes", operation=_COPY, path=path, hint=_HINT)


def _exported(found: Iterator[Seen]) -> Made:
    entries = Entries(padded=True)
    for seen in found:
        if seen.name.startswith(WHITEOUT):
            raise Error("a name that stands for a removed file in layers", operation=_EXPORT, path=seen.path)
        if stat.S_ISDIR(seen.stat.st_mode) or _is_not_mounted(seen):
            made = entries.entry(seen, seen.path)
            if made is not None:
                yield made


def _is_not_mounted(seen: Seen) -> bool:
    return not seen.path or not vfs.is_mounted(seen.directory, seen.name)


def _enters(seen: Seen) -> bool:
    """Tell whether what is in a directory are files that somebody has written."""
    if _is_not_mounted(seen):
        return True
    fd = vfs.open_in_root(seen.directory, seen.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, links=False)
    if fd < 0:
        return False
    try:
        return vfs.file_system(fd) not in _MADE_BY_THE_KERNEL
    finally:
        os.close(fd)
