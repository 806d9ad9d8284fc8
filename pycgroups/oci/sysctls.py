"""Which namespace a sysctl belongs to, as runc knows them: a container sets those of its own namespaces alone."""

from __future__ import annotations

_IPC = frozenset(
    f"kernel.{word}" for word in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_UTS = frozenset({"kernel.hostname", "kernel.domainname"})

NAMESPACED = "net.*, fs.mqueue.*, " + ", ".join(sorted(_IPC | _UTS))
"""All that have a namespace, for messages."""


def sysctl_namespace(name: str) -> str | None:
    """Return the namespace that a sysctl belongs to, in OCI's words; None when it is the whole host's."""
    if not all(map(_is_file_name, name.split("."))):
        return None
    if name in _IPC or name.startswith("fs.mqueue."):
        return "ipc"
    if name in _UTS:
        return "uts"
    return "network" if name.startswith("net.") else None


def _is_file_name(part: str) -> bool:
    """Refuse an empty part, too: "net..x" would be a path that climbs."""
    return part.isascii() and part[:1].isalnum() and part.replace("-", "").replace("_", "").isalnum()
