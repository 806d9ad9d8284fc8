"""Which capabilities a container has.

Source: capabilities(7); the numbers are those of ``linux/capability.h``, the same on every architecture.
Every kernel since 5.9 knows all of them, and 5.12 is the oldest that pycgroups runs on.
"""

from __future__ import annotations

from pycgroups.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

# In the order of their numbers: CAP_CHOWN is 0.
_NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_NAMES)}
"""The number of each capability."""

DEFAULT_REASONS: dict[str, str] = {
    "CAP_AUDIT_WRITE": "su, sudo and sshd log a session to the audit system",
    "CAP_CHOWN": "package managers and entry points give files away",
    "CAP_DAC_OVERRIDE": "root inside writes files of the users inside",
    "CAP_FOWNER": "root inside changes modes and times of files of the users inside",
    "CAP_FSETID": "setgid directories keep their bit when an archive is unpacked",
    "CAP_KILL": "a supervisor stops services that run as other users",
    "CAP_NET_BIND_SERVICE": "servers listen on ports below 1024 of the container's own network",
    "CAP_NET_RAW": "ping and traceroute in the container's own network",
    "CAP_SETFCAP": "package managers set capabilities of files",
    "CAP_SETGID": "a service drops root's groups",
    "CAP_SETPCAP": "a service drops capabilities from its bounding set",
    "CAP_SETUID": "a service drops root",
    "CAP_SYS_CHROOT": "sshd, postfix and package builders lock themselves in a directory",
}
"""What a container has by default, and what for: Docker's set without CAP_MKNOD.

A user namespace, which is the default, makes no device nodes whatever its capabilities (mknod(2)), and with
``userns="host"`` CAP_MKNOD would open the disks of the host. Pipes and sockets need no capability.
"""

DEFAULT: tuple[str, ...] = tuple(DEFAULT_REASONS)


def resolve(add: Collection[str] = (), drop: Collection[str] = ()) -> tuple[str, ...]:
    """Return the capabilities of a container, sorted by name.

    Args:
        add: names to add to the default set, with or without ``CAP_``, in any case; ``"ALL"`` for every one.
        drop: names to take away from it, or ``"ALL"``; ``drop=["ALL"], add=["KILL"]`` leaves just that one.

    Raises:
        InvalidConfig: a name is unknown, or stands in both lists.
    """
    added = _names("caps_add", add)
    dropped = _names("caps_drop", drop)
    both = added & dropped
    if both:
        raise InvalidConfig(f"{min(both)} is in caps_drop as well", operation="option", path="caps_add")
    if "ALL" in added:
        return tuple(sorted(NUMBERS.keys() - dropped))
    base = set() if "ALL" in dropped else set(DEFAULT) - dropped
    return tuple(sorted(base | added))


def mask(names: Collection[str]) -> int:
    """Return the bits of these capabilities as capset(2) and ``/proc/PID/status`` have them.

    Names that nobody knows are left out: a runtime is to warn of them and to go on; config.md, "Linux Process".
    """
    return sum(1 << NUMBERS[name] for name in set(names) if name in NUMBERS)


def _names(option: str, given: Collection[str]) -> set[str]:
    from _collections_abc import Collection  # for which names there are nobody needs it

    if isinstance(given, str) or not isinstance(given, Collection):
        raise InvalidConfig("allowed: a list of names", operation="option", path=option)
    return {_name(f"{option}[{position}]", name) for position, name in enumerate(given)}


def _name(path: str, given: object) -> str:
    if not isinstance(given, str):
        raise InvalidConfig("allowed: a string", operation="option", path=path)
    upper = given.upper()
    if upper == "ALL":
        return upper
    name = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if name not in NUMBERS:
        raise InvalidConfig(
            f"got {given[:80]!r}, allowed: the names of capabilities(7), or 'ALL'", operation="option", path=path
        )
    return name
