"""Files of the store that are damaged: other images work, the bad one is named, and can be removed or mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups.images.collection import Images
from pycgroups.images.digest import Digest
from pycgroups.images.layers import chain_ids
from pycgroups.images.names import name_of
from pycgroups.images.registry import RegistryOptions
from tests.boxes import BASE, NAME, UPPER, entry, layer, put, say
from tests.images import Image, sha256
from tests.registry.memory import Memory
from tests.registry.misbehaving import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("more than a hundred damaged stores, the same everywhere"),
]

BAD = "docker.io/library/bad:1"
OWN = layer(entry("own", b"own\n"))
GOOD_IMAGE = Image(BASE, UPPER, Env=["PATH=/bin"])
BAD_IMAGE = Image(BASE, OWN, Env=["PATH=/bin"])


def gone(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def as_directory(path):
    gone(path)
    (path / "inner").mkdir(parents=True)


def as_fifo(path):
    gone(path)
    os.mkfifo(path)


def as_symlink(path):
    gone(path)
    path.symlink_to("/etc/hostname")


def large(path):
    path.write_bytes(b"")
    os.truncate(path, 100 * 2**20)


def flipped(path):
    content = bytearray(path.read_bytes() or b"x")
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "garbage": lambda path: path.write_bytes(b"\xff\xfe<html>\x1b[31m"),
    "other-type": lambda path: path.write_bytes(b'[{"layers": 7}]'),
    "flipped": flipped,
    "zeros": lambda path: path.write_bytes(bytes(500)),
    "large": large,
    "directory": as_directory,
    "fifo": as_fifo,
    "symlink": as_symlink,
    "missing": gone,
}
damages = pytest.mark.parametrize("damage", DAMAGES)


@pytest.fixture
def store(images):
    """A store with a good image, and one of which something will be bad."""
    put(images, GOOD_IMAGE)
    put(images, BAD_IMAGE, BAD)
    yield images
    images.repair()


@pytest.fixture
def opened():
    """Opens a store as another process would: nothing is remembered."""
    made = []

    def again(images):
        made.append(Images(images.store.root))
        return made[-1]

    yield again
    for each in made:
        each.close()


def goes_on(images):
    """The good image is as it was, and new ones can be had."""
    assert NAME in {image.reference for image in images.list()}
    assert say(images.get(NAME), "cat /etc/both") == "upper"
    other = put(images, Image(BASE, layer(entry("third", b"third\n")), Env=["PATH=/bin"]), "third:1")
    assert say(other, "cat /third") == "third"
    images.remove("third:1")
    images.df()


BLOBS = {"manifest": BAD_IMAGE.digest, "config": sha256(BAD_IMAGE.config), "layer": list(BAD_IMAGE.blobs)[-1]}


@damages
@pytest.mark.parametrize("which", BLOBS)
def test_a_blob(store, opened, which, damage):
    path = Path(store.store.blobs.path(Digest.parse(BLOBS[which])))
    path.chmod(0o600)
    DAMAGES[damage](path)
    images = opened(store)
    goes_on(images)
    problems = images.verify()
    assert any(BLOBS[which] in f"{problem.name} {problem.message}" for problem in problems), problems
    assert {name for problem in problems for name in problem.images} <= {BAD}
    if which == "layer":
        assert say(images.get(BAD), "cat /own") == "own"  # it is unpacked already
    else:
        with pytest.raises(pc.Error, match=BLOBS[which].partition(":")[2]):
            say(images.get(BAD), "cat /own")
    if damage != "missing":
        images.repair()
    assert say(put(images, BAD_IMAGE, BAD), "cat /own") == "own"
    assert images.verify() == []


@damages
def test_a_bad_image_is_removed(store, opened, damage):
    path = Path(store.store.blobs.path(Digest.parse(BAD_IMAGE.digest)))
    path.chmod(0o600)
    DAMAGES[damage](path)
    images = opened(store)
    assert images.remove(BAD).images == (BAD,)
    images.gc()
    assert images.verify() == []
    goes_on(images)


@damages
def test_the_record_of_a_layer(store, opened, damage):
    chain = chain_ids([Digest.parse(sha256(tar)) for tar in (BASE, OWN)])[-1]
    record = Path(store.store.layers.path(chain)).parent / "layer.json"
    before = record.read_bytes()
    DAMAGES[damage](record)
    images = opened(store)
    goes_on(images)
    if damage == "flipped" and images.verify() == []:
        return  # in what is no more than told
    (problem,) = images.verify()
    assert chain.encoded in problem.name
    assert chain.encoded in images.repair()[0]
    assert images.verify() == []
    assert say(images.get(BAD), "cat /own") == "own"
    assert record.read_bytes() == before


@damages
def test_the_record_of_a_layer_that_nobody_needs(store, opened, damage):
    chain = chain_ids([Digest.parse(sha256(tar)) for tar in (BASE, OWN)])[-1]
    images = opened(store)
    with images.store.names.changing() as entries:
        entries[:] = [one for one in entries if name_of(one) != BAD]
    DAMAGES[damage](Path(store.store.layers.path(chain)).parent / "layer.json")
    assert images.gc().layers == 1
    assert not images.store.layers.has(chain)
    assert images.verify() == []
    goes_on(images)


def test_what_may_be_below_a_damaged_layer_stays_while_that_is_used(store, opened):
    """The layer in the middle has lost its record, and with that what it is on."""
    images = opened(store)
    image = put(images, Image(BASE, OWN, UPPER), BAD)
    bottom, middle, top = image.store.unpacked(image.manifest)
    record = Path(store.store.layers.path(middle)).parent / "layer.json"
    record.write_bytes(b"")
    for used in (top, middle):
        with images.store.layers.use(used):
            images.prune(all=True)
            assert {bottom, middle} <= images.store.layers.chains()
    images.gc()
    assert os.listdir(images.store.layers.root) == []


@damages
def test_the_index(store, opened, damage):
    path = Path(store.store.root, "images/index.json")
    DAMAGES[damage](path)
    images = opened(store)
    if damage == "missing" or (damage == "flipped" and images.verify() == []):
        return  # as a new store; or in a name
    for ask in (images.list, lambda: images.get(NAME), lambda: images.remove(NAME), images.gc, images.df):
        with pytest.raises(pc.ImageError, match=r"index\.json.*repair"):
            ask()
    (problem,) = images.verify()
    assert problem.name == "index.json"
    assert "set aside" in images.repair()[0]
    assert {image.digest for image in images.list()} == {GOOD_IMAGE.digest, BAD_IMAGE.digest}
    assert images.verify() == []
    images.tag(GOOD_IMAGE.digest, NAME)
    goes_on(images)
    shutil.move(f"{path}.damaged", store.store.root)


@damages
def test_the_mark_of_a_layout(store, opened, damage):
    """It is for other programs."""
    DAMAGES[damage](Path(store.store.root, "images/oci-layout"))
    images = opened(store)
    goes_on(images)
    assert images.verify() == []


@damages
@pytest.mark.parametrize(
    "name", ["lock", "images/index.lock", "images/index.json.new", "tmp/layer-1.lock", "tmp/other"]
)
def test_files_beside(store, opened, name, damage):
    """Locks, and what was begun: whatever is there does no harm."""
    path = Path(store.store.root, name)
    path.touch()
    DAMAGES[damage](path)
    images = opened(store)
    try:
        goes_on(images)
        images.gc()
    except pc.Error as error:
        assert name.rpartition("/")[2] in str(error)  # noqa: PT017 (or it is named, to be removed)
        gone(path)
        goes_on(images)
    if os.path.lexists(path) and name.startswith("tmp/"):
        gone(path)


@pytest.mark.requires("host")  # the times of the registry
def test_rot_goes_nowhere(store, scratch):
    """It is not pushed, saved or copied, and not run when it is unpacked anew."""
    digest = BLOBS["layer"]
    path = Path(store.store.blobs.path(Digest.parse(digest)))
    path.chmod(0o600)
    flipped(path)
    with Registry() as server:
        server.image = Memory()
        options = RegistryOptions(registries_conf="/dev/null")
        with pytest.raises(pc.DigestMismatch, match=digest):
            store.push(BAD, server.reference, registry=options)
        assert digest not in server.uploaded.blobs
        assert server.uploaded.top is None
    for form in ("oci-archive", "docker-archive"):
        with pytest.raises(pc.ImageError, match=digest):
            store.save(BAD, scratch / "saved.tar", form=form)
    with pytest.raises(pc.DigestMismatch, match=digest):
        store.copy(store.get(BAD), f"oci:{scratch}/copied:1")
    assert not (scratch / "saved.tar").exists()
    store.store.layers.discard(chain_ids([Digest.parse(sha256(tar)) for tar in (BASE, OWN)])[-1].encoded)
    with pytest.raises(pc.Error, match=digest.partition(":")[2]):
        say(store.get(BAD), "cat /own")
    assert [problem.name for problem in store.verify()] == [digest]


HOLD = """
import sys
from pycgroups.images.locks import Lock
held = [Lock(path) for path in sys.argv[1:]]
for lock in held:
    lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def test_who_holds_the_locks_is_killed(images):
    root = images.store.root
    put(images, GOOD_IMAGE)
    chain = chain_ids([Digest.parse(sha256(tar)) for tar in (BASE, OWN)])[-1].encoded
    blob = BLOBS["layer"].replace(":", "-")
    locks = ("lock", "images/index.lock", f"tmp/layer-{chain}.lock", f"tmp/blob-{blob}")
    command = [sys.executable, "-c", HOLD, *(f"{root}/{lock}" for lock in locks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
    assert say(put(images, BAD_IMAGE, BAD), "cat /own") == "own"
    images.remove(BAD)
    assert images.gc().images == ()
    assert os.listdir(images.store.blobs.tmp) == []
