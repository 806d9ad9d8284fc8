"""A containerd of the tests' own, which has our runtime: nothing of this machine's is touched.

It is process 1 of a pid namespace, with a mount and a network namespace and a /run of its own, so that all that it
starts, mounts and listens on is gone with it. What is in files is in one directory.

``PYCGROUPS_TEST_RUNTIME=/usr/sbin/runc`` tells whether a test that fails does so with another runtime, too.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.tars import roots
from tests.waiting import PATIENCE, wait_for
from tests.worlds import features

if TYPE_CHECKING:
    from typing import Self

RUNTIME = os.environ.get("PYCGROUPS_TEST_RUNTIME", f"{sysconfig.get_path('scripts')}/pycgroups-oci")
WITH_OURS = ("--runtime", "io.containerd.runc.v2", "--runc-binary", RUNTIME)
KUBERNETES = "k8s.io"
"The containerd namespace of its CRI."
IMAGE = "pycgroups.test/busybox:latest"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

CONFIG = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
address = "{directory}/socket"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{directory}/cni"
conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runtime}"
"""
NETWORK = """
{"cniVersion": "0.4.0", "name": "none", "plugins": [{"type": "none"}]}
"""
PLUGIN = """#!/bin/sh
# A network of the Container Network Interface that gives a pod an address, and no more.
echo '{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "'$CNI_NETNS'"}],
  "ips": [{"version": "4", "address": "10.0.0.2/24", "interface": 0}]}'
"""


class Containerd:
    """Start it, with an image, and call it by ``ctr``: ``containerd("run", "--rm", IMAGE, "name", "true")``."""

    def __init__(self, rootfs: Path) -> None:
        # Below /dev/shm for speed, and with a short name: that of a socket in it has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="pycgroups-containerd-", dir="/dev/shm"))
        self.namespace = self.directory.name.replace("_", "0")  # two signs in a row, or one at the end, are no name
        self.cgroup = f"/{self.namespace}"
        self.socket = self.directory / "socket"
        self._rootfs = rootfs

    def __enter__(self) -> Self:
        config = self.directory / "config.toml"
        config.write_text(CONFIG.format(directory=self.directory, image=IMAGE, runtime=RUNTIME))
        (self.directory / "cni").mkdir()
        (self.directory / "cni/none.conflist").write_text(NETWORK)
        for name in ("none", "loopback"):
            (self.directory / "cni" / name).write_text(PLUGIN)
            (self.directory / "cni" / name).chmod(0o755)
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation=private", "--pid", "--net", "--fork", "--kill-child"),
                    # The shell stays: somebody has to reap what others leave.
                    *("--mount-proc", "sh", "-c", f"mount -t tmpfs run /run && containerd --config {config} & wait"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self._is_up)
            self._load()
        except BaseException:
            print(self.log)
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory)
        for parent in self._cgroups():
            wait_for(functools.partial(_is_removed, parent))

    @property
    def log(self) -> str:
        """What it said."""
        return (self.directory / "log").read_text()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log
        return "successfully booted" in self.log

    def _load(self) -> None:
        archive = self.directory / "image.tar"
        _write_image(archive, self._rootfs)
        for namespace in (self.namespace, KUBERNETES):
            self("image", "import", archive, namespace=namespace)

    @property
    def pid(self) -> int:
        """The first process of its pid namespace."""
        return int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text())

    @property
    def view(self) -> Path:
        """The file system as it sees it, with its own /proc."""
        return Path(f"/proc/{self.pid}/root")

    def holdings(self) -> frozenset[str]:
        """What its containers could leave behind: processes, mounts, network namespaces and cgroups."""
        return frozenset(
            [
                *(f"process {pid.name}" for pid in (self.view / "proc").glob("[0-9]*")),
                *(f"mount {line}" for line in (self.view / "proc/1/mountinfo").read_text().splitlines()),
                *(f"network {path.name}" for path in (self.view / "run").glob("netns/*")),
                *(f"cgroup {path}" for parent in self._cgroups() for path in parent.glob("*/")),
            ]
        )

    def inside(self, *words: object) -> list[str]:
        """The command line that runs a command where it is."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--", *map(str, words)]

    def command(self, *words: object, namespace: str = "") -> list[str]:
        """The command line that calls it."""
        return self.inside("ctr", f"--address={self.socket}", f"--namespace={namespace or self.namespace}", *words)

    def attempt(self, *words: object, namespace: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = self.command(*words, namespace=namespace)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def __call__(self, *words: object, namespace: str = "", stdin: str = "", status: int = 0) -> str:
        """Run a command, which ends with this status; what it prints."""
        done = self.attempt(*words, namespace=namespace, stdin=stdin)
        assert done.returncode == status, (done, self.log)
        return done.stdout

    def run(self, *words: object, stdin: str = "", status: int = 0) -> str:
        """Run a container with our runtime."""
        return self("run", *WITH_OURS, *words, stdin=stdin, status=status)

    def _cgroups(self) -> list[Path]:
        """The common parents of its containers' cgroups, which a runtime leaves alone."""
        tops = (features.CGROUP, *features.CGROUP.glob("*"))
        return [path for top in tops if (path := top / self.namespace).is_dir()]


def _is_removed(cgroup: Path) -> bool:
    """Remove a cgroup and those below it, unless a process in one is not quite dead."""
    try:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(directory)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _write_image(archive: Path, rootfs: Path) -> None:
    """Make an image of a root file system, as ``docker save`` does."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(rootfs, ".", filter=roots)
    config = {
        "architecture": ARCHITECTURES[os.uname().machine],
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "1000000"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        for name, content in (
            ("layer.tar", layer.getvalue()),
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
