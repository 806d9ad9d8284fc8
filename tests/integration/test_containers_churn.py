"""Containers that come and go by the thousand leave no trace, and the last ones cost what the first ones did."""

from __future__ import annotations

import gc
import os
import statistics
import threading
import time
from pathlib import Path

import pytest

from tests.boxes import BASE, put
from tests.images import Image

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("a hundred containers, one after the other"),
]
GROWTH = 4 << 20  # bytes: what Python's allocator and the C library take and keep once they have met everything


def life(store):
    """Make a container, have it run, and remove it; how long that took, in seconds."""
    begin = time.monotonic()
    held = store.containers.create(["true"], image="box:1", pull="never")
    held.start()
    assert held.wait(timeout=60) == 0
    held.remove()
    return time.monotonic() - begin


def traces(store):
    """What containers could leave: files of the store and of what runs, groups, descriptors, threads, children."""
    where = store.containers._place
    gc.collect()
    return {
        "store": {path: sorted(names) for path, _, names in os.walk(store.images.store.root) if "/blobs" not in path},
        "names": sorted(os.listdir(f"{where.homes.path}/names")),
        "runtime": os.path.exists(where.runtime),
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
    }


def memory():
    """Bytes of this process that are in memory and nobody else's."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_they_leave_no_trace(store, count):
    put(store.images, Image(BASE))
    for _ in range(20):
        life(store)
    before, used = traces(store), memory()
    tenth = count // 10
    seconds = [life(store) for _ in range(count)]
    assert traces(store) == before
    assert memory() - used < GROWTH
    # The quickest ones tell what they cost; the others, what else the machine did.
    first, last = (statistics.quantiles(some, n=10)[0] for some in (seconds[:tenth], seconds[-tenth:]))
    assert last < 1.5 * first + 0.002, (first, last)
    assert store.prune() == ((), (), (), 0)
