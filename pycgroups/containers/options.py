"""Parsers of particular options: what a user may write, turned into one normal form or refused.

Built from `pycgroups.containers.values`, where the conventions stand. Pure: nothing here looks at the host, but for
the caller's environment, which an ``env_file`` may ask for.
"""

from __future__ import annotations

import os

# Not from collections.abc: that loads all of collections.
from _collections_abc import Set as AbstractSet

from pycgroups.containers.values import (
    ALNUM,
    LETTERS,
    choice,
    exact,
    inside_path,
    integer,
    is_number,
    items,
    made_of,
    pairs,
    text,
)
from pycgroups.errors import Unsupported, invalid
from pycgroups.namespaces.idmap import END_OF_IDS
from pycgroups.oci.runtime_spec import Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.security.landlock import Landlock

# __NEW_UTS_LEN of linux/utsname.h, for sethostname(2) and setdomainname(2) alike.
LONGEST_HOSTNAME = 64
LONGEST_LABEL = 63  # RFC 1035, 2.3.4
LONGEST_NAME = 128

_ADDRESS = frozenset("0123456789abcdefABCDEF:.")
_NAME = ALNUM | frozenset("_.-")
_ACCOUNT = ALNUM | frozenset("_.-@+$")


def name(value: object, key: str) -> str:
    """Take a name of our own things: letters, digits and ``_.-``, a letter or digit first, up to 128."""
    if made_of(value, _NAME) and len(value) <= LONGEST_NAME:
        return exact(value)
    raise invalid(key, value, f"letters, digits and _.- (a letter or digit first), at most {LONGEST_NAME}")


def labels(value: object, key: str) -> tuple[tuple[str, str], ...]:
    """Take text by name; a name given twice has its last value."""
    result: dict[str, str] = {}
    for where, word, item in pairs(value, key):
        label = text(word, where)
        if not label:
            raise invalid(where, word, "a name that is not empty")
        result[label] = text(item, where)
    return tuple(result.items())


def command(value: object, key: str) -> tuple[str, ...]:
    """Take a program and its arguments; as in `subprocess`, one str is a program's name and no shell line."""
    words = _words(value, key)
    if not words or not words[0]:
        raise invalid(key, value, "a program and its arguments, not empty")
    return words


def entrypoint(value: object, key: str) -> tuple[str, ...]:
    """Take what comes before the command; ``""`` and ``[]`` say: nothing."""
    words = _words(value, key)
    if words and not words[0]:
        if len(words) > 1:
            raise invalid(key, value, "a program and its arguments, or nothing")
        return ()
    return words


def _words(value: object, key: str) -> tuple[str, ...]:
    if isinstance(value, str | bytes | os.PathLike):
        return (text(value, key),)
    parts = items(value, key, "a program's name, or a list of it and its arguments")
    return tuple([text(part, f"{key}[{index}]") for index, part in enumerate(parts)])


def environment(value: object, key: str) -> tuple[tuple[str, str], ...]:
    """Take variables; the name is not empty and has no ``=``; environ(7)."""
    result: dict[str, str] = {}
    for where, word, item in pairs(value, key):
        variable = text(word, where)
        if not variable or "=" in variable:
            raise invalid(where, word, "a variable's name, not empty and without '='")
        result[variable] = text(item, where)
    return tuple(result.items())


def env_file(document: str, key: str) -> tuple[tuple[str, str], ...]:
    """Read docker's env-file format.

    A line is ``KEY=VALUE``, taken as it stands, without quotes or expansion; or ``KEY``, which is passed on
    from the caller's environment, if set there; or empty; or a comment, ``#`` first. White space before is
    dropped. https://docs.docker.com/reference/cli/docker/container/run/#env
    """
    result: dict[str, str] = {}
    for number, full_line in enumerate(document.removeprefix("\ufeff").split("\n"), start=1):
        where = f"{key} line {number}"
        line = text(full_line, where).removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        variable, found, value = line.partition("=")
        if not variable or any(map(str.isspace, variable)):
            raise invalid(where, line, "KEY=VALUE, and no white space in KEY")
        inherited = value if found else os.environ.get(variable)
        if inherited is not None:
            result[variable] = inherited
    return tuple(result.items())


def account(value: object, key: str) -> int | str:
    """Take a numeric id or a user's or group's name.

    What looks like a number is one, and is never looked up as a name: a wrapped or truncated
    ``4294967296`` would be root (CVE-2024-40635).
    """
    if isinstance(value, str):
        if made_of(value, _ACCOUNT, first=LETTERS | {"_"}) and len(value) <= LONGEST_NAME:
            return exact(value)
        if not is_number(value):
            raise invalid(key, value, f"a name, or an id from 0 to {END_OF_IDS - 1} in decimal")
        value = int(value)
    return integer(value, key, 0, END_OF_IDS - 1)


def user(value: object, key: str) -> tuple[int | str, int | str | None]:
    """Take ``uid``, ``"uid[:gid]"`` or names: (user, group), the group None when it is not given."""
    group: object = None
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 (a pair)
        value, group = value
    elif isinstance(value, str) and ":" in value:
        value, _, group = value.partition(":")
    return account(value, key), None if group is None else account(group, key)


def signal_number(value: object, key: str) -> int:
    """Take 15, ``"15"``, ``"TERM"``, ``"SIGTERM"`` or ``"SIGRTMIN+3"``; signal(7)."""
    if not isinstance(value, str):
        return integer(value, key, 1, 64)
    import signal  # its enums cost start-up time, and few name a signal

    if is_number(value):
        return integer(int(value), key, 1, int(signal.SIGRTMAX))
    word, plus, offset = value.upper().removeprefix("SIG").partition("+")
    if word in {"RTMIN", "RTMAX"} or not plus:
        number = getattr(signal, f"SIG{word}", None)
        if isinstance(number, signal.Signals) and (not plus or is_number(offset)):
            return integer(number + int(offset or 0), key, 1, int(signal.SIGRTMAX))
    raise invalid(key, value, "a signal's number or name, such as 15, 'TERM' or 'SIGRTMIN+3'")


def terminal_size(value: object, key: str) -> tuple[int, int]:
    """Take rows and columns, each an unsigned short: TIOCSWINSZ(2const)."""
    found = items(value, key, "(rows, columns)")
    if len(found) != 2:  # noqa: PLR2004 (a pair)
        raise invalid(key, value, "(rows, columns)")
    rows, columns = (integer(each, f"{key}[{index}]", 0, 2**16 - 1) for index, each in enumerate(found))
    return rows, columns


_RLIMITS = frozenset(
    {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"}
    | {"rttime", "sigpending", "stack"}
)
_RLIM_INFINITY = 2**64 - 1


def ulimits(value: object, key: str) -> tuple[Rlimit, ...]:
    """Take limits by the names of getrlimit(2), sorted.

    Each is a number for both, ``(soft, hard)`` or ``"SOFT:HARD"``; -1 and ``"unlimited"`` are no limit.
    """
    if isinstance(value, tuple) and all(isinstance(item, Rlimit) for item in value):
        return value
    result = {}
    for where, word, item in pairs(value, key):
        kind = word.lower().removeprefix("rlimit_") if isinstance(word, str) else ""
        if kind not in _RLIMITS:
            raise invalid(where, word, ", ".join(sorted(_RLIMITS)))
        both = item.split(":") if isinstance(item, str) else item
        soft, hard = both if isinstance(both, list | tuple) and len(both) == 2 else (item, item)  # noqa: PLR2004
        limit = Rlimit(f"RLIMIT_{kind.upper()}", soft=_rlimit(soft, where), hard=_rlimit(hard, where))
        if limit.soft > limit.hard:
            raise invalid(where, item, "a soft limit up to the hard limit")
        result[kind] = limit
    return tuple([result[kind] for kind in sorted(result)])


def _rlimit(value: object, key: str) -> int:
    if value in (-1, "-1", "unlimited"):
        return _RLIM_INFINITY
    if isinstance(value, str) and is_number(value):
        value = int(value)
    return integer(value, key, 0, _RLIM_INFINITY)


def hostname(value: object, key: str) -> str:
    """Take a host name of RFC 1123, 2.1, up to the kernel's 64 characters: dotted labels of up to 63."""
    if isinstance(value, str) and len(value) <= LONGEST_HOSTNAME and all(map(_is_label, value.split("."))):
        return exact(value)
    raise invalid(key, value, f"a host name: letters, digits, - and dots, at most {LONGEST_HOSTNAME} characters")


def _is_label(label: str) -> bool:
    return made_of(label, ALNUM | {"-"}) and label[-1] != "-" and len(label) <= LONGEST_LABEL


def address(value: object, key: str) -> str:
    """Take an IPv4 or IPv6 address without a scope, which could be any text."""
    if made_of(value, _ADDRESS, first=_ADDRESS):
        import ipaddress  # slow to import, and few name an address

        try:
            return str(ipaddress.ip_address(exact(value)))
        except ValueError:
            pass
    raise invalid(key, value, "an IPv4 or IPv6 address")


def extra_hosts(value: object, key: str) -> tuple[tuple[str, str], ...]:
    """Take lines for /etc/hosts: addresses by host name, or a list of ``"HOST:ADDRESS"``.

    Raises:
        Unsupported: ``host-gateway``, which is an address only where there is a bridge.
    """
    result = []
    for where, host, item in pairs(value, key, "HOST:ADDRESS"):
        if not made_of(host, _NAME) or len(host) > 253:  # noqa: PLR2004 (RFC 1035, 2.3.4)
            raise invalid(where, host, "a host name: letters, digits and _.-, at most 253")
        if item == "host-gateway":
            message = "host-gateway needs a network with a bridge"
            raise Unsupported(message, operation="option", path=where, hint="name the address")
        result.append((exact(host), address(item, where)))
    return tuple(result)


def capability_names(value: object, key: str) -> tuple[str, ...]:
    """Take a list or set of names, with or without ``CAP_``, in any case, or ``"ALL"``: sorted, each once.

    Whether there are such capabilities, `pycgroups.security.capabilities.resolve` knows.
    """
    result = set()
    for word in value if isinstance(value, AbstractSet) else items(value, key, "a list of names of capabilities(7)"):
        upper = word.upper() if made_of(word, _NAME) else ""
        if not upper:
            raise invalid(key, word, "names of capabilities(7), such as 'NET_ADMIN', or 'ALL'")
        result.add(upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}")
    return tuple(sorted(result))


def sysctls(value: object, key: str) -> tuple[tuple[str, str], ...]:
    """Take settings of the container's own namespaces, by dotted name, sorted; sysctl(8)."""
    from pycgroups.oci.sysctls import NAMESPACED, sysctl_namespace  # the usual run sets none

    result = {}
    for where, word, item in pairs(value, key):
        if not isinstance(word, str) or sysctl_namespace(word) is None:
            raise invalid(where, word, NAMESPACED)
        setting = str(integer(item, where, -(2**63), 2**64 - 1)) if isinstance(item, int) else text(item, where)
        if "\n" in setting:
            raise invalid(where, item, "text of one line, or an int")
        result[exact(word)] = setting
    return tuple(sorted(result.items()))


# Bits of linux/securebits.h; capabilities(7), "The securebits flags".
_SECUREBITS = {
    "noroot": 0x01,
    "noroot_locked": 0x02,
    "no_setuid_fixup": 0x04,
    "no_setuid_fixup_locked": 0x08,
    "keep_caps": 0x10,
    "keep_caps_locked": 0x20,
    "no_cap_ambient_raise": 0x40,
    "no_cap_ambient_raise_locked": 0x80,
}


def securebits(value: object, key: str) -> int:
    """Take the number, or a list of names, of securebits."""
    if isinstance(value, int):
        return integer(value, key, 0, sum(_SECUREBITS.values()))
    bits = 0
    for index, word in enumerate(items(value, key, "a list of names, or an int")):
        bits |= _SECUREBITS[choice(word, f"{key}[{index}]", tuple(_SECUREBITS))]
    return bits


def devices(value: object, key: str) -> tuple[tuple[str, str, str], ...]:
    """Take ``"/dev/x[:/dev/y][:rwm]"`` each: (on the host, in the container, access)."""
    result = []
    for index, item in enumerate(items(value, key, "a list of devices")):
        where = f"{key}[{index}]"
        parts = item if isinstance(item, tuple) else tuple(text(item, where).split(":"))
        source, *rest = [text(part, where) for part in parts] or [""]
        access = "rwm" if not rest or rest[-1].startswith("/") else rest.pop()
        destination = rest.pop() if rest else source
        if rest or not access or not set(access) <= set("rwm"):
            raise invalid(where, item, "'/dev/HOST[:/dev/INSIDE][:ACCESS]', the access some of 'rwm'")
        order = "".join(letter for letter in "rwm" if letter in access)
        result.append((inside_path(source, where), inside_path(destination, where), order))
    return tuple(result)


def landlock(value: object, key: str) -> Landlock:
    """Take Landlock's rules: `pycgroups.security.landlock` has the letters and the scopes.

    A dict, or a list of ``"KEY:VALUE"``: an absolute path and letters, ``"connect"`` or ``"bind"`` and TCP ports,
    ``"scope"`` and names. Several ports or names are a list, or joined with commas.
    """
    from pycgroups.security.landlock import SCOPES, Landlock  # the usual run has no rules

    if isinstance(value, Landlock):
        return value
    paths: dict[str, str] = {}
    ports: dict[str, set[int]] = {}
    scopes: set[str] = set()
    for where, word, item in pairs(value, key, "KEY:VALUE"):
        if word in ("connect", "bind"):
            ports.setdefault(word, set()).update(_port(part, where) for part in _several(item, where))
        elif word == "scope":
            scopes.update(choice(part, where, tuple(SCOPES)) for part in _several(item, where))
        else:
            paths[inside_path(word, where)] = _letters(item, where)
    if not paths and not ports and not scopes:
        raise invalid(key, value, "at least one rule, such as {'/usr': 'rx'}")
    _check_below(paths, key)
    connect, bind = (tuple(sorted(ports[word])) if word in ports else None for word in ("connect", "bind"))
    return Landlock(paths=tuple(sorted(paths.items())), connect=connect, bind=bind, scopes=tuple(sorted(scopes)))


def _several(value: object, key: str) -> Sequence[object]:
    """Take one, a list, or text with commas between."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return [value] if isinstance(value, int) else items(value, key, "one, or a list")


def _letters(value: object, key: str) -> str:
    from pycgroups.security.landlock import LETTERS

    if isinstance(value, str) and value and set(value) <= LETTERS.keys():
        return "".join(letter for letter in LETTERS if letter in value)
    raise invalid(key, value, f"letters of {''.join(LETTERS)!r}")


def _check_below(paths: dict[str, str], key: str) -> None:
    """Rules add up: one that is less than another above it is meant to take away, and would not."""
    for path, letters in paths.items():
        for above, more in paths.items():
            if path.startswith(above.rstrip("/") + "/") and set(letters) < set(more):
                raise invalid(
                    f"{key}[{path!r}]", letters, f"more than {more!r}, which the rule of {above!r} gives here"
                )


def _port(value: object, key: str) -> int:
    return integer(int(value) if isinstance(value, str) and is_number(value) else value, key, 0, 65535)
