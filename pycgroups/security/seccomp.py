"""The default seccomp profile: what a container may ask of the kernel, as an OCI model.

It is an allow-list, as tight as Docker's default profile or tighter, made of the table in
`pycgroups.security.seccomp_profile`. A refused call is EPERM, a call newer than the table ENOSYS; so is any call
of another architecture (32-bit ``int 0x80``, x32): see `pycgroups.security.bpf`.

Conditions on ``int`` arguments look at the low 32 bits only: the kernel does, too, and a filter that compared all 64
would be passed by ``AF_VSOCK | 1 << 32``. Source: seccomp(2); OCI config-linux.md, section "Seccomp".
"""

from __future__ import annotations

from errno import ENOSYS, EPERM

from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule
from pycgroups.security.seccomp_profile import ALLOWED, BY_CAPABILITY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
else:
    from pycgroups.caches import lru_cache

# linux/sched.h: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. CLONE_NEWTIME is a signal to clone(2).
CLONE_NAMESPACES = 0x7E020000
# linux/personality.h: PER_LINUX, PER_LINUX32, each also with UNAME26; and the question which one it is.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# asm-generic/ioctls.h: push a character into the terminal's input (CVE-2017-5226); the same on a console
# by paste (CVE-2023-28100).
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# linux/socket.h
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_PACKET = 1, 2, 10, 16, 17

LOW_32_BITS = 0xFFFFFFFF


@lru_cache(maxsize=32)
def default_profile(capabilities: frozenset[str]) -> Seccomp:
    """Return the profile of a container that has these capabilities (``"CAP_X"``) in its bounding set."""
    names = {name for group in ALLOWED.values() for name in group.split()}
    for enough, _reason, group in BY_CAPABILITY:
        if not capabilities.isdisjoint(enough.split()):
            names.update(group.split())
    rules = (
        SyscallRule(names=tuple(sorted(names)), action="SCMP_ACT_ALLOW"),
        *_clone(capabilities),
        *(allow_if("personality", 0, LOW_32_BITS, value) for value in _PERSONALITIES),
        *_sockets(capabilities),
        *_ioctl(),
    )
    return Seccomp(default_action="SCMP_ACT_ERRNO", default_errno_ret=EPERM, syscalls=rules)


def _clone(capabilities: frozenset[str]) -> tuple[SyscallRule, ...]:
    """No new namespaces without CAP_SYS_ADMIN; C libraries answer ENOSYS of clone3 with clone."""
    if "CAP_SYS_ADMIN" in capabilities:
        return ()
    return (
        allow_if("clone", 0, CLONE_NAMESPACES, 0),
        SyscallRule(names=("clone3",), action="SCMP_ACT_ERRNO", errno_ret=ENOSYS),
    )


def _sockets(capabilities: frozenset[str]) -> tuple[SyscallRule, ...]:
    packet = (_AF_PACKET,) if "CAP_NET_RAW" in capabilities else ()
    families = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, *packet)
    return (
        *(allow_if("socket", 0, LOW_32_BITS, family) for family in families),
        allow_if("socketpair", 0, LOW_32_BITS, _AF_UNIX),
    )


def _ioctl() -> tuple[SyscallRule, ...]:
    return (
        *(
            SyscallRule(
                names=("ioctl",), action="SCMP_ACT_ERRNO", errno_ret=EPERM, args=(masked(1, LOW_32_BITS, request),)
            )
            for request in (_TIOCSTI, _TIOCLINUX)
        ),
        SyscallRule(names=("ioctl",), action="SCMP_ACT_ALLOW"),
    )


def allow_if(name: str, index: int, mask: int, value: int) -> SyscallRule:
    """Allow a call where ``(args[index] & mask) == value``."""
    return SyscallRule(names=(name,), action="SCMP_ACT_ALLOW", args=(masked(index, mask, value),))


def masked(index: int, mask: int, value: int) -> SyscallArg:
    """``(args[index] & mask) == value``."""
    return SyscallArg(index=index, op="SCMP_CMP_MASKED_EQ", value=mask, value_two=value)
