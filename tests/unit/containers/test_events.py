"""The events of a store: no privilege is needed to write and read a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import pytest

from pycgroups.containers import events
from pycgroups.containers.events import Events
from pycgroups.errors import InvalidConfig


@pytest.fixture
def log(tmp_path):
    return Events(str(tmp_path / "store"))


def actions(found):
    return [event.action for event in found]


def test_nothing_has_happened_and_nothing_is_made_by_looking(log, tmp_path):
    assert list(log.read()) == []
    assert os.listdir(tmp_path) == []


def test_all_of_an_event_comes_back(log):
    before = time.time()
    log.append("container", "die", id_="ab" * 32, name="web", attributes={"exit_code": "137", "é\udcff": "\n"})
    (event,) = log.read()
    assert before <= event.time <= time.time()
    assert event[1:] == ("container", "die", "ab" * 32, "web", {"exit_code": "137", "é\udcff": "\n"})
    assert os.stat(log.path).st_mode & 0o777 == 0o600


def test_filters_and_times(log):
    log.append("volume", "create", id_="a", name="a", attributes={"of": "shop"})
    between = time.time()
    log.append("container", "create", id_="b", name="b")
    log.append("volume", "remove", id_="a", name="a")
    assert actions(log.read(filters={"type": "volume"})) == ["create", "remove"]
    assert actions(log.read(filters={"type": "volume", "action": ["remove", "die"]})) == ["remove"]
    assert actions(log.read(filters={"of": "shop"})) == ["create"]
    assert actions(log.read(filters={"name": ["a", "b"], "id": "b"})) == ["create"]
    assert actions(log.read(since=between)) == ["create", "remove"]
    assert actions(log.read(until=between)) == ["create"]
    assert actions(log.read(until=between, follow=True, since=0)) == ["create"]


@pytest.mark.requires("userns")
def test_a_store_that_nobody_can_write_to_is_followed(log, tmp_path):
    log.append("container", "create", id_="x")
    now = time.time()
    follow = f"import sys; from pycgroups.containers.events import Events; log = Events({str(tmp_path / 'store')!r})\n"
    follow += f"print([event.action for event in log.read(since=0, until={now}, follow=True)])"
    read_only = 'mount --bind $0 $0 && mount -o remount,bind,ro $0 && exec $1 -c "$2"'
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", read_only, tmp_path, sys.executable, follow]
    assert subprocess.check_output(words, text=True) == "['create']\n"


def test_the_words_are_those_of_the_list():
    listed = re.findall(r"^``(\w+)``  ", events.__doc__, re.MULTILINE)
    assert sorted(listed) == sorted(events.ACTIONS)
    assert all(f"``{word}``" in events.__doc__ for word in events.ATTRIBUTES)


@pytest.mark.parametrize("moment", ["now", True, b"1"])
def test_times_that_are_refused(log, moment):
    with pytest.raises(InvalidConfig) as caught:
        log.read(since=moment)
    assert caught.value.path == "since"


def test_what_is_too_long_loses_its_longest_attributes(log):
    log.append("container", "create", id_="x", attributes={"long": "x" * 5000, "short": "y", "other": "z" * 3000})
    (event,) = log.read()
    assert event.attributes.keys() == {"short", "other"}
    assert os.stat(log.path).st_size < events.LONGEST


@pytest.mark.parametrize(
    "junk", [b"{", b'{"time":1', b"\n\n", b"\0\0", b"[]\n", b'{"time":1,"type":"volume"}\n', b"\xff\xfe", b"1" * 5000]
)
def test_what_was_cut_off_is_left_out_and_spoils_no_other(log, junk):
    log.append("volume", "create", id_="a")
    with open(log.path, "ab") as file:
        file.write(junk)
    log.append("volume", "remove", id_="a")
    assert actions(log.read()) == ["create", "remove"]


def test_one_that_cannot_be_told_of_is_no_failure(tmp_path):
    (tmp_path / "containers").write_text("in the way")
    Events(str(tmp_path)).append("volume", "create", id_="a")


def test_the_older_half_is_given_up(log, monkeypatch):
    monkeypatch.setattr(events, "LARGEST", 2**18)
    for number in range(4000):
        log.append("volume", "create", id_=str(number), attributes={"filler": "x" * 50})
    found = os.stat(log.path)
    assert found.st_size > 2**18
    assert found.st_blocks * 512 <= 2**18 + 2**13
    numbers = [int(event.id) for event in log.read()]
    assert numbers == list(range(numbers[0], 4000))
    assert 500 < len(numbers) < 3000


def test_who_follows_over_a_hole_goes_on_behind_it(log, monkeypatch):
    monkeypatch.setattr(events, "LARGEST", 2**18)
    log.append("volume", "create", id_="0")
    following = log.read(follow=True, since=0)
    assert next(following).id == "0"
    for number in range(1, 4000):
        log.append("volume", "create", id_=str(number), attributes={"filler": "x" * 50})
    log.append("volume", "remove", id_="last")
    seen = []
    for event in following:
        seen.append(event)
        if event.action == "remove":
            break
    following.close()
    assert [int(event.id) for event in seen[:-1]] == list(range(4000 - len(seen) + 1, 4000))


WRITE = """
import sys
from pycgroups.containers.events import Events
log = Events(sys.argv[1])
for number in range(250):
    log.append("volume", "create", id_=f"{sys.argv[2]}-{number}", attributes={"filler": "x" * (number * 7 % 1000)})
"""


def test_many_processes_write_at_once_and_one_follows(log, tmp_path):
    log.append("volume", "begin", id_="")
    following = log.read(follow=True, since=0)
    assert next(following).action == "begin"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path / "store"), name]) for name in "abcd"]
    seen = [next(following).id for _ in range(1000)]
    following.close()
    for writer in writers:
        assert writer.wait(60) == 0
    assert sorted(seen) == sorted(f"{name}-{number}" for name in "abcd" for number in range(250))
    for name in "abcd":
        assert [word for word in seen if word.startswith(name)] == [f"{name}-{number}" for number in range(250)]


def test_to_follow_waits_for_what_comes_and_wakes_at_once(log):
    told = []

    def follow():
        for event in log.read(follow=True, until=time.time() + 60):
            told.append((event, time.time()))
            if event.action == "remove":
                return

    log.append("volume", "create", id_="before")
    thread = threading.Thread(target=follow)
    thread.start()
    while not told:  # it begins with what comes after it has begun
        log.append("volume", "create", id_="a")
        time.sleep(0.01)
    log.append("volume", "remove", id_="a")
    thread.join(60)
    assert {event.id for event, _ in told} == {"a"}
    last, heard = told[-1]
    assert heard - last.time < events._PATIENCE / 2


def test_to_follow_ends_at_its_time(log):
    begin = time.monotonic()
    assert list(log.read(follow=True, until=time.time() + 0.2)) == []
    assert 0.15 < time.monotonic() - begin < 30


def test_without_inotify_it_looks_by_itself(log, monkeypatch):
    monkeypatch.setattr(events.calls, "inotify_open", lambda: -24)
    monkeypatch.setattr(events, "_PATIENCE", 0.02)
    log.append("volume", "create", id_="a")
    following = log.read(follow=True, since=0)
    assert next(following).id == "a"
    log.append("volume", "create", id_="b")
    assert next(following).id == "b"
    following.close()
