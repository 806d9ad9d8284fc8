"""What this process may do by the namespaces that it is in itself; user_namespaces(7), capabilities(7)."""

from __future__ import annotations

import os

from pycgroups.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_CAP_SETGID = 6
_CAP_SYS_ADMIN = 21
_PAGE = 4096  # user_namespaces(7): 340 lines of a map may be longer, but then they are not the one that is looked for


class Rights(NamedTuple):
    """What it may do when it starts a container.

    Attributes:
        privileged: `is_privileged`.
        nested: `is_nested`.
        groups: `may_set_groups`.
        leaves_groups: `can_leave_groups`.
    """

    privileged: bool
    nested: bool
    groups: bool
    leaves_groups: bool


def rights() -> Rights:
    """Look at all of that at once."""
    bits, nested, groups = effective(), is_nested(), may_set_groups()
    return Rights(_may_mount(bits, nested=nested), nested, groups, bool(bits >> _CAP_SETGID & 1) and groups)


def effective() -> int:
    """Return the bits of its effective capabilities; capget(2)."""
    from pycgroups._native import calls

    return calls.effective_capabilities()


def may_unshare() -> bool:
    """Tell whether it may make namespaces without a user namespace: clone(2), CAP_SYS_ADMIN."""
    return bool(effective() >> _CAP_SYS_ADMIN & 1)


def is_privileged() -> bool:
    """Tell whether it may open and idmap trees of its own mount namespace (CAP_SYS_ADMIN where that belongs)."""
    return _may_mount(effective(), nested=is_nested())


def _may_mount(bits: int, *, nested: bool) -> bool:
    return bool(bits >> _CAP_SYS_ADMIN & 1) and (not nested or _owns_mounts())


def _owns_mounts() -> bool:
    """Tell whether its mount namespace belongs to its user namespace: ioctl_nsfs(2), which says no more of others."""
    import fcntl

    from pycgroups.namespaces.files import NS_GET_USERNS

    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(mounts, NS_GET_USERNS)
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
    return _read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]


def may_set_groups(pid: int | str = "self") -> bool:
    """Tell whether its user namespace, or that of another process, allows setgroups(2); /proc/PID/setgroups."""
    return _read(f"/proc/{pid}/setgroups").strip() == b"allow"


def can_leave_groups() -> bool:
    """Tell whether it may itself call setgroups(2)."""
    return bool(effective() >> _CAP_SETGID & 1) and may_set_groups()


def may_set_groups_there(pid: int) -> tuple[bool, bool]:
    """Tell whether setgroups(2) is allowed where a process is; and else whether this one may call it here."""
    groups = may_set_groups(pid)
    return groups, not groups and can_leave_groups()


def hidden(path: str, number: int) -> Unsupported:
    """Make the error about a process of this user's own of which /proc shows nothing; proc(5), hidepid."""
    hint = "mount -o remount,hidepid=0 /proc, or with gid= a group of this user's; or join no user namespace"
    message = "what has joined a user namespace is hidden from this user"
    return Unsupported(message, operation="look at a process", path=path, errno=number, hint=hint)


def _read(path: str) -> bytes:
    """Read a short file of /proc in one go; Python's own files take four times as long."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PAGE)
    finally:
        os.close(fd)
