"""``image="host"``: the host's own root as a container's, read-only underneath and with a throw-away top.

What an unprivileged stranger on the host can see, the program sees: in the container's user namespace the host's
files belong to nobody that it could be. What strangers can see and should not be handed on is hidden: homes, other
people's temporary files, sockets in /run. The interpreter of the calling program is brought in, wherever it lives.
"""

from __future__ import annotations

import os
import stat
import sys

from pycgroups.runtime.rootfs import Layer, Layered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from functools import lru_cache
    from typing import NamedTuple
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple

# What is empty inside, whatever the host has there.
HIDDEN = {
    "/home": 0o755,
    "/root": 0o700,
    "/run": 0o755,
    "/tmp": 0o1777,  # noqa: S108 (it is the container's own)
    "/var/tmp": 0o1777,  # noqa: S108
    "/media": 0o755,
    "/mnt": 0o755,
    "/var/mail": 0o755,
    "/var/spool": 0o755,
}
# What the container mounts anew, and what no program needs.
_SKIPPED = frozenset({"dev", "proc", "sys", "lost+found", "boot", "run", "tmp", "home", "root", "media", "mnt"})
# Where a host may have mounts of its own that belong to its system.
_SYSTEM = frozenset({"usr", "etc", "opt", "var", "srv", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"})
# The throw-away top lets the container's root make files in these, and in each top directory of its own.
_WRITABLE = ("/etc", "/opt", "/srv", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/share", "/var/lib")
_PSEUDO = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"),
        *("fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs"),
        *("sysfs", "tmpfs", "tracefs"),
    )
)

LINKS = "/run/pycgroups/bin"  # inside: where python3 is, when the host's python3 is another one


class Interpreter(NamedTuple):
    """The Python that runs pycgroups.

    Attributes:
        directories: ``(path, private)`` of what to bring in, where it is no part of the visible host; private ones
            are not for strangers to read.
        hidden: directories of the host on the way to those, which strangers may not enter: empty inside.
        path: what comes first on PATH.
        links: symlinks to make, ``(path, target)``.
    """

    directories: tuple[tuple[str, bool], ...]
    hidden: tuple[str, ...]
    path: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


class HostRoot(NamedTuple):
    """The root, and the interpreter to bring in."""

    layers: tuple[Layer, ...]
    links: tuple[tuple[str, str], ...]
    directories: tuple[tuple[str, int], ...]
    writable: tuple[str, ...]
    interpreter: Interpreter

    def rootfs(self, size: int | None, files: tuple[tuple[str, str], ...]) -> Layered:
        """Describe the root with a limit of bytes that may be written to it."""
        return Layered(
            layers=self.layers,
            links=self.links + self.interpreter.links,
            directories=self.directories,
            writable=self.writable,
            size=size,
            files=files,
        )


def host_root(*, privileged: bool) -> HostRoot:
    """Look at the host's mounts (each time) and at the interpreter (once)."""
    with open("/proc/self/mountinfo", "rb") as file:
        return _host_root(file.read(), privileged)


@lru_cache(maxsize=4)
def _host_root(mountinfo: bytes, privileged: bool) -> HostRoot:
    mounts = list(_mounts(mountinfo))
    # Mounts in a directory that is no part of the system are not shown; without privileges, then, neither is that.
    mixed = set() if privileged else {_top(place) for place, _ in mounts if place not in {_top(place), "/"}}
    hidden = dict(HIDDEN)
    hidden.update((place, 0o755) for place in mixed if place[1:] not in _SYSTEM | _SKIPPED)
    hidden.update((home, 0o755) for home in _homes())
    interpreter = find_interpreter(tuple(hidden))
    hidden.update((place, 0o755) for place in interpreter.hidden)
    present = {place: mode for place, mode in hidden.items() if _is_directory(place)}
    directories = tuple(sorted(present.items()))
    links: tuple[tuple[str, str], ...] = ()
    if privileged:
        real = [place for place, kind in mounts if kind not in _PSEUDO and _top(place)[1:] in _SYSTEM]
        layers: tuple[Layer, ...] = (Layer(source="/", at="/"), *_submounts(real))
    else:
        layers, links = _pieces([place for place, _ in mounts], hidden.keys())
    return HostRoot(
        layers=layers,
        links=links,
        directories=directories,
        writable=tuple(place for place in _WRITABLE if _is_directory(place)),
        interpreter=interpreter,
    )


def _mounts(mountinfo: bytes) -> Iterator[tuple[str, str]]:
    """Yield ``(mount point, file system type)``; proc_pid_mountinfo(5)."""
    for line in mountinfo.splitlines():
        fields = line.split(b" ")
        place = fields[4]
        if b"\\" in place:
            place = place.replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\012", b"\n")
            place = place.replace(b"\\134", b"\\")
        yield os.fsdecode(place), os.fsdecode(fields[fields.index(b"-") + 1])


def _submounts(mounts: list[str]) -> tuple[Layer, ...]:
    """An overlay does not show what is mounted below its lower directory: those are pieces of their own."""
    tops = [place for place in sorted(set(mounts)) if not any(place.startswith(f"{other}/") for other in mounts)]
    return tuple(
        Layer(source=top, at=top, overlay=not any(place.startswith(f"{top}/") for place in mounts)) for top in tops
    )


def _top(place: str) -> str:
    return f"/{place.split('/')[1]}"


def _pieces(mounts: list[str], hidden: Collection[str]) -> tuple[tuple[Layer, ...], tuple[tuple[str, str], ...]]:
    """Take each directory of the root by itself, or, with mounts in it, show it read-only.

    Without privileges the root itself is no lower directory: its mounts are locked together (mount_namespaces(7)).
    """
    layers, links = [], []
    for name in sorted(os.listdir("/")):
        place = f"/{name}"
        if name in _SKIPPED or place in hidden:
            continue
        if os.path.islink(place):
            links.append((place, os.readlink(place)))
        elif _is_directory(place) and os.access(place, os.R_OK | os.X_OK):
            inner = any(other == place or other.startswith(f"{place}/") for other in mounts)
            layers.append(Layer(source=place, at=place, overlay=not inner))
    return tuple(layers), tuple(links)


def _is_directory(place: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(place).st_mode)
    except OSError:
        return False


def _homes() -> Iterator[str]:
    """Homes of people that are not below /home; a system account's is no secret, and may be /usr."""
    import pwd

    for entry in pwd.getpwall():
        home = os.path.normpath(entry.pw_dir) if entry.pw_dir.startswith("/") else "/"
        person = entry.pw_uid == os.geteuid() or 1000 <= entry.pw_uid < 65534  # noqa: PLR2004 (login.defs(5), UID_MIN)
        if person and home != "/" and home.split("/")[1] not in {"home", "root", "run", "tmp", *_SYSTEM}:
            yield home


# -- the interpreter -------------------------------------------------------------------------------------------


def find_interpreter(hidden: tuple[str, ...]) -> Interpreter:
    """Find what of the running Python must be brought in: its prefixes, the virtual environment, user packages."""
    prefixes = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *_other_packages()]
    places = dict.fromkeys(path for prefix in prefixes for path in (prefix, os.path.realpath(prefix)))
    wanted: list[str] = []
    barred: list[str] = []
    for place in sorted(places):
        if not place.startswith("/") or place == "/" or any(_is_below(place, other) for other in wanted):
            continue
        bar = _first_barred(place)
        if bar is not None or any(_is_below(place, other) for other in hidden):
            wanted.append(place)
        if bar is not None and bar != place and not any(_is_below(bar, other) for other in hidden):
            barred.append(bar)
    path, links = _search_path()
    directories = tuple((place, not _is_open(place)) for place in wanted)
    return Interpreter(directories=directories, hidden=tuple(barred), path=path, links=links)


def _is_below(place: str, other: str) -> bool:
    return place == other or place.startswith(f"{other}/")


def _first_barred(place: str) -> str | None:
    """Return the first directory on the way to `place` that a stranger may not enter."""
    parts = place.split("/")[1:]
    for count in range(1, len(parts) + 1):
        path = "/" + "/".join(parts[:count])
        try:
            if not os.stat(path).st_mode & stat.S_IXOTH:
                return path
        except OSError:
            return path
    return None


def _is_open(place: str) -> bool:
    try:
        return os.stat(place).st_mode & 0o5 == 0o5  # noqa: PLR2004 (r-x for others)
    except OSError:
        return True


def _other_packages() -> Iterable[str]:
    """Packages outside of the prefixes: the user's own, and this one where it is installed in place ("editable")."""
    yield os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    own = getattr(sys.modules.get("site"), "USER_SITE", None)
    if own and own in sys.path:
        yield own


def own_path() -> tuple[str, ...]:
    """Return where the running Python is, to come first on PATH where nothing is brought in."""
    return tuple(place for place in _search_path()[0] if place != LINKS)


def _search_path() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """PATH such that python3 is this very interpreter, also where the directory's own python3 is another version."""
    if not sys.executable:
        return (), ()
    directory = os.path.dirname(sys.executable)
    tools = dict.fromkeys([directory, os.path.join(sys.base_prefix, "bin")])
    same = os.path.realpath(os.path.join(directory, "python3")) == os.path.realpath(sys.executable)
    if same:
        return tuple(tools), ()
    links = tuple((f"{LINKS}/{name}", sys.executable) for name in ("python3", "python"))
    return (LINKS, *tools), links
