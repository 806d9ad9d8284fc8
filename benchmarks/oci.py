"""The OCI runtime: the command against runc's and crun's, and in this process against `pycgroups.run`.

All commands get the same bundle, with the config.json that `pycgroups-oci spec` writes, and the same mounts.
State is kept on a tmpfs, as it is by default.
"""

from __future__ import annotations

import compileall
import os
import shutil
import statistics
import subprocess
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import pycgroups
from benchmarks import ours, peers
from benchmarks.timing import Contender, each, interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.timing import Row

COMMAND = Path(sysconfig.get_path("scripts")) / "pycgroups-oci"
RUNTIMES = ("pycgroups-oci", "runc", "crun")
IN_PROCESS = {
    "runtime.create, start, wait, delete": ("pc.run", {"cgroup_manager": "disabled"}, {}),
    "the same, with a cgroup and limits": ("pc.run + limits", {}, ours.LIMITS),
}
"""By name: what it is compared with, what it is created with, and the options of the Spec."""
PEAKS = 5


def environment(work: Path) -> Path:
    """Make a virtual environment as pip fills it: the command starts more slowly in one with an editable install.

    The package is a copy. What a command loads in one file is made at its first use, and of that of anybody else it may
    have more than is needed here.
    """
    home = work / "environment"
    venv.create(home, symlinks=True)  # as `python -m venv` does
    (packages,) = home.glob("lib/python*/site-packages")
    (package,) = pycgroups.__path__
    shutil.copytree(package, packages / "pycgroups", ignore=shutil.ignore_patterns("*.bundle"))
    compileall.compile_dir(packages / "pycgroups", quiet=1)  # as pip does
    for path in Path(sysconfig.get_path("platlib")).iterdir():
        if "pycgroups" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    return Path(shutil.copy2(COMMAND, home / "bin"))


@attrs.frozen
class Command:
    """A runtime as a command, and a bundle for it."""

    name: str
    program: Path | str
    bundle: Path
    state: Path

    def words(self, command: str, *arguments: str | Path) -> list[str]:
        """Write a command line."""
        root = self.state / self.name
        words = (self.program, "--root", root, command, *arguments, f"pycgroups-bench-{os.getpid()}")
        return [os.fspath(word) for word in words]

    def do(self, command: str, *arguments: str | Path) -> None:
        """Start a command, and wait for its end."""
        peers.spawn(self.words(command, *arguments), self.bundle.parent / f"{self.name}.stderr")

    def run(self) -> None:
        """Do all in one."""
        self.do("run", "--bundle", self.bundle)

    def as_podman(self) -> None:
        """Do it in three commands, as podman does; whose monitor is the parent of the container's process."""
        pid = self.bundle.parent / f"{self.name}.pid"
        self.do("create", "--bundle", self.bundle, "--pid-file", pid)
        self.do("start")
        os.waitpid(int(pid.read_text()), 0)
        self.do("delete", "--force")


def measure_commands(rootfs: Path, work: Path, rounds: int, peak: Path) -> tuple[dict[str, Row], dict[str, float]]:
    """Rows of all commands, and the most memory that each ``run`` takes, in MiB."""
    own = environment(work)
    bundle = work / "oci-bundle"
    peers.make_bundle(own, rootfs, bundle, ["/bin/true"])
    commands = [Command(name, own if name == RUNTIMES[0] else name, bundle, rootfs.parent) for name in RUNTIMES]
    with peers.adopting(), ThreadPoolExecutor(1, initializer=peers.own_mounts) as pool:
        rows = interleave([contender for command in commands for contender in contenders(command, pool)], rounds)
        measured = [command for command in commands if not rows[f"{command.name} run"].skipped]
        return rows, {command.name: pool.submit(most_memory, command, peak).result() for command in measured}


def contenders(command: Command, pool: ThreadPoolExecutor) -> Iterator[Contender]:
    """Both ways of a command."""
    for name, action in (("run", command.run), ("create, start, delete", command.as_podman)):
        batch = each(action)
        yield Contender(
            name=f"{command.name} {name}",
            kind="ours" if command.name == RUNTIMES[0] else "peer",
            batch=lambda count, batch=batch: pool.submit(batch, count).result(),  # type: ignore[misc]
        )


def most_memory(command: Command, peak: Path) -> float:
    """The most memory that ``run`` takes at once, in MiB."""
    words = [os.fspath(peak), *command.words("run", "--bundle", command.bundle)]
    found = [
        int(subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout)
        for _ in range(PEAKS)
    ]
    return statistics.median(found) / 1024


def measure_in_process(rootfs: Path, rounds: int) -> dict[str, Row]:
    """Rows of `runtime.create` to `delete`, from a Spec, and of the same by `pycgroups.run`."""
    found = []
    for name, (against, options, limits) in IN_PROCESS.items():
        found.append(attrs.evolve(ours.contender(against, rootfs, **ours.OPTIONS[against]), name=beside(against)))
        found.append(Contender(name=name, kind="ours", batch=each(creator(rootfs, options, limits))))
    return interleave(found, rounds)


def beside(name: str) -> str:
    """Name the row of something that is measured here anew."""
    return f"{name}, in the same rounds"


def creator(rootfs: Path, options: dict[str, Any], limits: dict[str, Any]) -> Callable[[], None]:
    """Return a function that goes through a container's life once, from the Spec that `pycgroups.run` makes."""
    from pycgroups import runtime

    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    spec = pycgroups.explain(["/bin/true"], rootfs=rootfs, userns="host", **limits).spec
    if limits:
        path = f"/pycgroups-bench-{os.getpid()}"
        spec = attrs.evolve(spec, linux=attrs.evolve(spec.linux, cgroups_path=path))

    def live() -> None:
        container = runtime.create(spec, "bench", root=rootfs.parent / "oci-state", stdio=(null, null, null), **options)
        try:
            container.start()
            if status := container.wait():
                raise RuntimeError(f"returncode {status}")
        finally:
            container.delete(force=True)

    return live


RATIOS = (
    ("pycgroups-oci run", "runc run", 0.8),
    ("pycgroups-oci run", "crun run", 2.0),
    ("pycgroups-oci create, start, delete", "runc create, start, delete", 1.0),
    *((name, beside(against), 1.2) for name, (against, _, _) in IN_PROCESS.items()),
)
"""What is measured, against what, and the ratio to reach."""
