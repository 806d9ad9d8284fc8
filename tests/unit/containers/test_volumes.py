"""Volumes as they are on the disk; what containers see of them is in tests/integration/test_volumes.py."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

import pycgroups as pc
from pycgroups.containers.volumes import collection
from pycgroups.containers.volumes.collection import Volumes
from pycgroups.containers.volumes.volume import measure
from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound, StateError
from pycgroups.images.locks import Lock


@pytest.fixture
def store(tmp_path):
    return pc.Store(tmp_path / "store")


@pytest.fixture
def volumes(store):
    return store.volumes


def names(volumes, **options):
    return [volume.name for volume in volumes.list(**options)]


def left(volumes):
    return sorted(os.listdir(volumes.root))


def test_looking_makes_nothing(volumes, tmp_path):
    assert volumes.list() == []
    assert volumes.prune() == ((), 0)
    with pytest.raises(NotFound) as caught:
        volumes.get("data")
    assert caught.value.path == "data"
    with pytest.raises(NotFound):
        volumes.remove("data")
    assert os.listdir(tmp_path) == []


def test_one_from_its_making_to_its_end(volumes, store):
    before = time.time()
    volume = volumes.create("data", labels={"of": "shop", "é": "\udcff"})
    assert (volume.name, volume.labels) == ("data", {"of": "shop", "é": "\udcff"})
    assert before - 1 <= volume.created.timestamp() <= time.time()
    assert volumes.get("data") == volume
    assert volumes.get("data").labels == volume.labels
    assert {volume} == {*volumes.list()}
    with open(f"{volume.path}/file", "wb") as file:
        file.write(b"x" * 10_000)
    os.link(f"{volume.path}/file", f"{volume.path}/link")
    assert 10_000 <= volume.size() < 30_000
    assert volume.inspect() == {
        "name": "data",
        "path": volume.path,
        "created": volume.created.isoformat(),
        "labels": volume.labels,
        "size": volume.size(),
    }
    volume.remove()
    assert volumes.list() == []
    assert left(volumes) == [".lock"]
    assert [event.action for event in store.events.read(filters={"type": "volume", "name": "data"})] == [
        "create",
        "remove",
    ]


def test_what_belongs_to_whom(volumes):
    old = os.umask(0o077)
    try:
        volume = volumes.create("data")
    finally:
        os.umask(old)
    assert os.stat(volume.path).st_mode & 0o7777 == 0o755
    assert os.stat(volumes.root).st_mode & 0o7777 == 0o700


def test_a_name_is_given_once(volumes):
    volumes.create("data", labels={"first": "yes"})
    with pytest.raises(AlreadyExists) as caught:
        volumes.create("data")
    assert caught.value.path == "data"
    assert volumes.get("data").labels == {"first": "yes"}


def test_names_are_made_up(volumes):
    one, other = volumes.create(), volumes.create()
    assert one.name != other.name
    assert len(one.name) == 64


@pytest.mark.parametrize("name", ["", ".", "..", ".lock", "a/b", "../x", "-x", "x" * 129, "a\n", "é", None, 5, b"x"])
def test_names_that_are_none(volumes, name, tmp_path):
    for do in (volumes.create if name is not None else volumes.get, volumes.get, volumes.remove):
        with pytest.raises(InvalidConfig) as caught:
            do(name)
        assert caught.value.path == "name"
    assert os.listdir(tmp_path) == []


def test_labels_choose(volumes):
    volumes.create("one", labels={"of": "shop", "x": ""})
    volumes.create("two", labels=["of=bar"])
    volumes.create("three")
    assert names(volumes) == ["one", "three", "two"]
    assert names(volumes, labels={"of": "shop"}) == ["one"]
    assert names(volumes, labels={"of": None}) == ["one", "two"]
    assert names(volumes, labels=["of", "x="]) == ["one"]
    for wrong in ("of", [5], {1: "x"}):
        with pytest.raises(InvalidConfig):
            volumes.list(labels=wrong)
    assert volumes.prune(labels=["of"]).volumes == ("one", "two")
    assert names(volumes) == ["three"]


def test_what_is_in_use_stays(volumes):
    volumes.create("data")
    path, lock = volumes.use("data")
    open(f"{path}/file", "w").close()
    with pytest.raises(StateError) as caught:
        volumes.remove("data")
    assert caught.value.hint
    assert volumes.prune() == ((), 0)
    assert os.listdir(path) == ["file"]
    _, other = volumes.use("data")
    lock.release()
    with pytest.raises(StateError):
        volumes.remove("data")
    other.release()
    volumes.remove("data")
    assert left(volumes) == [".lock"]


def test_force_removes_it_all_the_same(volumes):
    _, lock = volumes.use("data")
    with lock:
        volumes.remove("data", force=True)
    assert volumes.list() == []
    with volumes.use("data")[1]:
        assert names(volumes) == ["data"]


def test_to_use_one_makes_it(volumes):
    path, lock = volumes.use("data")
    lock.release()
    assert path == volumes.get("data").path


def test_a_record_that_is_lost_costs_the_labels_alone(volumes):
    volume = volumes.create("data", labels={"of": "shop"})
    open(f"{volume.path}/file", "w").close()
    for record in (b"", b"{", b"[]", b'{"created": "x", "labels": {}}', b'{"created": 1, "labels": {"a": 1}}', None):
        path = f"{volumes.root}/data/volume.json"
        if record is None:
            os.unlink(path)
        else:
            with open(path, "wb") as file:
                file.write(record)
        (found,) = volumes.list()
        assert (found.name, found.labels, os.listdir(found.path)) == ("data", {}, ["file"])
    volumes.remove("data")


def test_one_whose_files_are_gone_is_told_of(volumes):
    os.rmdir(volumes.create("data").path)
    with pytest.raises(Error, match="files are gone"):
        volumes.use("data", ("/",), "/srv")
    volumes.remove("data")


def test_what_others_have_put_there_is_no_volume(volumes):
    volumes.create("data")
    open(f"{volumes.root}/file", "w").close()
    os.symlink("data", f"{volumes.root}/link")
    assert names(volumes) == ["data"]


def test_what_a_crash_has_left_goes_with_the_next(volumes):
    volumes.create("data")
    for name in (".new-0", ".gone-0"):
        os.makedirs(f"{volumes.root}/{name}/data/inner")
    volumes.create("other")
    assert left(volumes) == [".lock", "data", "other"]
    os.makedirs(f"{volumes.root}/.gone-1/data")
    volumes.prune()
    assert left(volumes) == [".lock"]


def test_a_failure_leaves_nothing(volumes, monkeypatch):
    volumes.create("data")

    def full(*_):
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(Error) as caught:
            volumes.create("other")
    assert caught.value.errno == 28
    assert left(volumes) == [".lock", "data"]


CHURN = """
import random, sys
import pycgroups as pc
from pycgroups.errors import AlreadyExists, NotFound, StateError
volumes = pc.Store(sys.argv[1]).volumes
made = 0
for _ in range(60):
    name = random.choice("abc")
    try:
        match random.randrange(4):
            case 0:
                volumes.create(name); made += 1
            case 1:
                volumes.remove(name)
            case 2:
                path, lock = volumes.use(name)
                with lock:
                    open(path + "/file", "w").close()
                    assert volumes.get(name).path == path
            case 3:
                volumes.prune()
    except (AlreadyExists, NotFound, StateError):
        pass
    volumes.list()
"""


def test_many_processes_at_once(volumes):
    workers = [subprocess.Popen([sys.executable, "-c", CHURN, volumes.root.removesuffix("/volumes")]) for _ in range(4)]
    assert [worker.wait(120) for worker in workers] == [0] * 4
    volumes.prune()
    assert left(volumes) == [".lock"]


def test_only_one_of_many_makes_it(volumes):
    code = "import sys, pycgroups as pc; pc.Store(sys.argv[1]).volumes.create('data'); print('made')"
    command = [sys.executable, "-c", code, volumes.root.removesuffix("/volumes")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    said = [worker.communicate(timeout=60) for worker in workers]
    assert sorted(out for out, _ in said) == [b"", b"", b"", b"made\n"]
    assert sum(b"AlreadyExists" in error for _, error in said) == 3


def test_whoever_dies_gives_it_back(volumes):
    code = "import sys, pycgroups as pc; held = pc.Store(sys.argv[1]).volumes.use('data'); print(); sys.stdin.read()"
    command = [sys.executable, "-c", code, volumes.root.removesuffix("/volumes")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(StateError):
            volumes.remove("data")
        holder.kill()
        holder.wait()
        volumes.remove("data")


def test_the_default_store(tmp_path, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", str(tmp_path / "store"))
    volume = pc.volumes.create("data")
    assert isinstance(volume, pc.Volume)
    assert volume.path == f"{tmp_path}/store/volumes/data/data"
    assert pc.volumes.list() == [pc.volumes.get("data")]
    pc.volumes.remove(volume)
    assert pc.volumes.prune() == pickle.loads(pickle.dumps(pc.volumes.prune()))
    assert isinstance(pc.volumes.default(), Volumes)
    assert pc.volumes.Volumes is Volumes
    with pytest.raises(AttributeError):
        _ = pc.volumes.no_such_name


def test_the_lock_is_that_of_the_record(volumes):
    """What others may rely on: whoever holds it shared uses the volume."""
    volumes.create("data")
    with Lock(f"{volumes.root}/data/volume.json", shared=True), pytest.raises(StateError):
        volumes.remove("data")


# -- how much they take -----------------------------------------------------------------------------------------------


def test_a_tree_of_any_depth_is_measured(volumes):
    path = volumes.create("deep").path
    depth, here = 3000, os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
        file.write(bytes(1 << 16))
    os.link("file", "again", src_dir_fd=here, dst_dir_fd=here)
    os.symlink("/usr", "link", dir_fd=here)
    os.close(here)
    assert 1 << 16 <= volumes.get("deep").size() < (1 << 17) + depth * (1 << 13)
    assert measure(f"{path}/none") == 0


@pytest.mark.parametrize("how", ["remove", "prune"])
@pytest.mark.parametrize("when", ["users", "measure"])
def test_a_container_that_is_made_meanwhile_keeps_its_volume(volumes, tmp_path, monkeypatch, how, when):
    """It finds one that stays, or none; and so does who has asked for the users of volumes a moment ago."""
    for name in ("data", "other"):
        volumes.create(name)
    containers, there = pc.Store(volumes.root.removesuffix("/volumes")).containers, []

    def make():
        containers.create(["true"], rootfs=str(tmp_path), volumes=["other:/data"])
        there.append("other" in names(volumes))

    def meanwhile(*args):
        found = real(*args)
        if not making.ident:
            making.start()
            making.join(0.3)
        return found

    making, real = threading.Thread(target=make), getattr(collection, when)
    monkeypatch.setattr(collection, when, meanwhile)
    if how == "remove":
        volumes.remove("other")
    else:
        volumes.prune()
    if making.ident:
        making.join(30)
        assert there == ["other" in names(volumes)]


def test_what_cannot_be_removed_is_in_the_way_of_nothing_else(volumes, monkeypatch):
    for name in ("one", "two"):
        volumes.create(name)
    real, kept = collection.remove, []

    def refused(path):
        kept.append(path)
        if path == kept[0]:
            raise Error("refused", operation="remove", path=path)
        real(path)

    monkeypatch.setattr(collection, "remove", refused)
    with pytest.raises(Error, match="refused"):
        volumes.remove("one")
    volumes.create("three")
    volumes.remove("three")
    with pytest.raises(Error, match="refused"):
        volumes.prune()
    assert left(volumes) == [os.path.basename(kept[0]), ".lock"]
    monkeypatch.undo()
    volumes.prune()
    assert left(volumes) == [".lock"]
