"""The store when who works on it is killed, interrupted, or refused by the kernel, at any system call."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from pycgroups.images import layouts
from pycgroups.images.collection import Images
from pycgroups.images.copying import copy
from pycgroups.images.files import io_errors
from pycgroups.images.inside import Inside
from pycgroups.images.reference import Location
from tests import tracing
from tests.boxes import BASE, NAME, UPPER, entry, layer, put, say, symlink
from tests.images import Image
from tests.registry.debian import DockerRegistry
from tests.tracing import INTERRUPTED, REFUSED, WORKED
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns", "strace"),
    pytest.mark.slow_in_vm("hundreds of processes, whose system calls are the same everywhere"),
]

OTHER = "docker.io/library/other:1"
WITNESS = Image(BASE, UPPER, Env=["PATH=/bin"])
NEW = Image(
    BASE, layer(entry("new", b"new\n"), symlink("link", "etc")), layer(entry("link/up", b"up\n"), entry(".wh.sys")),
    Env=["PATH=/bin"],
)  # fmt: skip
CALLS = (
    "openat,mkdir,mkdirat,flock,write,fsync,syncfs,rename,renameat,renameat2,unlink,unlinkat,rmdir,getdents64,ftruncate,"
    "symlinkat,mknodat,fchmod,fchmodat,fchown,fchownat,utimensat,read,sendto,connect,openat2,statx,newfstatat,"
    "copy_file_range,open_tree,mount_setattr"
)
# What cannot fail so: these are called by the interpreter itself, or ask for what is known to be there.
FAILING = frozenset(CALLS.split(",")) - {"newfstatat", "statx"}
ERRORS = ("ENOSPC", "EMFILE", "EPERM", "EIO")
everyday = pytest.mark.parametrize(
    "most", [pytest.param(15, id="some"), pytest.param(10**6, marks=pytest.mark.long, id="all")]
)


class Pull:
    """Fetches an image of which the store has one layer of three."""

    def __init__(self, scratch):
        self.place = f"oci:{scratch}/layout:{OTHER}"
        copy(NEW, layouts.destination(Location.parse(self.place)))

    def prepare(self, images):
        """Nothing is needed."""

    def do(self, images):
        assert images.pull(self.place).digest == NEW.digest

    def close(self):
        """Nothing is held."""


class Remove(Pull):
    """Takes an image away."""

    def prepare(self, images):
        put(images, NEW, OTHER)

    def do(self, images):
        images.remove(OTHER)


class Collect(Pull):
    """Removes what nobody needs."""

    def prepare(self, images):
        put(images, NEW, OTHER)
        with images.store.names.changing() as entries:
            entries[:] = [one for one in entries if one.digest != NEW.digest]

    def do(self, images):
        images.gc()


class Push(Pull):
    """Sends an image to a registry."""

    def __init__(self, scratch):
        super().__init__(scratch)
        (scratch / "registry").mkdir()
        self.registry = DockerRegistry(scratch / "registry").__enter__()

    def prepare(self, images):
        put(images, NEW, OTHER)

    def do(self, images):
        assert images.push(OTHER, f"{self.registry.domain}/other:1") == NEW.digest

    def close(self):
        self.registry.__exit__()


class Mount(Pull):
    """Shows an image as a copy of its layers."""

    def prepare(self, images):
        put(images, NEW, OTHER)

    def do(self, images):
        # In this process: the calls by which another interpreter starts tell nothing of a copy.
        here = mock.patch.object(Inside, "apart", Inside.__call__)
        asked = mock.patch.dict(os.environ, PYCGROUPS_SNAPSHOTS="copy")
        with here, asked, images.get(OTHER).mount() as root, io_errors("read"):  # as this test does
            assert Path(root, "etc/up").read_bytes() == b"up\n"


OPERATIONS = {"pull": Pull, "remove": Remove, "gc": Collect, "push": Push, "mount": Mount}
NEEDS = {"push": "docker-registry", "mount": "root"}


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.requires(NEEDS[name]) if name in NEEDS else ()) for name in OPERATIONS]
)
def operation(request, scratch):
    if request.param != "push" and os.geteuid() and not features.lack("subuid"):
        pytest.skip("newuidmap has no rights when it is traced: ptrace(2), setuid programs")
    made = OPERATIONS[request.param](scratch)
    yield made
    made.close()


HOLD = """
import sys
import pycgroups as pc
images = pc.Store(sys.argv[1]).images
pc.run(["sh", "-c", "echo running; read line; cat /etc/both"], image=images.get(sys.argv[2]), stdin=0, stdout=1)
"""


@pytest.fixture
def root(images):
    """A store with an image, of which a container runs meanwhile; in the end that is as it was."""
    put(images, WITNESS)
    command = [sys.executable, "-c", HOLD, images.store.root, NAME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"running\n"
        yield images.store.root
        assert holder.communicate(b"go on\n", timeout=60) == (b"upper\n", None)


@contextmanager
def opened(root):
    images = Images(root)
    try:
        yield images
    finally:
        images.close()


def do(operation, root):
    with opened(root) as images:
        operation.do(images)


def there(root):
    """What is in a store, but for the locks and the names, which are written anew."""
    places = ("images/blobs/sha256", "layers", "tmp")
    return {place: sorted(os.listdir(f"{root}/{place}")) for place in places}


def cases(operation, root, scratch, most, names):
    """The calls that the whole operation makes, each by its name and number."""
    with opened(root) as images:
        operation.prepare(images)
    assert tracing.outcome(lambda: do(operation, root), scratch / "log", f"--trace={CALLS}") == WORKED
    counts = tracing.calls(scratch / "log")
    assert {"openat", "read"} <= set(counts)
    with opened(root) as images:
        clear(images)
    found = [(call, number) for call, count in counts.items() if call in names for number in range(1, count + 1)]
    return sorted(random.Random(os.getpid()).sample(found, min(most, len(found))))


def clear(images):
    if any(image.reference == OTHER for image in images.list()):
        images.remove(OTHER)
    images.gc()


def attack(operation, root, scratch, *options):
    """Do it once under attack; the status. Then it must be whole, and go well the next time."""
    facts = " ".join(options)
    with opened(root) as images:
        before = there(root)
        operation.prepare(images)
    status = tracing.outcome(lambda: do(operation, root), scratch / "log", f"--trace={CALLS}", *options)
    with opened(root) as images:
        names = {image.reference for image in images.list()}
        assert NAME in names, facts
        assert images.verify() == [], facts
        assert say(images.get(NAME), "cat /etc/both") == "upper", facts
        if OTHER in names:
            assert say(images.get(OTHER), "cat /new /etc/up") == "new\nup", facts
        operation.prepare(images)
        operation.do(images)
        clear(images)
        assert there(root) == before, facts
    return status


@everyday
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_killed(operation, root, scratch, number, most):
    for call, count in cases(operation, root, scratch, most, CALLS.split(",")):
        attack(operation, root, scratch, f"--inject={call}:signal={number}:when={count}")


@everyday
def test_interrupted(operation, root, scratch, most):
    """It cleans up by itself: only blobs that are half there stay, for the next try."""
    for call, count in cases(operation, root, scratch, most, CALLS.split(",")):
        status = attack(operation, root, scratch, f"--inject={call}:signal=SIGINT:when={count}")
        assert status in {WORKED, INTERRUPTED, REFUSED}, (call, count)


@everyday
def test_a_system_call_fails(operation, root, scratch, most):
    for call, count in cases(operation, root, scratch, most, FAILING):
        error = random.Random(count).choice(ERRORS)
        status = attack(operation, root, scratch, f"--inject={call}:error={error}:when={count}")
        assert status in {WORKED, REFUSED}, (call, count, error, tracing.injected(scratch / "log"))
