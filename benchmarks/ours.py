"""pycgroups as a contender: the same /bin/true, with ever more around it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.timing import Contender, each

if TYPE_CHECKING:
    from collections.abc import Callable

    from pycgroups.containers.collection import Containers

STATE = Path("/run/pycgroups/containers")
LIMITS: dict[str, Any] = {"memory": "64M", "pids": 64}

OPTIONS: dict[str, dict[str, Any]] = {
    "pc.run": {"userns": "host"},
    "pc.run, init=False": {"userns": "host", "init": False},
    "pc.run + limits": {"userns": "host", **LIMITS},
    "pc.run + limits + userns": {**LIMITS},
}


def starter(rootfs: Path | None, **options: Any) -> Callable[[], None]:
    """Return a function that starts /bin/true once; without a rootfs the host's own."""
    import pycgroups as pc  # the other contenders are measured without it, too

    where: dict[str, Any] = {} if rootfs is None else {"rootfs": rootfs}

    def start() -> None:
        done = pc.run(["/bin/true"], **where, **options)
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace") or f"returncode {done.returncode}, {done.reason}")

    return start


def contender(name: str, rootfs: Path | None, **options: Any) -> Contender:
    """Make the contender of that name."""

    def batch(count: int) -> list[float]:
        return each(starter(rootfs, **options))(count)

    return Contender(name=name, kind="ours", batch=batch)


def state_in_memory() -> None:
    """Give this thread, and what it starts, the state of held containers on a tmpfs, as /run is where systemd runs."""
    if os.geteuid():  # an ordinary user's is where he says
        return
    peers.private_mounts()
    STATE.parent.mkdir(mode=0o700, exist_ok=True)
    STATE.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "pycgroups-bench", STATE], check=True)


def containers(rootfs: Path) -> Containers:
    """Containers that are held, in a store beside the root file system."""
    import pycgroups as pc

    return pc.Store(rootfs.parent / "store").containers


def all_starts(rootfs: Path) -> list[Contender]:
    """Every way that pycgroups starts /bin/true."""
    starts = [contender(name, rootfs, **options) for name, options in OPTIONS.items()]
    return [*starts, contender("pc.run, the host's own root", None)]
