"""What would mend a failed step: the file, sysctl, package or option to change."""

from __future__ import annotations

import errno
import os

from pycgroups._native.calls import lib
from pycgroups.errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.runtime.steps import Step

_NO_USERNS = (
    "user namespaces are blocked here, by a container around or by the host; `pycgroups doctor` names the setting, "
    'for example: sysctl kernel.apparmor_restrict_unprivileged_userns=0; or run without them: isolation="process"'
)
_SUBIDS = (
    "install uidmap, and give the account ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
)

_CALLS = {
    ("clone3", errno.EPERM): _NO_USERNS,
    ("clone3", errno.ENOSPC): "the limit of namespaces is reached: "
    "sysctl user.max_user_namespaces, user.max_net_namespaces",
    (
        "clone3",
        errno.EAGAIN,
    ): "the limit of processes is reached: ulimit -u, or pids.max of the caller's cgroup or of the container's",
    ("clone3", errno.EINVAL): "a kernel without one of the namespaces, or older than 5.7",
    ("clone3", errno.ENOSYS): "a seccomp filter around this process, or a kernel older than 5.3, has no clone3(2)",
    ("clone3", errno.EBUSY): "a cgroup with controllers takes no processes beside child groups",
    (
        "start of the program",
        errno.EAGAIN,
    ): "the limit of processes (pids, ulimit -u) counts the init, too; or set init=False",
    ("start of the program", errno.EXDEV): "by /proc the program's processes are found and killed, and in this mount "
    "namespace it does not show those of the pid namespace: join both of one process, or leave out the latter; for an "
    "exec with a timeout the container needs a cgroup",
    ("exec of the helper", errno.EACCES): "sysctl vm.memfd_noexec=0, or a security module forbids programs in memory",
    ("memfd_create", errno.EACCES): "sysctl vm.memfd_noexec=0",
    ("newuidmap", errno.ENOENT): _SUBIDS,
    ("newgidmap", errno.ENOENT): _SUBIDS,
    ("newuidmap", errno.EPERM): _SUBIDS,
    ("newgidmap", errno.EPERM): _SUBIDS,
    ("uid_map", errno.EPERM): _NO_USERNS,
    ("gid_map", errno.EPERM): _NO_USERNS,
    ("setgroups", errno.EACCES): _NO_USERNS,
    ("setgroups", errno.EPERM): _NO_USERNS,
}

_SYMLINK = "the image has a symlink on this path, where only a directory or file of its own is safe"
_LINKS = "links on this path lead in a circle, or one is a magic link of /proc, as /proc/self/cwd"
_OWN_PROC = (
    "a link on this path leads into /proc, where /proc/self is another for each process: name what is in /proc itself"
)
_UNMAPPED = "the container's root has no right here: the owner on the host is not in its id map (userns, idmap=True)"
_NO_IDMAP = "the file system or this user namespace does not allow idmapped mounts"

_STEPS = {
    (lib.OP_TREE, errno.ENOENT): "it does not exist on the host, or in an earlier mount that hides the place",
    (lib.OP_TREE, errno.EACCES): "the caller may not reach this path",
    (lib.OP_TREE, errno.EINVAL): "the file system does not know idmapped mounts (5.12 and newer, not all), "
    'or holds mounts that must stay hidden; try userns="host" or another directory',
    (lib.OP_TREE, errno.EPERM): _NO_IDMAP,
    (lib.OP_MAP, errno.EINVAL): "the file system does not know idmapped mounts (5.12 and newer, not all), or is the "
    "container's own and has its ids already",
    (lib.OP_MAP, errno.EPERM): _NO_IDMAP,
    (lib.OP_MOUNT, errno.ELOOP): _SYMLINK,
    (lib.OP_MOUNT, errno.EACCES): _UNMAPPED,
    (lib.OP_MOUNT, errno.ENOENT): "a symlink of the image on this path leads to nothing in it",
    (lib.OP_MOUNT, errno.EXDEV): "a symlink of the image leads into /proc, which nothing may cover",
    (lib.OP_MOUNT, errno.EROFS): "make the mount point in the rootfs, or allow writes (read_only=False)",
    (lib.OP_MOUNT, errno.ENOTDIR): "a part of the path is a file in the rootfs",
    (lib.OP_MKDIR, errno.EACCES): _UNMAPPED,
    (lib.OP_MASK, errno.ELOOP): _LINKS,
    (lib.OP_MASK, errno.EXDEV): _OWN_PROC,
    (lib.OP_READONLY, errno.ELOOP): _LINKS,
    (lib.OP_READONLY, errno.EXDEV): _OWN_PROC,
    (lib.OP_NULL, errno.ENODEV): "/dev/null of the rootfs is not the null device",
    (lib.OP_NULL, errno.ELOOP): _SYMLINK,
    (lib.OP_NULL, errno.ENOENT): "the rootfs has no /dev/null to mask paths with; mount a tmpfs at /dev",
    (lib.OP_FS, errno.EPERM): "a user namespace may mount this only where the caller sees a whole one; inside another "
    "container its masks on /proc and /sys are in the way: podman's --security-opt unmask=ALL takes them off",
    (
        lib.OP_FS,
        errno.EINVAL,
    ): "an option that this file system does not know; or overlays that are stacked more than two "
    "deep, in a container in a container: give the inner one a rootfs",
    (lib.OP_FS, errno.ENODEV): "the kernel does not have this file system",
    (
        lib.OP_HOSTNAME,
        errno.EPERM,
    ): "a seccomp filter around this process has no sethostname(2): inside another container"
    " allow it, as with podman's --security-opt seccomp=unconfined",
    (lib.OP_SYSCTL, errno.EACCES): "this sysctl is not the container's to set",
    (lib.OP_SYSCTL, errno.ENOENT): "no such sysctl in the container's namespaces",
    (lib.OP_SYSCTL, errno.EXDEV): "/proc of the container is not procfs",
    (
        lib.OP_SETNS,
        errno.EPERM,
    ): "joining takes CAP_SYS_ADMIN in the user namespace that it belongs to: an ordinary user "
    "has it where that is joined as well, namespaces={'user': ...}",
    (lib.OP_CONSOLE, errno.EACCES): "/dev/pts/ptmx of the mount namespace that was joined is not for this user",
    (lib.OP_CONSOLE, errno.ENOENT): "there is no /dev/pts/ptmx, which devpts has: mount it, or leave out the terminal",
    (
        lib.OP_FORK,
        errno.EAGAIN,
    ): "the limit of processes is reached: ulimit -u, or the container's pids, of which the start of one takes "
    "two for a moment",
    (lib.OP_FORK, errno.ENOMEM): "process 1 of the pid namespace that was joined has ended, and with it the namespace: "
    "pid_namespaces(7)",
    (
        lib.OP_SETNS,
        errno.EINVAL,
    ): "the file is a namespace of another kind, or none at all; or a user namespace, and the "
    "caller is in it already: leave it out then, or namespaces={'user': 'host'}",
    (
        lib.OP_READY,
        errno.EMFILE,
    ): "the container's own limit of descriptors leaves no room for its start: ulimits, nofile",
    (lib.OP_RLIMIT, errno.EPERM): "above the caller's hard limit, and raising that needs CAP_SYS_RESOURCE",
    (lib.OP_OOM_SCORE, errno.EACCES): "below the caller's own value, and lowering it needs CAP_SYS_RESOURCE",
    (lib.OP_IDS, errno.EINVAL): "the user is not in the container's id map: with one mapped id only 0 is",
    (
        lib.OP_CAPS,
        errno.EPERM,
    ): "the caller does not have all of these capabilities itself: CapEff in /proc/self/status",
    (lib.OP_GROUPS, errno.EINVAL): "a group is not in the container's id map",
    (lib.OP_CHDIR, errno.ENOENT): "the working directory (cwd) does not exist in the container",
    (lib.OP_CHDIR, errno.EACCES): "the user may not enter the working directory (cwd)",
    (lib.OP_CHDIR, errno.ENOTDIR): "the working directory (cwd) is a file",
    (lib.OP_CHDIR, errno.EXDEV): "the working directory (cwd) is outside of the container's root",
    (lib.OP_JOIN, errno.EAGAIN): "the limit of processes of the cgroup is reached",
    (lib.OP_EXEC, errno.ENOEXEC): "no format that the kernel knows: a script without #!, or another architecture",
    (lib.OP_EXEC, errno.EACCES): "no execute permission, a directory, a mount with noexec, "
    'or landlock rules without "rx" for it, or for its interpreter or loader',
    (lib.OP_EXEC, errno.E2BIG): "arguments and environment together are over the kernel's limit: execve(2)",
    (lib.OP_LABEL, errno.ENOENT): "no such AppArmor profile is loaded: apparmor_parser -r FILE",
    (lib.OP_LABEL, errno.EINVAL): "the security module does not know this label",
    (lib.OP_ALLOW_PATH, errno.ENOENT): "landlock names a path that is not there",
    (lib.OP_ALLOW_PATH, errno.ELOOP): "a magic link, such as /proc/self/fd/0, is no path that landlock can name",
    (
        lib.OP_ALLOW_PATH,
        errno.EXDEV,
    ): "a link leads out of a directory that another rule lets the program write to, where "
    "it could lead anywhere: name what it leads to",
    (lib.OP_ALLOW_PATH, errno.EACCES): "the program's user may not reach this path; leave it out of landlock",
    (lib.OP_RESTRICT, errno.E2BIG): "Landlock stacks 16 rulesets at most, and the caller is under that many",
    (lib.OP_SECCOMP, errno.EAGAIN): "a listener is sent by a second thread, and the limit of processes is reached",
    (lib.OP_SECCOMP, errno.EINVAL): "the kernel does not take this filter",
    (lib.OP_SECCOMP, errno.EBUSY): "a filter around this process has a listener, and the kernel allows one: seccomp(2)",
    (lib.OP_SECCOMP, errno.EACCES): "needs no_new_privileges or CAP_SYS_ADMIN",
}

_LOCKED = (
    "in a user namespace a mount of the host keeps what it forbids (ro, nosuid, nodev, noexec) and its access times: "
    "leave out of the options what would change those; mount_namespaces(7)"
)
_SYSFS = (
    "in a user namespace sysfs needs a network namespace of the container's own, and a whole /sys around it: bind the "
    "host's /sys instead, or unmask it where a container is around"
)
_IDMAP = 5
"""Which argument of `OP_TREE` has the user namespace that a tree is mapped by, or -1."""

_SEARCHED = {lib.OP_EXEC: 2, lib.OP_FIND: 0}
"""Which text of a step has the places where a program may be."""


def for_call(call: str, number: int) -> str | None:
    """Return what mends a failed call of the launch itself, if known."""
    return _CALLS.get((call, number))


def for_step(step: Step, number: int) -> str | None:
    """Return what mends a failed step of the plan, if known."""
    if step.op == lib.OP_FS and number == errno.EINVAL and (named := _ids(step)):
        return (
            f"an id that the container's user namespace does not map ({named}), or an option that this file system "
            "does not know"
        )
    if step.op == lib.OP_FS and number == errno.EPERM and step.texts[0] == b"sysfs":
        return _SYSFS
    if step.op == lib.OP_TREE and number == errno.EPERM and step.args[_IDMAP] < 0:
        return _LOCKED
    return _STEPS.get((lib.OP_EXEC if step.op == lib.OP_FIND else step.op, number))


def _ids(step: Step) -> str:
    """Return the options of a file system that name users and groups."""
    options = os.fsdecode(step.texts[1]).split("\0")
    return printable(" ".join(each for each in options if each.startswith(("uid=", "gid="))))


def for_missing(step: Step) -> str | None:
    """Return why the program of a plan was perhaps not found, if known."""
    program = step.path or ""
    if not program:
        return "the name of the program is empty"
    if " " in program:
        return "this is the name of one program, for there is no shell: give a list of words"
    if "/" in program:
        return None
    places = [os.fsdecode(place).rpartition("/")[0] for place in step.texts[_SEARCHED[step.op]].split(b"\0")]
    return f"PATH is {printable(':'.join(places))}" if any(places) else "there is no PATH to search"
