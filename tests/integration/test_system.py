"""All of a store: what takes how much of the disk, and what nobody needs is removed."""

from __future__ import annotations

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import pycgroups as pc
from pycgroups import cli
from pycgroups.containers import keeping
from tests.boxes import BASE, UPPER, put
from tests.images import Image

pytestmark = pytest.mark.requires("userns")

SLEEP = ["sleep", "1000"]
OTHER = "docker.io/library/other:1"
KIB = 1024


@pytest.fixture
def command(store, monkeypatch, capfdbinary):
    """Run `pycgroups system` on that store; its exit code, stdout and stderr."""
    monkeypatch.setattr("pycgroups.containers.store.Store", lambda: store)

    def call(*words):
        capfdbinary.readouterr()
        code = cli.main(["system", *words])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.fixture
def full(store):
    """Two images, of which one has containers: one that runs, and one that has written 200 KiB; and two volumes."""
    put(store.images, Image(BASE))
    put(store.images, Image(BASE, UPPER), OTHER)
    for name in ("kept", "idle"):
        store.volumes.create(name)
    runs = store.containers.create(SLEEP, image="box:1", name="runs", volumes={"kept": "/data"})
    runs.start()
    wrote = ["sh", "-c", "head -c 200k /dev/zero > /file; head -c 100k /dev/zero > /data/file"]
    ended = store.containers.create(wrote, image="box:1", name="ended", volumes={"kept": "/data"})
    ended.start()
    ended.wait(timeout=60)
    return store


def test_what_takes_how_much(full):
    use = full.df()
    boxes = {image.name: image for image in use.images}
    assert sorted(boxes["docker.io/library/box:1"].containers) == ["ended", "runs"]
    assert boxes[OTHER].containers == ()
    ended, runs = use.containers
    assert (ended.name, ended.status, ended.image, runs.status) == ("ended", "stopped", "box:1", "running")
    assert 200 * KIB <= ended.size < 400 * KIB
    assert runs.size < 150 * KIB
    assert [(each.name, sorted(each.containers)) for each in use.volumes] == [("idle", []), ("kept", ["ended", "runs"])]
    assert use.volumes[1].size >= 100 * KIB
    assert [use.totals[kind][:2] for kind in ("images", "containers", "volumes")] == [(2, 1), (2, 1), (2, 1)]
    assert use.totals["containers"].reclaimable == ended.size
    assert use.totals["volumes"].reclaimable == use.volumes[0].size


def test_what_is_told_to_be_reclaimable_is_freed(full):
    before = full.df()
    reclaimable = sum(total.reclaimable for total in before.totals.values())
    ended = full.containers.get("ended").id
    gone = full.prune(all=True, volumes=True)
    assert (gone.containers, gone.volumes, gone.images) == ((ended,), ("idle",), (OTHER,))
    assert gone.size == reclaimable
    after = full.df()
    assert sum(total.size for total in before.totals.values()) - sum(total.size for total in after.totals.values()) == (
        pytest.approx(gone.size, abs=64 * KIB)  # the events of it have been written
    )
    assert [total.reclaimable for total in after.totals.values()] == [0, 0, 0]
    assert full.prune(all=True, volumes=True) == ((), (), (), 0)
    assert full.containers.get("runs").exec(["cat", "/data/file"]).stdout == bytes(100 * KIB)


def test_what_has_a_name_stays_unless_it_is_asked_for(full):
    gone = full.prune()
    assert (len(gone.containers), gone.volumes, gone.images) == (1, (), ())
    assert [image.reference for image in full.images.list()] == ["docker.io/library/box:1", OTHER]
    assert len(full.volumes.list()) == 2


def test_volumes_of_a_container_that_does_not_run_stay(full):
    full.containers.get("runs").remove(force=True)
    assert full.volumes.prune().volumes == ("idle",)
    with pytest.raises(pc.StateError, match="containers have it: ended"):
        full.volumes.remove("kept")
    full.volumes.remove("kept", force=True)


def test_commands(command, full, monkeypatch):
    code, out, err = command("df")
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["TYPE", "TOTAL", "ACTIVE"], ["Images", "2", "1"], ["Containers", "2", "1"], ["Volumes", "2", "1"],
    ]  # fmt: skip
    document = json.loads(command("df", "--format", "json")[1])
    assert {kind: each["total"] for kind, each in document.items()} == {"images": 2, "containers": 2, "volumes": 2}
    assert {each["name"] for each in document["containers"]["each"]} == {"ended", "runs"}
    out = command("df", "-v")[1]
    assert all(word in out for word in ("CONTAINER ID", "ended", "idle", OTHER))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, out, err = command("prune", "-a", "--volumes")
    assert (code, out) == (1, "")
    assert "containers that do not run, all images that no container was made of, all volumes" in err
    ended = full.containers.get("ended").id
    code, out, err = command("prune", "-f")
    assert (code, out.splitlines()[:2], err) == (0, ["Deleted Containers:", ended], "")
    assert "Total reclaimed space: 2" in out
    code, out, _ = command("prune", "-af", "--volumes")
    assert f"Deleted Volumes:\nidle\n\nDeleted Images:\n{OTHER}\n" in out
    assert command("prune", "-af", "--volumes")[:2] == (0, "Total reclaimed space: 0 B\n")
    for words in (["dance"], ["df", "x"], ["prune", "x"]):
        assert command(*words)[0] == 125
    for words in ([], ["df", "--help"], ["prune", "--help"]):
        code, out, _ = command(*words)
        assert (code, out.startswith("usage: pycgroups system")) == (0, True)


def test_where_nothing_is_nothing_is_made(tmp_path):
    store = pc.Store(tmp_path / "store")
    assert store.prune(all=True, volumes=True) == ((), (), (), 0)
    assert [total[:3] for total in store.df().totals.values()] == [(0, 0, 0)] * 3
    assert not (tmp_path / "store").exists()


def test_a_damaged_container_is_told_of_and_left(full):
    held = full.containers.get("ended")
    with open(f"{held.directory}/container.json", "w", encoding="utf-8"):
        pass
    assert [each.status for each in full.df().containers] == ["running", "damaged"]
    assert full.prune().containers == ()
    assert held.status == "damaged"


def test_what_the_runtime_knows_of_containers_that_somebody_has_deleted_goes(store, run):
    held = run()
    where = held._place
    os.rename(held.directory, f"{where.homes.path}/elsewhere")
    store.prune()
    assert not os.path.exists(where.runtime)
    os.rename(f"{where.homes.path}/elsewhere", held.directory)
    assert held.status == "stopped"


# -- the last one, and the first --------------------------------------------------------------------------------------


def test_the_last_container_takes_the_directory_of_all_with_it(store, run):
    first, second = run(), run()
    directory = first._place.runtime
    first.remove(force=True)
    assert os.listdir(directory) == [second.id]
    second.remove(force=True)
    assert not os.path.exists(directory)
    with run() as third:
        assert os.listdir(directory) == [third.id]
    assert not os.path.exists(directory)


@pytest.mark.slow_in_vm("several threads make and remove containers")
def test_the_last_one_goes_while_the_first_one_comes(store, root):
    def work(_):
        for _ in range(15):
            with store.containers.create(["true"], rootfs=root) as held:
                held.start()

    keeping.socket()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert store.containers.list(all=True) == []
    assert not os.path.exists(store.containers._place.runtime)
