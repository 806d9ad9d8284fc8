"""The process that does something with a container is killed at any of its system calls.

What the next command finds is right: the container is there or not, its name is its own or free, it starts, it goes,
and nothing stays. Another one, which runs all the time, is not touched.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import cli
from pycgroups.containers import collection, keeping
from tests import loops, tracing
from tests.boxes import BASE, put
from tests.images import Image
from tests.processes import is_alive
from tests.waiting import wait_for

AT = (
    "clone,clone3,open_tree,openat,mkdir,mkdirat,mknodat,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,"
    "write,fsync,sendto,sendmsg,pidfd_send_signal,rmdir,flock,pipe2,socketpair,poll,recvmsg,waitid"
)
AT_LAYERS = "openat,mkdirat,fsync,flock,ioctl,fsopen,fsconfig,fsmount,mount_setattr,wait4,sendmsg"
"Those that have to do with a writable layer that is a file system of its own."
COMMITTED = "docker.io/library/committed:1"

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("a process of its own, traced, for each system call"),
]


def create(containers, **options):
    containers.create(["sleep", "1000"], image="box:1", name="web", detach=True, **options)


def create_limited(containers):
    create(containers, disk="1M")


def start(containers):
    containers.get("web").start()


def stop(containers):
    containers.get("web").stop(timeout=0)


def remove(containers):
    containers.get("web").remove(force=True)


def execute(containers):
    containers.get("web").exec(["true"])


def write(containers):
    containers.get("web").write_text("/etc/first", "second\n")


def commit(containers):
    containers.get("web").commit("committed:1")


def diff(containers):
    containers.get("web").diff()


def fork(containers):
    containers.get("web").fork(name="fork")


BEFORE = {
    create: (), start: (create,), stop: (create, start), remove: (create, start), execute: (create, start),
    commit: (create, write, start),
}  # fmt: skip
LIMITED = {create_limited: (), **dict.fromkeys((start, diff, fork), (create_limited, write))}
RUNS_ON = {execute, commit}


@pytest.fixture
def full(store, monkeypatch):
    """A store with an image and a container that runs; what is loaded and made once is loaded and made."""
    put(store.images, Image(BASE))
    store.containers.create(["sleep", "1000"], image="box:1", name="witness", detach=True).start()
    for each in (create, write, start, execute, commit, stop, remove):
        each(store.containers)
    store.images.remove(COMMITTED)
    monkeypatch.setattr(collection, "default", lambda: store.containers)
    return store


def attempt(full, act, log, *options, before=BEFORE):
    """Do it in a process of its own, which is traced; how that ended."""
    for each in before[act]:
        each(full.containers)

    def action():
        keeping._forget()
        act(full.containers)

    return tracing.outcome(action, log, *options, follow=False)


def cases(full, act, log, at=AT, before=BEFORE):
    """Each system call that it makes, as its name and its number among those of that name."""
    assert attempt(full, act, log, f"--trace={at}", before=before) == tracing.WORKED
    clean_up(full)
    return [(name, number) for name, count in tracing.calls(log).items() for number in range(1, count + 1)]


@pytest.mark.parametrize("most", [14, pytest.param(10**6, marks=pytest.mark.long)], ids=["some", "each"])
@pytest.mark.parametrize("act", BEFORE, ids=lambda act: act.__name__)
def test_at_a_system_call(full, tmp_path, capfd, act, most):
    log = tmp_path / "log"
    everything = cases(full, act, log)
    count = min(most, len(everything))
    killed = 0
    for name, number in [everything[i * len(everything) // count] for i in range(count)]:
        status = attempt(full, act, log, f"--trace={name}", f"--inject={name}:signal=SIGKILL:when={number}")
        assert status in {signal.SIGKILL, tracing.WORKED}, (name, number, status)
        killed += status == signal.SIGKILL
        check_listed(full.containers, capfd, act)
        (check_it_works if killed % 2 else check_it_is_pruned)(full, act)
        check_nothing_is_left(full)
    assert killed > count // 2


@pytest.mark.requires("loop")
@pytest.mark.parametrize("most", [14, pytest.param(10**6, marks=pytest.mark.long)], ids=["some", "each"])
@pytest.mark.parametrize("act", LIMITED, ids=lambda act: act.__name__)
def test_with_a_layer_that_is_a_file_system(full, tmp_path, act, most):
    """Neither a loop device nor a mount is left, and what there was is whole."""
    log, homes = tmp_path / "log", Path(full.containers._place.homes.path)
    everything = cases(full, act, log, AT_LAYERS, LIMITED)
    count = min(most, len(everything))
    for name, number in [everything[i * len(everything) // count] for i in range(count)]:
        attempt(full, act, log, f"--trace={name}", f"--inject={name}:signal=SIGKILL:when={number}", before=LIMITED)
        for each in full.containers.list(all=True):
            if each.name != "witness":
                with suppress(pc.StateError):  # it does not run; or it does, and is about to end with its creator
                    each.kill()
                wait_for(lambda: not loops.files(homes))
                each.start()
                assert each.read_text("/etc/first") == ("first\n" if act is create_limited else "second\n")
                each.remove(force=True)
        wait_for(lambda: not loops.files(homes))
        check_nothing_is_left(full)


def clean_up(full):
    for each in full.containers.list(all=True):
        if each.name != "witness":
            each.remove(force=True)
    if COMMITTED in [image.reference for image in full.images.list()]:
        full.images.remove(COMMITTED)


def check_listed(containers, capfd, act):
    """`pycgroups ps` tells what is there, and how it is."""
    capfd.readouterr()
    assert cli.main(["ps", "--all"]) == 0
    _, *rows = capfd.readouterr().out.splitlines()
    status = {row.split()[-1]: row for row in rows}
    assert sorted(status) in (["witness"], ["web", "witness"])
    assert "running" in status["witness"]
    if act in RUNS_ON:
        assert containers.get("web").status == "running"


def check_it_works(store, _act):
    """It can be made, if it is not there; started, if it does not run; and removed."""
    names = [each.name for each in store.containers.list(all=True)]
    try:
        create(store.containers)
        assert "web" not in names
    except pc.AlreadyExists:
        assert "web" in names
    found = store.containers.get("web")
    assert found.status in {"created", "running", "paused", "stopped"}
    if found.status not in {"running", "paused"}:
        found.start()
        assert found.status == "running"
    pid = found.pid
    found.remove(force=True)
    wait_for(lambda: not is_alive(pid))


def check_it_is_pruned(store, act):
    """What does not run goes; what runs stays, and goes when it was killed."""
    before = {each.name: each.status for each in store.containers.list(all=True)}
    store.prune()
    after = {each.name for each in store.containers.list(all=True)}
    live = {name for name, status in before.items() if status == "running"}
    assert after in ([live, {"witness"}] if act is stop else [live])  # a signal may have been sent
    if "web" in after:
        try:
            store.containers.get("web").kill()
        except pc.StateError:  # its end has come meanwhile
            assert act is stop
        assert len(store.prune().containers) == 1


def check_nothing_is_left(store):
    """The witness runs, the image is whole; of the other one there is nothing on the disk and among the groups."""
    store.prune()
    if COMMITTED in [image.reference for image in store.images.list()]:
        assert store.containers.create(["true"], image=COMMITTED, name="of-it").read_text("/etc/first") == "second\n"
        store.containers.get("of-it").remove()
        store.images.remove(COMMITTED)
    (witness,) = store.containers.list(all=True)
    assert witness.exec(["true"]).returncode == 0
    where = witness._place
    assert os.listdir(where.runtime) == [witness.id]
    kept = {"names", "names.lock", "events", witness.id}
    assert {name for name in os.listdir(where.homes.path) if not name.startswith("events.")} <= kept
    assert os.listdir(f"{where.homes.path}/names") == ["witness"]
    assert os.listdir(store.images.store.blobs.tmp) == []
    assert len(os.listdir(store.images.store.layers.root)) == 1
    assert store.images.verify() == []
