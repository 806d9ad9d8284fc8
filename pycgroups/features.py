"""`doctor`: what works on this host for this account, what does not, why, and the command that mends it.

What can be tried is tried, in a container that does nothing; what cannot is read from the kernel's own files. Nothing
is changed, and nothing stays.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from pycgroups import kernel
from pycgroups.errors import Error, errno_text
from pycgroups.runtime import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from attrs import evolve, frozen

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.image_root import ImageRoot
    from pycgroups.containers.levels import Isolation
    from pycgroups.containers.mounts import Mount
else:
    from pycgroups.frozen import evolve, frozen

# mount_setattr(2) is the newest system call that every container needs.
OLDEST_KERNEL = (5, 12)

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_ACTIONS = frozenset({"kill_process", "errno", "allow"})
_LONGEST_WAIT = 5.0  # seconds, for a program that ends at once
_SETUID = 0o4000
# What later versions, or a user, may want beside; and the Debian package that has it.
_TOOLS = {"pasta": "passt", "slirp4netns": "slirp4netns", "fuse-overlayfs": "fuse-overlayfs", "criu": "criu"}


@frozen(kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        works: True, False, or None for what is not there and not needed, or could not be found out.
        detail: what was found.
        why: what is in the way.
        mend: the command or setting that would change it.
    """

    name: str
    works: bool | None
    detail: str = ""
    why: str = ""
    mend: str = ""


@frozen(kw_only=True)
class Doctor:
    """All checks, in the order in which they depend on each other.

    Attributes:
        checks: one each.
    """

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Nothing that was looked at fails."""
        return all(check.works is not False for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists and scalars."""
        return {"ok": self.ok, "checks": [vars(check).copy() for check in self.checks]}

    def __str__(self) -> str:
        """Write a plain table; below what does not work, why, and what mends it."""
        width = max(len(check.name) for check in self.checks)
        lines = []
        for check in self.checks:
            mark = {True: "yes", False: "NO", None: "-"}[check.works]
            lines.append(f"{mark:<5}{check.name:<{width}}  {check.detail}".rstrip())
            lines += [f"{'':<{width + 7}}{text}" for text in remarks(check)]
        return "\n".join(lines)


def remarks(check: Check) -> list[str]:
    """Say why it does not work, and what mends it, a line each."""
    return [f"{word}: {text}" for word, text in (("why", check.why), ("mend", check.mend)) if text]


def doctor() -> Doctor:
    """Look at this host, as the account that asks. Takes a tenth of a second.

    Never raises: what cannot be looked at is a check that tells so.
    """
    groups = (
        ("kernel", _kernel),
        ("namespaces", _namespaces),
        ("user namespaces", _user_namespaces),
        ("ids", _ids),
        ("containers", _containers),
        ("images", _images),
        ("without namespaces", _without_namespaces),
        ("cgroups", _cgroups),
        ("seccomp", _seccomp),
        ("idmapped mounts", _idmapped_mounts),
        ("disk limits", _disk_limits),
        ("security modules", _security_modules),
        ("landlock", _landlock),
        ("tools", _tools),
    )
    return Doctor(checks=tuple(check for name, look in groups for check in _safely(name, look)))


def _safely(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    checks: list[Check] = []
    try:
        for check in look():
            checks.append(check)  # noqa: PERF402 (keep what there is when a later one raises)
    except Exception as error:  # noqa: BLE001 (whatever a host has in store: the other checks go on)
        checks.append(Check(name=name, works=None, why=f"this check failed: {type(error).__name__}: {error}"))
    return checks


# -- the kernel --------------------------------------------------------------------------------------------------


def _kernel() -> Iterable[Check]:
    release = os.uname().release
    oldest = ".".join(map(str, OLDEST_KERNEL))
    if kernel.version(release) < OLDEST_KERNEL:
        why = f"containers need mount_setattr(2), which Linux has since {oldest}"
        yield Check(name="kernel", works=False, detail=release, why=why, mend="install a newer kernel, and reboot")
    else:
        yield Check(name="kernel", works=True, detail=f"{release} ({oldest} or newer is needed)")


def _namespaces() -> Iterable[Check]:
    missing = [kind for kind in _NAMESPACES if not os.path.exists(f"/proc/self/ns/{kind}")]
    there = ", ".join(kind for kind in _NAMESPACES if kind not in missing)
    if not missing:
        yield Check(name="namespaces", works=True, detail=there)
        return
    yield Check(
        name="namespaces",
        works=False,
        detail=there,
        why=f"the kernel was built without {', '.join(missing)}, or /proc is not mounted",
        mend="a kernel with CONFIG_NAMESPACES and all that is below it",
    )


def _seccomp() -> Iterable[Check]:
    actions = set(_read("/proc/sys/kernel/seccomp/actions_avail").split())
    if actions >= _ACTIONS:
        yield Check(name="seccomp", works=True, detail="filters")
    else:
        yield Check(
            name="seccomp",
            works=False,
            why="the kernel has no filters, or /proc/sys is hidden",
            mend="a kernel with CONFIG_SECCOMP_FILTER",
        )


def _security_modules() -> Iterable[Check]:
    listed = _read("/sys/kernel/security/lsm").strip()
    apparmor = _read("/sys/module/apparmor/parameters/enabled").strip() == "Y"
    found = {
        "AppArmor": apparmor or "apparmor" in listed.split(","),
        "SELinux": os.path.exists("/sys/fs/selinux/enforce"),
    }
    there = [name for name, present in found.items() if present]
    yield Check(name="security modules", works=True if there else None, detail=", ".join(there) or "none in use")


def _landlock() -> Iterable[Check]:
    from pycgroups.security import landlock

    version = landlock.abi()
    if version > 0:
        yield Check(name="landlock", works=True, detail=f"ABI {version}: {landlock.describe_version(version)}")
    else:
        error = landlock.absent(version)
        yield Check(name="landlock", works=None, why=error.message, mend=error.hint or "")


# -- ids ---------------------------------------------------------------------------------------------------------


def _user_namespaces() -> Iterable[Check]:
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.runtime import launch

    try:
        own = IdMap.single()
        os.close(launch.make_userns(own.uids, own.gids))
    except Error as error:
        why, mend = _what_blocks() or (f"{error.operation}: {errno_text(error.errno)}", "")
        yield Check(name="user namespaces", works=False, why=why, mend=mend)
        return
    if os.geteuid() != 0 and _read(f"/proc/sys/{_APPARMOR_RESTRICTS}").strip() == "1":
        why, mend = _BLOCKS[_APPARMOR_RESTRICTS, "1"]
        yield Check(name="user namespaces", works=None, detail="can be made", why=why, mend=mend)
        return
    yield Check(name="user namespaces", works=True, detail="can be made")


_APPARMOR_RESTRICTS = "kernel/apparmor_restrict_unprivileged_userns"
# What may stand in a sysctl's file, why that is in the way, and what mends it.
_BLOCKS = {
    ("kernel/unprivileged_userns_clone", "0"): (
        "sysctl kernel.unprivileged_userns_clone is 0",
        "as root: sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    ("user/max_user_namespaces", "0"): (
        "sysctl user.max_user_namespaces is 0",
        "as root: sysctl -w user.max_user_namespaces=10000",
    ),
    (_APPARMOR_RESTRICTS, "1"): (
        "AppArmor takes all rights from user namespaces of programs without a profile that has `userns,`",
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


def _what_blocks() -> tuple[str, str] | None:
    for (sysctl, value), answer in _BLOCKS.items():
        if _read(f"/proc/sys/{sysctl}").strip() == value:
            return answer
    if not _read("/proc/self/uid_map"):
        return "the user namespace around this process has no map of ids", "unshare --map-root-user, for one"
    if "Seccomp:\t2" in _read("/proc/self/status"):
        return (
            "a seccomp filter around this process forbids it: docker's, for one",
            "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined",
        )
    return None


def _ids() -> Iterable[Check]:
    from pycgroups.namespaces.caller import caller

    who = caller()
    if who.uid == 0:
        detail = "those of the user namespace around" if who.nested else "65536 of its own for each container"
        yield Check(name="ids", works=True, detail=detail)
        return
    user = _account(who.uid)
    if who.subuids:
        counts = [sum(count for _, count in ranges) for ranges in (who.subuids, who.subgids)]
        yield Check(name="ids", works=True, detail=f"{counts[0]} users and {counts[1]} groups for {user}")
    else:
        yield Check(
            name="ids",
            works=None,
            detail="one user inside, no others",
            why=f"{user} has no subordinate ids: subuid(5), subgid(5)",
            mend=f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        )
    missing = [tool for tool in ("newuidmap", "newgidmap") if not _has_rights(tool)]
    yield Check(
        name="newuidmap",
        works=not missing if who.subuids else (None if missing else True),
        detail="" if missing else "and newgidmap",
        why=f"not installed, or without the right to map ids: {', '.join(missing)}" if missing else "",
        mend="as root: apt-get install --reinstall uidmap" if missing else "",
    )


def _account(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _has_rights(tool: str) -> bool:
    """Tell whether a program may do more than its caller: it is setuid, or has file capabilities; capabilities(7)."""
    path = tools.find(tool)
    if path is None:
        return False
    return bool(os.stat(path).st_mode & _SETUID) or "security.capability" in os.listxattr(path)


# -- containers --------------------------------------------------------------------------------------------------


def _containers() -> Iterable[Check]:
    """The embedded default: the host's root below an overlay."""
    error = _try()
    if error is None:
        yield Check(name="containers", works=True, detail="a program ran in one")
        yield Check(name="overlay", works=True, detail="the host's root, with a throw-away top")
        return
    failed = _failed("containers", error)
    yield failed
    if error.operation == "fs" and error.path == "overlay":
        why = "the kernel has no overlay file system, or none for user namespaces (since 5.11)"
        yield Check(name="overlay", works=False, detail=failed.detail, why=why, mend="as root: modprobe overlay")
    else:
        yield Check(name="overlay", works=None, why="a container fails before it comes to that")


def _images() -> Iterable[Check]:
    """How the layers of an image become one root, on the file system that the store is on, or would be."""
    from pycgroups.images import snapshots

    way = snapshots.asked()
    if way == "copy":
        detail = f"copied for each container, as ${snapshots.VARIABLE} says"
        yield Check(name="images", works=True, detail=detail)
        return
    place = _store_place()
    error = _try(layers=place)
    if error is None:
        yield Check(name="images", works=True, detail=f"layers below {place} are joined by overlayfs")
        return
    if not snapshots.is_refused(error):
        yield evolve(_failed("images", error), works=None)
        return
    why = f"overlayfs is not to be had for {place}: {errno_text(error.errno)}"
    mend = _overlay_mend(error.errno, place)
    if way is None:
        yield Check(name="images", works=None, detail="copied for each container", why=why, mend=mend)
    else:
        mend = f"{mend}; or ${snapshots.VARIABLE} without {way!r}, so that they are copied"
        yield Check(name="images", works=False, why=why, mend=mend)


def _overlay_mend(number: int | None, place: str) -> str:
    if number == errno.ENODEV:
        return "as root: modprobe overlay"
    if kernel.running() < kernel.IDMAPS_LAYERS and os.geteuid() == 0:
        return 'Linux 5.19 or newer, whose overlays take idmapped mounts; or userns="host"'
    return f"$PYCGROUPS_STORE on ext4, xfs, btrfs or tmpfs, not on {place}"


def _store_place() -> str:
    """Return the directory of the default store's layers, or as much of the way to it as there is."""
    from pycgroups.images.store import default_root

    place = f"{default_root()}/layers"
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return place


def _without_namespaces() -> Iterable[Check]:
    error = _try(isolation="process")
    if error is None:
        yield Check(name="without namespaces", works=True, detail='a program ran with isolation="process"')
    else:
        yield evolve(_failed("without namespaces", error), works=None)


def _idmapped_mounts() -> Iterable[Check]:
    from pycgroups.containers.mounts import Mount
    from pycgroups.namespaces.caller import caller

    if not caller().privileged:
        yield Check(name="idmapped mounts", works=None, detail="are root's to make")
        return
    error = _try(mounts=[Mount.bind("/", "/mnt", idmap=True, recursive=False)])
    if error is None:
        yield Check(name="idmapped mounts", works=True, detail="of the file system at /")
        return
    yield evolve(
        _failed("idmapped mounts", error),
        works=None,
        mend='keep root file systems where they work (ext4, xfs, btrfs, tmpfs), or run with userns="host"',
    )


def _disk_limits() -> Iterable[Check]:
    """Where what a container writes is, that is held and has the option ``disk``."""
    from pycgroups.namespaces.caller import caller

    if not caller().privileged:
        yield Check(name="disk limits", works=None, detail="in memory, gone at a stop; on disk they are root's to have")
        return
    from pycgroups.runtime import loops

    try:
        loops.try_it(_store_place())
    except Error as error:
        failed = _failed("disk limits", error)
        yield evolve(failed, works=None, detail="in memory, gone at a stop", why=f"{failed.detail}: {failed.why}")
    else:
        yield Check(name="disk limits", works=True, detail="on disk: ext4 in a file, by a loop device")


def _cgroups() -> Iterable[Check]:
    from pycgroups import cgroups

    info = cgroups.info()
    layout = {"v1": "v1", "v2": "v2", "hybrid": "v1 and v2", "none": "none"}[info.hierarchy]
    own = "delegated" if info.delegated else ""
    own = "in a cgroup that it would move to" if info.by_moving else own
    usable = ", ".join(info.usable) or "no controller"
    detail = ", ".join(filter(None, (layout, f"{usable} usable", own)))
    missing = sorted({"cpu", "cpuset", "memory", "pids"} - set(info.usable))
    yield Check(
        name="cgroups",
        works=not missing,
        detail=detail,
        why=f"this process cannot use {', '.join(missing)}" if missing else "",
        mend=info.hint or "",
    )
    words: dict[str, Any] = {"memory": {"memory": "256M"}, "pids": {"pids": 64}, "cpu": {"cpus": 0.5}}
    here = set(info.usable) - set(info.by_moving)
    tried = {word: value for name in sorted(here) for word, value in words.get(name, {}).items()}
    if info.by_moving and not tried:
        yield Check(name="limits", works=None, detail="not tried, since the first one moves this process")
        return
    if not tried:
        yield Check(name="limits", works=False, detail="only timeout, disk and ulimits", why="see cgroups")
        return
    error = _try(**tried)
    if error is None:
        yield Check(name="limits", works=True, detail=f"{', '.join(tried)} were in force")
    else:
        yield _failed("limits", error)


def _try(
    *,
    isolation: Isolation = "container",
    memory: str | None = None,
    pids: int | None = None,
    cpus: float | None = None,
    mounts: Iterable[Mount] = (),
    layers: str | None = None,
) -> Error | None:
    """Run a program that does nothing; what failed, or None.

    Args:
        isolation: an option of the container, as are the others.
        memory: likewise.
        pids: likewise.
        cpus: likewise.
        mounts: likewise.
        layers: a directory to take for the only layer of an image.
    """
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.job import Job
    from pycgroups.containers.streams import DEVNULL, Streams
    from pycgroups.errors import CommandNotFound

    config = ContainerConfig(
        command=("true",),
        isolation=isolation,
        timeout=_LONGEST_WAIT,
        memory=memory,
        pids=pids,
        cpus=cpus,
        mounts=tuple(mounts),
        image=None if layers is None else "localhost/layers",  # not looked for: it is handed over
    )
    streams = Streams(stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, data=None)
    job = Job(config, streams, image=None if layers is None else _image(config, layers))
    try:
        job.start()
        job.wait()
    except CommandNotFound:  # all the set-up was done by then
        return None
    except Error as error:
        return error
    finally:
        job.close()
    return None


def _image(config: ContainerConfig, directory: str) -> ImageRoot:
    from pycgroups.containers.image_root import ImageRoot
    from pycgroups.images.collection import Root
    from pycgroups.oci.image_spec import ImageDefaults

    return ImageRoot(config, Root(directory, (".",), 0o755, ImageDefaults()))


def _failed(name: str, error: Error) -> Check:
    where = f"{error.operation} {error.path or ''}".strip()
    reason = ", ".join(filter(None, (error.message, errno_text(error.errno))))
    hint = error.hint or ""
    mend = "see user namespaces" if "pycgroups doctor" in hint else hint  # which names us
    return Check(name=name, works=False, detail=where, why=reason, mend=mend)


# -- programs ----------------------------------------------------------------------------------------------------


def _tools() -> Iterable[Check]:
    there = [tool for tool in _TOOLS if tools.find(tool)]
    missing = [tool for tool in _TOOLS if tool not in there]
    yield Check(
        name="tools",
        works=None if missing else True,
        detail=", ".join(there),
        why=f"not installed, and not needed yet: {', '.join(missing)}" if missing else "",
        mend=f"as root: apt-get install {' '.join(_TOOLS[tool] for tool in missing)}" if missing else "",
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
