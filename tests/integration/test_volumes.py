"""Volumes in containers: made, filled with what is in the image, shared, and kept."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.containers.volumes import collection
from pycgroups.containers.volumes.filling import fill
from pycgroups.images.collection import Images
from tests.boxes import BASE, directory, entry, layer, put, symlink
from tests.images import Image, link
from tests.integration.races import Flipper, rounds, turns
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("dozens of containers, whose mounts and ids are the same everywhere"),
]

APP = layer(
    directory("srv", mode=0o711),
    directory("srv/app", mode=0o750, uid=1000, gid=1000),
    entry("srv/app/config", b"from the image\n", mode=0o640, uid=1000, gid=1000),
    entry("srv/app/old", b"old\n"),
    directory("srv/app/inner", mode=0o2755),
    entry("srv/app/inner/tool", b"#!/bin/sh\n", mode=0o4755),
    entry("srv/app/gone", b"gone\n"),
    directory("srv/app/hidden"),
    entry("srv/app/hidden/below", b"below\n"),
    (link("srv/app/same", "srv/app/config", tarfile.LNKTYPE), b""),
    symlink("srv/app/away", "/etc/passwd"),
    entry("srv/app/pipe", kind=tarfile.FIFOTYPE, mode=0o600),
    symlink("data", "srv/app"),
    entry("file", b"a file\n"),
)
OVER = layer(
    entry("srv/app/.wh.gone"),
    entry("srv/app/hidden/.wh..wh..opq"),
    entry("srv/app/hidden/above", b"above\n"),
    entry("srv/app/new", b"new\n", mode=0o600),
)
TOLD = """
cd /srv/app
for file in $(busybox find . | busybox sort); do
    test -d $file && stat -c '%n %F %a %u:%g %Y' $file || stat -c '%n %F %a %u:%g %Y %h %s' $file
done
"""


@pytest.fixture
def store(scratch, monkeypatch):
    """The default store is one of the test's own; in the end it can be emptied."""
    monkeypatch.setenv("PYCGROUPS_STORE", str(scratch / "store"))
    made = pc.Store()
    yield made
    made.volumes.prune()
    assert not os.path.exists(made.volumes.root) or os.listdir(made.volumes.root) == [".lock"]


@pytest.fixture(scope="module")
def image(shelf):
    """One for all, in a store that has no volumes."""
    images = Images(shelf / "images")
    yield put(images, Image(BASE, APP, OVER, Env=["PATH=/bin"]))
    images.prune(all=True)
    images.close()
    shutil.rmtree(shelf / "images")


def sh(script, **options):
    done = pc.run(["sh", "-c", script], text=True, stderr=pc.STDOUT, timeout=300, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def layers_of(image):
    root, lock = pc.images.default().hold(image)
    with lock:
        return tuple(f"{root.directory}/{one}" for one in root.layers)


def alone():
    return os.geteuid() != 0 and bool(features.lack("subuid"))


def test_one_is_shared_and_outlives_the_containers(store, root):
    sh("echo one >/data/file", rootfs=root, volumes={"data": "/data"})
    assert sh("cat /in/file; echo two >/in/file", rootfs=root, volumes=["data:/in"]) == "one"
    assert sh("cat /data/file", rootfs=root, mounts=[pc.Mount.volume("data", "/data", read_only=True)]) == "two"
    assert sh("cat /data/file", image="host", volumes={"data": "/data"}) == "two"
    assert [volume.name for volume in pc.volumes.list()] == ["data"]
    (event,) = store.events.read()
    assert (event.type, event.action, event.name) == ("volume", "create", "data")


def test_read_only_is(store, root):
    options = {"rootfs": root, "text": True, "stderr": pc.STDOUT}
    result = pc.run(["sh", "-c", "echo x >/data/file"], volumes={"data": "/data:ro"}, **options)
    assert result.returncode != 0
    assert "Read-only" in result.stdout
    assert os.listdir(pc.volumes.get("data").path) == []


def test_it_belongs_to_the_containers_root_whatever_ids_that_has(store, root):
    """Each run has a range of ids of its own; on the disk they are those inside, or the user's."""
    said = sh("touch /data/a; stat -c %u:%g /data /data/a; id -u", rootfs=root, volumes={"data": "/data"})
    assert said.split() == ["0:0", "0:0", "0"]
    assert sh("stat -c %u:%g /data/a; echo x >>/data/a", rootfs=root, volumes={"data": "/data"}) == "0:0"
    path = pc.volumes.get("data").path
    assert os.stat(path).st_uid == os.stat(f"{path}/a").st_uid == os.geteuid()


@pytest.mark.requires("root")
@pytest.mark.parametrize("userns", ["host", "0:300000:65536"])
def test_maps_of_ids_do_not_matter_to_root(store, root, userns):
    options = {"rootfs": root, "volumes": {"data": "/data"}}
    sh("touch /data/a; chown 1000:50 /data/a", **options)
    assert sh("stat -c %u:%g /data/a; touch /data/b; chown 7 /data/b", userns=userns, **options) == "1000:50"
    assert sh("stat -c %u:%g /data/b", **options) == "7:0"
    assert os.stat(f"{pc.volumes.get('data').path}/a").st_uid == 1000


@pytest.mark.requires("rootless", "subuid")
def test_an_ordinary_users_other_map_sees_other_owners(store, root):
    options = {"rootfs": root, "volumes": {"data": "/data"}}
    sh("touch /data/root /data/other; chown 1 /data/other", **options)
    said = sh("id -u; stat -c %u /data/root /data/other", userns="keep-id", **options)
    assert said.split() == [str(os.geteuid()), str(os.geteuid()), "0"]
    assert sh("stat -c %u /data/root /data/other", **options).split() == ["0", "1"]


# -- the first content -----------------------------------------------------------------------------------------------


def test_an_empty_one_gets_what_the_image_has_there(store, image):
    """Of all layers, with owners, modes, times and links; without what an upper layer has removed."""
    there = sh(TOLD, image=image)
    here = sh(TOLD, image=image, volumes={"data": "/srv/app"})
    assert here == there
    assert "./config regular file 640 " in here
    assert " 2 15" in next(line for line in here.splitlines() if line.startswith("./same"))
    assert not {"./gone", "./hidden/below"} & {line.split()[0] for line in here.splitlines()}
    assert sh("cat new hidden/above; readlink away; cat config", image=image, cwd="/in", volumes={"data": "/in"}) == (
        "new\nabove\n/etc/passwd\nfrom the image"
    )


def test_what_it_has_already_is_never_touched(store, image):
    """CVE-2020-1726 of podman: the copy overwrote what was there, also when the mount was read-only."""
    pc.volumes.create("data")
    sh("echo mine >/in/config; chmod 600 /in", image=image, volumes={"data": "/in"})
    for access in ("rw", "ro"):
        script = "ls /srv/app; cat /srv/app/config; stat -c %a /srv/app"
        said = sh(script, image=image, volumes=[f"data:/srv/app:{access}"])
        assert said.split() == ["config", "mine", "600"]


def test_also_when_it_is_read_only(store, image):
    said = sh("cat /srv/app/config", image=image, read_only=True, volumes=["data:/srv/app:ro"])
    assert said == "from the image"


def test_what_was_emptied_is_filled_again_and_what_is_in_use_is_not(store, image):
    sh("rm -r /srv/*", image=image, volumes={"data": "/srv"})
    _, lock = pc.volumes.default().use("data")
    with lock:
        assert sh("ls /srv", image=image, volumes={"data": "/srv"}) == ""
    assert sh("ls /srv", image=image, volumes={"data": "/srv"}) == "app"


@pytest.mark.parametrize("place", ["/nowhere/at/all", "/bin/busybox"])
def test_where_there_is_no_directory_it_stays_empty(store, image, place):
    path, lock = pc.volumes.default().use("data", layers_of(image), place)
    lock.release()
    assert os.listdir(path) == []
    assert os.listdir(f"{pc.volumes.default().root}/data") == ["volume.json", "data"]


def test_the_place_may_be_behind_a_link(store, image):
    assert sh("cat /data/config", image=image, volumes={"data": "/data"}) == "from the image"
    assert "config" in sh("ls /in", image=image, volumes={"data": "/in"})


def test_a_directory_as_the_root(store, own_root):
    (own_root / "srv").mkdir()
    (own_root / "srv/file").write_text("of the root")
    os.symlink("file", own_root / "srv/link")
    assert sh("cat /srv/link; echo more >>/srv/file", rootfs=own_root, volumes={"data": "/srv"}) == "of the root"
    assert (own_root / "srv/file").read_text() == "of the root"
    assert sh("cat /in/file", rootfs=own_root, volumes={"data": "/in"}) == "of the rootmore"


def test_the_hosts_root_is_no_first_content(store):
    assert sh("ls -A /etc", image="host", volumes={"data": "/etc"}) == ""


def test_holes_stay_holes(store, own_root):
    (own_root / "srv").mkdir()
    with open(own_root / "srv/sparse", "wb") as file:
        file.truncate(2**26)
        file.seek(2**20)
        file.write(b"in the middle")
    said = sh("stat -c %s /srv/sparse; tr -d '\\0' </srv/sparse | head -c 20", rootfs=own_root, volumes={"d": "/srv"})
    assert said == f"{2**26}\nin the middle"
    assert pc.volumes.get("d").size() < 2**20


def test_extended_attributes_come_along(store, own_root):
    (own_root / "srv").mkdir()
    (own_root / "srv/file").touch()
    os.setxattr(own_root / "srv/file", "user.of", b"the root")
    os.setxattr(own_root / "srv", "user.too", b"\0")
    sh("true", rootfs=own_root, volumes={"d": "/srv"})
    path = pc.volumes.get("d").path
    assert os.getxattr(f"{path}/file", "user.of") == b"the root"
    assert os.getxattr(path, "user.too") == b"\0"


def test_a_link_to_the_host_is_one_inside(store, own_root, scratch):
    (scratch / "host").mkdir()
    (scratch / "host/secret").write_text("secret")
    os.symlink(scratch / "host", own_root / "srv")
    path, lock = pc.volumes.default().use("data", (str(own_root),), "/srv")
    lock.release()
    assert os.listdir(path) == []


@rounds
def test_a_root_that_changes_meanwhile_shows_nothing_of_the_host(own_root, scratch, count):
    (scratch / "host/inner").mkdir(parents=True)
    (scratch / "host/inner/secret").write_text("secret")
    (own_root / "srv/dir/inner").mkdir(parents=True)
    (own_root / "srv/dir/inner/file").write_text("of the root")
    os.symlink(scratch / "host", own_root / "srv/link")
    seen = set()
    with Flipper(own_root / "srv/dir", own_root / "srv/link"):
        for number in turns(20 * count):
            (scratch / f"{number}/data").mkdir(parents=True)
            with suppress(pc.Error):
                fill(str(scratch / f"{number}"), (str(own_root),), "/srv", alone=True)
            seen |= {file for _, _, files in os.walk(scratch / f"{number}") for file in files}
            shutil.rmtree(scratch / f"{number}")
    assert seen == {"file"}


def test_two_at_once_copy_once(store, image):
    said = []

    def use():
        said.append(sh("stat -c %i /srv/app; cat /srv/app/new", image=image, volumes={"data": "/srv/app"}))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    assert len(set(said)) == 1
    assert said[0].endswith("new")


class InThisProcess:
    has_all_ids = False

    def __call__(self, fn, *args):
        return fn(*args)


def test_whoever_waits_for_one_that_fails_tries_himself(store, own_root, monkeypatch):
    (own_root / "srv").mkdir()
    (own_root / "srv/file").write_text("of the root")
    first, go_on = threading.Event(), threading.Event()
    copy, volumes, failures = collection.fill, store.volumes, []
    volumes.inside = InThisProcess()

    def fill(*args):
        if not first.is_set():
            first.set()
            go_on.wait(60)
            raise pc.Error("no room", operation="fill volume", errno=errno.ENOSPC)
        copy(*args)

    def fail():
        with pytest.raises(pc.Error) as caught:
            volumes.use("data", (str(own_root),), "/srv")
        failures.append(caught.value.errno)

    monkeypatch.setattr(collection, "fill", fill)
    threads = [threading.Thread(target=fail)]
    threads[0].start()
    first.wait(60)
    found = []
    threads.append(threading.Thread(target=lambda: found.append(volumes.use("data", (str(own_root),), "/srv"))))
    threads[1].start()
    time.sleep(0.1)
    go_on.set()
    for thread in threads:
        thread.join(60)
    ((path, lock),) = found
    with lock:
        assert os.listdir(path) == ["file"]
    assert failures == [errno.ENOSPC]


# -- in use, and looked at ------------------------------------------------------------------------------------------


HOLD = """
import sys
import pycgroups as pc
pc.run(["sh", "-c", "echo running; read line; cat /data/file"], rootfs=sys.argv[1], volumes={"data": "/data"},
       stdin=0, stdout=1)
"""


def test_what_a_container_uses_is_not_removed(store, root):
    sh("echo kept >/data/file", rootfs=root, volumes={"data": "/data"})
    command = [sys.executable, "-c", HOLD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"running\n"
        with pytest.raises(pc.StateError):
            pc.volumes.remove("data")
        assert pc.volumes.prune().volumes == ()
        assert holder.communicate(b"\n", timeout=60) == (b"kept\n", None)
    pc.volumes.remove("data")


def test_a_run_that_fails_gives_it_back(store, root):
    with pytest.raises(pc.CommandNotFound):
        pc.run(["nothing"], rootfs=root, volumes={"data": "/data"})
    with pytest.raises(pc.NotFound):
        pc.run(["true"], rootfs=f"{root}/nowhere", volumes={"other": "/data"})
    pc.volumes.remove("data")
    assert pc.volumes.list() == []


def test_explaining_makes_nothing(store, root):
    told = pc.explain(["true"], rootfs=root, volumes={"data": "/data:ro"})
    (mount,) = [mount for mount in told.spec.mounts if mount.destination == "/data"]
    assert mount.source == f"{pc.volumes.default().root}/data/data"
    assert "ro" in mount.options
    assert not os.path.exists(pc.volumes.default().root)


def test_without_a_mount_namespace_there_is_none(store):
    with pytest.raises(pc.InvalidConfig) as caught:
        pc.run(["true"], isolation="process", volumes={"data": "/data"})
    assert caught.value.path == "volumes"
    assert pc.volumes.list() == []


def test_what_a_container_has_made_can_be_measured_and_removed(store, root):
    """Whatever its owners and modes are: they are none that an ordinary user has."""
    script = "mkdir -p /data/a/b; dd if=/dev/zero of=/data/a/b/c bs=1000 count=100 2>/dev/null; chmod 0 /data/a"
    chown = "" if alone() else "; chown -R 1000:1000 /data"
    sh(script + chown, rootfs=root, volumes={"data": "/data"})
    counted = 0 if alone() else 100_000
    assert counted <= pc.volumes.get("data").size() < counted + 100_000
    assert sh("id -u", rootfs=root, volumes={"data": "/data"}) == "0"
    freed = pc.volumes.prune()
    assert freed.volumes == ("data",)
    assert freed.size >= counted


def test_the_command_line(store, root):
    def run(*words, script):
        command = [sys.executable, "-m", "pycgroups", "run", "--rootfs", str(root), *words, "--", "sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout

    run("-v", "data:/data", script="echo kept >/data/file")
    assert (
        run("-v", "data:/in:ro", script="cat /in/file; touch /in/no 2>/dev/null || echo refused") == "kept\nrefused\n"
    )
    assert run("--mount", "type=volume,src=data,dst=/in", script="cat /in/file") == "kept\n"
    (volume,) = store.volumes.list()
    assert volume.name == "data"
    told = [sys.executable, "-m", "pycgroups", "volume", "inspect", "-f", "{{.Name}} {{.Mountpoint}}", "data"]
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout == f"data {volume.path}\n"


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "größe €"), ("latin-1", "größe \\u20ac")])
def test_what_stdout_cannot_encode_is_written_out(store, encoding, shown):
    store.volumes.create("data", labels={"word": "größe €"})
    command = [sys.executable, "-m", "pycgroups", "volume", "inspect", "-f", "{{.Labels.word}}", "data"]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, encoding=encoding, check=False, env=env, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{shown}\n", "")


def waits_for_a_lock(process):
    lines = Path("/proc/locks").read_text().splitlines()
    return any(words[1] == "->" and words[5] == str(process.pid) for words in map(str.split, lines))


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", -15), ("HUP", -1)])
def test_a_signal_ends_a_command_that_waits_for_a_volume(store, root, name, code):
    _, lock = store.volumes.use("data")
    lock.release()
    command = [sys.executable, "-m", "pycgroups", "run", "--rootfs", str(root), "-v", "data:/data", "--", "echo", "ran"]
    filling = collection.Lock(f"{store.volumes.root}/data/{collection._RECORD}")
    filling.take()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: waits_for_a_lock(process))
            process.send_signal(getattr(signal, f"SIG{name}"))
            wait_for(lambda: process.poll() is not None, timeout=10)
        finally:
            filling.release()
        assert (process.wait(), process.stdout.read(), process.stderr.read()) == (code, b"", b"")
