"""Podman with our runtime, and with files, cgroups and settings of its own: nothing of this machine's is touched.

``PYCGROUPS_TEST_RUNTIME=/usr/sbin/runc`` tells whether a test that fails does so with another runtime, too.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import leaks
from tests.tars import roots
from tests.waiting import wait_for
from tests.worlds import features

if TYPE_CHECKING:
    from typing import Self

RUNTIME = os.environ.get("PYCGROUPS_TEST_RUNTIME", f"{sysconfig.get_path('scripts')}/pycgroups-oci")
IMAGE = "localhost/busybox"
SUBIDS = "containers:800000000:1048576\n"
"What --userns=auto takes its ids of, where root asks; containers-storage.conf(5)."

SETTINGS = {
    "containers.conf": """
[containers]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
hooks_dir = ["{directory}/hooks"]
image_copy_tmp_dir = "{directory}"
runtime_supports_json = ["{runtime}"]
runtime_supports_nocgroups = ["{runtime}"]
static_dir = "{directory}/static"
tmp_dir = "{directory}/tmp"
volume_path = "{directory}/volumes"
[network]
network_config_dir = "{directory}/networks"
""",
    "hooks/note.json": """{{
"version": "1.0.0",
"when": {{"annotations": {{"^hooked$": "yes"}}}},
"stages": ["createRuntime", "poststart", "poststop"],
"hook": {{"path": "/bin/sh", "args": ["sh", "-c", "cat >>{directory}/hooked; echo >>{directory}/hooked"]}}
}}""",
    "storage.conf": """
[storage]
driver = "overlay"
graphroot = "{directory}/storage"
runroot = "{directory}/run"
rootless_storage_path = "{directory}/storage"
""",
    "registries.conf": "",
    # Found in no other place than below $HOME; containers-policy.json(5).
    ".config/containers/policy.json": '{{"default": [{{"type": "insecureAcceptAnything"}}]}}',
}


class Podman:
    """Call it with the words of a command: ``podman("run", "--rm", IMAGE, "true")``."""

    def __init__(self, *, network: bool = False) -> None:
        """Make the directory.

        Args:
            network: it has this machine's, for a registry on a loopback address; that of root has one of its own.
        """
        self.network = network
        # Below /dev/shm for speed, and with a short name: that of a socket in it has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix=f"{leaks.OWN}-", dir="/dev/shm"))
        self.directory.chmod(0o711)  # ids of user namespaces find their root file systems in it
        self.cgroup = str(_above_own_cgroup() / self.directory.name)
        self.env = {
            "HOME": str(self.directory),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TMPDIR": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory / "runtime"),
            "CONTAINERS_CONF": str(self.directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.directory / "registries.conf"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "yes",
        }

    def __enter__(self) -> Self:
        for name, text in SETTINGS.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(directory=self.directory, runtime=Path(RUNTIME).name))
        for name in ("runtime", "library"):
            (self.directory / name).mkdir(mode=0o700)
        (self.directory / "subids").write_text(SUBIDS)
        self.namespaces = _Namespaces(self.directory, network=self.network) if os.geteuid() == 0 else None
        return self

    def load(self, rootfs: Path) -> None:
        """Make the image of a root file system."""
        archive = self.directory / "rootfs.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(rootfs, ".", filter=roots)
        self("import", "--quiet", "--change", "ENV PATH=/bin", archive, IMAGE)

    def __exit__(self, *_: object) -> None:
        self("rm", "--all", "--force", "--time", "0")
        if self.namespaces:
            self.namespaces.close()
        # A container that ends has another podman clean up after it.
        wait_for(lambda: not self._processes())
        assert not list(self.directory.glob("runtime/pycgroups/oci/*"))
        if self.namespaces:
            shutil.rmtree(self.directory)
        else:
            _end(self.directory / "runtime/libpod/tmp/pause.pid")
            ids = [] if features.lack("subuid") else ["--map-auto"]
            subprocess.run(["unshare", "--map-root-user", *ids, "rm", "-rf", self.directory], check=True)
        for top in (features.CGROUP, *features.CGROUP.glob("*")):
            for group in (f"{self.cgroup}/conmon", self.cgroup):
                wait_for(functools.partial(_removed, Path(f"{top}{group}")))
        # Podman puts conmon into each hierarchy of v1 that it knows; those that are not mounted are mere directories.
        if not features.lack("cgroup_v1"):
            for top in features.CGROUP.iterdir():
                if not (top.is_mount() or top.is_symlink()):
                    shutil.rmtree(f"{top}{self.cgroup}", ignore_errors=True)
                    with contextlib.suppress(OSError):  # somebody else's podman is in it
                        top.rmdir()

    def _processes(self) -> list[str]:
        found = subprocess.run(
            ["pgrep", "-f", f"(podman|conmon).*{self.directory}"], stdout=subprocess.PIPE, check=False
        )
        return found.stdout.decode().split()

    def command(self, *words: object) -> list[str]:
        """The whole command line."""
        name, *rest = map(str, words)
        place = [f"--cgroup-parent={self.cgroup}"] if name in {"run", "create"} else []
        inside = self.namespaces.command if self.namespaces else []
        return [*inside, "podman", f"--runtime={RUNTIME}", name, *place, *rest]

    def attempt(self, *words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            self.command(*words), env=self.env, input=stdin, capture_output=True, text=True, check=False
        )

    def __call__(self, *words: object, status: int = 0) -> str:
        """Run a command, which ends with this status; what it prints."""
        done = self.attempt(*words)
        assert done.returncode == status, done
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman knows of a container."""
        found: list[dict[str, Any]] = json.loads(self("container", "inspect", name))
        return found[0]


class _Namespaces:
    """For the podman of root: subordinate ids, directories of its own where podman asks nobody, and a network."""

    def __init__(self, directory: Path, *, network: bool) -> None:
        places = {"subids": ("/etc/subuid", "/etc/subgid"), "runtime": ("/run",), "library": ("/var/lib",)}
        mounts = [f"mount --bind {directory}/{name} {place}" for name in places for place in places[name]]
        self._holder = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--propagation=slave",
                *([] if network else ["--net"]),
                "sh",
                "-c",
                " && ".join([*mounts, *([] if network else ["ip link set lo up"]), "echo", "read _"]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout
        assert self._holder.stdout.readline() == b"\n"
        own = f"/proc/{self._holder.pid}/ns"
        self.command = ["nsenter", f"--mount={own}/mnt", f"--net={own}/net", "--"]

    def close(self) -> None:
        self._holder.communicate()


def _above_own_cgroup() -> Path:
    """Where a group can be made, by an ordinary user if he has been given one."""
    if os.geteuid() == 0:
        return Path("/")
    return Path(Path("/proc/self/cgroup").read_text().splitlines()[-1].removeprefix("0::")).parent


def _end(pid_file: Path) -> None:
    """End the process that keeps the namespaces of an ordinary user's podman."""
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def _removed(group: Path) -> bool:
    """Remove a cgroup, in which a process may be that ends."""
    try:
        group.rmdir()
    except OSError as error:
        return error.errno != errno.EBUSY
    return True
