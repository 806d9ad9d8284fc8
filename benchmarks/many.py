"""Many containers at once: started one after the other, all held, all ended. One kind after the other, in turns.

The floor (floor.c, ``--hold``) starts sleepers with the namespaces and rules of the OCI specification, ids of their own
and limits of memory and processes, and keeps them. Each of ours has a monitor and an init besides, a record, a log, and
a cgroup in every hierarchy, as crun's has; podman's have conmon. The second floor has all of that but record and log:
its init and what stays beside it have nothing to do.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import floor, ours, peers
from benchmarks.timing import Contender, Row, each, reason, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from pycgroups import Container

SLEEP = ("/bin/sleep", "1000000")
COUNT = 200
FEW = 30
"""Of podman's: each takes a hundred times as long as the floor's."""
STOPPERS = 8
"""Threads that end containers: the kernel takes its time to end the namespaces of each."""
OURS, FLOOR, CRUN, PODMAN = "Container", "floor+OCI+limits+userns", "crun", "podman"
WATCHED = "floor, with init, monitor and all cgroups"
KERNEL = ("Slab", "KernelStack", "PageTables", "Percpu")
"""Of proc_meminfo(5): objects, as mounts, namespaces, processes, inodes and cgroups; stacks of threads; page tables;
and what cgroups and network namespaces have of each processor. VmallocUsed has the stacks again, and hardly more."""
MIB = 1 << 20
STEADY = MIB // 4
"""What the kernel's memory may change by within a fifth of a second, in bytes, to be taken as settled."""
PATIENCE = 1000
"""How often the end of a cgroup is looked for, at most."""
MOST = 20
"""How often that is looked at, at most."""


@attrs.frozen
class Held:
    """Containers that run.

    Attributes:
        starts: what each start took, in seconds.
        ends: steps that end all; each tells what it took.
    """

    starts: list[float]
    ends: tuple[Callable[[], float], ...]


@attrs.frozen(kw_only=True)
class Kind:
    """Who holds containers.

    Attributes:
        name: what it is called.
        kind: "floor", "ours" or "peer".
        count: how many it is to hold.
        hold: starts so many, and leaves none.
        helpers: names of the processes that stay with each container besides its program, proc_pid_comm(5).
        note: what has to be known to compare it.
    """

    name: str
    kind: str
    hold: Callable[[int], AbstractContextManager[Held]]
    count: int = COUNT
    helpers: tuple[str, ...] = ()
    note: str = ""


@attrs.frozen(kw_only=True)
class Taken:
    """What so many took once.

    Attributes:
        starts: seconds, of each.
        ends: seconds, of each step.
        helpers: the proportional share of memory of the helpers of one container, in MiB.
        kernel: the kernel's memory for one container, in MiB.
    """

    starts: list[float]
    ends: list[float]
    helpers: float
    kernel: float


@attrs.frozen(kw_only=True)
class Many:
    """What a kind took: the row of its starts, and medians of the rest, for one container.

    Attributes:
        row: of the starts.
        kill: the first step of the end, in milliseconds; None where all this couldn't be measured.
        end: the whole end, in milliseconds.
        helpers: memory of helpers, in MiB.
        kernel: memory of the kernel, in MiB.
    """

    row: Row
    kill: float | None = None
    end: float | None = None
    helpers: float | None = None
    kernel: float | None = None


def kinds(program: Path, watch: Path, rootfs: Path, work: Path) -> list[Kind]:
    """All of them."""
    watched = "--every", "--watch", os.fspath(watch)
    return [
        Kind(name=FLOOR, kind="floor", hold=lambda count: hold_floor(program, rootfs, count)),
        Kind(name=WATCHED, kind="floor", hold=lambda count: hold_floor(program, rootfs, count, *watched)),
        Kind(
            name=OURS,
            kind="ours",
            hold=lambda count: hold_ours(rootfs, count),
            helpers=("pycgroups-watch", "pycgroups-init"),
        ),
        Kind(name=CRUN, kind="peer", hold=lambda count: hold_crun(rootfs, work, count), note="no seccomp, no userns"),
        Kind(
            name=PODMAN,
            kind="peer",
            hold=lambda count: hold_podman(rootfs, work, count),
            count=FEW,
            helpers=("conmon",),
            note="no network, no cgroups, no log, no userns",
        ),
    ]


@contextmanager
def hold_floor(program: Path, rootfs: Path, count: int, *flags: str) -> Iterator[Held]:
    """The floor's. It ends at the end of its input, and not by an interrupt from the terminal, which is for us."""
    command: list[str | Path] = [program, "--hold", *floor.FLOORS[FLOOR], *flags, "--count", str(count), rootfs]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:

        def end() -> float:
            output, errors = process.communicate()
            if process.returncode:
                raise RuntimeError(errors)
            return int(output) / 1e9

        try:
            lines = list(islice(process.stdout or (), count))
            if len(lines) < count:
                end()
            yield Held([int(line) / 1e9 for line in lines], (end,))
        finally:
            process.communicate()
            if process.returncode:
                remove_groups_of(process.pid)


def remove_groups_of(pid: int) -> None:
    """Remove the cgroups of a floor that ended before it could, and what is in them."""
    for group in groups_of(pid):
        for _ in range(PATIENCE):
            with suppress(OSError):  # they end, and have not yet ended
                for member in (group / "cgroup.procs").read_text().split():
                    os.kill(int(member), signal.SIGKILL)
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.01)


def groups_of(pid: int) -> list[Path]:
    """Find the cgroups of a floor; others come and go meanwhile."""
    return [
        Path(above, name)
        for above, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(f"pycgroups-floor-{pid}-")
    ]


@contextmanager
def hold_ours(rootfs: Path, count: int) -> Iterator[Held]:
    """Ours."""
    containers = ours.containers(rootfs)
    made: list[Container] = []

    def start() -> None:
        made.append(containers.create(SLEEP, rootfs=rootfs))
        made[-1].start()

    def kill() -> None:
        by_threads(lambda container: container.kill(), made)

    def remove() -> None:
        by_threads(lambda _: made.pop().remove(force=True), made[:])

    try:
        yield Held(each(start)(count), (timed(kill), timed(remove)))
    finally:
        remove()


@contextmanager
def hold_crun(rootfs: Path, work: Path, count: int) -> Iterator[Held]:
    """crun's, all of one bundle, their state on a tmpfs as it is by default."""
    bundle, errors, state = work / "crun-many", work / "crun-many.stderr", rootfs.parent / "crun-many"
    if not bundle.exists():
        peers.make_bundle("crun", rootfs, bundle, SLEEP)
    command = ["crun", "--root", os.fspath(state)]
    made: list[str] = []

    def start() -> None:
        made.append(f"pycgroups-bench-{os.getpid()}-{len(made)}")
        where = ["--bundle", os.fspath(bundle), "--pid-file", f"{bundle}/{len(made)}.pid"]
        peers.spawn([*command, "run", "--detach", *where, made[-1]], errors)

    def remove() -> None:
        by_threads(lambda _: peers.spawn([*command, "delete", "--force", made.pop()], errors), made[:])

    try:
        yield Held(each(start)(count), (timed(remove),))
    finally:
        remove()
        reap(int(path.read_text()) for path in bundle.glob("*.pid"))


@contextmanager
def hold_podman(rootfs: Path, work: Path, count: int) -> Iterator[Held]:
    """podman's, in a store of their own, on a tmpfs as ours."""
    command, errors = peers.podman_command(rootfs.parent), work / "podman-many.stderr"

    def start() -> None:
        peers.spawn([*command, "run", "--detach", *peers.PODMAN_RUN, os.fspath(rootfs), *SLEEP], errors)

    def remove() -> None:
        peers.spawn([*command, "rm", "--all", "--force", "--time", "0"], errors)

    try:
        yield Held(each(start)(count), (timed(remove),))
    finally:
        remove()


def reap(pids: Iterable[int]) -> None:
    """Reap orphans, which were adopted: a zombie has still its cgroups, and other memory of the kernel's."""
    for pid in pids:
        with suppress(ChildProcessError):  # somebody else's, or reaped already
            os.waitpid(pid, 0)


def by_threads(action: Callable[..., object], items: Iterable[object]) -> None:
    """Do it with each of them."""
    with ThreadPoolExecutor(STOPPERS) as pool:
        list(pool.map(action, items))


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Make a function that tells what the action took."""
    return lambda: each(action)(1)[0]


def measure(all_kinds: list[Kind], repeats: int) -> dict[str, Many]:
    """Measure all kinds, in turns; who fails is left out, with the reason."""
    taken: dict[str, list[Taken]] = {kind.name: [] for kind in all_kinds}
    failed: dict[str, str] = {}
    with peers.adopting(), ThreadPoolExecutor(1, initializer=peers.own_mounts) as pool:
        for kind in all_kinds * repeats:
            if kind.name in failed:
                continue
            try:
                once = pool.submit(take, kind).result() if kind.kind == "peer" else take(kind)
                taken[kind.name].append(once)
            except Exception as error:  # noqa: BLE001  whatever it is, the others are measured
                failed[kind.name] = reason(error)
    return {kind.name: together(kind, taken[kind.name], failed.get(kind.name, "")) for kind in all_kinds}


def take(kind: Kind) -> Taken:
    """Start, measure and end the containers of a kind."""
    others, before = shares_of(kind.helpers), kernel_memory()
    with kind.hold(kind.count) as held:
        kernel = kernel_memory() - before
        shares = {pid: share for pid, share in shares_of(kind.helpers).items() if pid not in others}
        ends = [end() for end in held.ends]
    reap(shares)
    one = MIB * kind.count
    return Taken(starts=held.starts, ends=ends, helpers=sum(shares.values()) / one, kernel=kernel / one)


def together(kind: Kind, taken: list[Taken], skipped: str) -> Many:
    """Put together what a kind took."""
    contender = Contender(name=held(kind), kind=kind.kind, batch=lambda _: [], note=kind.note)
    row = summary(contender, [start for once in taken for start in once.starts], skipped)
    if skipped:
        return Many(row=row)
    return Many(
        row=row,
        kill=statistics.median(once.ends[0] for once in taken) / kind.count * 1e3,
        end=statistics.median(sum(once.ends) for once in taken) / kind.count * 1e3,
        helpers=statistics.median(once.helpers for once in taken),
        kernel=statistics.median(once.kernel for once in taken),
    )


def held(kind: Kind) -> str:
    """Name the row of a kind."""
    return f"{kind.name}, {kind.count} held"


def kernel_memory() -> int:
    """Return what the kernel has for itself, in bytes: when what has ended is taken apart, or others leave no peace."""
    found = [read_kernel_memory()]
    while len(found) < MOST and (len(found) == 1 or abs(found[-1] - found[-2]) > STEADY):
        time.sleep(0.2)
        found.append(read_kernel_memory())
    return found[-1]


def read_kernel_memory() -> int:
    """Return what the kernel has for itself now, in bytes."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(lines[name].split()[0]) for name in KERNEL) * 1024


def shares_of(names: Iterable[str]) -> dict[int, int]:
    """Find the processes of these names; what memory is its own, and its part of what it shares, of each, in bytes."""
    found = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if process.name.isdigit() and (process / "comm").read_text().rstrip("\n") in names:
                lines = (process / "smaps_rollup").read_text().splitlines()  # proc_pid_smaps(5)
                found[int(process.name)] = (
                    next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
                )
    return found
