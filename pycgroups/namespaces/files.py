"""The files that stand for namespaces: of a path, and of a process. namespaces(7), "The /proc/pid/ns/ directory"."""

from __future__ import annotations

import errno
import os

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.errors import Error, InvalidConfig, NotFound

# OCI's kinds and the names of their files; a user namespace first, which has the rights over the others: setns(2).
FILES = {
    "user": "user",
    "cgroup": "cgroup",
    "ipc": "ipc",
    "uts": "uts",
    "network": "net",
    "pid": "pid",
    "mount": "mnt",
    "time": "time",
}
_NAMES = tuple(name.encode() for name in FILES.values())
FLAGS: dict[str, int] = {
    "user": lib.CLONE_NEWUSER,
    "cgroup": lib.CLONE_NEWCGROUP,
    "ipc": lib.CLONE_NEWIPC,
    "uts": lib.CLONE_NEWUTS,
    "net": lib.CLONE_NEWNET,
    "pid": lib.CLONE_NEWPID,
    "mnt": lib.CLONE_NEWNS,
    "time": lib.CLONE_NEWTIME,
}
"""By the names of the files, what clone(2) and setns(2) call them."""

# ioctl_nsfs(2)
NS_GET_USERNS = 0xB701
NS_GET_PARENT = 0xB702
NS_GET_NSTYPE = 0xB703
NS_GET_OWNER_UID = 0xB704

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH)
_OUT_OF_REACH = (
    "only root may look at the init of a container that has joined a user namespace: make it with init=False"
)


def open_namespace(path: str, kind: str | None = None) -> int:
    """Open the file of a namespace; a descriptor.

    Args:
        path: any file may be there: it is not opened before it is known to be a namespace.
        kind: which kind it must be, by the name of its file: "net", "mnt" and the others.

    Raises:
        NotFound: there is no such file.
        InvalidConfig: it is no namespace, or one of another kind.
        Error: it cannot be opened.
    """
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not is_namespace(found):
                raise _other(path, "no namespace", kind)
            fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(found)
    except OSError as error:
        missing = NotFound if error.errno in _GONE else Error
        hint = "the path of a namespace file, as /proc/PID/ns/net, that this user may open"
        raise missing(operation="open namespace", path=path, errno=error.errno, hint=hint) from None
    if kind is not None and (actual := kind_of(fd)) != kind:
        os.close(fd)
        raise _other(path, f"a {actual} namespace", kind)
    return fd


def is_namespace(fd: int) -> bool:
    """Tell whether a descriptor is one of a namespace: all of them are in one file system."""
    return os.fstat(fd).st_dev == os.stat("/proc/self/ns/user").st_dev


def kind_of(fd: int) -> str:
    """Return the kind of a namespace, by the name of its file."""
    import fcntl

    flag = fcntl.ioctl(fd, NS_GET_NSTYPE)
    return next((name for name, known in FLAGS.items() if known == flag), f"({flag:#x})")


def _other(path: str, what: str, kind: str | None) -> InvalidConfig:
    wanted = "a namespace" if kind is None else f"a {kind} namespace"
    return InvalidConfig(f"{what}, and {wanted} is wanted", operation="open namespace", path=path)


def others(pid: int) -> tuple[str, ...]:
    """Name the namespaces of a process that this thread is not in, by OCI's kinds.

    Raises:
        NotFound: the process has ended.
        Error: this user may not look at it.
    """
    unlike = calls.namespaces_unlike(pid, _NAMES)
    if unlike < 0:
        missing = NotFound if -unlike in _GONE else Error
        hint = _OUT_OF_REACH if unlike == -errno.EACCES else None
        raise missing(operation="look at namespaces", path=f"/proc/{pid}/ns", errno=-unlike, hint=hint)
    return tuple([kind for place, kind in enumerate(FILES) if unlike >> place & 1])
