"""Samples of containers that are held: of one, and of many. Against C that reads the same files (replay.c)."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.groups import floor, recorded
from benchmarks.timing import Contender, Row, each, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pycgroups import Container

MANY = 200
ONE, HELD = "Container.stats", "a sample of Container.stats(stream=True)"
FLOOR = "floor: cat of the files of a sample"
OF_MANY, FLOOR_OF_MANY = f"a sample of each of {MANY} containers", f"floor: cat of the files of {MANY} samples"
TOP = "Container.top"


def measure(replay: Path, rootfs: Path, work: Path, rounds: int) -> dict[str, Row]:
    """Rows of one sample, alone and of a stream, of many, and of the processes of one."""
    with running(rootfs, work, MANY) as containers, ExitStack() as stack:
        samplers = [stack.enter_context(container.sampler()) for container in containers]
        with recorded("read") as reads:
            for sampler in samplers:
                sampler.take()
        share = len(reads) // MANY
        files = [
            [f"{path}/{name}" for path, name in reads[number * share : (number + 1) * share]]
            + [f"/proc/{sampler.pid}/net/dev"]
            for number, sampler in enumerate(samplers)
        ]
        one = [word for path in files[0] for word in ("read", path)]
        many = [word for paths in files for path in paths for word in ("read", path)]
        return interleave(
            [
                floor(FLOOR, replay, *one),
                Contender(name=HELD, kind="ours", batch=each(samplers[0].take)),
                Contender(name=ONE, kind="ours", batch=each(containers[0].stats)),
                Contender(name=TOP, kind="ours", batch=each(containers[0].top)),
                floor(FLOOR_OF_MANY, replay, *many),
                Contender(name=OF_MANY, kind="ours", batch=each(lambda: [sampler.take() for sampler in samplers])),
            ],
            rounds,
        )


@contextmanager
def running(rootfs: Path, work: Path, count: int) -> Iterator[list[Container]]:
    """Run so many containers, in a store of their own."""
    import pycgroups as pc

    store = pc.Store(work / "looking")
    try:
        for _ in range(count):
            store.containers.create(["sleep", "inf"], rootfs=rootfs, userns="host").start()
        yield store.containers.list()
    finally:
        for container in store.containers.list(all=True):
            container.remove(force=True)
        store.images.close()
