"""What stays in reach of a container whose root was changed without pivot_root(2): the host's mounts of proc and sysfs.

As long as one is in the mount namespace, whoever makes a user namespace there may mount another, without what the
container's masks hide: mount_too_revealing() in fs/namespace.c. So they go before its program comes, as with runc.
"""

from __future__ import annotations

_KINDS = frozenset({b"proc", b"sysfs"})


def mounts() -> tuple[bytes, ...]:
    """Name them, the last one first; proc_pid_mountinfo(5)."""
    with open("/proc/self/mountinfo", "rb") as file:
        lines = [line.split() for line in file]
    return tuple(_decoded(words[4]) for words in reversed(lines) if words[words.index(b"-") + 1] in _KINDS)


def _decoded(path: bytes) -> bytes:
    """Read a path in which blanks and backslashes are octal numbers."""
    first, *rest = path.split(b"\\")
    return first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest)
