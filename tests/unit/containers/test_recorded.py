"""Samples in a file. No container is needed."""

from __future__ import annotations

import json

import pytest

from pycgroups.cgroups.pressure import Pressure, Stall, Stalls
from pycgroups.cgroups.stats import CpuStats, HugetlbStats, IoStats, MemoryEvents, MemoryStats, PidsStats
from pycgroups.containers import recorded
from pycgroups.containers.stats import ContainerStats
from pycgroups.errors import Error, InvalidConfig
from pycgroups.network.counters import InterfaceStats

STALLS = Stalls(some=Stall(avg10=0.0, avg60=1.5, avg300=0, total=2.25), full=None)
COUNTS = {
    f"{way}_{what}": number
    for number, (way, what) in enumerate(
        (way, what) for way in ("received", "sent") for what in ("bytes", "packets", "errors", "dropped")
    )
}
FULL = ContainerStats(
    time=1000.5,
    uptime=1.0,
    cpu_percent=12.5,
    cpu=CpuStats(total=1.0, user=0.5, system=0.5, periods=3),
    memory=MemoryStats(current=10, peak=50, events=MemoryEvents(max=1)),
    io=(IoStats(major=8, minor=0, read_bytes=100), IoStats(major=8, minor=16)),
    pids=PidsStats(current=3),
    hugetlb=(HugetlbStats(page_size="2MB", current=0),),
    pressure=Pressure(cpu=STALLS, memory=STALLS, io=STALLS),
    network=(InterfaceStats(name="eth0", **COUNTS),),
)
EMPTY = ContainerStats(
    time=1001,
    uptime=2,
    cpu_percent=None,
    cpu=CpuStats(),
    memory=MemoryStats(),
    io=None,
    pids=PidsStats(),
    hugetlb=(),
    pressure=None,
    network=None,
)


@pytest.fixture
def kept(tmp_path):
    """A file of two containers."""
    path = tmp_path / "kept.jsonl"
    told = [("1", "web", FULL), ("2", "db", EMPTY), ("1", "web", EMPTY)]
    path.write_text("".join(f"{json.dumps(recorded.line(*each))}\n" for each in told))
    return path


def test_what_was_written_comes_back(kept):
    histories = recorded.read(kept)
    assert {name: history.samples for name, history in histories.items()} == {"web": (FULL, EMPTY), "db": (EMPTY,)}
    assert histories["web"].peaks.memory == 50


def test_a_line_that_was_cut_off_is_left_out(kept):
    text = kept.read_bytes()
    kept.write_bytes(text[:-20])
    assert [len(history.samples) for history in recorded.read(kept).values()] == [1, 1]
    kept.write_bytes(b"")
    assert recorded.read(kept) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"time": "now"},
        {"cpu_percent": True},
        {"cpu": None},
        {"cpu": {"total": 1.0}},
        {"io": {}},
        {"io": [1]},
        {"name": 7},
        {"more": 1},
        {"memory": {**recorded.line("", "", EMPTY)["memory"], "events": []}},
    ],
    ids=str,
)
def test_what_is_no_sample_is_told_with_its_line(kept, change):
    with kept.open("a") as file:
        file.write(f"{json.dumps({**recorded.line('1', 'web', EMPTY), **change})}\n")
    with pytest.raises(InvalidConfig, match=r"kept\.jsonl:4"):
        recorded.read(kept)


@pytest.mark.parametrize("text", ["[]\n", "[\n", "{}\n", "\n", "7\n", "\0\n"])
def test_what_is_another_file_is_refused(tmp_path, text):
    path = tmp_path / "kept.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match=r"kept\.jsonl:1"):
        recorded.read(path)
    with pytest.raises(Error, match="No such file"):
        recorded.read(tmp_path / "other")
