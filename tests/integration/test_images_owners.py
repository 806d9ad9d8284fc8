"""Whose the files of an image are in a container, by its map of ids."""

from __future__ import annotations

import errno
import os

import pytest

import pycgroups as pc
from pycgroups.namespaces.caller import caller
from tests.boxes import BASE, NAME, UPPER, directory, entry, layer, put
from tests.images import Image

OWNED = layer(
    directory("home", mode=0o755),
    directory("home/app", mode=0o700, uid=1000, gid=1000),
    entry("home/app/own", b"own\n", mode=0o600, uid=1000, gid=1000),
    entry("etc/shadow", b"hidden\n", mode=0o640, uid=0, gid=42),
    entry("bin/as-app", mode=0o4755, uid=1000, gid=2000),
)
FILES = ("/etc/passwd", "/home/app/own", "/etc/shadow", "/bin/as-app")
OWNERS = ["0:0:644", "1000:1000:600", "0:42:640", "1000:2000:4755"]

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("interpreters in user namespaces; cgroup v2 changes nothing about files"),
]


@pytest.fixture
def image(images):
    return put(images, Image(BASE, OWNED, UPPER, Env=["PATH=/bin"]))


def owners(image, **options):
    """Have root of the container tell whose the files are; stat(1) follows what the kernel shows."""
    done = pc.run(["stat", "-c", "%u:%g:%a", *FILES], image=image, user=0, timeout=120, **options)
    assert done.returncode == 0, done
    return done.stdout.decode().split()


def ids(inside, kind="uid"):
    """Write a map in which root is the first of the user's subordinate ids, and the user is another one."""
    who = caller()
    own, ranges = (who.uid, who.subuids) if kind == "uid" else (who.gid, who.subgids)
    return f"0:{ranges[0][0]}:{inside},{inside}:{own}:1"


@pytest.mark.requires("rootless", "subuid")
@pytest.mark.parametrize("userns", ["auto", "keep-id", "explicit"])
def test_each_file_has_its_owner(image, userns):
    given = pc.IdMap.parse(ids(5000), ids(5000, "gid")) if userns == "explicit" else userns
    assert owners(image, userns=given) == OWNERS
    assert owners(image, userns="auto") == OWNERS


@pytest.mark.requires("rootless", "subuid")
def test_the_user_inside(image, scratch):
    """With "keep-id" the user's own id is no account of the image, and what is written outside is the user's."""
    options = {"image": image, "userns": "keep-id", "timeout": 120}
    assert pc.run(["id", "-u"], **options).stdout.decode() == f"{os.getuid()}\n"
    done = pc.run(["cat", "/home/app/own"], **options)
    assert done.returncode != 0
    assert b"denied" in done.stderr
    assert pc.run(["cat", "/home/app/own"], user="app", **options).stdout == b"own\n"
    assert pc.run(["touch", "/workspace/made"], workspace=scratch, **options).returncode == 0
    assert (scratch / "made").stat().st_uid == os.getuid()


@pytest.mark.requires("rootless")
def test_one_id_alone(image):
    """It owns all; whether the account has others makes no difference."""
    assert {owner.rpartition(":")[0] for owner in owners(image, userns=pc.IdMap.single())} == {"0:0"}
    own = pc.IdMap.parse(f"{os.getuid()}:{os.getuid()}:1", f"{os.getgid()}:{os.getgid()}:1")
    done = pc.run(["stat", "-c", "%u:%g", *FILES], image=image, userns=own, user=(os.getuid(), os.getgid()))
    assert set(done.stdout.decode().split()) == {f"{os.getuid()}:{os.getgid()}"}


@pytest.mark.requires("rootless", "no_subuid")
def test_without_subordinate_ids(image):
    assert {owner.rpartition(":")[0] for owner in owners(image, userns="auto")} == {"0:0"}
    done = pc.run(["stat", "-c", "%u:%g", *FILES], image=image, userns="keep-id", timeout=120)
    assert set(done.stdout.decode().split()) == {f"{os.getuid()}:{os.getgid()}"}


@pytest.mark.requires("root")
@pytest.mark.parametrize("userns", ["auto", pc.IdMap.parse("0:800000000:70000")], ids=str)
def test_of_root(image, userns):
    assert owners(image, userns=userns) == OWNERS


@pytest.mark.requires("rootless", "subuid")
def test_a_map_that_has_not_both(image):
    """Neither root nor the user may be missing: it is told before anything is made."""
    who = caller()
    for uids in (f"0:{who.subuids[0][0]}:1000", f"1000:{who.uid}:1,1001:{who.subuids[0][0]}:5"):
        with pytest.raises(pc.Unsupported, match=r"option userns: .*keep-id"):
            pc.run(["true"], image=image, userns=pc.IdMap.parse(uids))
    assert not os.path.exists(f"{image.store.root}/mapped")


@pytest.mark.requires("rootless", "subuid")
def test_an_owner_beyond_the_map(image):
    """Nothing of the layer is left."""
    small = pc.IdMap.parse(ids(50), ids(50, "gid"))
    with pytest.raises(pc.Unsupported, match=r"subuid\(5\)") as caught:
        pc.run(["true"], image=image, userns=small)
    assert caught.value.errno == errno.EINVAL
    assert all(name.endswith(".lock") for name in os.listdir(image.store.blobs.tmp))


@pytest.mark.requires("rootless", "subuid")
def test_layers_of_other_maps_are_kept_and_removed(images, image):
    """They are unpacked once, are counted, verified, mended, and go with the image."""
    place = f"{image.store.root}/mapped"
    before = images.df()
    owners(image, userns="keep-id")
    (key,) = os.listdir(place)
    layers = sorted(os.listdir(f"{place}/{key}"))
    assert layers == sorted(os.listdir(image.store.layers.root))
    made = {name: os.stat(f"{place}/{key}/{name}").st_ino for name in layers}
    owners(image, userns="keep-id")
    assert {name: os.stat(f"{place}/{key}/{name}").st_ino for name in layers} == made
    assert images.df().layers == 2 * before.layers
    assert images.verify() == []
    os.unlink(f"{place}/{key}/{layers[0]}/layer.json")
    assert [problem.what for problem in images.verify()] == ["layer"]
    images.repair()
    assert images.verify() == []
    assert owners(image, userns="keep-id") == OWNERS
    freed = images.remove(NAME)
    assert freed.layers == 2 * len(layers)
    assert os.listdir(place) == []


@pytest.mark.requires("rootless", "subuid")
def test_an_explanation_makes_none(image):
    with pytest.raises(pc.ImageError, match=r"not unpacked.*run it once"):
        pc.explain(["true"], image=image, userns="keep-id")
    assert not os.path.exists(f"{image.store.root}/mapped")
