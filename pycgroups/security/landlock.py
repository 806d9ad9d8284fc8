"""Landlock: rules -> ruleset, and what the kernel's version of it must be. Pure but for `abi`.

There are three kinds of rules: to files, to TCP ports, and scopes. A kind of which there are rules is denied wherever
none of them allows it; one without any stays as it is. What the rules promise, the kernel must know how to deny: where
it does not, they are refused. Sources: landlock(7), linux/landlock.h.
"""

from __future__ import annotations

import errno

from pycgroups.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

# linux/landlock.h, LANDLOCK_ACCESS_FS_*
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in range(13, 16))
_ALL = (1 << 16) - 1
# The others are rights to what is in a directory, and no file takes them.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

LETTERS: dict[str, int] = {
    "r": _READ_FILE | _READ_DIR,
    "w": _WRITE_FILE
    | _TRUNCATE
    | _MAKE_REG
    | _MAKE_DIR
    | _MAKE_SYM
    | _MAKE_SOCK
    | _MAKE_FIFO
    | _REMOVE_FILE
    | _REMOVE_DIR
    | _REFER,
    "x": _EXECUTE,
    "d": _IOCTL_DEV | _MAKE_CHAR | _MAKE_BLOCK,
}
"""What each letter of a rule allows.

    r   read files, list directories
    w   write and truncate files; make, rename, link and remove all but device nodes
    x   execute files; with r, since the kernel reads what it executes
    d   ioctl(2) on device nodes beyond the common ones, and make such nodes
"""

PORTS: dict[str, int] = {"bind": 1, "connect": 2}
"""What can be done with TCP ports: LANDLOCK_ACCESS_NET_*."""

SCOPES: dict[str, int] = {"abstract_unix_socket": 1, "signal": 2}
"""What the program cannot reach of the processes that are not its own descendants: LANDLOCK_SCOPE_*."""

# What came after the first version: the version, the kernel, what it denies.
_SINCE_OF_FILES = {
    _REFER: (2, "5.19", "renames and links between directories"),
    _TRUNCATE: (3, "6.2", "truncate(2)"),
    _IOCTL_DEV: (5, "6.10", "ioctl(2) on devices"),
}
_SINCE_OF_PORTS = (4, "6.7", "TCP ports")
ABI_OF_SCOPES = 6
_SINCE_OF_SCOPES = (ABI_OF_SCOPES, "6.12", "scopes")

_ABSENT = {
    errno.ENOSYS: ("the kernel was built without Landlock", "Linux 5.13 with CONFIG_SECURITY_LANDLOCK"),
    errno.EOPNOTSUPP: ("Landlock is turned off in this kernel", 'boot with "landlock" first in the list of lsm='),
}
_FILTERED = ("a filter around this process forbids Landlock", "allow landlock_create_ruleset in that filter")


class Landlock(NamedTuple):
    """Rules, in their normal form.

    Attributes:
        paths: ``(absolute path, some of `LETTERS`)``; a rule for a directory holds for all that is beneath it, and
            rules add up.
        connect: TCP ports to connect to; None is any.
        bind: TCP ports to bind to; None is any.
        scopes: some of `SCOPES`.
    """

    paths: tuple[tuple[str, str], ...] = ()
    connect: tuple[int, ...] | None = None
    bind: tuple[int, ...] | None = None
    scopes: tuple[str, ...] = ()


class Ruleset(NamedTuple):
    """What the kernel is told: landlock_create_ruleset(2), landlock_add_rule(2).

    Attributes:
        files: what is denied but where ``paths`` allow it.
        network: likewise.
        scopes: what is denied.
        paths: ``(path, allowed if it is a directory, allowed if it is none)``.
        ports: ``(allowed, port)``.
    """

    files: int
    network: int
    scopes: int
    paths: tuple[tuple[str, int, int], ...]
    ports: tuple[tuple[int, int], ...]


def abi() -> int:
    """Return the version of Landlock that the kernel has, 1 or more, or -errno."""
    from pycgroups._native import calls

    return calls.landlock_abi()


def ruleset(rules: Landlock, version: int) -> Ruleset:
    """Turn rules into what this kernel is to be told.

    Args:
        rules: the rules.
        version: what `abi` says.

    Raises:
        Unsupported: the kernel has no Landlock, or an older one than the rules need.
    """
    if version < 1:
        raise absent(version)
    allowed = [(path, mask(letters)) for path, letters in rules.paths]
    known = _ALL
    for right, since in _SINCE_OF_FILES.items():
        if version < since[0]:
            known &= ~right
            if _needs(right, allowed):
                raise _too_old(version, *since)
    ports = {PORTS["connect"]: rules.connect, PORTS["bind"]: rules.bind}
    network = sum(right for right, some in ports.items() if some is not None)
    if network and version < _SINCE_OF_PORTS[0]:
        raise _too_old(version, *_SINCE_OF_PORTS)
    if rules.scopes and version < _SINCE_OF_SCOPES[0]:
        raise _too_old(version, *_SINCE_OF_SCOPES)
    return Ruleset(
        files=known if allowed else 0,
        network=network,
        scopes=sum(SCOPES[name] for name in rules.scopes),
        paths=tuple((path, access & known, access & known & _OF_FILES) for path, access in allowed),
        ports=tuple((right, port) for right, some in ports.items() for port in some or ()),
    )


def _needs(right: int, allowed: list[tuple[str, int]]) -> bool:
    """Tell whether the kernel must know a right for the rules to be kept.

    What is allowed everywhere need not be denied anywhere. Only to move files between directories is denied by a
    kernel that does not know it: there it is to allow it.
    """
    if right == _REFER:
        return any(access & right for _, access in allowed)
    return bool(allowed) and not any(path == "/" and access & right for path, access in allowed)


def writable(rules: Ruleset) -> frozenset[str]:
    """Return the directories in which the program may make links."""
    return frozenset(path for path, of_directory, _ in rules.paths if of_directory & _MAKE_SYM)


def uppermost(path: str, directories: frozenset[str]) -> str:
    """Return the uppermost of some directories that is above an absolute path; "" if none is."""
    above = "/"
    for part in path.split("/")[1:]:
        if above in directories and above != path:
            return above
        above = f"{above.rstrip('/')}/{part}"
    return ""


def mask(letters: str) -> int:
    """Return the rights of some letters."""
    result = 0
    for letter in letters:
        result |= LETTERS[letter]
    return result


def describe_denied(files: int, network: int, scopes: int) -> str:
    """Say in words what a ruleset denies unless a rule allows it."""
    denied = ["files"] * bool(files) + [word for word, right in PORTS.items() if network & right]
    return "denies " + ", ".join([*denied, *(f"scope {name}" for name, bit in SCOPES.items() if scopes & bit)])


def describe_path(access: int) -> str:
    """Return the letters of what a directory is allowed."""
    return "".join(letter for letter, rights in LETTERS.items() if access & rights)


def describe_port(access: int, port: int) -> str:
    """Say in words what is allowed with a port."""
    return f"{', '.join(word for word, right in PORTS.items() if access & right)} {port}"


def describe_version(version: int) -> str:
    """Say what rules there can be with a version, for `pycgroups doctor`."""
    files = [what for needed, _, what in _SINCE_OF_FILES.values() if version >= needed]
    others = [what for needed, _, what in (_SINCE_OF_PORTS, _SINCE_OF_SCOPES) if version >= needed]
    return ", ".join(["files", *files, *others])


def absent(version: int) -> Unsupported:
    """Say why there is no Landlock, by what `abi` says."""
    why, mend = _ABSENT.get(-version, _FILTERED)
    return Unsupported(why, operation="option", path="landlock", errno=-version or None, hint=mend)


def _too_old(version: int, needed: int, kernel: str, what: str) -> Unsupported:
    message = f"to restrict {what} takes ABI {needed} of Landlock, and this kernel has {version}"
    hint = f"Linux {kernel} or newer"
    if what == _SINCE_OF_FILES[_IOCTL_DEV][2]:
        hint += '; or allow it: a "d" in the rule of "/"'
    return Unsupported(message, operation="option", path="landlock", hint=hint)
