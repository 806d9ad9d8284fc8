"""What holds many containers for the benchmarks: they run, and nothing of them is left. What it takes is no test."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import compiled, many, ours
from pycgroups.containers import keeping
from tests.processes import descendants, is_alive
from tests.waiting import wait_for

COUNT = 3
pytestmark = pytest.mark.requires("root", "limits")


@pytest.fixture(scope="module")
def floor(shelf):
    return compiled.floor(shelf)


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    keeping._forget()


def sleepers_of_floor() -> tuple[int, list[int]]:
    """Return the process of the floor, and its children when all of them execute their program."""
    (process,) = [
        int(pid) for pid in children().read_text().split() if Path(f"/proc/{pid}/comm").read_text() == "floor\n"
    ]
    running = descendants(process)
    wait_for(lambda: all(Path(f"/proc/{pid}/cmdline").read_text().startswith("/bin/sleep") for pid in running))
    return process, running


def children() -> Path:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children")


def test_the_floor_holds_them_until_it_is_told_to_end(floor, root):
    with many.hold_floor(floor, root, COUNT) as held:
        process, running = sleepers_of_floor()
        assert len(running) == len(held.starts) == COUNT
        assert {Path(f"/proc/{pid}/uid_map").read_text().split()[1] for pid in running} == {"524288"}
        assert len({os.readlink(f"/proc/{pid}/ns/net") for pid in running}) == COUNT
        assert {path.name for path in many.groups_of(process)} == {
            f"pycgroups-floor-{process}-{n}" for n in range(COUNT)
        }
        (end,) = held.ends
        assert end() > 0
        assert not any(map(is_alive, running))
        assert many.groups_of(process) == []


def test_nothing_is_left_of_a_floor_that_is_killed(floor, root):
    with many.hold_floor(floor, root, COUNT) as held:
        process, running = sleepers_of_floor()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(RuntimeError):
            held.ends[0]()
        wait_for(lambda: not any(map(is_alive, running)))
    assert many.groups_of(process) == []


def test_the_floor_says_what_has_failed(floor, own_root):
    (own_root / "bin/sleep").unlink()
    with pytest.raises(RuntimeError, match="/bin/sleep: No such file"), many.hold_floor(floor, own_root, COUNT) as held:
        held.ends[0]()


def test_ours_have_their_state_on_a_tmpfs_that_nobody_else_sees(own_root):
    def hold():
        with many.hold_ours(own_root, COUNT) as held:
            (store,) = ours.STATE.iterdir()
            assert len(held.starts) == len(list(store.iterdir())) == COUNT
            assert not {store.name} & set(os.listdir(f"/proc/{os.getpid()}/root{ours.STATE}"))
            assert all(end() > 0 for end in held.ends)
            assert list(ours.STATE.iterdir()) == []
            return store.name

    with ThreadPoolExecutor(1, initializer=ours.state_in_memory) as pool:
        name = pool.submit(hold).result()
    assert name not in os.listdir(ours.STATE)


def test_a_kind_that_fails_leaves_the_others(floor, root, scratch):
    kinds = [
        many.Kind(
            name="fails", kind="ours", hold=lambda count: many.hold_ours(scratch / "missing", count), count=COUNT
        ),
        many.Kind(name="floor", kind="floor", hold=lambda count: many.hold_floor(floor, root, count), count=COUNT),
    ]
    failed, measured = many.measure(kinds, 1).values()
    assert "missing" in failed.row.skipped
    assert failed.end is None
    assert measured.row.samples == COUNT
    assert measured.helpers == 0
