"""Containers that are held: a program executed in one, many at once, and what they write.

``exec`` is compared with C that joins the same namespaces and cgroups (floor.c, ``--exec``), and with crun and runc,
each in a container of its own that sleeps. The store of ours lies in /dev/shm, as the root file system does.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import peers
from benchmarks.timing import Contender, each, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Row
    from pycgroups import Container
    from pycgroups.containers.collection import Containers

EXEC, FLOOR = "Container.exec", "floor: exec, cgroups, capabilities, seccomp"
PEERS = ("crun", "runc")
SLEEP = ("/bin/sleep", "1000000")
AT_ONCE = 200
STOPPERS = 8
"""Threads that stop containers: the kernel takes its time to end the namespaces of each."""
LINE = b"a line of output as programs write them, neither short nor long, with a few words and a number: 1234567890\n"


@contextmanager
def store(rootfs: Path) -> Iterator[Containers]:
    """Give containers a place beside the root file system."""
    import pycgroups as pc

    yield pc.Store(rootfs.parent / "store").containers


@contextmanager
def sleeping(containers: Containers, rootfs: Path) -> Iterator[Container]:
    """Hold a container that sleeps."""
    with containers.create(SLEEP, rootfs=rootfs) as container:
        container.start()
        try:
            yield container
        finally:
            container.kill()


def measure_exec(floor: Path, rootfs: Path, work: Path, rounds: int) -> dict[str, Row]:
    """Rows of /bin/true, executed in a container that runs."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1, initializer=peers.own_mounts))
        container = stack.enter_context(sleeping(stack.enter_context(store(rootfs)), rootfs))
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
    bundle.mkdir()
    subprocess.run([name, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": list(SLEEP)}
    config["root"]["path"] = os.fspath(rootfs)
    (bundle / "config.json").write_text(json.dumps(config))
    command, id_ = [name, "--root", os.fspath(bundle / "state")], f"pycgroups-bench-{os.getpid()}"
    pool.submit(peers.spawn, [*command, "run", "--detach", "--bundle", os.fspath(bundle), id_], errors).result()
    try:
        batch = each(lambda: peers.spawn([*command, "exec", id_, "/bin/true"], errors))
        yield Contender(name=f"{name} exec", kind="peer", batch=lambda n: pool.submit(batch, n).result())
    finally:
        pool.submit(peers.spawn, [*command, "delete", "--force", id_], errors).result()


@attrs.frozen(kw_only=True)
class Many:
    """What many containers at once took.

    Attributes:
        start: seconds for one, the median.
        stop: seconds for all.
        monitor: the proportional share of memory of one monitor, MiB, the median.
    """

    start: float
    stop: float
    monitor: float


def measure_many(rootfs: Path, count: int = AT_ONCE) -> Many:
    """Start so many, measure them, stop all."""
    with store(rootfs) as containers:
        made: list[Container] = []
        times = []
        try:
            for _ in range(count):
                begin = time.perf_counter()
                made.append(containers.create(SLEEP, rootfs=rootfs))
                made[-1].start()
                times.append(time.perf_counter() - begin)
            share = statistics.median(monitors())
            begin = time.perf_counter()
            with ThreadPoolExecutor(STOPPERS) as pool:
                list(pool.map(lambda container: container.kill(), made))
            stop = time.perf_counter() - begin
        finally:
            for container in made:
                container.remove(force=True)
    return Many(start=statistics.median(times), stop=stop, monitor=share)


def monitors() -> Iterator[float]:
    """Find the monitors of all containers; what memory is a monitor's own and its part of what it shares, in MiB."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text() == "pycgroups-watch\n":
                lines = (entry / "smaps_rollup").read_text().splitlines()  # proc_pid_smaps(5)
                yield next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        except OSError:  # it has ended
            continue


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
    with store(rootfs) as containers, containers.create(["/bin/cat", "/output"], rootfs=rootfs) as container:
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
