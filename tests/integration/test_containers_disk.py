"""The limit on what a container that is held may write, and its workspace."""

from __future__ import annotations

import os

import pytest

import pycgroups as pc
from tests.boxes import BASE, put
from tests.images import Image

pytestmark = pytest.mark.requires("userns")

SLEEP = ["sleep", "1000"]
FILL = "busybox dd if=/dev/zero of=/full bs=64k count=1000 2>&1; stat -c %s /full"


@pytest.fixture
def box(store):
    return put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")


@pytest.fixture
def limited(store, box):
    """A container of an image that may write 1 MiB."""
    made = store.containers.create(SLEEP, image=box, disk="1M")
    made.start()
    return made


def test_what_is_written_is_limited(limited):
    said, size = limited.exec(["sh", "-c", FILL], text=True).stdout.rsplit("\n", 2)[:2]
    assert "No space left on device" in said
    assert 1 << 19 < int(size) <= 1 << 20
    with pytest.raises(pc.Error, match="ENOSPC"):
        limited.write_bytes("/more", bytes(1 << 20))
    limited.exec(["rm", "/full", "/etc/both"], check=True)
    limited.write_text("/more", "fits")
    assert limited.read_text("/more") == "fits"
    assert limited.inspect()["state"]["unenforced"] == []


def test_each_start_begins_anew(limited):
    limited.write_text("/file", "text")
    limited.restart(timeout=0)
    with pytest.raises(pc.NotFound):
        limited.read_text("/file")
    assert limited.exec(["sh", "-c", FILL], text=True).stdout.count("No space left") == 1


def test_what_takes_files_on_disk_is_refused(limited):
    for ask in (limited.diff, limited.commit, limited.fork):
        with pytest.raises(pc.Unsupported, match="in memory"):
            ask()
    limited.kill()
    with pytest.raises(pc.Unsupported, match=r"disk=.*in memory"):
        limited.read_bytes("/etc/passwd")


def test_over_the_hosts_root(store):
    held = store.containers.create(SLEEP, disk="1M")
    held.start()
    said = held.exec(["sh", "-c", "head -c 5000000 /dev/zero > /root/full"], text=True)
    assert "No space left on device" in said.stderr


def test_a_limit_that_is_not_to_be_had_is_an_error_unless_told(store, box, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    held = store.containers.create(SLEEP, image=box, disk="1M")
    with pytest.raises(pc.Unsupported, match=r"disk.*copied"):
        held.start()
    assert held.status == "created"
    told = store.containers.create(SLEEP, image=box, disk="1M", require_limits=False)
    told.start()
    assert told.inspect()["state"]["unenforced"] == ["disk"]
    told.exec(["sh", "-c", FILL], check=True)
    assert len(told.fork()) == 1
    with pytest.raises(pc.InvalidConfig, match="disk"):
        store.containers.create(SLEEP, rootfs="/", disk="1M")


# -- the workspace


def test_a_workspace_is_where_it_starts_and_keeps_what_is_written(store, box, scratch):
    (scratch / "in").write_text("from outside")
    held = store.containers.create(["sh", "-c", "cat in > out; sleep 1000"], image=box, workspace=scratch)
    held.start()
    assert (
        held.exec(
            ["sh", "-c", "until test -s out; do sleep 0.01; done; busybox pwd; echo more > exec"], text=True
        ).stdout
        == "/workspace\n"
    )
    for name, text in (("out", "from outside"), ("exec", "more\n")):
        assert (scratch / name).read_text() == text
        assert (scratch / name).stat().st_uid == os.getuid()
    held.stop(timeout=0)
    held.start()
    assert held.read_text("/workspace/exec") == "more\n"
    assert [change.path for change in held.diff() if change.path.startswith("/workspace/")] == []
    held.remove(force=True)
    assert (scratch / "exec").exists()


def test_a_copy_of_a_workspace_goes_with_the_container(store, box, scratch):
    (scratch / "project").mkdir()
    (scratch / "project/in").write_text("from outside")
    held = store.containers.create(SLEEP, image=box)
    held.copy_in(f"{scratch}/project/.", "/workspace")
    held.start()
    held.exec(["sh", "-c", "echo more >> in; echo new > out"], cwd="/workspace", check=True)
    assert held.read_text("/workspace/in") == "from outsidemore\n"
    held.remove(force=True)
    assert [(path.name, path.read_text()) for path in (scratch / "project").iterdir()] == [("in", "from outside")]
