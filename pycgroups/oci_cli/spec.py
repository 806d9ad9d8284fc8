"""``spec``: a config.json to begin with, which is runc's."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag
from pycgroups.errors import AlreadyExists, NotFound
from pycgroups.oci_cli.command import BUNDLE, Command
from pycgroups.oci_cli.indented import indented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Given

FLAGS = (BUNDLE, Flag("--rootless", "for an ordinary user"))

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = (
    "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats "
    "/proc/sched_debug /proc/scsi /sys/firmware"
)
_READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"


def run(given: Given) -> int:
    """Write it; a file that is there stays."""
    path = os.path.join(given.flags.get("bundle", ""), "config.json")
    text = indented(document(rootless=bool(given.flags.get("rootless"))), "\t")
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(text)
    except FileExistsError as error:
        raise AlreadyExists(operation="write", path=path, errno=error.errno, hint="remove it first") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "make the directory first"
        raise NotFound(operation="write", path=path, errno=error.errno, hint=hint) from None
    return 0


def document(*, rootless: bool) -> dict[str, Any]:
    """Return a shell on a terminal in the directory rootfs."""
    return {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pycgroups",
        "mounts": _mounts(rootless=rootless),
        "linux": _linux(rootless=rootless),
    }


def _mounts(*, rootless: bool) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    # gid 5, tty, is none of the ids that an ordinary user maps.
    devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *([] if rootless else ["gid=5"])]
    # Without a network namespace of its own an ordinary user cannot mount sysfs; user_namespaces(7).
    sysfs = ("none", "/sys", ["rbind", *safe, "ro"]) if rootless else ("sysfs", "sysfs", [*safe, "ro"])
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts", devpts),
        _mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", "size=65536k"]),  # noqa: S108 (in the container)
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
        _mount("/sys", *sysfs),
        # With all of /sys come the cgroups, and they can be written: what is "ro" is /sys alone.
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*safe, "relatime", "ro"]),
    ]


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _linux(*, rootless: bool) -> dict[str, Any]:
    names = ["pid", "ipc", "uts", "mount", *(["user"] if rootless else ["network"])]
    if _unified():
        names.append("cgroup")
    linux: dict[str, Any] = {"namespaces": [{"type": name} for name in names]}
    if rootless:
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return {**linux, "maskedPaths": _MASKED.split(), "readonlyPaths": _READONLY.split()}


def _unified() -> bool:
    """Tell whether cgroup v2 is all there is: a namespace of v1 shows what it should hide (runc)."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


COMMAND = Command(
    run,
    "[FLAGS]",
    "Write a config.json: a shell on a terminal, in the root file system rootfs beside it.",
    FLAGS,
    least=0,
    most=0,
)
