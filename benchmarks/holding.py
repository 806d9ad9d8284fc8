"""Containers that are held: a program executed in one, and what they write. Many of them: many.py.

``exec`` is compared with C that joins the same namespaces and cgroups (floor.c, ``--exec``), and with crun and runc,
each in a container of its own that sleeps. The store of ours lies in /dev/shm, as the root file system does.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import ours, peers
from benchmarks.many import SLEEP
from benchmarks.timing import Contender, each, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Row
    from pycgroups import Container

EXEC, FLOOR = "Container.exec", "floor: exec, cgroups, capabilities, seccomp"
PEERS = ("crun", "runc")
LINE = b"a line of output as programs write them, neither short nor long, with a few words and a number: 1234567890\n"


@contextmanager
def sleeping(rootfs: Path) -> Iterator[Container]:
    """Hold a container that sleeps."""
    with ours.containers(rootfs).create(SLEEP, rootfs=rootfs) as container:
        container.start()
        try:
            yield container
        finally:
            container.kill()


def measure_exec(floor: Path, rootfs: Path, work: Path, rounds: int) -> dict[str, Row]:
    """Rows of /bin/true, executed in a container that runs."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1, initializer=peers.own_mounts))
        container = stack.enter_context(sleeping(rootfs))
        others = [stack.enter_context(peer(name, rootfs, work, pool)) for name in PEERS if shutil.which(name)]

        def once() -> None:
            container.exec(["/bin/true"], check=True)

        return interleave(
            [joining(floor, container), Contender(name=EXEC, kind="ours", batch=each(once)), *others], rounds
        )


def joining(floor: Path, container: Container) -> Contender:
    """The floor: in the same container; the first is not counted, since the process around it is new."""
    groups = [entry for entry in cgroups_of(container.pid or 0) if os.path.isdir(entry)]
    userns = [] if same_users(container.pid or 0) else ["--userns"]

    def batch(count: int) -> list[float]:
        command = [str(floor), "--exec", str(container.pid), *userns, "--count", str(count + 1), *groups]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [int(line) / 1e9 for line in done.stdout.split()[1:]]

    return Contender(name=FLOOR, kind="floor", batch=batch)


def cgroups_of(pid: int) -> Iterator[str]:
    """Name the cgroups that a process is in and this one is not."""
    from pycgroups.cgroups import detect

    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    own = Path("/proc/self/cgroup").read_text().splitlines()
    for number, names, path in lines:
        if f"{number}:{names}:{path}" in own:
            continue
        words = {
            "io" if name == "blkio" else name for name in names.split(",") if name and not name.startswith("name=")
        }
        for home in detect.everything():
            if (home.version == detect.V2) == (number == "0") and (number == "0" or home.controllers == words):
                yield home.mount + path


def same_users(pid: int) -> bool:
    """Tell whether a process is in this one's user namespace."""
    return os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")


@contextmanager
def peer(name: str, rootfs: Path, work: Path, pool: ThreadPoolExecutor) -> Iterator[Contender]:
    """Another runtime's exec, in a container of its own."""
    bundle, errors = work / f"{name}-holding", work / f"{name}-holding.stderr"
    peers.make_bundle(name, rootfs, bundle, SLEEP)
    command, id_ = [name, "--root", os.fspath(bundle / "state")], f"pycgroups-bench-{os.getpid()}"
    pool.submit(peers.spawn, [*command, "run", "--detach", "--bundle", os.fspath(bundle), id_], errors).result()
    try:
        batch = each(lambda: peers.spawn([*command, "exec", id_, "/bin/true"], errors))
        yield Contender(name=f"{name} exec", kind="peer", batch=lambda n: pool.submit(batch, n).result())
    finally:
        pool.submit(peers.spawn, [*command, "delete", "--force", id_], errors).result()


def measure_log(rootfs: Path, size: int, repeats: int) -> tuple[float, float]:
    """(log, cat): bytes per second that a container writes into its log, and cat(1) into a file; medians, in turns.

    A virtual machine's host may have to find the memory for a file first, which makes cat five times slower, and not
    the log, whose files are few: the first copy is not counted.
    """
    source = rootfs / "output"
    with source.open("wb") as file:
        for _ in range(size // (len(LINE) * 10_000)):
            file.write(LINE * 10_000)
    size = source.stat().st_size
    try:
        copied(source, size)
        pairs = [(logged(rootfs, size), copied(source, size)) for _ in range(repeats)]
    finally:
        source.unlink()
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs)


def logged(rootfs: Path, size: int) -> float:
    """Bytes per second, from the start to the end of the log."""
    with ours.containers(rootfs).create(["/bin/cat", "/output"], rootfs=rootfs) as container:
        begin = time.perf_counter()
        container.start()
        if status := container.wait():
            raise RuntimeError(f"returncode {status}")
        return size / (time.perf_counter() - begin)


def copied(source: Path, size: int) -> float:
    """The same, by the same program without a container."""
    target = source.parent.parent / "copied"
    begin = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run([source.parent / "bin/busybox", "cat", source], stdout=file, check=True)
    seconds = time.perf_counter() - begin
    target.unlink()
    return size / seconds
