"""Samples over a time: rates, peaks, and pictures. No container is needed."""

from __future__ import annotations

import os
import struct
import sys

import pytest

from pycgroups.cgroups.stats import CpuStats, IoStats, MemoryStats, PidsStats
from pycgroups.containers import plotting
from pycgroups.containers.history import History, Peaks, Rates
from pycgroups.containers.stats import ContainerStats
from pycgroups.errors import Error, InvalidConfig, Unsupported
from pycgroups.network.counters import InterfaceStats


def interface(name, received, sent):
    zero = dict.fromkeys(
        ("received_packets", "received_errors", "received_dropped", "sent_packets", "sent_errors", "sent_dropped"), 0
    )
    return InterfaceStats(name=name, received_bytes=received, sent_bytes=sent, **zero)


def sample(at, **known):
    """One with nothing known but what is given."""
    facts = {
        "time": 1000.0 + at,
        "uptime": at,
        "cpu_percent": None,
        "cpu": CpuStats(),
        "memory": MemoryStats(),
        "io": None,
        "pids": PidsStats(),
        "hugetlb": None,
        "pressure": None,
        "network": None,
    }
    return ContainerStats(**{**facts, **known})


@pytest.fixture
def history():
    return History(
        [
            sample(1.0, cpu_percent=400.0, memory=MemoryStats(current=10, peak=50), pids=PidsStats(current=3)),
            sample(
                2.0,
                cpu_percent=50.0,
                memory=MemoryStats(current=20, peak=50),
                io=(IoStats(major=8, minor=0, read_bytes=100, written_bytes=None),),
                network=(interface("lo", 1000, 1000), interface("eth0", 5, 70)),
            ),
            sample(
                4.0,
                cpu_percent=80.0,
                io=(
                    IoStats(major=8, minor=0, read_bytes=300, written_bytes=40),
                    IoStats(major=8, minor=16, read_bytes=20, written_bytes=None),
                ),
                network=(interface("lo", 9000, 9000), interface("eth0", 25, 10)),
            ),
        ]
    )


def test_rates_are_between_two_samples(history):
    assert history.rates == (Rates(None, None, None, None), Rates(110.0, 20.0, 10.0, 0.0))


def test_peaks_are_the_most_that_there_was(history):
    assert history.peaks == Peaks(
        cpu_percent=80.0, memory=50, pids=3, read=110.0, written=20.0, received=10.0, sent=0.0
    )


def test_of_nothing_nothing_is_known():
    assert set(History().peaks) == set(History([sample(1.0), sample(2.0)]).peaks) == {None}
    assert History([sample(1.0, cpu_percent=30.0)]).peaks.cpu_percent == 30.0


def test_what_a_limit_leaves():
    assert sample(1.0, memory=MemoryStats(working_set=16, limit=64)).memory_percent == 25.0
    assert sample(1.0, memory=MemoryStats(working_set=16)).memory_percent is None


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def _nothing_kept(tmp_path_factory):
    """Matplotlib keeps fonts open for the next picture, and a list of them on disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        from matplotlib import font_manager

        yield
        font_manager._get_font.cache_clear()


def test_an_svg_has_a_chart_for_each_thing_that_was_counted(history, tmp_path):
    history.plot(tmp_path / "x.svg", title="_$a$<b>")
    text = (tmp_path / "x.svg").read_text()
    assert text.startswith("<?xml")
    assert all(f">{label}<" in text for label in ("CPU, %", "memory, MB", "processes", "disk, MB/s", "network, MB/s"))
    assert "_$a$&lt;b&gt; received" in text
    History([sample(1.0, cpu_percent=1.0), sample(2.0, cpu_percent=2.0)]).plot(tmp_path / "x.svg")
    text = (tmp_path / "x.svg").read_text()
    assert ">CPU, %<" in text
    assert "memory" not in text


def test_a_page_needs_nothing_else(history, tmp_path):
    history.plot(tmp_path / "x.html", title="</title>")
    text = (tmp_path / "x.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("</title>") == text.count("<title>") == 1
    assert "<svg" in text
    assert "<script" not in text


def test_a_png_is_a_png(history, tmp_path):
    history.plot(tmp_path / "x.PNG", title="web")
    data = (tmp_path / "x.PNG").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert width > 500
    assert height > 500


def test_many_lines_and_none(tmp_path, history):
    plotting.plot(tmp_path / "many.svg", {f"c{number}": history for number in range(20)})
    plotting.plot(tmp_path / "none.svg", {})
    assert "nothing was counted" in (tmp_path / "none.svg").read_text()


def test_what_cannot_be_drawn(history, tmp_path, monkeypatch):
    with pytest.raises(InvalidConfig, match=r"\.png"):
        history.plot(tmp_path / "x.gif")
    with pytest.raises(Error, match="No such file"):
        history.plot(tmp_path / "no/x.svg")
    (tmp_path / "directory.svg").mkdir()
    (tmp_path / "link.svg").symlink_to("none.svg")
    (tmp_path / "old.svg").write_text("old")
    before = sorted(os.listdir(tmp_path))
    for path in (tmp_path / "no/x.svg", tmp_path / "directory.svg"):
        with pytest.raises(Error):
            plotting.check(path)
    for path in (tmp_path / "new.svg", tmp_path / "link.svg", tmp_path / "old.svg"):
        plotting.check(path)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "old.svg").read_text() == "old"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Unsupported, match=r"pycgroups\[plot\]"):
        history.plot(tmp_path / "x.svg")
