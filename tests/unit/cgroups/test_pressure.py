"""Pressure files: psi.rst's lines, old and new kernels, hostile content; and what is said where there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups import pressure
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.peak import MemoryPeak
from pycgroups.errors import CgroupError, Unsupported

SOME = "some avg10=1.50 avg60=0.20 avg300=100.00 total=2500000\n"
FULL = "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
ALL = {"cpu_pressure": SOME, "memory_pressure": SOME + FULL, "io_pressure": SOME + FULL}

some = pressure.Stall(avg10=1.5, avg60=0.2, avg300=100.0, total=2.5)
full = pressure.Stall(avg10=0.0, avg60=0.0, avg300=0.0, total=7e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOME + FULL, pressure.Stalls(some=some, full=full)),
        (SOME, pressure.Stalls(some=some, full=None)),
        ("half avg10=0.00\n" + SOME.replace("\n", " more=1\n") + FULL, pressure.Stalls(some=some, full=full)),
        (FULL, None),
        ("", None),
        ("some avg10=x avg60=0.00 avg300=0.00 total=0\n", None),
        ("some avg10=. avg60=1.2.3 avg300=0.00 total=0\n", None),
        ("some avg10=1.00 avg60=0.00\navg300=0.00 total=0\n", None),
    ],
)
def test_parse(text, expected):
    assert pressure.parse(text) == expected


@given(st.text("some full avg10=.0123456789\n total avg60= avg300="))
def test_hostile_lines(text):
    pressure.parse(text)


def test_read(fake):
    with Directory(str(fake.make("group", **ALL))) as group:
        assert pressure.read(group) == pressure.Pressure(
            cpu=pressure.Stalls(some=some, full=None),
            memory=pressure.Stalls(some=some, full=full),
            io=pressure.Stalls(some=some, full=full),
        )


@pytest.mark.parametrize("lacking", ["cpu", "memory", "io"])
@pytest.mark.parametrize("content", ["", None])
def test_no_half_made_pressure(fake, lacking, content):
    path = fake.make("group", **ALL)
    (path / f"{lacking}.pressure").unlink()
    if content is not None:
        (path / f"{lacking}.pressure").write_text(content)
    with Directory(str(path)) as group:
        assert pressure.read(group) is None


def test_why_there_is_none(fake, monkeypatch, tmp_path):
    assert "cgroup v1" in str(pressure.unsupported(None))
    with Directory(str(fake.make("group"))) as group:
        monkeypatch.setattr(pressure, "_COUNTED", str(tmp_path))
        assert f"echo 1 > {group.path}/cgroup.pressure" in str(pressure.unsupported(group))
        monkeypatch.setattr(pressure, "_COUNTED", str(tmp_path / "missing"))
        assert "psi=1" in str(pressure.unsupported(group))


def test_no_peak_to_reset(fake):
    path = fake.make("group", cgroup_procs="")
    with Directory(str(path)) as group:
        for directory in (None, group):
            with pytest.raises(Unsupported, match=r"Linux 6\.12"):
                MemoryPeak(directory)
        (path / "cgroup.procs").unlink()
        with pytest.raises(CgroupError, match="ENOENT"):
            MemoryPeak(group)
