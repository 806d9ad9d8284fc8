"""What this process may do by the namespaces that it is in itself; user_namespaces(7), capabilities(7)."""

from __future__ import annotations

import os

_CAP_SYS_ADMIN = 21
_NS_GET_USERNS = 0xB701  # linux/nsfs.h


def effective() -> int:
    """Return the bits of its effective capabilities; capget(2)."""
    from pycgroups._native import calls

    return calls.effective_capabilities()


def is_privileged() -> bool:
    """Tell whether it may open and idmap trees of its own mount namespace (CAP_SYS_ADMIN where that belongs)."""
    return bool(effective() >> _CAP_SYS_ADMIN & 1) and (not is_nested() or _owns_mounts())


def _owns_mounts() -> bool:
    """Tell whether its mount namespace belongs to its user namespace: ioctl_nsfs(2), which says no more of others."""
    import fcntl

    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(mounts, _NS_GET_USERNS)
    except PermissionError:
        return False
    finally:
        os.close(mounts)
    try:
        return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino
    finally:
        os.close(owner)


def is_nested() -> bool:
    """Tell whether it is in a user namespace that has not all ids: it makes no device nodes then."""
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def may_set_groups(pid: int | str = "self") -> bool:
    """Tell whether its user namespace, or that of another process, allows setgroups(2); /proc/PID/setgroups."""
    with open(f"/proc/{pid}/setgroups", encoding="utf-8") as file:
        return file.read().strip() == "allow"
