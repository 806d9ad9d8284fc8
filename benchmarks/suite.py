"""All measurements, one after the other, and what they say together."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import (
    bandwidth,
    bigprocess,
    command,
    compiled,
    groups,
    holding,
    images,
    importing,
    layers,
    looking,
    many,
    oci,
    ours,
    rootfs,
    rootless,
    startup,
    steady,
    throughput,
    ways,
)
from benchmarks.figures import Figure, ratio
from benchmarks.timing import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.timing import Row

Pair = tuple[float, float] | tuple[None, None]


@attrs.frozen(kw_only=True)
class Effort:
    """How much is measured."""

    rounds: int = 50
    few_rounds: int = 25
    short_ones: int = 500
    in_a_row: int = 1000
    transfer: int = 1 << 30
    repeats: int = 3


QUICK = Effort(rounds=12, few_rounds=8, short_ones=200, in_a_row=300, transfer=1 << 28, repeats=1)


@attrs.frozen(kw_only=True)
class Bench:
    """What the measurements need."""

    effort: Effort
    rootfs: Path
    work: Path
    floor: Path
    stall: Path


@contextmanager
def bench(effort: Effort) -> Iterator[Bench]:
    """Make the root file system and compile the C parts; all is gone in the end."""
    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-") as directory, rootfs.temporary() as root:
        work = Path(directory)
        yield Bench(effort=effort, rootfs=root, work=work, floor=compiled.floor(work), stall=compiled.stall(work))


@attrs.define
class Report:
    """What came out so far."""

    rows: dict[str, Row] = attrs.Factory(dict)
    figures: list[Figure] = attrs.Factory(list)
    skipped: dict[str, str] = attrs.Factory(dict)

    def add(self, rows: dict[str, Row]) -> None:
        """Add rows, and remember why some are empty."""
        self.rows |= rows
        self.skipped |= {row.name: row.skipped for row in rows.values() if row.skipped}

    def median(self, name: str) -> float | None:
        """Return the median of a row, in seconds."""
        return self.rows[name].median

    def against(self, name: str, other: str, target: float | None = None, aim: float | None = None) -> None:
        """Add the ratio of two rows."""
        value = ratio(self.median(name), self.median(other))
        self.figures.append(Figure(what=name, against=other, value=value, target=target, aim=aim))

    def added(self, name: str, without: str) -> float | None:
        """Return what one row takes more than another, in milliseconds."""
        more, less = self.median(name), self.median(without)
        return None if more is None or less is None else (more - less) * 1e3

    def attempt(self, name: str, measure: Callable[[], tuple[float, float]]) -> Pair:
        """Measure a pair, or remember why not."""
        try:
            return measure()
        except Exception as error:  # noqa: BLE001  whatever it is, the others are measured
            self.skipped[name] = reason(error)
            return None, None


def measure_startup(b: Bench, report: Report) -> None:
    """One start."""
    report.add(startup.measure(b.floor, b.rootfs, b.effort.rounds))
    report.against("pc.run", "floor+OCI", 1.35, 1.15)
    for peer, target in (("bubblewrap", 0.6), ("crun", 0.3), ("runc", 0.08), ("podman", 0.03)):
        report.against("pc.run", peer, target)
    report.against("pc.run + limits", "floor+OCI+limits", 1.35, 1.2)
    report.against("pc.run + limits + userns", "floor+OCI+limits+userns", 1.35, 1.2)


def measure_bigprocess(b: Bench, report: Report) -> None:
    """A start from a big process."""
    found = bigprocess.measure(b.rootfs, b.stall, b.effort.few_rounds)
    report.add(found.rows)
    report.against("pc.run, big process", "pc.run, small process", 1.1)
    what = f"longest stall of a thread (idle {found.stall_idle * 1e3:.2f} ms, fork {found.stall_fork * 1e3:.0f} ms)"
    value = None if found.stall is None else found.stall * 1e3
    report.figures.append(Figure(what=what, value=value, unit="ms", target=2))


def measure_throughput(b: Bench, report: Report) -> None:
    """Many short ones."""
    what, against = f"{b.effort.short_ones} short ones, {throughput.THREADS} threads, limits", "floor"
    mine, floor = report.attempt(
        what, lambda: throughput.measure(b.floor, b.rootfs, b.effort.short_ones, b.effort.repeats)
    )
    if mine is not None and floor is not None:
        what, against = f"{what}: {mine:.0f}/s", f"floor: {floor:.0f}/s"
    value = ratio(mine, floor)
    report.figures.append(Figure(what=what, against=against, value=value, target=0.7, aim=0.85, more=True))


def measure_steady(b: Bench, report: Report) -> None:
    """Many in a row."""
    what = f"{b.effort.in_a_row} in a row: the last {steady.WINDOW}"
    last, first = report.attempt(what, lambda: steady.measure(b.rootfs, b.effort.in_a_row))
    against = f"the first {steady.WINDOW}"
    report.figures.append(Figure(what=what, against=against, value=ratio(last, first), target=1.1, aim=1.0))


def measure_import(b: Bench, report: Report) -> None:
    """The import."""
    report.add(importing.measure(b.effort.few_rounds))
    loaded, empty = report.median("python, import pycgroups"), report.median("python")
    value = None if loaded is None or empty is None else (loaded - empty) * 1e3
    what = "import pycgroups, over an empty interpreter"
    report.figures.append(Figure(what=what, value=value, unit="ms", target=25, aim=10))


def measure_command(b: Bench, report: Report) -> None:
    """The command line."""
    report.add(command.measure(b.rootfs, b.work, b.effort.few_rounds))
    report.against("pycgroups run", "runc run", 1.0)
    own = report.median("pycgroups run")
    value = None if own is None else own * 1e3
    report.figures.append(Figure(what="pycgroups run, whole command", value=value, unit="ms", target=40, aim=25))


def measure_bandwidth(b: Bench, report: Report) -> None:
    """Bytes through pipes."""
    what, against = f"{b.effort.transfer >> 20} MiB through stdin and stdout", "plain pipes"
    mine, plain = report.attempt(what, lambda: bandwidth.measure(b.rootfs, b.effort.transfer, b.effort.repeats))
    if mine is not None and plain is not None:
        what, against = f"{what}: {mine / 1e9:.2f} GB/s", f"plain pipes: {plain / 1e9:.2f} GB/s"
    report.figures.append(Figure(what=what, against=against, value=ratio(mine, plain), target=0.7, more=True))


def measure_groups(b: Bench, report: Report) -> None:
    """Cgroups alone."""
    report.add(groups.measure(compiled.replay(b.work), b.effort.rounds))
    report.against(groups.LIFE, groups.FLOOR_OF_LIFE, 2.0)
    report.against(groups.STATS, groups.FLOOR_OF_STATS, 5.0)
    sample = report.median(groups.STATS)
    value = None if sample is None else sample * 1e3
    report.figures.append(Figure(what=groups.STATS, value=value, unit="ms", target=1))
    what = f"{b.effort.in_a_row} groups in a row: the last {groups.WINDOW}"
    last, first = report.attempt(what, lambda: groups.steady(b.effort.in_a_row))
    against = f"the first {groups.WINDOW}"
    report.figures.append(Figure(what=what, against=against, value=ratio(last, first), target=1.1, aim=1.0))


def measure_holding(b: Bench, report: Report) -> None:
    """Containers that are held. What is started by this thread has the state of them on a tmpfs."""
    with ThreadPoolExecutor(1, initializer=ours.state_in_memory) as pool:
        for measure in (_measure_exec, _measure_many, _measure_log):
            pool.submit(measure, b, report).result()


def _measure_exec(b: Bench, report: Report) -> None:
    report.add(holding.measure_exec(b.floor, b.rootfs, b.work, b.effort.rounds))
    report.against(holding.EXEC, holding.FLOOR, 1.5)
    for name, target in (("crun exec", 0.25), ("runc exec", 0.04)):
        if name in report.rows:
            report.against(holding.EXEC, name, target)


def _measure_many(b: Bench, report: Report) -> None:
    found = many.measure(many.kinds(b.floor, compiled.floor_watch(b.work), b.rootfs, b.work), b.effort.repeats)
    report.add({kind.row.name: kind.row for kind in found.values()})
    mine = found.pop(many.OURS)
    for what, value, factor, unit, target, aim in (
        (f"{many.COUNT} held, to start one", mine.row.median, 1e3, "ms", 2.2, None),
        (f"{many.COUNT} held, to kill all", mine.kill, many.COUNT / 1e3, "s", 0.5, None),
        ("monitor and init of one", mine.helpers, 1, "MiB", 0.3, 0.05),
    ):
        scaled = None if value is None else value * factor
        report.figures.append(Figure(what=what, value=scaled, unit=unit, target=target, aim=aim))
    for name, other in found.items():
        report.against(mine.row.name, other.row.name)
        for what, unit, own, theirs in (
            ("to kill and remove one", "ms", mine.end, other.end),
            ("kernel's memory for one", "MiB", mine.kernel, other.kernel),
            ("helpers of one", "MiB", mine.helpers, other.helpers),
        ):
            if own and theirs:
                both = f"{what}: {own:.3g} {unit}", f"{name}: {theirs:.3g} {unit}"
                report.figures.append(Figure(what=both[0], against=both[1], value=own / theirs))


def _measure_log(b: Bench, report: Report) -> None:
    what, against = f"{b.effort.transfer >> 20} MiB into the log", "cat to a file"
    mine, plain = report.attempt(what, lambda: holding.measure_log(b.rootfs, b.effort.transfer, b.effort.repeats))
    if mine is not None and plain is not None:
        what, against = f"{what}: {mine / 1e9:.2f} GB/s", f"{against}: {plain / 1e9:.2f} GB/s"
    report.figures.append(Figure(what=what, against=against, value=ratio(mine, plain), target=0.5, more=True))


def measure_looking(b: Bench, report: Report) -> None:
    """Samples of containers."""
    report.add(looking.measure(compiled.replay(b.work), b.rootfs, b.work, b.effort.few_rounds))
    report.against(looking.HELD, looking.FLOOR, 5.0)
    report.against(looking.OF_MANY, looking.FLOOR_OF_MANY, 5.0)
    for what, target in ((looking.ONE, 1), (looking.OF_MANY, 100)):
        value = report.median(what)
        report.figures.append(Figure(what=what, value=None if value is None else value * 1e3, unit="ms", target=target))


def measure_oci(b: Bench, report: Report) -> None:
    """The OCI runtime."""
    rows, peaks = oci.measure_commands(b.rootfs, b.work, 2 * b.effort.rounds, compiled.peak(b.work))
    report.add(rows | oci.measure_in_process(b.rootfs, b.effort.rounds))
    for name, against, target in oci.RATIOS:
        report.against(name, against, target)
    own, other = peaks.get("pycgroups-oci"), peaks.get("runc")
    what, against = "peak memory of pycgroups-oci run", "runc run"
    if own is not None and other is not None:
        what, against = f"{what}: {own:.1f} MiB", f"{against}: {other:.1f} MiB"
    report.figures.append(Figure(what=what, against=against, value=ratio(own, other), target=1.0))


def measure_images(b: Bench, report: Report) -> None:
    """Images: unpacked, copied, and started from."""
    report.add(images.measure_unpacking(b.effort.few_rounds))
    report.against(images.UNPACK, images.TAR, 1.5)
    report.add(images.measure_starts(b.rootfs, b.effort.rounds))
    fewest, *_, most = (images.starting(count) for count in images.DEPTHS)
    report.against(most, fewest, 1.5)
    value = report.added(fewest, images.ROOTFS)
    report.figures.append(Figure(what=f"{fewest}, over a plain rootfs", value=value, unit="ms", target=0.25))
    try:
        with images.place() as at:
            _measure_copies(at, b, report)
    except FileNotFoundError as error:
        report.skipped["pull and push"] = reason(error)


def _measure_copies(at: images.Place, b: Bench, report: Report) -> None:
    report.add(images.measure_copies(at, b.effort.repeats))
    for kind in images.KINDS:
        report.against(images.pulling(kind), images.pulling(kind, "podman"), 0.5)
        report.against(images.pulling(kind), images.pipeline(kind), 1.0)
        what = f"peak memory of a process with a pull, {kind}"
        report.figures.append(Figure(what=what, value=images.peak(at, kind), unit="MiB", target=120))
    report.against(images.PUSH, images.SKOPEO, 1.0)


def measure_layers(b: Bench, report: Report) -> None:
    """Each layer of isolation."""
    report.add(layers.measure(b.floor, b.rootfs, b.effort.rounds))
    for layer in layers.layers(b.rootfs):
        what, value = layer.name, report.added(layer.name, layers.without(layer))
        if layer.floor and value is not None:
            what += ", over the floor's own"
            value -= report.added(layers.FLOOR_WITH_USERNS, layers.FLOOR) or 0
        report.figures.append(Figure(what=what, value=value, unit="ms", target=layer.target))


def measure_rootless(b: Bench, report: Report) -> None:
    """One start by an ordinary user."""
    report.add(rootless.measure(b.rootfs, b.effort.rounds))
    report.against(rootless.OURS, rootless.PEER, 0.7)


def measure_ways(b: Bench, report: Report) -> None:
    """Which process performs the plan."""
    report.add(ways.measure(*compiled.ways(b.work), b.rootfs, b.effort.rounds))


CONCEPTS: dict[str, Callable[[Bench, Report], None]] = {
    "startup": measure_startup,
    "bigprocess": measure_bigprocess,
    "throughput": measure_throughput,
    "steady": measure_steady,
    "importing": measure_import,
    "command": measure_command,
    "bandwidth": measure_bandwidth,
    "groups": measure_groups,
    "holding": measure_holding,
    "looking": measure_looking,
    "oci": measure_oci,
    "images": measure_images,
    "layers": measure_layers,
    "rootless": measure_rootless,
    "ways": measure_ways,
}
