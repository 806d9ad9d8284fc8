"""Volumes when who makes, fills or removes one is killed, or refused by the kernel, at any system call; and no room."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from pycgroups.containers.volumes.collection import Volumes
from pycgroups.errors import NotFound
from tests import tracing
from tests.tracing import INTERRUPTED, REFUSED, WORKED
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns", "strace"),
    pytest.mark.slow_in_vm("hundreds of processes, whose system calls are the same everywhere"),
]

CALLS = (
    "openat,mkdir,mkdirat,chmod,flock,write,fsync,syncfs,rename,unlink,unlinkat,rmdir,getdents64,read,openat2,statx,"
    "fchmod,fchown,fchownat,utimensat,sendfile,symlinkat,linkat,ftruncate"
)
FAILING = frozenset(CALLS.split(",")) - {"statx"}
ERRORS = ("ENOSPC", "EMFILE", "EPERM", "EIO")
everyday = pytest.mark.parametrize(
    "most", [pytest.param(25, id="some"), pytest.param(10**6, marks=pytest.mark.long, id="all")]
)
CONTENT = {"file", "link", "same", "inner"}


@pytest.fixture
def volumes(scratch):
    """One volume, which is full and in use: it stays as it is."""
    if os.geteuid() and not features.lack("subuid"):
        pytest.skip("newuidmap has no rights when it is traced: ptrace(2), setuid programs")
    (scratch / "root/srv/inner").mkdir(parents=True)
    (scratch / "root/srv/file").write_text("content")
    (scratch / "root/srv/link").symlink_to("file")
    os.link(scratch / "root/srv/file", scratch / "root/srv/same")
    made = Volumes(scratch / "store")
    made.create("witness", labels={"of": "test"})
    path, lock = made.use("witness", (f"{scratch}/root",), "/srv")
    with lock:
        yield made
        assert set(os.listdir(path)) == CONTENT
    made.prune()
    assert os.listdir(made.root) == [".lock"]


def create(volumes):
    volumes.create("data", labels={"of": "data"})


def fill(volumes):
    _, lock = volumes.use("data", (f"{volumes.root}/../../root",), "/srv")
    lock.release()


def remove(volumes):
    volumes.remove("data")


def prune(volumes):
    assert volumes.prune().volumes == ("data",)


OPERATIONS = {"create": (create, None), "fill": (fill, create), "remove": (remove, fill), "prune": (prune, fill)}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


def gone(volumes):
    try:
        volumes.remove("data")
    except NotFound:
        return


def cases(volumes, operation, scratch, most, names):
    """The calls that the whole operation makes, each by its name and number."""
    do, before = operation
    if before is not None:
        before(volumes)
    assert tracing.outcome(lambda: do(volumes), scratch / "log", f"--trace={CALLS}") == WORKED
    gone(volumes)
    counts = tracing.calls(scratch / "log")
    assert {"openat", "flock", "rename"} <= set(counts)
    found = [(call, number) for call, count in counts.items() if call in names for number in range(1, count + 1)]
    return sorted(random.Random(os.getpid()).sample(found, min(most, len(found))))


def attack(volumes, operation, scratch, option):
    """Do it once under attack; the status. Whatever came of it, all is whole, and it goes well the next time."""
    do, before = operation
    if before is not None:
        before(volumes)
    status = tracing.outcome(lambda: do(volumes), scratch / "log", f"--trace={CALLS}", option)
    left = set(os.listdir(volumes.root)) - {".lock", "witness", "data"}
    assert all(name.startswith((".new-", ".gone-")) for name in left), option
    if status == REFUSED and do is not prune and do is not remove:
        assert not left, option
    found = {volume.name: volume for volume in volumes.list()}
    assert found.keys() <= {"witness", "data"}, option
    assert found["witness"].labels == {"of": "test"}, option
    if "data" in found:
        content = set(os.listdir(found["data"].path))
        assert content == CONTENT if before is fill else content in (set(), CONTENT), (option, content)
    elif before is not None:
        assert do in {remove, prune}, option
    fill(volumes)
    assert set(os.listdir(volumes.get("data").path)) == CONTENT, option
    assert set(os.listdir(f"{volumes.root}/data")) == {"volume.json", "data"}, option
    volumes.remove("data")
    assert set(os.listdir(volumes.root)) == {".lock", "witness"}, option
    return status


@everyday
def test_killed(volumes, operation, scratch, most):
    for call, count in cases(volumes, operation, scratch, most, CALLS.split(",")):
        attack(volumes, operation, scratch, f"--inject={call}:signal=SIGKILL:when={count}")


@everyday
def test_interrupted(volumes, operation, scratch, most):
    for call, count in cases(volumes, operation, scratch, most, CALLS.split(",")):
        status = attack(volumes, operation, scratch, f"--inject={call}:signal=SIGINT:when={count}")
        assert status in {WORKED, INTERRUPTED, REFUSED}, (call, count)


@everyday
def test_a_system_call_fails(volumes, operation, scratch, most):
    for call, count in cases(volumes, operation, scratch, most, FAILING):
        error = random.Random(count).choice(ERRORS)
        status = attack(volumes, operation, scratch, f"--inject={call}:error={error}:when={count}")
        assert status in {WORKED, REFUSED}, (call, count, error, tracing.injected(scratch / "log"))


FULL = """
import errno, os, sys
import pycgroups as pc
store, root = pc.Store(sys.argv[1]), (sys.argv[2],)
volumes = store.volumes
for _ in range(2):
    try:
        volumes.use("data", root, "/srv")
    except pc.Error as error:
        assert error.errno == errno.ENOSPC, error
    else:
        raise AssertionError
    assert os.listdir(volumes.get("data").path) == []
    assert sorted(os.listdir(volumes.root + "/data")) == ["data", "volume.json"]
os.truncate(sys.argv[2] + "/srv/large", 10)
path, lock = volumes.use("data", root, "/srv")
with lock, open(path + "/filler", "wb") as filler:
    try:
        while True:
            os.write(filler.fileno(), bytes(4096))
    except OSError:
        pass
    try:
        volumes.create("other")
    except pc.Error as error:
        assert error.errno == errno.ENOSPC, error
    else:
        raise AssertionError
    assert [volume.name for volume in volumes.list()] == ["data"]
volumes.remove("data")
volumes.create("other").remove()
assert os.listdir(volumes.root) == [".lock"]
assert all(event.type == "volume" for event in store.events.read())
print("done")
"""


def test_no_room(scratch):
    for name in ("store", "root/srv"):
        (scratch / name).mkdir(parents=True)
    (scratch / "root/srv/large").write_bytes(os.urandom(3 * 2**20))
    script = 'mount -t tmpfs -o size=2m,mode=755 tmpfs "$1"; exec "$3" -c "$4" "$1" "$2"'
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ["unshare", *user, "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]
    words = [scratch / "store", scratch / "root", sys.executable, FULL]
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout == "done\n"
