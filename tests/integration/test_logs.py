"""The reader of logs: files written by hand, and by a monitor that writes and rotates meanwhile."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pycgroups._native import calls
from pycgroups.containers import logs, monitor
from pycgroups.containers.logs import Record
from pycgroups.errors import Error
from tests.integration.watched import FORMS, python, watched
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 10**9


@pytest.fixture
def directory(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def line(number, data, stream="stdout", form="json"):
    stamp = f"1970-01-01T00:{number // 60:02}:{number % 60:02}.000000001Z"
    if form == "json":
        return json.dumps({"log": data, "stream": stream, "time": stamp}).encode() + b"\n"
    return f"{stamp} {stream} {'F' if data.endswith(chr(10)) else 'P'} {data.rstrip(chr(10))}\n".encode()


def data(directory, **options):
    return [record.data.decode() for record in logs.read(directory, **options)]


# -- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (b'{"log":"a\\u0001\\n","stream":"stderr","time":"1970-01-01T00:00:01Z"}', Record(10**9, "stderr", b"a\x01\n")),
        (b'{"time":"1970-01-01T01:00:00.5+01:00","stream":"x","log":"a","attrs":{}}', Record(5 * 10**8, "x", b"a")),
        (b"1970-01-01T00:00:00.000000001Z stdout F a b\xff", Record(1, "stdout", b"a b\xff\n")),
        (b"1970-01-01T00:00:00.1Z stderr P ", Record(10**8, "stderr", b"")),
        (b"1970-01-01T00:00:00Z stderr F:x y", Record(0, "stderr", b"y\n")),
        (b"", None),
        (b"{", None),
        (b"{}", None),
        (b"[1]", None),
        (b'{"log":1,"stream":"stdout","time":"1970-01-01T00:00:00Z"}', None),
        (b'{"log":"","stream":"stdout","time":"yesterday"}', None),
        (b'{"log":"","stream":"stdout","time":"1970-13-01T00:00:00Z"}', None),
        (b'{"log":"","stream":"stdout","time":7}', None),
        (b"1970-01-01T00:00:00Z stdout F", None),
        (b"1970-01-01T00:00:00.1234567890Z stdout F x", None),
        (b"\xff\xff \xff F x", None),
        (b"\0" * 4096, None),
    ],
)  # fmt: skip
def test_parse(text, record):
    assert logs.parse(text) == record


def test_a_record_as_text():
    record = Record(1 * SECOND + 20, "stdout", b"\xff\n")
    assert record.text == "\ufffd\n"
    assert record.stamp == "1970-01-01T00:00:01.000000020Z"


# -- files -----------------------------------------------------------------------------------------------------------


def test_no_log(directory):
    assert data(directory) == []
    assert data(directory, follow=True, tail=3) == []  # nobody will write one


@FORMS
def test_several_files(directory, tmp_path, form):
    for number, name in enumerate(["log.2", "log.1", "log"]):
        (tmp_path / name).write_bytes(b"".join(line(10 * number + i, f"{number}{i}\n", form=form) for i in range(3)))
    for name in ("log.x", "log.01", "log.1.gz", "catalog.3"):
        (tmp_path / name).write_bytes(line(0, "of another log\n"))
    everything = [f"{number}{i}\n" for number in range(3) for i in range(3)]
    assert data(directory) == everything
    for count in range(12):
        assert data(directory, tail=count) == everything[max(0, 9 - count) :]
    assert data(directory, since=11 * SECOND) == everything[4:]
    assert data(directory, until=11 * SECOND + 1) == everything[:5]
    assert data(directory, since=1 * SECOND, until=20 * SECOND, tail=6) == everything[3:6]


def test_who_writes_faster_than_this_reads_is_not_read_for_ever(directory, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(line(0, "0\n") + line(1, "1\n"))
    read = []
    for record in logs.read(directory):
        read.append(record.data)
        with log.open("ab") as file:
            file.write(line(2, "more\n") * 30_000)  # more than is read at once
        assert len(read) <= 2
    assert read == [b"0\n", b"1\n"]


def test_what_arrives_is_told_once_over_rotations_too(directory, tmp_path):
    log = tmp_path / "log"
    with logs.Arrivals(directory) as arrivals:
        assert list(arrivals.read()) == []
        log.write_bytes(line(0, "0\n") + line(1, "1\n"))
        assert next(arrivals.read()).data == b"0\n"
        assert [record.data for record in arrivals.read()] == [b"1\n"]
        with log.open("ab") as file:
            file.write(line(2, "2\n"))
        log.rename(tmp_path / "log.1")
        log.write_bytes(line(3, "3\n"))
        assert [record.data for record in arrivals.read()] == [b"2\n", b"3\n"]
        assert list(arrivals.read()) == []


# -- rotations that go on meanwhile ----------------------------------------------------------------------------------

LINES = 4  # of each file


class Rotations:
    """The steps of rotate() in output.c, one at a time."""

    def __init__(self, path, files):
        self.path, self.files = path, files
        self.next = 0
        self.name(0).write_bytes(b"")
        self.fill()
        for _ in range(files - 1):
            for step in self.steps():
                step()

    def name(self, number):
        return self.path / (f"log.{number}" if number else "log")

    def fill(self):
        with self.name(0).open("ab") as file:
            for _ in range(LINES):
                file.write(line(0, f"{self.next}\n"))
                self.next += 1

    def steps(self):
        pairs = [(self.name(number - 1), self.name(number)) for number in range(self.files - 1, 0, -1)]
        shifts = [lambda old=old, new=new: old.exists() and old.rename(new) for old, new in pairs]
        return [*shifts, lambda: self.name(0).write_bytes(b""), self.fill]

    def present(self):
        names = [self.name(number) for number in range(self.files)]
        return {
            int(json.loads(text)["log"])
            for name in names
            if name.exists()
            for text in name.read_bytes().split(b"\n")[:-1]
        }


@pytest.fixture
def between(monkeypatch):
    """Have steps done before the reader opens files, so many each time; what this returns has the rest done."""
    plan: list[int] = []
    steps: list[Callable[[], object]] = []
    opened = logs._open

    def do(count):
        for step in steps[:count]:
            step()
        del steps[:count]

    def stepping(directory, name):
        do(plan.pop(0) if plan else 0)
        return opened(directory, name)

    def set_up(counts, taken):
        plan[:], steps[:] = counts, taken
        return lambda: do(len(steps))

    monkeypatch.setattr(logs, "_open", stepping)
    return set_up


def interleavings(slots, steps):
    """All ways to have so many steps in front of so many calls."""
    if slots == 1:
        return [[steps]]
    return [[first, *rest] for first in range(steps + 1) for rest in interleavings(slots - 1, steps - first)]


@pytest.fixture(params=[1, 2, 3])
def plans(request, tmp_path):
    """Rotations that begin, their steps, and when these are done."""
    turns = request.param

    def made():
        for plan in interleavings(4, 4 * turns)[:: turns**2]:
            for path in tmp_path.iterdir():
                path.unlink()
            rotations = Rotations(tmp_path, 3)
            yield rotations, turns * rotations.steps(), plan

    return made()


def test_all_that_stays_is_read_between_the_steps_of_a_rotation(directory, plans, between):
    for rotations, steps, plan in plans:
        before = rotations.present()
        finish = between(plan, steps)
        found = [int(text) for text in data(directory)]
        finish()
        assert found == list(range(found[0], found[-1] + 1)), plan
        assert set(found) >= before & rotations.present(), plan


def test_who_follows_loses_and_repeats_nothing_between_the_steps(directory, plans, between):
    for rotations, steps, plan in plans:
        with logs.Arrivals(directory) as arrivals:
            found = [int(record.data) for record in arrivals.read()]
            seen = len(found)
            finish = between(plan, steps)
            for _ in range(3):
                found += [int(record.data) for record in arrivals.read()]
            finish()
            found += [int(record.data) for record in arrivals.read()]
        assert found == sorted(set(found)), plan
        assert set(found[seen:]) >= rotations.present() - set(range(seen)), plan


def test_who_follows_hears_of_what_a_monitor_has_left_within_a_rotation(directory, tmp_path):
    rotations = Rotations(tmp_path, 3)
    with logs.Arrivals(directory) as arrivals:
        assert len(list(arrivals.read())) == 3 * LINES
        for step in [*rotations.steps(), *rotations.steps()[:-2]]:
            step()
        assert not (tmp_path / "log").exists()
        assert len(list(arrivals.read())) == LINES
    assert logs.end(directory).inode == (tmp_path / "log.1").stat().st_ino


# -- files that somebody else has put there --------------------------------------------------------------------------


def test_what_is_no_file_of_a_log(directory, tmp_path):
    (tmp_path / "log").write_bytes(line(0, "own"))
    for name in ("log.20261127", "log.1000", "log.01", "log.x"):
        (tmp_path / name).write_bytes(line(0, "another"))
    assert data(directory) == ["own"]


def test_a_file_with_two_names(directory, tmp_path):
    for name in ("log.8", "log.2", "log"):
        (tmp_path / name).write_bytes(line(0, name))
    (tmp_path / "log.7").hardlink_to(tmp_path / "log")
    assert data(directory) == ["log.2", "log"]


def test_the_end_is_the_newest_files(directory, tmp_path, monkeypatch):
    names: list[str] = []
    opened = logs._open

    def noting(directory, name):
        names.append(name)
        return opened(directory, name)

    monkeypatch.setattr(logs, "_open", noting)
    for name in ("log.2", "log.1", "log"):
        (tmp_path / name).write_bytes(line(0, "x"))
    assert logs.end(directory) == ((tmp_path / "log").stat().st_ino, (tmp_path / "log").stat().st_size)
    assert names == ["log"]


def test_a_file_that_was_seen_is_not_told_again(directory, tmp_path):
    """The one that was the newest is gone, and there is one behind it that is new."""
    for name in ("log.1", "log"):
        (tmp_path / name).write_bytes(line(0, name))
    with logs.Arrivals(directory) as arrivals:
        assert [record.text for record in arrivals.read()] == ["log.1", "log"]
        (tmp_path / "log.2").write_bytes(line(0, "new"))
        (tmp_path / "log").unlink()
        assert [record.text for record in arrivals.read()] == ["new"]


def test_a_file_in_the_place_of_one_that_was_seen(directory, tmp_path):
    """The same inode, size and time, where clocks are coarse."""
    for name in ("log.1", "log"):
        (tmp_path / name).write_bytes(line(0, "old"))
    with logs.Arrivals(directory) as arrivals:
        assert len(list(arrivals.read())) == 2
        (tmp_path / "log").unlink()
        facts = (tmp_path / "log.1").stat()
        (tmp_path / "log.1").write_bytes(line(1, "new"))
        os.utime(tmp_path / "log.1", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        (tmp_path / "log.1").rename(tmp_path / "log")
        assert [record.text for record in arrivals.read()] == ["new"]


# -- records in files ------------------------------------------------------------------------------------------------


def test_streams(directory, tmp_path):
    (tmp_path / "log").write_bytes(
        b"".join(line(i, f"{i}\n", "stderr" if i % 3 else "stdout") for i in range(9)),
    )
    assert data(directory, stderr=False) == ["0\n", "3\n", "6\n"]
    assert data(directory, stdout=False, tail=3) == ["5\n", "7\n", "8\n"]
    assert data(directory, stderr=False, tail=2) == ["3\n", "6\n"]
    assert data(directory, stdout=False, stderr=False) == []


def test_damaged_lines(directory, tmp_path):
    good = [line(i, f"{i}\n") for i in range(4)]
    (tmp_path / "log.1").write_bytes(good[0] + b"\0" * 100 + b"\n" + good[1] + b'{"log":"tor')
    (tmp_path / "log").write_bytes(b"half\n" + good[2] + b"\n\n" + b"x" * 3_000_000 + b"\n" + good[3] + good[0][:-1])
    assert data(directory) == ["0\n", "1\n", "2\n", "3\n"]
    assert data(directory, tail=3) == ["1\n", "2\n", "3\n"]


def test_no_newlines_at_all(directory, tmp_path):
    (tmp_path / "log").write_bytes(b"x" * 3_000_000)
    assert data(directory) == []
    assert data(directory, tail=1) == []


@FORMS
def test_the_last_line_is_a_part(directory, tmp_path, form):
    (tmp_path / "log").write_bytes(
        b"".join(line(i, text, form=form) for i, text in enumerate(["a\n", "b", "c\n", "d"]))
    )
    assert data(directory, tail=1) == ["d"]
    assert data(directory, tail=2) == ["b", "c\n", "d"]
    assert data(directory, tail=3) == ["a\n", "b", "c\n", "d"]


def test_tail_reads_no_more_than_it_needs(directory, tmp_path):
    """A terabyte, most of it a hole."""
    with (tmp_path / "log").open("wb") as file:
        file.seek(1 << 40)
        file.write(b"\n" + b"".join(line(i, f"{i}\n") for i in range(50)))
    assert data(directory, tail=2) == ["48\n", "49\n"]


def test_a_link_is_no_log(directory, tmp_path):
    (tmp_path / "log").symlink_to("/etc/passwd")
    with pytest.raises(Error, match="log"):
        data(directory)


def test_a_directory_is_no_log(directory, tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(Error, match="log"):
        data(directory)


# -- following -------------------------------------------------------------------------------------------------------


@pytest.mark.slow_in_vm("megabytes of output")
@FORMS
@pytest.mark.parametrize("inotify", [True, False])
def test_follow_across_rotation(tmp_path, form, inotify, monkeypatch):
    """Nothing is lost, nothing is double, and it ends with the container."""
    if not inotify:
        monkeypatch.setattr(calls, "inotify_open", lambda: -24)
    script = """
import time
for first in range(0, 20000, 200):
    print(*range(first, first + 200), sep="\\n", flush=True)
    time.sleep(0.003)
"""
    with python(tmp_path, script, form=form, max_bytes=300_000, max_files=4) as one:
        reaper = threading.Thread(target=one.program.wait)
        reaper.start()
        found = [int(record.data) for record in logs.read(one.directory, follow=True)]
        reaper.join()
        assert found == list(range(20000))
        assert (tmp_path / "log.1").exists()


@pytest.mark.slow_in_vm("megabytes of output")
def test_who_reads_while_files_are_shifted_gets_each_line_once(tmp_path):
    with watched(tmp_path, "seq 1 80000", max_bytes=32768, max_files=999) as one:
        followed: list[int] = []
        read: list[int] = []
        follower = threading.Thread(
            target=lambda: followed.extend(int(record.data) for record in logs.read(one.directory, follow=True))
        )
        follower.start()
        while monitor.ending(one.directory) is None and len(read) < 80000:
            read = [int(record.data) for record in logs.read(one.directory)]
            assert read == list(range(1, len(read) + 1))
        one.end()
        follower.join()
        assert followed == list(range(1, 80001))


def test_follow_when_files_are_gone(tmp_path):
    """A reader that is slower than all files: what is gone is gone, and the rest comes once and in order."""
    with watched(tmp_path, "seq 1 100; read x; seq 101 5000", max_bytes=20_000, max_files=2) as one:
        wait_for(lambda: len(one.records()) == 100)
        reader = logs.read(one.directory, follow=True)
        found = [int(next(reader).data) for _ in range(50)]
        one.say(b"\n")
        one.end()
        found += [int(record.data) for record in reader]
        assert found[:100] == list(range(1, 101))  # the reader has that file open
        assert found == sorted(set(found))
        assert found[-1] == 5000
        assert len(found) < 2000


def test_follow_a_log_that_is_removed(tmp_path):
    with watched(tmp_path, "seq 1 400; read x; echo more", max_bytes=20_000, max_files=3) as one:
        wait_for(lambda: len(one.records()) == 400)
        assert (tmp_path / "log.1").exists()
        reader = logs.read(one.directory, follow=True)
        found = [int(next(reader).data) for _ in range(400)]
        (tmp_path / "log").unlink()
        one.say(b"\n")
        one.end()
        assert found == list(range(1, 401))
        assert [record.data for record in reader] == [b"more\n"]


def test_follow_from_the_tail(tmp_path):
    with watched(tmp_path, "seq 1 10; read x; seq 11 12") as one:
        wait_for(lambda: len(one.records()) == 10)
        reader = logs.read(one.directory, follow=True, tail=2)
        assert [next(reader).data for _ in range(2)] == [b"9\n", b"10\n"]
        one.say(b"\n")
        one.end()
        assert [record.data for record in reader] == [b"11\n", b"12\n"]


def test_follow_until_then(tmp_path):
    with watched(tmp_path, "echo 1; read x; echo 2") as one:
        begin = time.monotonic()
        until = time.time_ns() + SECOND // 2
        assert [record.data for record in logs.read(one.directory, follow=True, until=until)] == [b"1\n"]
        assert 0.4 < time.monotonic() - begin < 30


def test_follow_a_killed_monitor(tmp_path):
    with watched(tmp_path, "echo 1; read x; echo 2") as one:
        reader = logs.read(one.directory, follow=True)
        assert next(reader).data == b"1\n"
        signal.pidfd_send_signal(one.monitor.pidfd, signal.SIGKILL)
        assert list(reader) == []
        assert monitor.ending(one.directory) == monitor.LOST
