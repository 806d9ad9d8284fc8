"""The files that stand for namespaces: of a path, and of a process. namespaces(7), "The /proc/pid/ns/ directory"."""

from __future__ import annotations

import errno
import os

from pycgroups.errors import Error, NotFound

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


def open_namespace(path: str) -> int:
    """Open the file of a namespace; a descriptor.

    Raises:
        NotFound: there is no such file.
        Error: it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        kind = NotFound if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH) else Error
        hint = "the path of a namespace file, as /proc/PID/ns/net, that this user may open"
        raise kind(operation="open namespace", path=path, errno=error.errno, hint=hint) from None


def open_others(pid: int) -> dict[str, int]:
    """Open the namespaces of a process that this one is not in; descriptors by OCI's kinds, in the order to join them.

    Raises:
        NotFound: the process has ended.
        Error: this user may not look at it.
    """
    found: dict[str, int] = {}
    try:
        for kind, name in FILES.items():
            if not os.path.exists(f"/proc/self/ns/{name}"):  # a kernel without this kind
                continue
            fd = open_namespace(f"/proc/{pid}/ns/{name}")
            if os.fstat(fd).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino:
                os.close(fd)
            else:
                found[kind] = fd
    except BaseException:
        close_all(found)
        raise
    return found


def close_all(namespaces: dict[str, int]) -> None:
    """Close what `open_others` opened."""
    while namespaces:
        os.close(namespaces.popitem()[1])
