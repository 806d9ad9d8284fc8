"""What makes limits possible where they are not: the commands to type."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from pycgroups.cgroups import detect, session
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v2.manager import writable

if TYPE_CHECKING:
    from pycgroups.cgroups.detect import Hierarchy

_OF_V1 = frozenset({"net_cls", "net_prio"})
# Delegate= knows no more: systemd.resource-control(5)
_OF_SYSTEMD = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
_DROP_IN = "/etc/systemd/system/user@.service.d/delegate.conf"

_DEVICES = (
    "device rules are for root of the host (CAP_SYS_ADMIN outside of any user namespace), with bpf(2) allowed on"
    " cgroup v2; others can neither make device nodes nor open those that file permissions keep from them"
)


def for_missing(missing: frozenset[str], found: tuple[Hierarchy, ...]) -> str:
    """Tell how to make the missing controllers usable by this process."""
    if "devices" in missing:
        return _DEVICES
    legacy = [hierarchy for hierarchy in found if hierarchy.version == detect.V1 and hierarchy.controllers & missing]
    if legacy:
        return _on_v1(legacy)
    if not found:
        return "this process sees no cgroups; as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    absent = missing.difference(*(hierarchy.controllers for hierarchy in found))
    if absent & _OF_V1:
        return f"{_names(absent & _OF_V1)}: of cgroup v1 alone, and not mounted here"
    if absent:
        return f"the kernel, or a container around, does not offer {_names(absent)}: see /proc/cgroups"
    return _on_v2(next(hierarchy for hierarchy in found if hierarchy.version == detect.V2), missing)


def _on_v1(hierarchies: list[Hierarchy]) -> str:
    if any(hierarchy.read_only for hierarchy in hierarchies):
        return _remount(hierarchies[0])
    paths = [shlex.quote(f"{hierarchy.own}/pycgroups") for hierarchy in hierarchies]
    command = f"as root: install -d -o {os.geteuid()} {' '.join(paths)}"
    for path, hierarchy in zip(paths, hierarchies, strict=True):
        if "cpuset" in hierarchy.controllers:
            command += f" && chown {os.geteuid()} {path}/cpuset.cpus {path}/cpuset.mems"
    return command


def _on_v2(unified: Hierarchy, missing: frozenset[str]) -> str:
    if unified.read_only:
        return _remount(unified)
    if os.geteuid() == 0:
        return _move_processes_down(unified.mount)
    if writable(unified.own) and missing & set(read_path(f"{unified.own}/cgroup.controllers").split()):
        return _move_processes_down(unified.own)
    if not detect.systemd_runs() or missing - _OF_SYSTEMD:
        return _delegate_by_hand(unified.mount, missing)
    if "/user@" not in unified.own:
        offered = session.controllers((unified,))
        if not offered or offered & missing:
            return _ask_the_session()
    return (
        f"{_names(missing)} is not delegated to users; as root: mkdir -p {os.path.dirname(_DROP_IN)} &&"
        f" printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > {_DROP_IN} && systemctl daemon-reload;"
        " then log in again"
    )


def _ask_the_session() -> str:
    """The user's own systemd could hand them to this process; why it does not."""
    if not session.has_bus():
        uid = os.geteuid()
        return f"as root: loginctl enable-linger {uid}; then export XDG_RUNTIME_DIR=/run/user/{uid}"
    return (
        "pip install 'pycgroups[systemd]', to have the user's systemd asked for a cgroup; or run the program in one:"
        " systemd-run --user --scope --property=Delegate=yes COMMAND"
    )


def _move_processes_down(top: str) -> str:
    """What has processes cannot hand controllers down; the top of a container is no real root, which could."""
    top = shlex.quote(top)
    return f'mkdir {top}/init && for p in $(cat {top}/cgroup.procs); do echo "$p" > {top}/init/cgroup.procs; done'


def _delegate_by_hand(top: str, missing: frozenset[str]) -> str:
    """Without systemd's help: a cgroup of the user's own, and this process in a leaf of it."""
    group = shlex.quote(f"{top}/user-{os.geteuid()}")
    enable = " ".join(f"+{name}" for name in sorted(missing))
    return (
        f"as root: mkdir -p {group}/self && echo {enable} > {shlex.quote(top)}/cgroup.subtree_control &&"
        f" chown {os.geteuid()} {group} {group}/cgroup.procs {group}/cgroup.subtree_control &&"
        f" echo {os.getpid()} > {group}/self/cgroup.procs"
    )


def _remount(hierarchy: Hierarchy) -> str:
    return f"cgroups are mounted read-only; as root: mount -o remount,rw {shlex.quote(hierarchy.mount)}"


def _names(controllers: frozenset[str]) -> str:
    return ", ".join(sorted(controllers))
