"""A file system of its own in a sparse file: for root, the one limit on what is written that a disk can have.

::

    file  <--  loop device  <--  ext4  <--  a mount: attached nowhere, or in a namespace of its own

The device lets go of the file when nobody has it open or mounted any more (LO_FLAGS_AUTOCLEAR), and the mount goes with
the last descriptor or namespace that has it. So whoever is killed on the way, or a container's last process, leaves
nothing.

A file that is a device is mounted by that device again, and it is the same file system then. By two devices it would be
two that know nothing of each other, and destroy each other's. The file is locked while somebody looks for its device.

Sources: loop(4), ext4(5), mke2fs(8), kernel document filesystems/ext4/. Linux 5.8.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pycgroups._native import calls, vfs
from pycgroups.errors import Error, Unsupported
from pycgroups.images.files import io_errors
from pycgroups.runtime import tools

if TYPE_CHECKING:
    from collections.abc import Iterator

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_SMALL = 64 * _MIB  # of a file system with larger blocks the journal, at least 1024 of them, would be a large part
_BYTES_PER_INODE = 4096
_INODE = 256
# Zeros are written nowhere: a sparse file has them.
_MAKING = ("-q", "-F", "-m", "0", "-I", str(_INODE), "-i", str(_BYTES_PER_INODE), "-O", "^resize_inode")
_SPARSE = ("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")
_OPTIONS = ("noinit_itable", "errors=remount-ro")  # nor are they written later, by a thread of the kernel's
_WORTH = 32
"""What part of the file has to be in use for nothing before it is looked through."""
_FITRIM = 0xC0185879  # linux/fs.h
_SUPERBLOCK = 1024
_LOG_BLOCK, _STATE, _INCOMPATIBLE = 0x18, 0x3A, 0x60
"""In it: the binary logarithm of the KiB of a block, how the file system is, what of it a kernel has to know."""
_HAS_ERRORS, _NEEDS_RECOVERY = 2, 4
_MENDED = 1  # fsck(8): 0 and 1 are well, 4 and more are not
_CONTROL = "/dev/loop-control"
_ATTEMPTS = 100
_REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOSYS, errno.ENOTTY, errno.EINVAL}
)
"""What the kernel says when it has no loop devices, no ext4 or none of what this needs, or not for this process."""
_CLOSED_OFF = frozenset({errno.ENOENT, errno.ENODEV, errno.EPERM, errno.EACCES})
"""What it says of a device that is there, but not in this /dev or this device cgroup."""
_NO_DEVICE = "as root, on a host that has /dev/loop-control and ext4: modprobe -a loop ext4"
_NO_NODE = "this /dev, or the device cgroup, has to let this process have the host's loop devices: /dev/loopN, b 7:*"
_BROKEN = "the kernel's log says why: dmesg; what is broken may be mended: fsck.ext4 -f"
_BUSY = (
    "somebody has the file mounted in another way, read-only say, and has to let go of it first: losetup -j, findmnt"
)
_HINTS = {errno.ENODEV: _NO_DEVICE, errno.EBUSY: _BUSY, errno.EACCES: _BUSY}
_UNMENDED = "if its disk is full, make room there, and try again"


def make(file: int, size: int) -> None:
    """Make a file system in a new, empty file.

    Args:
        file: a descriptor of it, for writing.
        size: bytes that can be written in the file system, to within 1 % (2 % of 1 MiB); what it takes itself comes on
            top of that.

    Raises:
        Unsupported: there is no mkfs.ext4; or it is less than 1 MiB, too small for a journal.
        Error: it has failed.
    """
    if size < _MIB:
        raise Unsupported(f"{size} bytes are too few for a journal", operation="make file system")
    block, journal = _shape(size)
    os.ftruncate(file, _whole(size, block, journal))
    _run("mkfs.ext4", *_MAKING, *_SPARSE, "-b", str(block), "-J", f"size={journal // _MIB}", file=file)


def _run(name: str, *options: str, file: int, most: int = 0, hint: str | None = None) -> None:
    """Run a program of e2fsprogs on a file; its exit status is so much at most, or else an error."""
    import subprocess

    tool = tools.find(name)
    if tool is None:
        raise Unsupported("not installed", operation="find", path=name, hint="as root: apt-get install e2fsprogs")
    command = [tool, *options, f"/proc/self/fd/{file}"]
    done = subprocess.run(command, check=False, capture_output=True, pass_fds=(file,), stdin=subprocess.DEVNULL)
    if not 0 <= done.returncode <= most:
        said = (done.stderr + done.stdout).decode(errors="replace").replace(f"{command[-1]}: ", "")
        path = os.readlink(command[-1])
        raise Error(_gist(said) or f"ended with {done.returncode}", operation=name, path=path, hint=hint)


def _gist(said: str) -> str:
    """Return the line of e2fsprogs that tells what is wrong; the first one is their version."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(("e2fsck ", "mke2fs "))]
    return next((line for line in lines if "UNEXPECTED INCONSISTENCY" in line), lines[0] if lines else "")


def _shape(size: int) -> tuple[int, int]:
    """Return the bytes of a block, and those of the journal: after a crash of the machine the files are whole."""
    if size < _SMALL:
        return _KIB, _MIB
    return 4 * _KIB, (4 if size < _GIB // 2 else 16) * _MIB


def _whole(size: int, block: int, journal: int) -> int:
    """Return how large the file is: with its inodes, its journal, what ext4 keeps back for itself, maps and copies."""
    inodes = size // _BYTES_PER_INODE * _INODE
    kept = min(size // 50, 4096 * block)
    whole = size + inodes + kept + journal + size // 256 + 128 * block
    return whole // (4 * _KIB) * (4 * _KIB)


def mount(path: str) -> int:
    """Mount the file system in a file, attached nowhere: a descriptor.

    Raises:
        Unsupported: this host or process has none of what it takes.
        Error: it cannot be mounted.
    """
    try:
        with _locked(path), _device(path) as device:
            mounted = vfs.mount("ext4", f"source={device}", *_OPTIONS, attributes=calls.lib.MOUNT_ATTR_NODEV)
    except OSError as error:
        hint = _NO_NODE if error.errno in _CLOSED_OFF and _is_node(error.filename) else _NO_DEVICE
        raise _error(error.errno, error.filename or path, hint) from None
    if mounted < 0:
        raise _error(-mounted, path, _HINTS.get(-mounted, _BROKEN))
    return mounted


def trim(mounted: int, path: str) -> None:
    """Make holes in the file again where the file system has nothing any more, as far as that works; fstrim(8).

    The mount option "discard" would do so at once, also with what a transaction has replaced that fails then. To look
    through it all takes 0.3 ms for each GiB: that has to be worth it.

    Args:
        mounted: the mount.
        path: of the file.
    """
    file, inside = os.stat(path), os.fstatvfs(mounted)
    if file.st_blocks * 512 - (inside.f_blocks - inside.f_bfree) * inside.f_frsize < file.st_size // _WORTH:
        return
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    try:
        fcntl.ioctl(directory, _FITRIM, struct.pack("QQQ", 0, 2**64 - 1, 0))
    except OSError:  # a store without holes, or without the room to note one
        pass
    finally:
        os.close(directory)


def _is_node(path: str | None) -> bool:
    """Tell whether it is a loop device, and not the one that makes them."""
    return path is not None and path.startswith("/dev/loop") and path != _CONTROL


def _error(number: int | None, path: str, hint: str) -> Error:
    kind = Unsupported if number in _REFUSALS else Error
    return kind(operation="mount file system", path=path, errno=number, hint=hint)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep others from mounting it. By a descriptor for that alone: the device keeps the other one as long as it is."""
    lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # a child that another thread has forked meanwhile has it open, too
        os.close(lock)


@contextmanager
def _device(path: str) -> Iterator[str]:
    """Have a loop device be a file, as long as this block or a mount of it lasts; its path."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        found = _attached(file)
        if found is None:
            _mend(file)
            found = _attach(file)
    finally:
        os.close(file)
    fd, device = found
    try:
        yield device
    finally:
        os.close(fd)


def _mend(file: int) -> None:
    """Check a file system whose last mount did not end well: there was no room any more for its file, say."""
    # What stopped the journal is told by the journal alone, until that is recovered.
    if not (_number(file, _STATE) & _HAS_ERRORS or _number(file, _INCOMPATIBLE) & _NEEDS_RECOVERY):
        return
    try:
        _run("fsck.ext4", "-p", file=file, most=_MENDED)
    except Error:  # it wants somebody to say yes
        _run("fsck.ext4", "-f", "-y", file=file, most=_MENDED, hint=_UNMENDED)


def _number(file: int, at: int) -> int:
    """Read 16 bits of the superblock: kernel document filesystems/ext4/."""
    return int.from_bytes(os.pread(file, 2, _SUPERBLOCK + at), "little")


def _attached(file: int) -> tuple[int, str] | None:
    """Find the device that a file is, and open it."""
    found = os.fstat(file)
    for name in os.listdir("/sys/block"):
        if not os.path.isdir(f"/sys/block/{name}/loop"):
            continue
        device = f"/dev/{name}"
        try:
            fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # it has just let go of its file
                continue
            if error.errno in _CLOSED_OFF and not _may_be(name, file):
                continue
            raise
        if vfs.is_loop_of(fd, found) == 1:
            return fd, device
        os.close(fd)
    return None


def _may_be(name: str, file: int) -> bool:
    """Tell whether a device that cannot be asked may be a file: by the end of a path, which differs between mounts."""
    try:
        with open(f"/sys/block/{name}/loop/backing_file", "rb") as backing:
            path = backing.read().rstrip(b"\n")
    except OSError:  # it has just let go of it
        return False
    return path.split(b"/")[-2:] == os.readlink(f"/proc/self/fd/{file}".encode()).split(b"/")[-2:]


def _attach(file: int) -> tuple[int, str]:
    """Let a free device be a file, and open it."""
    # With larger ones, as its disk may have, the file system could not be mounted.
    sector = _KIB << min(_number(file, _LOG_BLOCK), 2)
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            device = f"/dev/loop{_checked(vfs.free_loop(control))}"
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            try:
                result = vfs.attach_loop(fd, file, sector)
                if result == 0:
                    # Not for writing: such a host is that mounts nothing that somebody else might write to.
                    return os.open(device, os.O_RDONLY | os.O_CLOEXEC), device
            finally:
                os.close(fd)
            if result != -errno.EBUSY:  # somebody else was faster
                _checked(result, device)
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), _CONTROL)


def _checked(result: int, path: str = _CONTROL) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
    return result


@io_errors("make file system")
def try_it(directory: str) -> None:
    """Make a small one in a directory, without a name, and mount it.

    Raises:
        Unsupported, Error: as `make` and `mount`; or there can be no file.
    """
    from tempfile import TemporaryFile

    with TemporaryFile(dir=directory) as file:
        make(file.fileno(), _MIB)
        os.close(mount(f"/proc/self/fd/{file.fileno()}"))
