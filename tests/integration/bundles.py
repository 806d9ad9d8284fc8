"""Bundles for the OCI runtime: a config.json, as data that a test changes."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import uuid
from pathlib import Path
from typing import Any

from pycgroups import runtime
from pycgroups.errors import NotFound, StateError
from tests import leaks
from tests.worlds import features

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_NET_RAW"]
QUIET = ["nosuid", "noexec", "nodev"]
CONFIG: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {
        "args": ["sh"],
        "cwd": "/",
        "env": ["PATH=/bin", "HOME=/root"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
    "hostname": "inside",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": QUIET},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*QUIET, "mode=1777", "size=1m"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*QUIET, "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
    },
}


class Bundle:
    """A bundle directory, its config.json as `config`, and the root that its containers' state is in."""

    def __init__(self, directory: Path, rootfs: Path, state: Path) -> None:
        self.path = directory
        self.state = state
        self.created: list[runtime.Container] = []
        self.config = copy.deepcopy(CONFIG)
        self.config["root"]["path"] = str(rootfs)
        self.config["linux"]["cgroupsPath"] = self.cgroup = f"/{leaks.OWN}-{uuid.uuid4().hex[:12]}/container"
        if os.geteuid() != 0:
            self.make_rootless()

    def make_rootless(self) -> None:
        """Change it to what `runc spec --rootless` writes."""
        linux = self.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
        if features.lack("limits"):
            del linux["cgroupsPath"]
        else:  # beside this process's own, and not below the root, which is root's
            linux["cgroupsPath"] = self.cgroup = self.cgroup.removeprefix("/")

    def map_ids(self, first: int, size: int = 2000) -> None:
        """Give it a user namespace, with so many ids of the host, from one on."""
        linux = self.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": first, "size": size}]

    def write(self) -> Path:
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self.path

    def run(self, *args: str) -> None:
        """Say what is to be run."""
        self.config["process"]["args"] = [*args]

    def shell(self, script: str) -> None:
        """Say it as a line for the shell."""
        self.run("sh", "-c", script)

    def create(self, id_: str | None = None, **options: Any) -> runtime.Container:
        self.created.append(runtime.create(self.write(), id_, root=self.state, **options))
        return self.created[-1]

    def clean_up(self) -> None:
        """Remove all containers, and what is left above their cgroups: a runtime leaves that alone."""
        for container in (*self.created, *runtime.containers(root=self.state)):
            with contextlib.suppress(NotFound):
                container.delete(force=True)
            with contextlib.suppress(StateError):
                container.wait()
            container.let_go()
        self.created = []
        parent = Path(self.cgroup).parent.name
        for top in (features.CGROUP, *features.CGROUP.glob("*"), features.own_cgroup(), features.own_cgroup().parent):
            if (top / parent).is_dir():
                (top / parent).rmdir()

    def process(self, *args: str, **changes: Any) -> Any:
        """The process of an exec."""
        from pycgroups.oci.reading import part_of
        from pycgroups.oci.runtime_spec import Process

        return part_of(Process, {**self.config["process"], "args": [*args], **changes}, "process")


def output(bundle: Bundle, script: str, **options: Any) -> str:
    """Run a script in a container, and return what it prints."""
    read, write = os.pipe()
    try:
        with open("/dev/null", "rb") as null:
            bundle.shell(script)
            container = bundle.create(stdio=(null.fileno(), write, write), **options)
        os.close(write)
        write = -1
        container.start()
        with open(read, closefd=False) as file:
            text = file.read()
        status = container.wait()
        container.delete()
        assert status == 0, text
        return text
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


def executed(container: runtime.Container, process: Any, **options: Any) -> str:
    """Run a process in a container, and return what it prints."""
    read, write = os.pipe()
    with open(read) as file:
        try:
            with open("/dev/null", "rb") as null:
                running = container.exec(process, stdio=(null.fileno(), write, write), **options)
        finally:
            os.close(write)
        text = file.read()
    assert running.wait() == 0, text
    return text
