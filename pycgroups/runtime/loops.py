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
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pycgroups._native import calls
from pycgroups.errors import Error, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_SMALL = 64 * _MIB  # of a file system with larger blocks the journal, at least 1024 of them, would be a large part
_BYTES_PER_INODE = 4096
_INODE = 256
# Zeros are written nowhere: a sparse file has them.
_MAKING = ("-q", "-F", "-m", "0", "-I", str(_INODE), "-i", str(_BYTES_PER_INODE), "-O", "^resize_inode")
_SPARSE = ("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")
# Nor is it done later, by a thread of the kernel's; and what is removed is a hole in the file again.
_OPTIONS = ("noinit_itable", "discard", "errors=remount-ro")
_STATE, _HAS_ERRORS = 1024 + 0x3A, 2
"""Where the superblock says how it is, and the bit for a file system in which the kernel has found errors: ext4(5)."""
_MENDED = 1  # fsck(8): 0 and 1 are well, 4 and more are not
_ATTEMPTS = 100
_REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOSYS, errno.ENOTTY, errno.EINVAL}
)
"""What the kernel says when it has no loop devices, no ext4 or none of what this needs, or not for this process."""
_NO_DEVICE = "as root, on a host that has /dev/loop-control and ext4: modprobe -a loop ext4"
_BROKEN = "the kernel's log says why: dmesg; what is broken may be mended: fsck.ext4 -f"


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


def _run(name: str, *options: str, file: int, most: int = 0) -> None:
    """Run a program of e2fsprogs on a file; its exit status is so much at most, or else an error."""
    import shutil
    import subprocess

    tool = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if tool is None:
        raise Unsupported("not installed", operation="find", path=name, hint="as root: apt-get install e2fsprogs")
    command = [tool, *options, f"/proc/self/fd/{file}"]
    done = subprocess.run(command, check=False, capture_output=True, pass_fds=(file,), stdin=subprocess.DEVNULL)
    if not 0 <= done.returncode <= most:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace").rpartition("\n")[2]
        raise Error(said or f"ended with {done.returncode}", operation=name)


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
            mounted = calls.mount("ext4", f"source={device}", *_OPTIONS, attributes=calls.lib.MOUNT_ATTR_NODEV)
    except OSError as error:
        raise _error(error.errno, error.filename or path, _NO_DEVICE) from None
    if mounted < 0:
        raise _error(-mounted, path, _NO_DEVICE if mounted == -errno.ENODEV else _BROKEN)
    return mounted


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
        os.close(lock)


@contextmanager
def _device(path: str) -> Iterator[str]:
    """Have a loop device be a file, as long as this block or a mount of it lasts; its path."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        found = _attached(os.fstat(file))
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
    """Check a file system that the kernel found errors in: there was no room any more for its file, say."""
    if int.from_bytes(os.pread(file, 2, _STATE), "little") & _HAS_ERRORS:
        _run("fsck.ext4", "-p", file=file, most=_MENDED)


def _attached(file: os.stat_result) -> tuple[int, str] | None:
    """Find the device that a file is, and open it."""
    for name in os.listdir("/sys/block"):
        if not os.path.isdir(f"/sys/block/{name}/loop"):
            continue
        device = f"/dev/{name}"
        try:
            fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # it has just let go of its file
                continue
            raise
        if calls.is_loop_of(fd, file) == 1:
            return fd, device
        os.close(fd)
    return None


def _attach(file: int) -> tuple[int, str]:
    """Let a free device be a file, and open it."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            device = f"/dev/loop{_checked(calls.free_loop(control))}"
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            result = calls.attach_loop(fd, file)
            if result == 0:
                return fd, device
            os.close(fd)
            if result != -errno.EBUSY:  # somebody else was faster
                _checked(result, device)
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), "/dev/loop-control")


def _checked(result: int, path: str = "/dev/loop-control") -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
    return result


def try_it() -> None:
    """Make a small one in memory, and mount it.

    Raises:
        Unsupported, Error: as `make` and `mount`.
    """
    file = os.memfd_create("pycgroups")
    try:
        make(file, _MIB)
        os.close(mount(f"/proc/self/fd/{file}"))
    finally:
        os.close(file)
