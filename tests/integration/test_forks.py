"""Containers that begin with the files of another one."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

import pycgroups as pc
from pycgroups import cli, runtime
from pycgroups.containers import collection, forking, home
from tests.boxes import BASE, UPPER, directory, entry, layer, put
from tests.images import Image
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = pytest.mark.requires("userns")

SLOW = pytest.mark.slow_in_vm("nothing of it is cgroup v2's")
SLEEP = ["sleep", "1000"]
ALL_IDS = os.geteuid() == 0 or features.subuid() is None
TREE = layer(directory("tree"), entry("tree/below", b"below"), entry("tree/kept", b"kept"))
CHANGES = """
PATH=/bin
busybox mkdir -p /new/deep /etc/dir
echo one > /new/one
busybox ln /new/one /new/deep/same
busybox ln -s ../nowhere /new/link
busybox mkfifo /new/fifo
busybox dd if=/dev/zero of=/new/holes bs=1 count=1 seek=100000000 2>/dev/null
rm /etc/both /tree/kept
busybox rm -r /tree
busybox mkdir /tree
echo above > /tree/above
busybox chmod 4711 /new/one
busybox chmod 0700 /new/deep
busybox touch -d 2001-02-03 /new/one /new/deep /new
"""


@pytest.fixture(params=["overlay", pytest.param("copy", marks=SLOW)])
def source(request, store, monkeypatch):
    """A container that runs and has changed its image, by overlayfs or in a copy."""
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", request.param)
    put(store.images, Image(BASE, UPPER, TREE, Env=["PATH=/bin"]), "box:1")
    made = store.containers.create(SLEEP, image="box:1", name="source", labels={"a": "b"}, env={"WORD": "x"})
    made.start()
    made.exec(["sh", "-ec", CHANGES], check=True)
    if ALL_IDS:
        made.exec(["busybox", "chown", "-h", "1000:2000", "/new/link", "/new/deep", "/new/fifo"], check=True)
    os.setxattr(f"/proc/{made.pid}/root/etc/second", "user.word", b"\0\xff")
    return made


def content(held):
    """All files of a container with all that they are, as an archive."""
    return b"".join(held.export())


def test_forks_have_the_files_and_options_of_their_source(source, store):
    before = source.pid
    forks = source.fork(2)
    assert source.pid == before
    assert source.status == "running"
    assert [fork.status for fork in forks] == ["running"] * 2
    assert len({source.id, *(fork.id for fork in forks)}) == len({source.name, *(fork.name for fork in forks)}) == 3
    assert all(fork.labels == {"a": "b"} and ("WORD", "x") in fork.config.environment for fork in forks)
    for each in (source, *forks):
        each.kill()
    forks += source.fork()
    assert forks[2].status == "created"
    assert len({content(each) for each in (source, *forks)}) == 1
    with forks[2].files() as files:
        assert files.stat("/new/one").st_nlink == 2
        assert files.stat("/new/holes").st_blocks * 512 < 1_000_000
        assert files.list("/tree") == ["above"]
    if not os.path.isdir(f"{source.inspect()['directory']}/root"):
        assert source.diff() == forks[0].diff() == forks[2].diff()
    assert [event.name for event in store.events.read() if event.action == "create"][1:] == [
        fork.name for fork in forks
    ]


@SLOW
def test_what_one_writes_or_becomes_no_other_one_sees(source):
    first, second = source.fork(2)
    for word, each in (("source", source), ("first", first), ("second", second)):
        each.exec(["sh", "-c", f"echo {word} > /new/one; echo {word} > /new/{word}; echo x > /etc/both"], check=True)
    for word, each in (("source", source), ("first", first), ("second", second)):
        script = "cat /new/one /new/deep/same /tree/above; ls /new; exit $?"
        found = each.exec(["sh", "-c", script], text=True, check=True).stdout.split()
        assert found == [word, word, "above", *sorted(["deep", word, "fifo", "holes", "link", "one"])]
    grandchild = first.fork()[0]
    first.remove(force=True)
    source.remove(force=True)
    second.restart(timeout=0)
    for word, each in (("second", second), ("first", grandchild)):
        assert each.exec(["cat", "/new/one", "/etc/both"], text=True, check=True).stdout == f"{word}\nx\n"
    second.remove(force=True)
    assert grandchild.exec(["true"]).returncode == 0


@pytest.mark.parametrize(
    "freezes", [pytest.param(True, marks=pytest.mark.requires("limits")), pytest.param(False, marks=SLOW)]
)
def test_a_source_that_runs_is_copied_at_one_moment_if_it_can_be_frozen_and_goes_on(freezes, store, monkeypatch):
    if not freezes:
        monkeypatch.setattr(runtime.Container, "pause", refused)
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(SLEEP, image="box:1")
    for name in "ab":
        source.write_text(f"/{name}", "0")
    source.start()
    script = "i=0; while true; do i=$((i + 1)); echo $i > /a; echo $i > /b; done"
    program = source.popen(["sh", "-c", script])
    try:
        for _ in range(3):
            wait_for(lambda: number(source, "/b"))
            fork = source.fork()[0]
            fork.stop(timeout=0)
            first, second = number(fork, "/a"), number(fork, "/b")
            # Each is emptied, and then written to.
            assert not freezes or not first or not second or 0 <= first - second <= 1
            now = number(source, "/b")
            wait_for(partial(is_beyond, source, "/b", now))
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def refused(_):
    raise pc.Unsupported("no freezer here")


def number(held, path):
    return int(held.read_text(path) or 0)


def is_beyond(held, path, least):
    return number(held, path) > least


def test_one_that_was_never_started_or_has_written_nothing(store):
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(["cat", "/etc/first"], image="box:1", detach=True)
    fork = source.fork()[0]
    assert (fork.status, fork.detached) == ("created", True)
    fork.start()
    assert fork.wait(timeout=60) == 0
    assert fork.logs() == b"first\n"


def test_names_are_given_or_refused_before_anything_is_copied(store, monkeypatch):
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(["true"], image="box:1", name="source")
    assert [fork.name for fork in source.fork(2, name="job")] == ["job-1", "job-2"]
    assert [fork.name for fork in source.fork(name="job")] == ["job"]
    monkeypatch.setattr(forking, "_copy", None)
    with pytest.raises(pc.AlreadyExists, match="job-1"):
        source.fork(3, name="job")
    for wrong in ("", "a/b", 3, "x" * 127):
        with pytest.raises(pc.InvalidConfig, match="name"):
            source.fork(2, name=wrong)
    assert len(store.containers.list(all=True)) == 4


def test_the_command_line(store, monkeypatch, capsys):
    monkeypatch.setattr(collection, "default", lambda: store.containers)
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(["true"], image="box:1", name="source")
    source.write_text("/etc/file", "text")
    assert cli.main(["fork", "-n", "2", "source", "--name", "job"]) == 0
    ids = capsys.readouterr().out.split()
    assert [store.containers.get(id_).name for id_ in ids] == ["job-1", "job-2"]
    assert store.containers.get("job-2").read_text("/etc/file") == "text"
    assert cli.main(["container", "fork", "source"]) == 0
    assert capsys.readouterr().out.split()[0] in {each.id for each in store.containers.list(all=True)}
    for wrong, code in ((["-n", "0"], cli.FAILED), (["-n", "x"], cli.OURS), (["more"], cli.OURS)):
        assert cli.main(["fork", "source", *wrong]) == code
    assert len(store.containers.list(all=True)) == 4


def test_what_cannot_be_forked_is_refused(store, root):
    for options, why in (({"rootfs": root}, "only uses"), ({"image": "host"}, "in memory")):
        made = store.containers.create(SLEEP, **options)
        with pytest.raises(pc.Unsupported, match=f"fork {made.name}.*{why}"):
            made.fork()
        for wrong in (0, -1, 1001, True, "2"):
            with pytest.raises(pc.InvalidConfig, match="n"):
                made.fork(wrong)
    assert len(store.containers.list(all=True)) == 2


def test_a_copy_that_fails_leaves_nothing(store, monkeypatch):
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(SLEEP, image="box:1")
    source.write_text("/etc/file", "text")
    copy, calls = forking._copy, []

    def failing(*arguments):
        copy(*arguments)
        calls.append(arguments)
        if len(calls) == 2:
            raise pc.Error("full", operation="fork")

    monkeypatch.setattr(forking, "_copy", failing)
    with pytest.raises(pc.Error, match="full"):
        source.fork(3)
    assert store.containers.list(all=True) == [source]
    assert [name for name in os.listdir(store.containers._place.homes.path) if home.is_id(name[:64])] == [source.id]


KILLED = """
import os, sys
import pycgroups as pc
from pycgroups.containers import forking
copy = forking._copy
def killed(*arguments):
    copy(*arguments)
    os.kill(os.getpid(), 9)
forking._copy = killed
pc.Store(sys.argv[1]).containers.get(sys.argv[2]).fork()
"""


@SLOW
def test_who_is_killed_over_it_leaves_no_container(store):
    put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
    source = store.containers.create(SLEEP, image="box:1")
    source.write_text("/etc/file", "text")
    done = subprocess.run([sys.executable, "-c", KILLED, store.containers._root, source.id], check=False)
    assert done.returncode == -9
    assert store.containers.list(all=True) == [source]
    other = store.containers.create(["true"], image="box:1")
    names = {name for name in os.listdir(store.containers._place.homes.path) if home.is_id(name[:64])}
    assert names == {source.id, other.id}
    assert source.fork()[0].read_text("/etc/file") == "text"
