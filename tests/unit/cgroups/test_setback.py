"""What is written to files that are to say again what they did before."""

from __future__ import annotations

import errno

import pytest

from pycgroups.cgroups.setback import set_back
from pycgroups.errors import CgroupError


class Files:
    """Files that take a value, or refuse the first so many."""

    path = ""

    def __init__(self, before, now, refuses=0):
        self.before = before
        self.now = now
        self.refuses = refuses
        self.written = []

    def read(self, name):
        if name not in self.now:
            raise CgroupError(operation="read", path=name, errno=errno.ENODEV)
        return self.now[name]

    def write(self, name, value):
        assert self.before is None  # what is set back is not noted
        if self.refuses:
            self.refuses -= 1
            raise CgroupError(operation="write", path=name, errno=errno.EINVAL)
        self.written.append((name, value))


@pytest.mark.parametrize(
    ("name", "before", "now", "written"),
    [
        ("pids.max", "max\n", "10\n", ["max"]),
        ("cpuset.cpus", "0-2\n", "0\n", ["0-2"]),
        ("cpuset.cpus", "\n", "0\n", ["0-3\n"]),
        ("cpuset.mems", "\n", "0\n", ["\n"]),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "oom_kill_disable 1\nunder_oom 0\n", ["0"]),
        (
            "io.weight",
            "default 100\n8:0 50\n",
            "default 200\n8:0 60\n9:0 1\n",
            ["9:0 default", "default 100", "8:0 50"],
        ),
        ("io.max", "", "8:0 rbps=1 wbps=max\n", ["8:0 rbps=max wbps=max riops=max wiops=max"]),
        ("blkio.throttle.read_bps_device", "", "8:0 100\n", ["8:0 0"]),
    ],
)
def test_one_file(tmp_path, name, before, now, written):
    (tmp_path / "cpuset.cpus.effective").write_text("0-3\n")
    files = Files({name: before}, {name: now})
    files.path = str(tmp_path / "group")
    set_back(files)
    assert files.written == [(name, value) for value in written]


def test_the_last_comes_first_and_what_is_refused_after_the_others():
    texts = {"limit": "1\n", "sum": "2\n"}
    files = Files(texts, texts)
    set_back(files)
    assert files.written == [("sum", "2"), ("limit", "1")]
    files = Files(texts, texts, refuses=1)
    set_back(files)
    assert files.written == [("limit", "1"), ("sum", "2")]


def test_what_is_gone_stays_so():
    files = Files({"pids.max": "max\n"}, {}, refuses=2)
    set_back(files)
    assert files.written == []
    set_back(Files(None, {}))
