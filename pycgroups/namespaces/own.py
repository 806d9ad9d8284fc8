"""What this process may do by the namespaces that it is in itself; user_namespaces(7), capabilities(7)."""

from __future__ import annotations

_CAP_SYS_ADMIN = 21


def is_privileged() -> bool:
    """Tell whether it may open and idmap trees of its own mount namespace (CAP_SYS_ADMIN)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = next((int(line[7:], 16) for line in file if line.startswith("CapEff:")), 0)
    return bool(effective >> _CAP_SYS_ADMIN & 1)


def is_nested() -> bool:
    """Tell whether it is in a user namespace that has not all ids: it makes no device nodes then."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def may_set_groups(pid: int | None = None) -> bool:
    """Tell whether its user namespace, or another process's, allows setgroups(2)."""
    with open(f"/proc/{pid or 'self'}/setgroups", encoding="ascii") as file:
        return file.read().strip() == "allow"
