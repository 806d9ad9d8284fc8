"""What is kept of containers on disk: names, records, locks; crashes at any point, and damage of any kind."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import pycgroups as pc
from pycgroups.containers import home
from pycgroups.containers.home import START, Homes, Record, Start, new_id
from pycgroups.images.locks import Lock
from pycgroups.images.users import RECORD
from pycgroups.runtime.state import Home as StateHome

STARTED = Start(boot="b", started=1, pid=2, began=3, creator=4, creator_began=5, unenforced=("cpus",))


@pytest.fixture
def homes(tmp_path):
    return Homes(str(tmp_path))


def made(homes, name="web", **facts):
    record = Record(id=new_id(), name=name, created=1, config={"command": ["true"]}, **facts)
    homes.make(record).close()
    return record


def test_a_record_comes_back(homes):
    record = made(homes, image="sha256:1", detach=True)
    with homes.open(record.id) as there:
        assert there.record() == record
        assert (there.start(), there.was_started) == (None, False)
        there.write_start(STARTED)
        assert (there.start(), there.was_started) == (STARTED, True)


def test_it_is_found_by_name_id_and_beginning(homes):
    record, other = made(homes), made(homes, "db")
    assert homes.ids() == sorted([record.id, other.id])
    for word in ("web", record.id, record.id[:12]):
        assert homes.find(word) == record.id
    for word in ("", "w", "no", "/", "..", record.id + "0", "\0", None):
        with pytest.raises(pc.NotFound):
            homes.find(word)


def test_a_beginning_of_two_ids_is_refused(homes):
    ids = ["ab" + new_id()[2:] for _ in range(2)]
    for id_ in ids:
        homes.make(Record(id=id_, name=f"n{id_}", created=1, config={})).close()
    with pytest.raises(pc.InvalidConfig, match="2 containers"):
        homes.find("ab")


def test_a_name_is_given_once(homes):
    record = made(homes)
    with pytest.raises(pc.AlreadyExists, match=record.id[:12]):
        made(homes)
    assert homes.ids() == [record.id]
    assert not list(homes._unfinished())


def test_a_removed_one_leaves_nothing_and_its_name_is_free(homes):
    record = made(homes)
    with homes.open(record.id) as there:
        there.lock()
        os.mkdir(f"{there.path}/upper")
        os.mkdir(f"{there.path}/upper/x", 0o000)
        homes.remove(there)
    assert sorted(os.listdir(homes.path)) == ["names", "names.lock"]
    assert os.listdir(f"{homes.path}/names") == []
    made(homes)


def test_a_new_name_takes_the_place_of_the_old(homes):
    record, other = made(homes), made(homes, "db")
    with homes.open(record.id) as there:
        there.lock()
        with pytest.raises(pc.AlreadyExists):
            homes.rename(there, "db")
        homes.rename(there, "web2")
    assert homes.find("web2") == record.id
    assert homes.find("db") == other.id
    with pytest.raises(pc.NotFound):
        homes.find("web")
    assert sorted(os.listdir(f"{homes.path}/names")) == ["db", "web2"]


def test_of_many_creators_one_gets_the_name(tmp_path):
    start = Barrier(4)  # locks are of open files: threads are as good as processes

    def race(_number):
        homes, won = Homes(str(tmp_path)), 0
        start.wait()
        for round_ in range(30):
            try:
                made(homes, f"n{round_}")
                won += 1
            except pc.AlreadyExists:
                pass
        return won

    with ThreadPoolExecutor(4) as racers:
        assert sum(racers.map(race, range(4))) == 30
    assert len(Homes(str(tmp_path)).ids()) == 30
    assert not list(Homes(str(tmp_path))._unfinished())


def test_a_name_is_not_taken_from_one_that_is_finished_meanwhile(homes, monkeypatch):
    record = Record(id=new_id(), name="web", created=1, config={"command": ["true"]})
    begun, looks = homes.begin(record), home.is_busy
    homes._give_name("web", record.id)

    def look(path):
        answer = looks(path)
        if begun.fd >= 0:
            os.rename(begun.path, f"{homes.path}/{record.id}")
            begun.close()
        return answer

    monkeypatch.setattr(home, "is_busy", look)
    with pytest.raises(pc.AlreadyExists):
        made(homes, "web")
    assert homes.ids() == [record.id]


class Cut(BaseException):
    """Whoever works on it dies."""


CALLS = ("mkdir", "rename", "symlink", "unlink", "open")


def cut_at(monkeypatch, count):
    """Let the count-th system call of those that change anything, and all after it, fail: the process is dead."""
    left = [count]

    def stop(real):
        def call(*args, **options):
            if not left[0]:
                raise Cut
            left[0] -= 1
            return real(*args, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(home.os, name, stop(getattr(os, name)))


@pytest.mark.parametrize("what", ["make", "rename", "remove"])
def test_a_crash_between_any_two_calls_leaves_a_whole_store(tmp_path, monkeypatch, what):
    for count in range(200):
        homes = Homes(str(tmp_path / str(count)))
        witness = made(homes, "witness")
        record = None if what == "make" else made(homes)
        with monkeypatch.context() as patch:
            held = homes.open(record.id) if record else None
            cut_at(patch, count)
            try:
                if what == "make":
                    made(homes)
                elif what == "rename":
                    homes.rename(held, "new")
                else:
                    homes.remove(held)
                finished = True
            except Cut:
                finished = False
        if held:
            held.close()
        homes.sweep()
        assert homes.find("witness") == witness.id
        for id_ in homes.ids():
            with homes.open(id_) as there:
                assert homes.find(there.record().name) == id_
        assert not list(homes._unfinished())
        for name in ("web", "new"):
            try:
                with homes.open(homes.find(name)) as there:
                    there.lock(0)
                    homes.remove(there)
            except pc.NotFound:
                pass
            made(homes, name)
        if finished:
            return
    raise AssertionError("it never came to its end")


def ruin(path, how):
    if how == "missing":
        path.unlink()
    elif how == "directory":
        path.unlink()
        path.mkdir()
    elif how == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif how == "link":
        path.unlink()
        path.symlink_to("/etc/passwd")
    elif how == "huge":
        with path.open("r+b") as file:
            file.truncate(100 << 20)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        path.write_bytes(how)


HOW = [
    "missing",
    "directory",
    "fifo",
    "link",
    "huge",
    "cut",
    b"",
    b"\0" * 50,
    b"[]",
    b"{}",
    b'{"id": 5}',
    b"\xff\xfe",
    b"null",
]


@pytest.mark.parametrize("how", HOW, ids=repr)
@pytest.mark.parametrize("name", [RECORD, START])
def test_damage_of_one_is_told_and_stops_no_other(homes, tmp_path, name, how):
    good, bad = made(homes, "good"), made(homes, "bad")
    with homes.open(bad.id) as there:
        there.write_start(STARTED)
    path = tmp_path / "containers" / bad.id
    ruin(path / name, how)
    assert homes.ids() == sorted([good.id, bad.id])
    assert homes.find("good") == good.id
    assert homes.find("bad") == homes.find(bad.id[:20]) == bad.id
    with homes.open(bad.id) as there:
        read = {RECORD: there.record, START: there.start}[name]
        if how != "missing" or name == RECORD:
            with pytest.raises(pc.InvalidConfig, match="damaged") as caught:
                read()
            assert caught.value.path == str(path / name)
            assert "force" in caught.value.hint
    homes.sweep()
    with pytest.raises(pc.AlreadyExists):
        made(homes, "bad")
    with homes.open(bad.id) as there:
        there.lock(0)
        homes.remove(there)
    made(homes, "bad")


@pytest.mark.parametrize("flip", range(0, 800, 7))
def test_a_flipped_bit_is_an_error_of_ours_or_none(homes, tmp_path, flip):
    record = made(homes)
    path = tmp_path / "containers" / record.id / RECORD
    text = bytearray(path.read_bytes())
    text[flip // 8 % len(text)] ^= 1 << flip % 8
    path.write_bytes(text)
    with homes.open(record.id) as there:
        try:
            there.record()
        except pc.InvalidConfig:
            pass


def test_who_holds_the_lock_keeps_others_out_until_it_dies(homes):
    record = made(homes)
    with homes.open(record.id) as one, homes.open(record.id) as other:
        one.lock()
        with pytest.raises(pc.StateError, match="at work"):
            other.lock(0)
        one.close()
        other.lock(0)


def test_who_waits_for_the_lock_of_a_removed_one_is_told(homes):
    record = made(homes)
    with homes.open(record.id) as one, homes.open(record.id) as other:
        one.lock()
        homes.remove(one)
        one.close()
        with pytest.raises(pc.NotFound):
            other.lock(0)


def taken(homes, tmp_path):
    """Lock a container, and a file; what gives back each, and what takes it for a moment, or fails."""
    record = made(homes)
    held, lock = homes.open(record.id), Lock(str(tmp_path / "lock"))
    held.lock()
    lock.take()

    def again():
        with homes.open(record.id) as other:
            other.lock(0)

    def take():
        other = Lock(str(tmp_path / "lock"))
        assert other.take(wait=False)
        other.release()

    return [(held, held.close, again), (lock, lock.release, take)]


@pytest.mark.parametrize("which", [0, 1], ids=["home", "lock"])
def test_a_child_that_is_forked_meanwhile_has_no_lock(homes, tmp_path, which):
    """Neither when it is given back, though the child has a copy of the descriptor; nor has it one for long."""
    held, give_back, take = taken(homes, tmp_path)[which]
    copy = os.dup(held.fd)
    pid = os.fork()
    if pid == 0:
        os._exit(held.fd >= 0)
    assert os.waitpid(pid, 0)[1] == 0
    give_back()
    take()
    os.close(copy)


def test_a_child_that_is_forked_has_what_is_not_locked(homes):
    with homes.open(made(homes).id) as held:
        pid = os.fork()
        if pid == 0:
            os._exit(held.record().name != "web")
        assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("at", ["rename", "_sync"])
def test_an_interrupt_when_one_has_just_got_its_name_leaves_none(homes, monkeypatch, at):
    where = home.os if at == "rename" else home
    real = getattr(where, at)

    def interrupted(*args, **options):
        monkeypatch.undo()
        real(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(where, at, interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(homes)
    assert (homes.ids(), [*homes._unfinished()]) == ([], [])
    made(homes)


@pytest.mark.parametrize("kind", [home.Home, StateHome, Lock])
def test_one_that_was_never_begun_ends_quietly(kind):
    """An exception has come before the first line of its making."""
    kind.__new__(kind).__del__()


def test_what_cannot_be_removed_is_in_the_way_of_nothing_else(tmp_path, monkeypatch):
    store = pc.Store(tmp_path)
    one, two, last = (store.containers.create(["true"], rootfs=str(tmp_path)) for _ in range(3))
    real = home.remove

    def refused(path):
        if one.id in path:
            raise pc.Error("refused", operation="remove", path=path)
        real(path)

    monkeypatch.setattr(home, "remove", refused)
    with pytest.raises(pc.Error, match="refused"):
        one.remove()
    last.remove()
    store.containers.create(["true"], rootfs=str(tmp_path)).remove()
    volume = store.volumes.create("data")
    with pytest.raises(pc.Error, match="refused"):
        store.prune(volumes=True)
    assert (store.containers.list(all=True), os.path.exists(volume.path)) == ([], False)
    monkeypatch.undo()
    store.prune()
    assert not [*Homes(str(tmp_path))._unfinished()]
    with pytest.raises(pc.NotFound):
        _ = two.status


def test_a_lock_that_was_handed_on_stays_when_it_is_forgotten(tmp_path):
    """As a monitor's, whose container's start is interrupted at its end."""
    lock, other = Lock(str(tmp_path / "a")), Lock(str(tmp_path / "a"))
    lock.take()
    copy, lock.is_handed_on = os.dup(lock.fd), True
    del lock
    assert not other.take(wait=False)
    os.close(copy)
    assert other.take(wait=False)
    other.release()
