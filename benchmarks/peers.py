"""Other programs that start /bin/true in a container, each as it comes, where they are installed.

They get every chance: commands are started by posix_spawn (no Python in between), runc and crun without the seccomp
filter and the limits that pycgroups has on, podman without network, cgroups, logs and events.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.rootfs import busybox
from benchmarks.timing import Contender, each

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNIFIED = Path("/sys/fs/cgroup/unified")
CLONE_NEWNS = 0x00020000
SUBREAPER = 36
PODMAN_RUN = ("--network", "none", "--cgroups", "disabled", "--log-driver", "none", "--rootfs")
"""What is not asked for is off, cgroups too: podman leaves empty ones behind."""


@contextmanager
def contenders(rootfs: Path) -> Iterator[list[Contender]]:
    """All peers."""
    with (
        TemporaryDirectory(prefix="pycgroups-bench-") as directory,
        ThreadPoolExecutor(1, initializer=own_mounts) as pool,
    ):
        work = Path(directory)

        def command(name: str, arguments: Sequence[str | Path], note: str = "") -> Contender:
            argv = [os.fspath(argument) for argument in arguments]
            batch = each(lambda: spawn(argv, work / f"{name}.stderr"))
            return Contender(name=name, kind="peer", note=note, batch=lambda n: pool.submit(batch, n).result())

        yield [
            command("bubblewrap", bubblewrap(rootfs), "no seccomp, no limits"),
            command("crun", oci_runtime("crun", rootfs, work), "no seccomp"),
            command("runc", oci_runtime("runc", rootfs, work), "no seccomp"),
            command("podman", podman(rootfs, work), "no network, no cgroups"),
            command("systemd-nspawn", nspawn(rootfs)),
            Contender(name="BenchExec", kind="peer", batch=benchexec, note="in process; the host's root; no limits"),
            Contender(name="subprocess.run", kind="peer", batch=each(plain), note="no isolation"),
        ]


def own_mounts() -> None:
    """Give this thread, and what it starts, mounts of its own, which go with it.

    podman leaves mounts behind. And crun refuses a host whose memory controller is in cgroup v1 while another one is in
    v2, so there the v2 hierarchy is taken out of its sight. An ordinary user may not do this, and does without.
    """
    if os.geteuid():
        return
    private_mounts()
    if UNIFIED.is_mount():
        subprocess.run(["umount", UNIFIED], check=True)


def private_mounts() -> None:
    """Give this thread, and what it starts, mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare(CLONE_NEWNS)")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def adopting() -> Iterator[None]:
    """Be the parent of what descendants leave behind, for a time, and reap it: PR_SET_CHILD_SUBREAPER(2const)."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SUBREAPER, 0, 0, 0, 0)


def spawn(argv: list[str], errors: Path) -> None:
    """Start a command and reap it."""
    program = shutil.which(argv[0])
    if program is None:
        raise FileNotFoundError(f"{argv[0]} isn't installed")
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.fspath(errors), write, 0o600),
    ]
    _, status = os.waitpid(os.posix_spawn(program, argv, os.environ, file_actions=actions), 0)
    if status:
        raise RuntimeError(errors.read_text(errors="replace") or f"wait status {status:#x}")


def plain() -> None:
    """Start busybox's true without anything."""
    subprocess.run([busybox(), "true"], check=True)


def bubblewrap(rootfs: Path) -> Sequence[str | Path]:
    """The same six namespaces."""
    files: list[str | Path] = ["--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev"]
    return ["bwrap", *files, *(f"--unshare-{kind}" for kind in ("pid", "ipc", "uts", "net", "cgroup")), "/bin/true"]


def oci_runtime(name: str, rootfs: Path, work: Path) -> Sequence[str | Path]:
    """Run a bundle."""
    bundle = work / name
    if shutil.which(name):
        make_bundle(name, rootfs, bundle, ["/bin/true"])
    # One name for all: each is gone when the next one starts.
    return [name, "--root", work / f"{name}-state", "run", "--bundle", bundle, f"pycgroups-bench-{os.getpid()}"]


def make_bundle(program: str | Path, rootfs: Path, bundle: Path, command: Sequence[str]) -> None:
    """Make a bundle, with the config.json that the program's command ``spec`` writes."""
    bundle.mkdir()
    subprocess.run([program, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": [*command]}
    config["root"]["path"] = os.fspath(rootfs)
    (bundle / "config.json").write_text(json.dumps(config))


def podman(rootfs: Path, work: Path) -> Sequence[str | Path]:
    """One that is removed in the end."""
    return [*podman_command(work), "run", "--rm", *PODMAN_RUN, rootfs, "/bin/true"]


def podman_command(work: Path) -> list[str]:
    """Begin a command line of podman, with a store of its own."""
    store = ["--root", os.fspath(work / "podman-root"), "--runroot", os.fspath(work / "podman-run")]
    return ["podman", *store, "--events-backend", "none", "--cgroup-manager", "cgroupfs"]


def nspawn(rootfs: Path) -> Sequence[str | Path]:
    """Without systemd's machined, which may not run here."""
    alone = ["--register=no", "--keep-unit", "--pipe", "--private-network"]
    return ["systemd-nspawn", "--quiet", "--directory", rootfs, *alone, "/bin/true"]


def benchexec(count: int) -> list[float]:
    """BenchExec's container mode, in this process; it is measured where it can be imported."""
    container = import_module("benchexec.container")
    executors = import_module("benchexec.containerexecutor")
    logging.getLogger().setLevel(logging.ERROR)
    hidden = dict.fromkeys(("/home", "/run", "/tmp", "/dev/shm"), container.DIR_HIDDEN)
    executor = executors.ContainerExecutor(uid=0, gid=0, dir_modes={"/": container.DIR_READ_ONLY, **hidden})

    def start() -> None:
        result = executor.execute_run(["/bin/true"], "/")
        if result.raw:
            raise RuntimeError(result)

    return each(start)(count)
