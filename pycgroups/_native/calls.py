"""Typed functions over the C shim. They return what the kernel returned, a negative errno included.

The names are those of spawn.h; `pycgroups.runtime.launch` turns failures into exceptions.
"""

from __future__ import annotations

import errno
import os
import stat
from _thread import RLock

from pycgroups._native import _shim  # type: ignore[attr-defined]  # made by the build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NamedTuple
else:
    from pycgroups.records import NamedTuple

ffi: Any = _shim.ffi
lib: Any = _shim.lib


class Spawned:
    """A helper, as far as it came to be: `child` fills it in, so that no signal handler's exception comes between.

    Attributes:
        pid: process id, or -1.
        pidfd: descriptor of the process, or -1.
        control: the control socket, or -1.
        ended: of a fork, the socket by which its init tells of its end, or -1.
    """

    __slots__ = ("_plan", "out")

    def __init__(self) -> None:
        """Hold nothing yet."""
        names = ("pid", "pidfd", "control", "peer", "creator", "ended", "userns")
        self.out = ffi.new("struct spawned *", dict.fromkeys(names, -1))
        self._plan: Any = None

    def keep(self, plan: bytes) -> Any:
        """Keep the plan where it is as long as this object; its address."""
        self._plan = ffi.from_buffer(plan)
        return self._plan

    @property
    def pid(self) -> int:
        return int(self.out.pid)

    @property
    def pidfd(self) -> int:
        return int(self.out.pidfd)

    @property
    def control(self) -> int:
        return int(self.out.control)

    @property
    def ended(self) -> int:
        return int(self.out.ended)

    def replace(self, pid: int, pidfd: int) -> int:
        """Hold another process instead; the pidfd of the former one, to be closed, or -1."""
        former = self.pidfd
        self.out.pid, self.out.pidfd = pid, pidfd
        return former

    def close(self) -> None:
        """Close all descriptors; twice is allowed."""
        with _forking:
            lib.spawn_close(self.out)
            _beginning.discard(self)
            _forks.discard(self)


# Its end of the socket is open in this process until the helper has it, and the hang-up tells that the program runs. So
# a child that another thread forks meanwhile closes its copy. Whom C code forks without Python's hooks keeps one.
_beginning: set[Spawned] = set()
_forking = RLock()  # of who opens or closes such an end, or forks; a signal handler may fork in between


# By a copy of the socket of a fork that would outlive this process; the child has nothing of it to wait for.
_forks: set[Spawned] = set()


def _close_in_child() -> None:
    for spawned in _beginning:
        lib.spawn_part(spawned.out)
    for spawned in _forks:
        lib.spawn_close(spawned.out)
    _beginning.clear()
    _forks.clear()
    _forking.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_close_in_child)


class Report(NamedTuple):
    """One record from the helper (plan.h, struct report); ``fd`` is -1 when none came with it."""

    kind: int
    step: int
    error: int
    value: int
    user_usec: int
    system_usec: int
    maxrss_kib: int
    inblock: int
    oublock: int
    fd: int


def helper() -> int:
    """Make a sealed copy of the helper's executable in memory; a descriptor, or -errno."""
    return int(lib.spawn_helper())


def begin(spawned: Spawned, plan: bytes | None, above: int = -1) -> int:
    """Make the control socket, and send as much of the plan, if there is one, as it takes; 0 or -errno.

    The socket's number will be higher than ``above``, if that can be.
    """
    kept = ffi.NULL if plan is None else spawned.keep(plan)
    with _forking:
        _beginning.add(spawned)
        return int(lib.spawn_begin(spawned.out, kept, len(plan or b""), above))


def give(spawned: Spawned, fds: Sequence[int]) -> int:
    """Fill the plan's first slots; 0 or -errno."""
    return int(lib.spawn_give(spawned.out, fds, len(fds)))


def prepare(spawned: Spawned, *, idmapped: bool) -> tuple[int, int]:
    """Perform the plan's first part here, idmapped mounts or the others; 0 or -errno, and the step that failed."""
    step = ffi.new("int *")
    result = lib.spawn_prepare(spawned.out, idmapped, step)
    return result, step[0]


def open_userns(spawned: Spawned, slot: int) -> int:
    """Open the child's user namespace into a slot (-1: none); 0 or -errno."""
    return int(lib.spawn_open_userns(spawned.out, slot))


def go_early(spawned: Spawned) -> int:
    """Let the helper begin before there is one; 1, or 0 if the socket does not take all that, or -errno."""
    return int(lib.spawn_go_early(spawned.out))


def go(spawned: Spawned) -> int:
    """Let the helper begin; 0 or -errno."""
    return int(lib.spawn_go(spawned.out))


def child(  # noqa: PLR0917 (those of the C function)
    spawned: Spawned, namespaces: int, cgroup: int, stdio: Sequence[int], keep_caps: int, executable: int
) -> tuple[int, int]:
    """Clone the helper into new namespaces; 0 or -errno, and the call that failed (SPAWN_*)."""
    request = ffi.new(
        "struct spawn_request *",
        {"clone_flags": namespaces, "cgroup": cgroup, "stdio": stdio, "keep_caps": keep_caps},
    )
    result = lib.spawn_child(request, executable, spawned.out)
    _part(spawned)
    return result, spawned.out.failed


def fork_listen(path: str) -> int:
    """Make the socket at which an init is asked for forks; a descriptor or -errno."""
    return int(lib.forks_listen(os.fsencode(path)))


def fork_ask(spawned: Spawned, path: str, stdio: Sequence[int]) -> int:
    """Ask an init for a fork, the helper of a plan; 0 or -errno."""
    with _forking:
        _forks.add(spawned)
        result = int(lib.forks_ask(os.fsencode(path), stdio, spawned.out))
    _part(spawned)
    return result


def _part(spawned: Spawned) -> None:
    with _forking:
        lib.spawn_part(spawned.out)
        _beginning.discard(spawned)


def monitor_plan(numbers: dict[str, int], members: bytes, words: Sequence[bytes]) -> bytes:
    """Write what a monitor is to do: monitor.h, with the fields that are no offsets in `numbers`."""
    head = ffi.sizeof("struct monitor_plan")
    strings = b"".join(word + b"\0" for word in words)
    offsets = {"members": head, "members_size": len(members), "words": head + len(members)}
    size = head + len(members) + len(strings)
    plan = ffi.new("struct monitor_plan *", {"magic": lib.MONITOR_MAGIC, "size": size, **offsets, **numbers})
    return bytes(ffi.buffer(plan)) + members + strings


def monitor(spawned: Spawned, plan: bytes, fds: Sequence[int]) -> int:
    """Start a monitor with its descriptors, -1 where there is none; 0 or -errno."""
    return int(lib.spawn_monitor(plan, len(plan), fds, spawned.out))


def write_proc(spawned: Spawned, name: str, text: str) -> int:
    """Write ``/proc/PID/name`` of the helper (``uid_map`` and its like); 0 or -errno."""
    data = text.encode()
    return int(lib.spawn_write(spawned.out, name.encode(), data, len(data)))


def report(control: int) -> tuple[int, Report | None]:
    """Receive one record without waiting: (1, record), (0, None) at the end of file, or (-errno, None)."""
    record = ffi.new("struct report *")
    fd = ffi.new("int *")
    result = lib.spawn_report(control, record, fd)
    return (result, _report(record, fd[0])) if result == 1 else (result, None)


def reap(pidfd: int, *, group: int = 0) -> tuple[int | None, Report | None]:
    """Wait for a child's end: its wait status, and a record with its usage.

    No usage when somebody else in this process has reaped it, and before Linux 6.15 no status either.

    Args:
        pidfd: the child's.
        group: its pid, if it has ended and may lead a process group: all children in that are killed and reaped.
    """
    record = ffi.new("struct report *")
    result = lib.spawn_reap_group(pidfd, group, record) if group else lib.spawn_reap(pidfd, record)
    return (None if result < 0 else record.value), (_report(record, -1) if result == 1 else None)


def _report(record: Any, fd: int) -> Report:
    return Report(
        record.kind,
        record.step,
        record.error,
        record.value,
        record.user_usec,
        record.system_usec,
        record.maxrss_kib,
        record.inblock,
        record.oublock,
        fd,
    )


def effective_capabilities() -> int:
    """`capget(2)`: the bits of the effective set."""
    return int(lib.spawn_effective())


def open_inside(root: bytes, path: bytes) -> int:
    """Open a file for reading, its path resolved as if `root` were "/"; a descriptor or -errno.

    Regular files and directories alone, -ENXIO for others: to open a device can already do something.
    """
    found = int(lib.spawn_find_inside(root, path))
    if found < 0:
        return found
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return -errno.ENXIO
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or errno.EIO)
    finally:
        os.close(found)


def inotify_open() -> int:
    """`inotify_init1(2)`: a descriptor that does not block, close-on-exec."""
    fd = int(lib.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    return fd if fd >= 0 else -int(ffi.errno)


def inotify_watch(fd: int, path: bytes, mask: int) -> int:
    """`inotify_add_watch(2)`."""
    watch = int(lib.inotify_add_watch(fd, path, mask))
    return watch if watch >= 0 else -int(ffi.errno)


def enter_namespace(fd: int, type_: int) -> int:
    """`setns(2)`: the calling thread enters; 0 or -errno."""
    return int(lib.namespace_enter(fd, type_))


def namespaces_unlike(pid: int, kinds: Sequence[bytes]) -> int:
    """Tell of which of some kinds, as /proc/PID/ns names them, a process is in other namespaces than this thread.

    A bit for each, or -errno.
    """
    return int(lib.namespaces_unlike(b"/proc/%d/ns" % pid, b"\0".join(kinds), len(kinds)))


def bind(source: str, target: str) -> int:
    """`mount(2)` with MS_BIND; 0 or -errno."""
    return int(lib.mount_bind(os.fsencode(source), os.fsencode(target)))


def unbind(target: str) -> int:
    """`umount2(2)`, of what others may have open, and not through a symlink; 0 or -errno."""
    return int(lib.mount_detach(os.fsencode(target)))


def overlay(layers: Sequence[bytes]) -> int:
    """Mount directories as one, the topmost first, read-only and attached nowhere: a descriptor or -errno."""
    return int(lib.overlay_open(b"".join(layer + b"\0" for layer in layers), len(layers)))


def overlay_upper(layers: Sequence[bytes], upper: bytes, work: bytes, *, user: bool) -> int:
    """Mount directories as one, below one that takes what is written, attached nowhere: a descriptor or -errno."""
    return int(lib.overlay_open_upper(b"".join(layer + b"\0" for layer in layers), len(layers), upper, work, user))


def mount(kind: str, *options: str, attributes: int) -> int:
    """Mount a file system, attached nowhere: a descriptor or -errno."""
    packed = b"\0".join(os.fsencode(option) for option in options)
    return int(lib.open_file_system(kind.encode(), packed, len(packed), attributes))


def map_ids(mounted: int, userns: int) -> int:
    """Show a mount that is attached nowhere through the id map of a user namespace; mount_setattr(2). 0 or -errno."""
    return int(lib.set_attr(mounted, 0, 0, 0, userns, 0))


def free_loop(control: int) -> int:
    """Find a loop device that nobody has, by /dev/loop-control: its number or -errno."""
    return int(lib.loop_free(control))


def attach_loop(device: int, file: int, sector: int) -> int:
    """Let a loop device be a file, until nobody has it open or mounted any more; 0 or -errno. Linux 5.8.

    Args:
        device: that.
        file: for writing.
        sector: the bytes of its sectors: 512 to those of a page.
    """
    return int(lib.loop_attach(device, file, sector))


def is_loop_of(device: int, file: os.stat_result) -> int:
    """Tell whether a loop device is this file: 1 or 0; -ENXIO when it is none."""
    return int(lib.loop_is(device, file.st_dev, file.st_ino))


def open_in_root(root: int, path: bytes, flags: int, *, links: bool = True) -> int:
    """`openat2(2)` of a path resolved as if the directory were "/", through no magic link; a descriptor or -errno.

    Args:
        root: the directory.
        path: absolute or not.
        flags: of open(2); it is close-on-exec in any case.
        links: whether a symlink on the way is followed, and at the end without O_NOFOLLOW; otherwise -ELOOP.
    """
    if b"\0" in path:
        return -errno.EINVAL
    return int(lib.open_in_root(root, path, flags, 0, 0 if links else lib.RESOLVE_NO_SYMLINKS))


def is_mounted(directory: int, name: bytes = b"") -> bool:
    """Tell whether something is mounted at a name in a directory, as far as the kernel tells (Linux 5.8).

    Without a name: where the descriptor is of.
    """
    return int(lib.is_mounted(directory, name)) > 0


def file_system(fd: int) -> int:
    """Tell the type of the file system that a file is in; statfs(2). Or -errno."""
    return int(lib.file_system(fd))


def sync_file_system(fd: int) -> None:
    """`syncfs(2)`.

    Raises:
        OSError: what was to be written could not be.
    """
    if lib.syncfs(fd) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))


def punch_hole(fd: int, at: int, size: int) -> int:
    """`fallocate(2)` with FALLOC_FL_PUNCH_HOLE: the bytes are zeros, and take no room; 0 or -errno."""
    return int(lib.punch_hole(fd, at, size))


def process_control(option: int, value: int) -> int:
    """`prctl(2)`, for options with one number; 0 or -errno."""
    return int(lib.process_control(option, value))


def landlock_abi() -> int:
    """Ask for the version of Landlock's interface, or -errno; landlock_create_ruleset(2)."""
    return int(lib.landlock_abi())


def syscall_numbers() -> dict[str, int]:
    """Return this architecture's system call numbers by name, as the kernel headers at build time have them."""
    return {
        ffi.string(lib.syscall_names[i].name).decode(): lib.syscall_names[i].number for i in range(lib.syscall_count)
    }


def seccomp_takes(flags: int) -> bool:
    """Tell whether this kernel's seccomp(2) knows these flags."""
    return bool(lib.seccomp_takes(flags))
