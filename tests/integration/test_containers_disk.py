"""The limit on what a container that is held may write, and its workspace."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups._native import vfs
from pycgroups.containers import forking
from pycgroups.runtime import loops, tools
from tests.boxes import BASE, put
from tests.images import Image
from tests.loops import files
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")

SLEEP = ["sleep", "1000"]
FILL = "busybox dd if=/dev/zero of=/full bs=64k count=1000 2>&1; stat -c %s /full"
ON_DISK = pytest.mark.requires("loop")


@pytest.fixture
def box(store):
    return put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")


def create(store, box, **options):
    """A container of an image that may write 1 MiB."""
    return store.containers.create(SLEEP, image=box, **{"disk": "1M", **options})


@pytest.fixture
def held(store, box):
    made = create(store, box)
    made.start()
    return made


def is_full_after(held):
    """How many bytes were written until there was no room for more."""
    said, size = held.exec(["sh", "-c", FILL], text=True).stdout.rsplit("\n", 2)[:2]
    assert "No space left on device" in said
    return int(size)


def test_what_is_written_is_limited(held):
    assert 1 << 19 < is_full_after(held) <= 1 << 20
    with pytest.raises(pc.Error, match="ENOSPC"):
        held.write_bytes("/more", bytes(1 << 20))
    held.exec(["rm", "/full", "/etc/both"], check=True)
    held.write_text("/more", "fits")
    assert held.read_text("/more") == "fits"
    assert held.inspect()["state"]["unenforced"] == []


ENDS = {
    "of the host's own root": (
        {"image": "host", "cwd": "/tmp"},
        "busybox dd if=/dev/zero of=/tmp/full bs=64k count=1000",
    ),
    "in many files": ({}, "i=0; while echo $i >/$i; do i=$((i + 1)); done; exit 5"),
    "in one": ({}, "busybox dd if=/dev/zero of=/full bs=64k count=1000"),
    "byte by byte": ({}, "busybox dd if=/dev/zero of=/full bs=1000 count=10000"),
    "for a while": ({}, "busybox dd if=/dev/zero of=/full bs=1000 count=10000; sleep 0.5; rm /full; exit 5"),
}


def ends_by(store, script, **options):
    """Run a shell; why it has ended, and the same by the event."""
    made = store.containers.create(["/bin/sh", "-c", script], **options)
    made.start()
    made.wait(60)
    (died,) = [event for event in store.events.read() if event.action == "die" and event.id == made.id]
    return made.reason, died.attributes["reason"], made.exit_code


@pytest.mark.parametrize("size", ["1M", "8M"])
@pytest.mark.parametrize("where", ENDS)
def test_a_full_disk_is_the_reason_of_an_end(store, box, where, size):
    options, script = ENDS[where]
    reason, told, code = ends_by(store, script, **{"image": box, "disk": size, **options})
    assert (reason, told) == ("disk", "disk")
    assert code


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo x >/x; exit 5", "exited"), (f"{FILL}; exit 0", "exited"), (f"{FILL}; kill -9 $$", "disk")],
)
def test_what_is_no_end_by_a_full_disk(store, box, script, reason):
    assert ends_by(store, script, image=box, disk="2M")[:2] == (reason, reason)


@pytest.mark.requires("uninstrumented")
def test_one_that_is_started_again_after_a_full_disk(store, box):
    script = "test -e /full && exit 0; busybox dd if=/dev/zero of=/full bs=64k count=1000"
    made = store.containers.create(["/bin/sh", "-c", script], image=box, disk="1M", restart="on-failure:1")
    made.start()
    wait_for(lambda: made.restart_count == 1 and made.status == "stopped")
    told = [event.attributes["reason"] for event in store.events.read() if event.action == "die"]
    assert told == (["disk", "exited"] if made.inspect()["layer"] == "disk" else ["disk", "disk"])


# -- on disk: a file system of its own


@ON_DISK
@pytest.mark.parametrize("userns", [None, "host"], ids=["own ids", "ids of the host"])
def test_it_keeps_what_is_written(store, box, scratch, userns):
    held = create(store, box, userns=userns)
    held.write_text("/first", "before the start", owner="1000:1000")
    assert files(scratch) == []
    held.start()
    assert held.inspect()["layer"] == "disk"
    assert len(files(scratch)) == 1
    held.exec(["sh", "-c", "cat /first > /etc/both; rm /etc/first"], check=True)
    held.restart(timeout=0)
    assert held.exec(["stat", "-c", "%u:%g", "/first", "/etc/both"], text=True).stdout == "1000:1000\n0:0\n"
    held.stop(timeout=0)
    wait_for(lambda: not files(scratch))
    command = (
        "import sys, pycgroups as pc; print(pc.Store(sys.argv[1]).containers.get(sys.argv[2]).read_text('/etc/both'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, scratch / "store", held.id], check=True, capture_output=True, text=True
    )
    assert done.stdout == "before the start\n"
    held.start()
    assert held.read_text("/etc/both") == "before the start"
    with pytest.raises(pc.NotFound):
        held.read_text("/etc/first")
    assert 0 < is_full_after(held) <= 1 << 20


@ON_DISK
def test_it_has_the_ids_of_a_user_namespace_that_is_joined(store, box):
    other = store.containers.create(SLEEP, image=box)
    other.start()
    held = create(store, box, namespaces={"user": f"/proc/{other.pid}/ns/user"})
    held.start()
    held.exec(["touch", "/file"], check=True)
    held.stop(timeout=0)
    with held.files() as files_of_it:
        assert files_of_it.stat("/file").st_uid == 0


@ON_DISK
@pytest.mark.parametrize("state", ["running", "stopped", "created"])
def test_its_changes_are_known(store, box, scratch, state):
    held = create(store, box)
    if state != "created":
        held.start()
    held.write_text("/added", "text")
    held.write_text("/etc/both", "other")
    if state == "stopped":
        held.stop(timeout=0)
    assert [(change.kind, change.path) for change in held.diff()] == [
        ("A", "/added"),
        ("C", "/etc"),
        ("C", "/etc/both"),
    ]
    image = held.commit("changed:1")
    assert store.containers.create(SLEEP, image=image).read_text("/etc/both") == "other"
    assert b"text" in b"".join(held.export())
    held.copy_out("/etc/both", scratch / "both")
    assert (scratch / "both").read_text() == "other"
    assert len(files(scratch)) == (state == "running")


@ON_DISK
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_forks_have_its_files_and_its_limit(store, box, scratch, monkeypatch, state):
    monkeypatch.setattr(forking, "MOST_LOCKED", 1)
    held = create(store, box)
    held.start()
    held.exec(["sh", "-c", "echo text > /file; busybox ln /file /name; rm /etc/first"], check=True)
    if state == "stopped":
        held.stop(timeout=0)
    forks = held.fork(2)
    held.remove(force=True)
    for fork in forks:
        assert fork.status == ("running" if state == "running" else "created")
        assert fork.inspect()["layer"] == "disk"
        with fork.files() as its:
            assert (its.read_text("/name"), its.stat("/name").st_nlink) == ("text\n", 2)
    forks[0].write_text("/file", "other")
    assert forks[1].read_text("/file") == "text\n"
    if state == "stopped":
        forks[1].start()
    assert is_full_after(forks[1]) <= 1 << 20


@ON_DISK
def test_it_is_not_on_the_host_and_no_device_inside(held, scratch):
    (path,) = files(scratch)
    assert path == f"{held.directory}/layer.ext4"
    assert os.listdir(f"{held.directory}/layer") == []
    assert "layer" not in Path("/proc/self/mountinfo").read_text()
    assert held.exec(["sh", "-c", "busybox ls /dev | busybox grep loop"]).returncode == 1
    assert "ext4" not in held.exec(["cat", "/proc/mounts"], text=True).stdout.replace(str(scratch), "")


@ON_DISK
@pytest.mark.parametrize("size", [2**20, 2**22, 2**24, 2**26 - 1, 2**26, 2**30, 2**36], ids="{:x}".format)
def test_it_has_the_size_that_was_asked_for(tmp_path, size):
    path = tmp_path / "file"
    with path.open("x+b") as file:
        loops.make(file.fileno(), size)
    mounted = loops.mount(str(path))
    try:
        found = os.fstatvfs(mounted)
        assert 0.97 * size <= found.f_bavail * found.f_frsize <= 1.03 * size
        assert found.f_favail > 10
        assert path.stat().st_blocks * 512 < 5_000_000
    finally:
        os.close(mounted)
    wait_for(lambda: not files(tmp_path))


@ON_DISK
def test_what_is_removed_is_room_again_at_the_next_start(store, box):
    held = create(store, box, disk="32M")
    held.start()
    path = f"{held.directory}/layer.ext4"
    before = os.stat(path).st_blocks
    held.exec(["sh", "-c", "head -c 8000000 /dev/zero > /full; busybox sync"], check=True)
    assert os.stat(path).st_blocks - before > 8_000_000 // 512
    held.exec(["sh", "-c", "rm /full; busybox sync"], check=True)
    held.stop(timeout=0)
    held.start()
    wait_for(lambda: os.stat(path).st_blocks - before < 4_000_000 // 512)


@ON_DISK
def test_one_file_is_never_two_devices(held, scratch):
    path = f"{held.directory}/layer.ext4"
    mounts = [loops.mount(path) for _ in range(2)]
    try:
        assert len(files(scratch)) == 1
        assert len({os.fstat(fd).st_dev for fd in mounts}) == 1
        held.write_text("/file", "text")
        fd = os.open("upper/file", os.O_RDONLY, dir_fd=mounts[0])
        assert os.read(fd, 10) == b"text"
        os.close(fd)
        held.kill()
        assert len(files(scratch)) == 1
        held.start()
        held.write_text("/file", "other")
    finally:
        for fd in mounts:
            os.close(fd)


@ON_DISK
def test_the_death_of_its_creator_leaves_nothing(store, box, scratch):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        made = create(store, box)
        made.start()
        os.write(write, made.id.encode())
        signal.pause()
    os.close(write)
    with open(read, "rb") as pipe:
        id_ = pipe.read(64).decode()
    assert len(files(scratch)) == 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: not files(scratch))
    held = store.containers.get(id_)
    wait_for(lambda: held.status == "stopped")
    assert held.read_text("/etc/both") == "lower\n"


@ON_DISK
def test_a_crash_of_the_machine_costs_nothing_that_was_synced(held, scratch):
    """What is on the disk in the middle of a run is what there is after such a crash."""
    held.exec(["sh", "-c", "echo synced > /file; busybox sync; rm /etc/first"], check=True)
    path = f"{held.directory}/layer.ext4"
    shutil.copyfile(path, scratch / "crashed")
    held.kill()
    wait_for(lambda: not files(scratch))
    os.replace(scratch / "crashed", path)
    held.start()
    assert held.read_text("/file") == "synced\n"


@pytest.fixture
def to_be_checked(store, box, scratch):
    """One that does not run, with errors."""
    held = create(store, box)
    held.write_text("/file", "text")
    wait_for(lambda: not files(scratch))
    subprocess.run([tools.find("tune2fs"), "-E", "force_fsck", f"{held.directory}/layer.ext4"], check=True)
    return held


@ON_DISK
def test_errors_are_mended_before_it_is_mounted(to_be_checked):
    def state():
        with open(f"{to_be_checked.directory}/layer.ext4", "rb") as file:
            file.seek(1024 + 0x3A)
            return file.read(1)[0]

    assert state() == 3
    assert to_be_checked.read_text("/file") == "text"
    wait_for(lambda: state() == 1)


FSCK = r"""#!/bin/sh
for file; do :; done
printf 'e2fsck 1.47.2 (1-Jan-2025)\n\n%s: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., so)\n' "$file" >&2
exit 4
"""


@ON_DISK
def test_what_fsck_cannot_mend_is_told_with_the_reason(to_be_checked, tmp_path, monkeypatch):
    fsck = tmp_path / "fsck"
    fsck.write_text(FSCK)
    fsck.chmod(0o755)
    monkeypatch.setattr(tools, "find", lambda _name: str(fsck))
    with pytest.raises(pc.Error) as caught:
        to_be_checked.read_text("/file")
    assert caught.value.message == "UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY."
    assert caught.value.path == f"{to_be_checked.directory}/layer.ext4"
    assert "make room" in caught.value.hint
    monkeypatch.undo()
    assert to_be_checked.read_text("/file") == "text"


def in_private_mounts(script, arguments):
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *arguments]


FULL_STORE = """
import os, sys
import pycgroups as pc
from tests.boxes import BASE, put
from tests.images import Image
place = sys.argv[1]
store = pc.Store(f"{place}/store")
put(store.images, Image(BASE, Env=["PATH=/bin"]), "box:1")
held = store.containers.create(["sleep", "1000"], image="box:1", disk="32M")
held.write_text("/file", "text")
held.write_bytes("/large", bytes(range(256)) * 2**14)
def fill(left):
    with open(f"{place}/filler", "ab", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.truncate(filler.tell() - left)
def refused(act):
    try:
        act()
    except pc.Error as error:
        return str(error)
def is_whole():
    assert held.read_text("/file") == "text"
    assert held.read_bytes("/large") == bytes(range(256)) * 2**14
    assert {change.path for change in held.diff()} == {"/file", "/large"}
fill(0)
for _ in range(2):
    is_whole()
for write in (
    lambda: held.write_bytes("/new", os.urandom(2**22)),
    lambda: held.copy_in(sys.argv[2], "/"),
):
    assert "make room on the disk" in refused(write)
is_whole()
fill(2**20)  # for all but the files
assert "make room on the disk" in refused(held.fork)
assert len(store.containers.list(all=True)) == 1
is_whole()
os.unlink(f"{place}/filler")
is_whole()
held.write_text("/new", "new")
held.start()
assert held.read_text("/new") == "new"
held.stop(timeout=0)
assert held.fork()[0].read_text("/new") == "new"
for made in store.containers.list(all=True):
    made.remove()
print("done")
"""


@ON_DISK
@pytest.mark.slow_in_vm("a file system that is filled again and again")
def test_a_full_store_loses_nothing_that_was_told_to_be_there(scratch):
    (scratch / "small").mkdir()
    (scratch / "noise").write_bytes(os.urandom(2**22))
    mount = 'mount -t tmpfs -o size=48m,mode=755 t "$1"; exec "$3" -c "$4" "$1" "$2"'
    arguments = [scratch / "small", scratch / "noise", sys.executable, FULL_STORE]
    assert subprocess.check_output(in_private_mounts(mount, arguments), text=True) == "done\n"


# -- on disk: devices


@ON_DISK
@pytest.mark.parametrize("number", [errno.ENOENT, errno.EPERM], ids=errno.errorcode.get)
def test_a_device_of_somebody_elses_that_cannot_be_opened(store, box, monkeypatch, number):
    """Of which this /dev has no node, say."""
    held, other = create(store, box), create(store, box)
    real = os.open

    def opened(path, *args, **options):
        if path == device:
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **options)

    with other.files() as files_of_other:  # mounted, and by a device
        path = f"{other.directory}/layer.ext4"
        (device,) = (
            f"/dev/{backing.parent.parent.name}"
            for backing in Path("/sys/block").glob("loop*/loop/backing_file")
            if backing.read_text() == f"{path}\n"
        )
        monkeypatch.setattr(loops.os, "open", opened)
        held.write_text("/file", "text")
        with pytest.raises(pc.Unsupported, match=rf"{device}.*this /dev, or the device cgroup"):
            loops.mount(path)
        monkeypatch.undo()
        assert files_of_other.exists("/etc/both")


@ON_DISK
def test_a_child_that_is_forked_meanwhile_locks_nobody_out(store, box, monkeypatch):
    held = create(store, box)
    path = f"{held.directory}/layer.ext4"
    real, children = vfs.mount, []

    def forks(*args, **options):
        children.append(os.fork())
        if not children[-1]:
            signal.pause()
        return real(*args, **options)

    monkeypatch.setattr(vfs, "mount", forks)
    os.close(loops.mount(path))
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


@ON_DISK
def test_nobody_can_write_to_the_device_while_it_is_mounted(store, box, monkeypatch):
    """Or else a host cannot mount it that has no CONFIG_BLK_DEV_WRITE_MOUNTED."""
    held = create(store, box)
    real = vfs.mount
    ways: list[int] = []

    def looks(*args, **options):
        open_ones = [int(fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
        devices = [fd for fd in open_ones if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/loop")]
        ways.extend(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in devices)
        return real(*args, **options)

    monkeypatch.setattr(vfs, "mount", looks)
    os.close(loops.mount(f"{held.directory}/layer.ext4"))
    assert ways == [os.O_RDONLY]


@ON_DISK
def test_on_a_disk_with_large_sectors(tmp_path):
    """Which a device of a file system of ours is that has blocks of 4 KiB."""

    def made(path, size):
        with open(path, "x+b") as file:
            loops.make(file.fileno(), size)
        return loops.mount(path)

    disk = made(f"{tmp_path}/disk", 2**27)
    try:
        minor = os.minor(os.stat(f"/proc/self/fd/{disk}").st_dev)
        assert Path(f"/sys/dev/block/7:{minor}/queue/logical_block_size").read_text() == "4096\n"
        for size in (2**20, 2**26):
            os.close(made(f"/proc/self/fd/{disk}/{size}", size))
        loops.try_it(f"/proc/self/fd/{disk}")
        assert {*os.listdir(f"/proc/self/fd/{disk}")} == {"lost+found", str(2**20), str(2**26)}
    finally:
        os.close(disk)


@ON_DISK
def test_one_that_somebody_has_mounted_in_another_way(store, box, scratch):
    held = create(store, box)
    ask = "import sys; from pycgroups.runtime import loops; loops.mount(sys.argv[1])"
    mount = f'mount -o loop,ro "$1" "$2"; exec "$3" -c "{ask}" "$1"'
    (scratch / "place").mkdir()
    arguments = [f"{held.directory}/layer.ext4", scratch / "place", sys.executable]
    done = subprocess.run(in_private_mounts(mount, arguments), check=False, stderr=subprocess.PIPE, text=True)
    assert "has to let go of it first: losetup" in done.stderr
    assert held.read_text("/etc/both") == "lower\n"


LOOKS = """
import os, subprocess, sys
import pycgroups as pc
place = sys.argv[3]
with pc.Store(sys.argv[1]).containers.get(sys.argv[2]).files() as files:
    (space,) = (space for space in files._spaces if space.kind == "mnt")
    assert pc.namespaces.call([space], os.listdir, place) == ["file"]
    subprocess.run(["umount", place], check=True)
    assert pc.namespaces.call([space], os.listdir, place) == []
    assert files.exists("/etc/both")
    with open("/proc/self/mountinfo") as mounts:
        assert "layer" not in mounts.read()
"""


@ON_DISK
def test_who_looks_at_one_holds_no_mount_of_the_host(store, box, scratch):
    held = create(store, box)
    (scratch / "place").mkdir()
    mount = 'mount -t tmpfs t "$3"; mount --make-shared "$3"; touch "$3/file"; exec "$4" -c "$5" "$1" "$2" "$3"'
    arguments = [scratch / "store", held.id, scratch / "place", sys.executable, LOOKS]
    # Unmounts go where the mount is that it was mounted on.
    above = 'mount --bind "$3" "$3"; mount --make-shared "$3"'
    subprocess.run(in_private_mounts(f"{above}; {mount}", arguments), check=True)


@ON_DISK
def test_one_that_is_broken_is_told_of(store, box):
    held = create(store, box)
    with open(f"{held.directory}/layer.ext4", "r+b") as file:
        file.write(bytes(1 << 20))
    for ask in (held.start, held.diff):
        with pytest.raises(pc.Error, match=r"mount file system .*layer\.ext4.*fsck"):
            ask()
    held.remove()


@ON_DISK
def test_no_room_to_make_it(store, box, monkeypatch):
    def fails(*_args, **_options):
        raise pc.Error("no room", operation="mkfs.ext4", errno=errno.ENOSPC)

    monkeypatch.setattr(loops, "_run", fails)
    with pytest.raises(pc.Error, match="no room"):
        create(store, box)
    assert store.containers.list(all=True) == []


# -- in memory: a tmpfs


@pytest.fixture
def in_memory(store, box, monkeypatch):
    """Where there are no loop devices, or not for this user."""
    monkeypatch.setattr(vfs, "free_loop", lambda _control: -errno.ENODEV)
    made = create(store, box)
    made.start()
    return made


def test_without_loop_devices_it_is_in_memory(in_memory):
    assert in_memory.inspect()["layer"] == "memory"
    assert {"layer", "layer.ext4"}.isdisjoint(os.listdir(in_memory.directory))
    assert 1 << 19 < is_full_after(in_memory) <= 1 << 20


@ON_DISK
def test_what_is_too_small_for_a_file_system_is_in_memory(store, box):
    held = create(store, box, disk=2**20 - 1)
    assert held.inspect()["layer"] == "memory"


def test_each_start_begins_anew(in_memory):
    in_memory.write_text("/file", "text")
    in_memory.restart(timeout=0)
    with pytest.raises(pc.NotFound):
        in_memory.read_text("/file")
    assert is_full_after(in_memory)


def test_what_takes_files_on_disk_is_refused(in_memory):
    for ask in (in_memory.diff, in_memory.commit, in_memory.fork):
        with pytest.raises(pc.Unsupported, match="in memory"):
            ask()
    in_memory.kill()
    with pytest.raises(pc.Unsupported, match=r"disk=.*in memory"):
        in_memory.read_bytes("/etc/passwd")


@ON_DISK
def test_one_on_disk_does_not_go_on_in_memory(store, box, monkeypatch):
    held = create(store, box)
    monkeypatch.setattr(vfs, "free_loop", lambda _control: -errno.ENODEV)
    with pytest.raises(pc.Unsupported, match=r"mount file system .*ENODEV.*modprobe"):
        held.start()
    assert held.status == "created"
    assert held.inspect()["layer"] == "disk"


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
