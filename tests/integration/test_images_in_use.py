"""Images that containers were made of are kept, whether those run or not, whoever removes, and whenever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import pycgroups as pc
from tests import tracing
from tests.boxes import BASE, UPPER, put
from tests.images import Image
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")


@pytest.fixture
def box(store):
    return put(store.images, Image(BASE, UPPER, Cmd=["cat", "/etc/both"]))


def runs(held):
    held.start()
    held.wait(timeout=60)
    return held.logs().endswith(b"upper\n")


def in_store(store):
    return len(store.images.list()), len(os.listdir(store.images.store.layers.root))


@pytest.mark.parametrize("started", [False, True])
def test_an_image_in_use_is_not_removed(store, box, started):
    first = store.containers.create(image="box:1", name="first")
    if started:
        assert runs(first)
    for name in ("box:1", box.digest, box.id):
        with pytest.raises(pc.StateError, match="the container first was made of it"):
            store.images.remove(name)
    second = store.containers.create(image=box.id, name="second")
    with pytest.raises(pc.StateError, match=r"the containers (first, second|second, first) were made of it"):
        store.images.remove(box)
    assert store.images.prune(all=True)[:3] == ((), 0, 0)
    assert store.images.gc()[1:3] == (0, 0)
    assert runs(first)
    assert runs(second)
    first.remove()
    second.remove()
    assert store.images.remove("box:1").layers == 2
    assert in_store(store) == (0, 0)


def test_another_name_of_it_can_be_taken(store, box):
    store.images.tag(box, "other:2")
    store.containers.create(image="box:1")
    assert store.images.remove("other:2").images == ("docker.io/library/other:2",)
    with pytest.raises(pc.StateError):
        store.images.remove("box:1")


def test_by_force_it_loses_its_name_alone(store, box):
    held = store.containers.create(image="box:1")
    assert store.images.remove("box:1", force=True)[:3] == ((box.reference,), 0, 0)
    with pytest.raises(pc.ImageNotFound):
        store.images.get("box:1")
    assert store.images.remove(box.digest, force=True).images == ()
    assert store.images.prune(all=True).images == store.images.gc().images == ()
    assert runs(held)
    held.remove()
    assert store.images.prune()[:3] == ((box.digest,), 4, 2)


def test_one_whose_name_was_given_to_another_is_kept(store, box):
    held = store.containers.create(image="box:1")
    other = put(store.images, Image(BASE))
    assert store.images.prune().images == ()
    assert store.images.prune(all=True).images == (other.reference,)
    assert runs(held)


def test_damage_to_a_container_keeps_no_image(store, box):
    held = store.containers.create(image="box:1")
    directory = held.inspect()["directory"]
    for text in ("", "{}", '{"image": 5}', "[" * 10**5):
        with open(f"{directory}/container.json", "w", encoding="utf-8") as file:
            file.write(text)
        assert held.status == "damaged"
        assert store.images.prune().images == ()
    os.unlink(f"{directory}/container.json")
    os.symlink("/etc/passwd", f"{directory}/container.json")
    assert store.images.remove("box:1").layers == 2


AT = "openat,mkdir,rename,renameat2,unlink,unlinkat,rmdir,write,fsync,flock,clone,clone3"


@pytest.mark.requires("strace")
@pytest.mark.slow_in_vm("a process of its own, traced, for each system call")
@pytest.mark.parametrize("most", [10, pytest.param(10**6, marks=pytest.mark.long)], ids=["some", "each"])
@pytest.mark.parametrize("words", [{"image": "box:1", "force": True}, {"all": True}], ids=["remove", "prune"])
def test_whoever_removes_may_be_killed_at_any_system_call(store, box, tmp_path, words, most):
    held = store.containers.create(image="box:1")
    act = store.images.remove if "image" in words else store.images.prune
    log = tmp_path / "log"

    def attempt(*options):
        put(store.images, Image(BASE), "other:1")
        return tracing.outcome(lambda: act(**words), log, *options, follow=False)

    assert attempt(f"--trace={AT}") == tracing.WORKED
    store.images.tag(box.digest, "box:1")
    cases = [(name, number) for name, count in tracing.calls(log).items() for number in range(1, count + 1)]
    count = min(most, len(cases))
    for name, number in [cases[i * len(cases) // count] for i in range(count)]:
        status = attempt(f"--trace={name}", f"--inject={name}:signal=SIGKILL:when={number}")
        assert status in {signal.SIGKILL, tracing.WORKED}, (name, number, status)
        store.images.prune(all=True)
        assert [image.digest for image in store.images.list()] == [box.digest]
        assert in_store(store) == (1, 2)
        assert runs(held)
        store.images.tag(box.digest, "box:1")


CREATE = """
import sys
import pycgroups as pc
store = pc.Store(sys.argv[1])
made = 0
print("go", flush=True)
while made < int(sys.argv[2]):
    try:
        held = store.containers.create(image="box:1", pull="never")
    except (pc.ImageNotFound, pc.ImageError):  # as it is when it goes meanwhile
        continue
    held.start()
    held.wait(timeout=60)
    assert held.logs() == b"upper\\n", held.logs()
    held.remove()
    made += 1
"""


@pytest.mark.slow_in_vm("containers are made by one process, and images removed by another")
@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.long)])
def test_containers_are_made_while_images_are_removed(store, box, count):
    """Whoever makes one gets it, with all its layers, or is told that there is no image."""
    command = [sys.executable, "-c", CREATE, store.images.store.root, str(count)]
    refused = removed = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as creator:
        assert creator.stdout.readline() == b"go\n"
        while creator.poll() is None:
            try:
                store.images.remove("box:1")
                removed += 1
            except pc.StateError:
                refused += 1
            except pc.ImageNotFound:
                put(store.images, Image(BASE, UPPER, Cmd=["cat", "/etc/both"]))
            time.sleep(0.001)
            store.images.prune(all=True)
    assert creator.returncode == 0
    assert refused + removed > 0
    wait_for(lambda: store.containers.list(all=True) == [])
