"""What this world can do, probed without pycgroups: the words of ``@pytest.mark.requires(...)``.

Each word is a function here that returns None when the world has the feature, else the reason why not.
"""

from __future__ import annotations

import ctypes
import functools
import getpass
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance import build

if TYPE_CHECKING:
    from collections.abc import Callable

CGROUP = Path("/sys/fs/cgroup")
IN_VM = os.environ.get("PYCGROUPS_TEST_WORLD", "").startswith("vm")


def root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


def rootless() -> str | None:
    return None if os.geteuid() != 0 else "needs an ordinary user"


def cgroup_v2() -> str | None:
    """Cgroup v2 alone, with all controllers."""
    return None if (CGROUP / "cgroup.controllers").exists() else "needs cgroup v2 alone"


def cgroup_v1() -> str | None:
    """Cgroup v1 controllers (a hybrid host counts)."""
    return None if (CGROUP / "memory/tasks").exists() and (CGROUP / "pids/tasks").exists() else "needs cgroup v1"


def own_cgroup() -> Path:
    """The directory on v2 that this process is in."""
    return CGROUP / Path("/proc/self/cgroup").read_text().splitlines()[-1].removeprefix("0::/")


def limits() -> str | None:
    """A memory and a pids limit can be set by this user."""
    if cgroup_v1() is None:
        writable = os.access(CGROUP / "memory", os.W_OK) and os.access(CGROUP / "pids", os.W_OK)
        return None if writable else "needs write access to the v1 memory and pids hierarchies"
    if os.geteuid() == 0:
        return None  # may make a group anywhere
    parent = own_cgroup()
    if not os.access(parent, os.W_OK):
        return "needs a delegated cgroup"
    offered = set((parent / "cgroup.controllers").read_text().split())
    return None if {"memory", "pids"} <= offered else "needs the memory and pids controllers delegated"


def no_limits() -> str | None:
    """No limit can be set by this user."""
    return None if limits() else "needs a user without cgroups to set limits in"


def sys_resource() -> str | None:
    """This user may raise hard limits: setrlimit(2)."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return None if effective >> 24 & 1 else "needs CAP_SYS_RESOURCE"


def psi() -> str | None:
    """Pressure is counted, in a v2 tree that this machine shows."""
    trees = (CGROUP, CGROUP / "unified")
    unified = any((tree / "cgroup.controllers").exists() for tree in trees)
    return None if unified and Path("/proc/pressure").exists() else "needs a cgroup v2 tree and psi=1"


def systemd() -> str | None:
    """Systemd is the init, and this is root."""
    return root() or (None if Path("/run/systemd/system").is_dir() else "needs systemd as init")


def session() -> str | None:
    """An ordinary user with a systemd of his own, in a cgroup that is root's."""
    bus = Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"), "bus")
    if rootless() or not (Path("/run/systemd/system").is_dir() and bus.exists()):
        return "needs an ordinary user with a session of systemd's"
    return None if limits() else "needs a cgroup of root's"


def userns() -> str | None:
    """A user namespace can be made."""
    pid = os.posix_spawn("/usr/bin/unshare", ["unshare", "--user", "true"], os.environ)
    return None if os.waitpid(pid, 0)[1] == 0 else "needs permission to make user namespaces"


def subuid() -> str | None:
    """Ranges of ids can be mapped: as root, or by newuidmap and /etc/subuid."""
    if os.geteuid() == 0:
        return None
    owners = [line.split(":")[0] for line in Path("/etc/subuid").read_text().splitlines()]
    if not shutil.which("newuidmap"):
        return "needs newuidmap"
    return None if {getpass.getuser(), str(os.getuid())} & set(owners) else "needs a range in /etc/subuid"


def no_subuid() -> str | None:
    """Only the caller's own id can be mapped."""
    return None if subuid() else "needs an account without a range in /etc/subuid"


def apparmor() -> str | None:
    """AppArmor is enabled in the kernel."""
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    except OSError:
        enabled = False
    return None if enabled else "needs AppArmor"


def host() -> str | None:
    """The real kernel at its real speed, not the emulated one."""
    return "needs the host itself" if IN_VM else None


def criu() -> str | None:
    """Criu is installed, and works with this kernel, for root."""
    if os.geteuid() != 0 or not shutil.which("criu"):
        return "needs root and the program criu"
    return None if _criu_check() else "needs a kernel that criu works with"


def dirty_pages() -> str | None:
    """Criu works, and the kernel tells which pages of memory were written to."""
    return criu() or (None if _criu_check("--feature", "mem_dirty_track") else "needs CONFIG_MEM_SOFT_DIRTY")


def lazy_pages() -> str | None:
    """Criu works, and can leave memory where it is until somebody fetches it."""
    why = criu() or (None if _criu_check("--feature", "uffd-noncoop") else "needs CONFIG_USERFAULTFD")
    return why or (sys_resource() and "needs CAP_SYS_RESOURCE, for large pipes")


def _criu_check(*options: str) -> bool:
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawnp("criu", ["criu", "check", *options], os.environ, file_actions=quiet)
    return os.waitpid(pid, 0)[1] == 0


def landlock() -> str | None:
    """The kernel has Landlock with scopes (ABI 6, Linux 6.12): landlock_create_ruleset(2)."""
    create_ruleset, ask_version = 444, 1
    version = ctypes.CDLL(None).syscall(create_ruleset, None, 0, ask_version)
    return None if version >= 6 else "needs Landlock of Linux 6.12"


def capabilities() -> str | None:
    """This process has all capabilities that the kernel knows."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    effective = next(int(words[1], 16) for words in lines if words[0] == "CapEff:")
    return None if effective == (2 << last) - 1 else "needs all capabilities"


def loop() -> str | None:
    """Root can make a file system in a file, and mount it: mkfs.ext4, losetup."""
    if root() or not shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return "needs root and mkfs.ext4"
    if "\text4\n" not in Path("/proc/filesystems").read_text():
        return "needs a kernel with ext4"
    try:
        os.close(os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"needs loop devices: {error}"
    return None


def conformance() -> str | None:
    """The validation programs of runtime-tools are built."""
    return build.missing()


def uninstrumented() -> str | None:
    """The package is built without sanitizers, whose library what is started in a clean environment does not have."""
    return None if os.environ.get("PYCGROUPS_TEST_WORLD") != "asan" else "needs the package without sanitizers"


def _program(name: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"needs the program {name}"


FEATURES: dict[str, Callable[[], str | None]] = {
    **{probe.__name__: probe for probe in (root, rootless, cgroup_v1, cgroup_v2, limits, no_limits)},
    **{probe.__name__: probe for probe in (sys_resource, psi, systemd, session, userns, subuid, no_subuid, host)},
    **{
        probe.__name__: probe
        for probe in (apparmor, capabilities, conformance, criu, dirty_pages, landlock, lazy_pages, loop)
    },
    uninstrumented.__name__: uninstrumented,
    **{
        name: _program(name)
        for name in (
            *("busybox", "bwrap", "clang", "containerd", "dbus-daemon", "docker-registry", "gcc", "gdb", "ip"),
            *("openssl", "podman", "script", "skopeo", "strace", "umoci", "unshare"),
        )
    },
}

PROMISES = {
    "host": ("root", "limits", "userns", "subuid"),
    "rootless": ("rootless", "userns", "subuid"),
    "rootless-single": ("rootless", "userns", "no_subuid"),
    "vm": ("root", "cgroup_v2", "limits", "userns", "landlock"),
    "vm-bare": ("rootless", "cgroup_v2", "no_limits", "userns", "subuid", "landlock"),
    "vm-systemd": ("root", "cgroup_v2", "limits", "systemd"),
    "vm-session": ("rootless", "cgroup_v2", "session", "userns", "subuid"),
    "vm-user": ("rootless", "cgroup_v2", "limits", "userns", "subuid", "landlock"),
}
"What a world must have: a world that lost it would skip its tests without anybody noticing."


@functools.cache
def lack(feature: str) -> str | None:
    """Tell why this world lacks the feature; None if it has it."""
    return FEATURES[feature]()
