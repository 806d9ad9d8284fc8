"""Trees of files, told entry by entry, and layers that GNU tar makes of them: what tests call inside namespaces.

An ordinary user without subordinate ids has no other owners than himself: with `alone`, they are left out of it all.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from pycgroups.images import xattrs
from pycgroups.images.changes import changes, diff
from pycgroups.images.flatten import flatten
from pycgroups.images.lookup import Lookup
from pycgroups.images.settle import settle
from pycgroups.images.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Facts = dict[str, tuple[Any, ...]]

PIECE = 2**18
CAPABILITY = bytes.fromhex("0100000202000000000000000000000000000000")
"cap_dac_override, permitted and effective; linux/capability.h, VFS_CAP_REVISION_2."


def facts(root: str, *, alone: bool = False) -> Facts:
    """Tell all of a tree that an image can tell of it."""
    found: Facts = {}
    names: dict[tuple[int, int], str] = {}
    for directory, directories, files in os.walk(root, onerror=_raise):
        for path in sorted([directory, *(f"{directory}/{name}" for name in [*directories, *files])]):
            name = os.path.relpath(path, root)
            if name not in found:
                found[name] = _facts(path, name, names, alone=alone)
    return found


def _raise(error: OSError) -> None:
    raise error


def _facts(path: str, name: str, names: dict[tuple[int, int], str], *, alone: bool) -> tuple[Any, ...]:
    of = os.lstat(path)
    mode = of.st_mode
    attributes = {
        one: os.getxattr(path, one, follow_symlinks=False) for one in os.listxattr(path, follow_symlinks=False)
    }
    kept = {one: value for one, value in attributes.items() if xattrs.are_kept(one.encode())}
    owner: tuple[int, ...] = (of.st_uid, of.st_gid)
    if alone:
        kept = {one: value for one, value in kept.items() if one.startswith("user.")}
        owner = ()
        if stat.S_ISREG(mode):
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
    content: Any = None
    if stat.S_ISLNK(mode):
        content = os.readlink(path)
    elif stat.S_ISREG(mode):
        with open(path, "rb") as file:
            content = of.st_size, hashlib.file_digest(file, "sha256").hexdigest()
    elif not stat.S_ISDIR(mode):
        content = of.st_rdev
    same = name if stat.S_ISDIR(mode) else names.setdefault((of.st_dev, of.st_ino), name)
    return oct(mode), owner, of.st_mtime_ns, kept, content, same


def rich(root: str, *, alone: bool, nodes: bool) -> None:
    """Fill a directory with one of everything.

    Args:
        root: where.
        alone: all belong to the caller.
        nodes: devices, too.
    """

    def own(path: str, uid: int, gid: int) -> None:
        if not alone:
            os.chown(path, uid, gid, follow_symlinks=False)

    def write(path: str, content: bytes) -> str:
        with open(f"{root}/{path}", "wb") as file:
            file.write(content)
        return f"{root}/{path}"

    os.makedirs(f"{root}/usr/bin")
    os.makedirs(f"{root}/deep/" + "/".join(["d" * 60] * 10))
    own(write("usr/bin/su", b"#!su\n"), 0, 42)
    os.chmod(f"{root}/usr/bin/su", 0o4755)
    os.chmod(write("usr/bin/write", b"#!write\n" * 1000), 0o2711)
    own(write("mine", b"x" * 300_000), 1000, 1001)
    os.chmod(write("nobody-may", b"secret"), 0)
    os.setxattr(write("attributes", b""), "user.colour", b"\0blue=\n")
    os.setxattr(f"{root}/attributes", "user.empty", b"")
    if not alone:
        os.setxattr(write("ping", b"ping"), "security.capability", CAPABILITY)
    os.link(f"{root}/mine", f"{root}/usr/linked")
    os.link(f"{root}/mine", f"{root}/deep/linked")
    os.symlink("../nowhere/at all", f"{root}/usr/link")
    own(f"{root}/usr/link", 7, 8)
    os.symlink("linked twice", f"{root}/deep/soft")
    os.link(f"{root}/deep/soft", f"{root}/deep/soft too", follow_symlinks=False)
    os.mkfifo(f"{root}/fifo", 0o640)
    if nodes:
        os.mknod(f"{root}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(f"{root}/disk", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    with open(f"{root}/sparse", "wb") as file:
        file.truncate(64 * 2**20)
        for at in (0, 2**20, 40 * 2**20):
            os.pwrite(file.fileno(), b"data", at)
    write("caf\u00e9 \n\\ name", b"")
    write(os.fsdecode(b"not utf-8 \xff"), b"")
    write("n" * 255, b"long")
    os.mkdir(f"{root}/sticky", 0o700)
    os.chmod(f"{root}/sticky", 0o1777)
    os.mkdir(f"{root}/shut")
    write("shut/inside", b"")
    os.chmod(f"{root}/shut", 0o500)
    for number, path in enumerate(sorted(facts(root), reverse=True)):
        os.utime(f"{root}/{path}", ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(f"{root}/sticky", ns=(0, -1_500_000_000))


def packed(root: str) -> bytes:
    """Make a layer of a directory, by GNU tar."""
    command = ["tar", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--sparse", "--numeric-owner"]
    command += ["--xattrs", "--xattrs-include=*", "-C", root, "-c", "."]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def chunks(layer: bytes) -> Iterator[bytes]:
    return (layer[at : at + PIECE] for at in range(0, len(layer), PIECE))


class Stack:
    """Layers in directories, and what overlayfs makes of them."""

    def __init__(self, work: str, *, alone: bool) -> None:
        self.work = work
        self.alone = alone
        self.layers: list[str] = []

    def add(self, layer: bytes) -> str:
        """Unpack one more on top."""
        path = f"{self.work}/layer-{len(self.layers)}"
        os.mkdir(path, 0o755)
        with opened([path, *reversed(self.layers)]) as (fd, *below):
            unpacked = unpack(chunks(layer), fd, owner="caller" if self.alone else "kept")
            settle(fd, below, unpacked)
        self.layers.append(path)
        return path

    def mount(self, *, forms: str, upper: bool = False) -> str:
        """Mount all; `forms` is ``user`` or ``trusted``, whose marks overlayfs is to read."""
        at = tempfile.mkdtemp(prefix="union-", dir=self.work)
        for part in ("empty", "upper", "work", "union"):
            os.mkdir(f"{at}/{part}", 0o755)
        union = os.path.basename(at)  # one option of mount(8) has 256 bytes at most
        lower = [*(os.path.relpath(layer, self.work) for layer in reversed(self.layers)), f"{union}/empty"]
        options = [f"lowerdir={':'.join(lower)}"]
        options += [f"upperdir={union}/upper", f"workdir={union}/work"] if upper else []
        options += ["userxattr"] if forms == "user" else []
        command = ["mount", "-t", "overlay", "overlay", "-o", ",".join(options), f"{at}/union"]
        subprocess.run(command, check=True, cwd=self.work)
        return f"{at}/union"


@contextmanager
def opened(paths: Sequence[str]) -> Iterator[list[int]]:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def shown(work: str, layers: Sequence[bytes], forms: str, alone: bool) -> Facts:
    """Tell what overlayfs shows of layers, the lowest first."""
    stack = Stack(work, alone=alone)
    for layer in layers:
        stack.add(layer)
    return facts(stack.mount(forms=forms), alone=alone)


def flattened(
    work: str, layers: Sequence[bytes], forms: str, alone: bool, refusal: int | None = None
) -> tuple[Facts, Facts]:
    """Tell what a copy of layers has, and what overlayfs shows of them; copy_file_range(2) may be refused."""
    stack = Stack(work, alone=alone)
    for layer in layers:
        stack.add(layer)
    refused = OSError(refusal, "refused") if refusal else None
    with mock.patch("os.copy_file_range", side_effect=refused, wraps=os.copy_file_range):
        flatten(list(reversed(stack.layers)), f"{work}/copy", "caller" if alone else "kept")
    return facts(f"{work}/copy", alone=alone), facts(stack.mount(forms=forms), alone=alone)


def allocated_in_copy(work: str, layer: bytes, alone: bool, name: str) -> int:
    """Tell how many bytes a file of a copy takes on disk."""
    layers = [Stack(work, alone=alone).add(layer)]
    flatten(layers, f"{work}/copy", "caller" if alone else "kept")
    return os.lstat(f"{work}/copy/{name}").st_blocks * 512


def looked_up(work: str, layers: Sequence[bytes], forms: str, alone: bool, paths: Sequence[str]) -> list[Any]:
    """Tell, for each path, what `Lookup` reads there, and what a process with that root does."""
    stack = Stack(work, alone=alone)
    for layer in layers:
        stack.add(layer)
    union = stack.mount(forms=forms)
    with opened(list(reversed(stack.layers))) as fds:
        ours = [Lookup(fds).read(path, 100) for path in paths]
    os.chroot(union)
    return list(zip(paths, ours, map(_read, paths), strict=True))


def _read(path: str) -> bytes | None:
    try:
        if not stat.S_ISREG(os.stat("/" + path).st_mode):
            return None
        with open("/" + path, "rb") as file:
            return file.read(100)
    except (FileNotFoundError, NotADirectoryError):
        return None


def as_made(work: str, nodes: bool, alone: bool) -> tuple[bytes, Facts]:
    """Make a tree, and tell of it; with its layer."""
    tree = f"{work}/tree"
    os.mkdir(tree, 0o755)
    rich(tree, alone=alone, nodes=nodes)
    return packed(tree), facts(tree, alone=alone)


def by_tar(work: str, layers: Sequence[bytes], alone: bool) -> Facts:
    """Tell what GNU tar makes of layers without whiteouts, one on top of the other.

    It follows links out of the tree: layers must not have such.
    """
    tree = f"{work}/by-tar"
    os.mkdir(tree, 0o755)
    command = [
        "tar",
        "-C",
        tree,
        "-xp",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--keep-directory-symlink",
    ]
    for layer in layers:
        subprocess.run(command, check=True, input=layer)
    return facts(tree, alone=alone)


def changed(work: str, layers: Sequence[bytes], forms: str, alone: bool, change: Callable[[str], None]) -> Any:
    """Change a union, and make a layer of that, once of the upper directory and once by comparing.

    Returns:
        What the union was in the end, and what it is with either layer in place of the upper directory.
    """
    stack = Stack(work, alone=alone)
    for layer in layers:
        stack.add(layer)
    union = stack.mount(forms=forms, upper=True)
    change(union)
    upper = os.path.join(os.path.dirname(union), "upper")
    again = Stack(work, alone=alone)
    again.layers = [*stack.layers, upper]
    union = again.mount(forms=forms)  # one that has seen the changes knows fewer inodes to be one
    with opened([union, upper, *reversed(stack.layers)]) as (seen, fd, *below):
        of_upper = b"".join(changes(fd))
        of_trees = b"".join(diff(below, [seen]))
    found = [facts(union, alone=alone)]
    for layer in (of_upper, of_trees):
        again.layers = list(stack.layers)
        path = again.add(layer)
        found.append(facts(again.mount(forms=forms), alone=alone))
        os.rename(path, f"{path}-{len(found)}-done")
    return *found, names(of_upper)


def names(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return archive.getnames()


def allocated(work: str, layer: bytes, alone: bool, name: str) -> int:
    """Tell how many bytes a file of a layer takes on disk."""
    return os.lstat(f"{Stack(work, alone=alone).add(layer)}/{name}").st_blocks * 512
