"""The C shim itself, and typed functions over system calls of a process about itself; `spawning` and `vfs` have more.

They return what the kernel returned, a negative errno included; the callers turn failures into exceptions.
"""

from __future__ import annotations

import os

from pycgroups._native import _shim  # type: ignore[attr-defined]  # made by the build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ffi: Any = _shim.ffi
lib: Any = _shim.lib


def effective_capabilities() -> int:
    """`capget(2)`: the bits of the effective set."""
    return int(lib.spawn_effective())


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
