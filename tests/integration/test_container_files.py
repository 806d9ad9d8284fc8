"""Files in containers that are held, whether they run or not; what they have changed, and images of that."""

from __future__ import annotations

import errno
import io
import os
import tarfile

import pytest

import pycgroups as pc
from pycgroups.containers.files import RootFiles
from tests.boxes import BASE, UPPER, put
from tests.images import Image
from tests.worlds import features

pytestmark = pytest.mark.requires("userns")

SLEEP = ["sleep", "1000"]
frozen = pytest.mark.requires("limits")
"An ordinary user freezes by a cgroup of his own."


@pytest.fixture
def box(store):
    return put(store.images, Image(BASE, UPPER, Env=["PATH=/bin"]))


@pytest.fixture(params=["created", "running", pytest.param("paused", marks=frozen), "stopped"])
def state(request):
    return request.param


SAME = pytest.mark.slow_in_vm("an interpreter for each call; cgroup v2 changes nothing about these")


@pytest.fixture(params=["image", pytest.param("directory", marks=SAME), pytest.param("copy", marks=SAME)])
def held(request, store, state, monkeypatch):
    """A container in a state, of an image, of a directory, or of a copy of an image."""
    if request.param == "directory":
        made = store.containers.create(SLEEP, rootfs=request.getfixturevalue("own_root"))
    else:
        if request.param == "copy":
            monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
        made = store.containers.create(SLEEP, image=request.getfixturevalue("box"))
    brought(made, state)
    yield made
    made.remove(force=True)


def brought(held, state):
    if state != "created":
        held.start()
    if state == "paused":
        held.pause()
    if state == "stopped":
        held.kill()
    assert held.status == state


def awake(held):
    """Have it run, whatever it did."""
    if held.status == "paused":
        held.resume()
    elif held.status != "running":
        held.start()


def test_what_is_written_is_read_inside_and_outside(held, tmp_path):
    owner = "3:4" if os.geteuid() == 0 or features.subuid() is None else "0:0"
    held.write_text("/new/file", "text", parents=True, mode=0o640, owner=owner)
    held.write_bytes("/etc/word", b"\0\xff")
    assert held.read_text("/new/file") == "text"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "one").write_text("1")
    held.copy_in(tmp_path / "tree", "/tree")
    with held.files() as files:
        assert files.list("/tree") == ["one"]
        facts = files.stat("/new/file")
        assert f"{facts.st_uid}:{facts.st_gid}" == owner
    awake(held)
    command = "cat /new/file /tree/one; stat -c %u:%g:%a /new/file; wc -c < /etc/word; echo inside > /tree/two"
    result = held.exec(["sh", "-c", command], text=True, check=True)
    assert result.stdout.split() == [f"text1{owner}:640", "2"]
    held.copy_out("/tree", tmp_path / "out")
    assert (tmp_path / "out" / "two").read_text() == "inside\n"
    held.stop(timeout=0)
    assert held.read_text("/tree/two") == "inside\n"
    with held.files() as files:
        files.remove("/new", recursive=True)
        assert not files.exists("/new/file")


def test_nothing_leads_out_and_nothing_is_there(held, tmp_path):
    (tmp_path / "secret").write_text("secret")
    awake(held)
    with held.files() as files:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, f"/..{tmp_path}/secret"
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(link)
        archive.seek(0)
        files.copy_in(archive, "/")
    with pytest.raises(pc.NotFound, match="/link"):
        held.read_bytes("/link")
    with pytest.raises(pc.NotFound, match="/none"):
        held.copy_out("/none", tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out")


@pytest.mark.parametrize("end", ["kill", "restart"])
def test_one_that_ends_meanwhile(run, own_root, monkeypatch, end):
    held = run(rootfs=own_root, stop_timeout=0)
    real = RootFiles.running

    def late(pidfd):
        monkeypatch.undo()
        getattr(held, end)()
        return real(pidfd)

    monkeypatch.setattr(RootFiles, "running", late)
    held.write_text("/file", "x")
    assert held.read_text("/file") == "x"


def test_one_whose_mounts_go_meanwhile(run, monkeypatch):
    held = run()

    def gone(*_, **__):
        monkeypatch.undo()
        raise pc.Error(operation="read", path="/etc/group", errno=errno.ESTALE)

    monkeypatch.setattr(RootFiles, "read_bytes", gone)
    assert held.read_bytes("/etc/group").startswith(b"root:")


def test_export(held):
    held.write_text("/word", "said")
    archive = io.BytesIO(b"".join(held.export()))
    with tarfile.open(fileobj=archive) as tar:
        assert tar.extractfile("word").read() == b"said"
        assert "bin/busybox" in tar.getnames()


@pytest.mark.parametrize("kind", ["host", "directory"])
def test_what_it_cannot_tell(store, kind, own_root):
    options = {"rootfs": own_root} if kind == "directory" else {}
    with store.containers.create(SLEEP, **options) as held:
        for ask in (held.diff, held.commit):
            with pytest.raises(pc.Unsupported, match="what it has changed is not known"):
                ask()
        if kind == "host":
            with pytest.raises(pc.Unsupported, match="in memory"):
                held.read_bytes("/etc/passwd")


def test_the_hosts_root_is_read_as_long_as_it_runs(store):
    with store.containers.create(SLEEP) as held:
        held.start()
        held.write_text("/tmp/word", "said")
        assert held.exec(["cat", "/tmp/word"]).stdout == b"said"


def test_diff(store, box, state):
    held = store.containers.create(SLEEP, image=box)
    brought(held, state)
    assert held.diff() == []
    held.write_text("/new", "")
    held.write_text("/etc/both", "changed")
    with held.files() as files:
        files.remove("/bin/busybox")
    assert [(one.kind, one.path) for one in held.diff()] == [
        ("C", "/bin"),
        ("D", "/bin/busybox"),
        ("C", "/etc"),
        ("C", "/etc/both"),
        ("A", "/new"),
    ]


def test_commit(store, box, state):
    held = store.containers.create(SLEEP, image=box)
    brought(held, state)
    held.write_text("/etc/both", "committed\n")
    image = held.commit("me/app:2", changes=['CMD ["cat", "/etc/both"]', "ENV WORD=said"], author="me", message="why")
    assert held.status == state
    assert image.reference == "docker.io/me/app:2"
    assert image.layers[:-1] == box.layers
    step = image.history()[-1]
    assert (step.created_by, step.comment) == ("sleep 1000", "why")
    assert "WORD=said" in image.config.env
    with store.containers.create(image=image) as other:
        other.start()
        assert other.wait(timeout=60) == 0
        assert other.logs() == b"committed\n"
    assert held.commit().reference is None
    assert store.images.verify() == []


def test_a_commit_that_cannot_be_changes_nothing(store, box):
    held = store.containers.create(SLEEP, image=box)
    before = {image.digest for image in store.images.list()}
    with pytest.raises(pc.InvalidConfig, match=r"changes\[0\]"):
        held.commit("app", changes=["RUN true"])
    with pytest.raises(pc.InvalidConfig, match="name"):
        held.commit("-bad-")
    assert {image.digest for image in store.images.list()} == before
    assert held.status == "created"
