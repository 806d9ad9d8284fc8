"""Containers of images where overlayfs is not to be had: a copy of the layers, which ends with the container."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.cli import plain
from pycgroups.containers import assemble, image_root
from pycgroups.containers.config import ContainerConfig
from pycgroups.images import snapshots
from pycgroups.images.collection import Images
from pycgroups.runtime import overlaid
from pycgroups.runtime.rootfs import Directory, Stacked
from pycgroups.runtime.steps import Plan
from pycgroups.seccomp import Fail
from tests.boxes import BASE, UPPER, directory, entry, layer, put, say, symlink
from tests.images import Image

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("copies files, and starts interpreters; cgroup v2 changes nothing about that"),
]

OWNED = layer(
    directory("home", mode=0o711, uid=0, gid=7),
    directory("home/app", mode=0o750, uid=1000, gid=1000),
    entry("home/app/mine", b"mine", mode=0o600, uid=1000, gid=1000),
    entry("bin/su", b"#!/bin/sh\n", mode=0o4755, uid=1, gid=2),
    entry("secret", b"secret", mode=0o000),
    symlink("home/app/link", "mine"),
    entry("etc/.wh.second"),
)
IMAGE = Image(BASE, UPPER, OWNED, Env=["PATH=/bin"])
LOOK = (
    "cat /etc/both; cat /etc/first /etc/second 2>/dev/null; cat /home/app/mine /secret; id -u; "
    "stat -c '%f %u %g' /; stat -c '%n %f %u %g %Y' /bin/* /etc /etc/* /home /home/* /home/app/* /secret"
)


@pytest.fixture(autouse=True)
def _as_if_new():
    """Nothing is planned, and nothing known of overlayfs."""
    assemble._assemble.cache_clear()
    image_root._JOINED.clear()
    yield
    assemble._assemble.cache_clear()
    image_root._JOINED.clear()


def refuse(monkeypatch):
    """Have the kernel asked for a file system by a name that it does not know, and answer so."""
    encode = Plan.encode
    monkeypatch.setattr(Plan, "encode", lambda self: encode(self).replace(b"\0overlay\0", b"\0overlai\0"))


@pytest.fixture(params=["asked for", "refused"])
def copied(request, monkeypatch):
    """Both causes of a copy."""
    if request.param == "refused":
        refuse(monkeypatch)
    else:
        monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")


@pytest.fixture(scope="module")
def images(shelf):
    """One store for all of them, which is as it was after each."""
    made = Images(shelf / "copied")
    yield made
    assert in_use(made) == []
    made.prune(all=True)
    made.close()


@pytest.fixture(scope="module")
def box(images):
    return put(images, IMAGE)


def in_use(images):
    return [name for name in os.listdir(images.store.layers.tmp) if name.startswith("root-")]


@pytest.mark.parametrize("options", [{}, {"userns": "host"}, {"user": "app"}, {"read_only": True}], ids=str)
@pytest.mark.usefixtures("nothing_left")
def test_it_is_as_by_overlayfs(images, box, monkeypatch, options):
    if os.geteuid() and options.get("userns"):
        pytest.skip("an ordinary user has no container without a user namespace")
    try:
        wanted = say(box, LOOK, **options)
    except pc.InvalidConfig:
        pytest.skip("an ordinary user without subordinate ids is nobody else")
    assemble._assemble.cache_clear()
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    assert say(box, LOOK, **options) == wanted
    assert "/home/app" in wanted
    assert in_use(images) == []


@pytest.mark.usefixtures("copied", "nothing_left")
def test_what_is_written_goes_with_the_container(images, box):
    script = "echo new > /new; echo changed > /etc/both; rm /bin/su; cat /new /etc/both"
    for _ in range(2):
        assert say(box, f"ls /new /bin/su; {script}").splitlines()[1:] == ["/bin/su", "new", "changed"]
    assert in_use(images) == []
    assert images.verify() == []


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("init", [True, False])
def test_each_has_its_own_while_it_runs(images, box, init):
    command = ["sh", "-c", "read line; cat /etc/both"]
    reader, writer = os.pipe()
    with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as keyboard:
        other = pc.run(["cat", "/etc/both"], image=box, init=init)
        assert other.stdout == b"upper\n"
        keyboard.write(b"go on\n")
        assert pc.run(command, image=box, init=init, stdin=stdin).stdout == b"upper\n"
    assert in_use(images) == []


@pytest.mark.usefixtures("copied", "nothing_left")
def test_threads_each_have_their_own(box):
    """The file that one executes is written while another starts: no descriptor of it is handed on."""
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: say(box, "cat /etc/both; echo new > /new; cat /new"), range(16)))
    assert said == 16 * ["upper\nnew"]


@pytest.mark.usefixtures("copied")
def test_with_a_terminal_and_a_handler_of_system_calls(box):
    assert say(box, "test -t 1 && cat /etc/both", tty=True) == "upper"
    image_root._JOINED.clear()
    done = pc.run(["touch", "/new"], image=box, on_syscall={"openat": lambda _: Fail(errno.EROFS)})
    assert os.strerror(errno.EROFS).encode() in done.stderr


@pytest.mark.usefixtures("copied")
def test_a_limit_that_a_copy_cannot_have(images, box):
    with pytest.raises(pc.Unsupported, match="copied for each container"):
        pc.run(["true"], image=box, disk="10M")
    assert in_use(images) == []
    done = pc.run(["true"], image=box, disk="10M", require_limits=False)
    assert (done.returncode, done.unenforced) == (0, ("disk",))


@pytest.mark.usefixtures("nothing_left")
def test_only_overlayfs_where_that_is_asked_for(images, box, monkeypatch):
    refuse(monkeypatch)
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "overlay")
    with pytest.raises(pc.LaunchError, match=r"overlay.*does not have this file system"):
        pc.run(["true"], image=box)
    assert in_use(images) == []


def test_another_failure_is_no_reason_to_copy(scratch, box, monkeypatch):
    monkeypatch.setattr(snapshots.Copy, "make", None)
    with pytest.raises(pc.CommandNotFound):
        pc.run(["nowhere"], image=box)
    refuse(monkeypatch)
    overlay = pc.Mount.overlay([scratch, scratch], "/tmp")  # it would fail with a copy as well
    with pytest.raises(pc.LaunchError, match="overlay"):
        pc.run(["true"], image=box, mounts=[overlay])


def test_a_way_that_is_none(box, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "btrfs")
    with pytest.raises(pc.InvalidConfig, match=r"PYCGROUPS_SNAPSHOTS.*'copy'"):
        pc.run(["true"], image=box)


def test_more_layers_than_an_older_kernel_takes(box, monkeypatch):
    monkeypatch.setattr("pycgroups.kernel.running", lambda: (6, 1))
    monkeypatch.setattr(overlaid, "_LONGEST_OPTION", 3)
    assert say(box, "cat /etc/both") == "upper"


def test_what_would_be_done(images, box, monkeypatch):
    assert isinstance(pc.explain(["true"], image=box).rootfs, Stacked)
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    rootfs = pc.explain(["true"], image=box).rootfs
    assert isinstance(rootfs, Directory)
    assert rootfs.path.startswith(images.store.layers.tmp)
    assert in_use(images) == []


@pytest.mark.usefixtures("nothing_left")
def test_mount(images, box, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    with box.mount() as root:
        assert Path(root, "etc/both").read_text() == "upper\n"
        assert sorted(os.listdir(f"{root}/etc")) == ["both", "group", "passwd"]
        assert len(in_use(images)) == 2
        if os.geteuid() == 0:
            with pytest.raises(OSError, match="Read-only"):
                Path(root, "new").touch()
            assert os.stat(f"{root}/home/app/mine").st_uid == 1000
        assert images.gc().layers == 0
        assert Path(root, "etc/both").read_text() == "upper\n"
    assert in_use(images) == []


def test_layers_that_cannot_be_opened(images, box, monkeypatch):
    root, lock = images.hold(box)
    monkeypatch.setattr(images, "hold", lambda _: (root._replace(directory="/no/such"), lock))
    with pytest.raises(pc.Error, match=r"^open layers /no/such: No such file or directory"), box.mount():
        pass


@pytest.mark.requires("rootless")
def test_who_may_not_mount_gets_a_copy(images, box, monkeypatch):
    with box.mount() as root:
        assert Path(root, "etc/both").read_text() == "upper\n"
    assert in_use(images) == []
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "overlay")
    with pytest.raises(pc.Unsupported, match="as root"), box.mount():
        pass


def test_an_image_of_another_store(scratch, box, images, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    own = Images(scratch / "own", additional=[images.store.root])
    shared = own.get("box:1")
    with shared.mount() as root:
        assert in_use(images) == []
        assert len(in_use(own)) == 2
        assert Path(root, "etc/both").read_text() == "upper\n"
    assert say(shared, "cat /etc/both") == "upper"
    assert in_use(own) == []
    own.close()
    subprocess.run(["rm", "-r", own.store.root], check=True)
    own.close()


HOLD = """
import sys
import pycgroups as pc
images = pc.Store(sys.argv[1]).images
pc.run(["sh", "-c", "echo running; read line"], image=images.get("box:1"), stdin=0, stdout=1)
"""


@contextmanager
def running(images):
    """Run a container in another process."""
    command = [sys.executable, "-c", HOLD, images.store.root]
    environment = {**os.environ, "PYCGROUPS_SNAPSHOTS": "copy"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"running\n"
        assert len(in_use(images)) == 2
        yield holder
        holder.kill()


@pytest.mark.usefixtures("box")
def test_others_leave_it_while_it_is_used(images):
    with running(images) as holder:
        images.gc()
        assert len(in_use(images)) == 2
        holder.communicate(b"go on\n", timeout=60)
    assert holder.returncode == 0
    assert in_use(images) == []


@pytest.mark.parametrize("next_one", ["gc", "run"])
def test_what_a_killed_process_leaves_is_removed_by_the_next(images, box, monkeypatch, next_one):
    with running(images) as holder:
        holder.send_signal(signal.SIGKILL)
    assert len(in_use(images)) == 2
    if next_one == "gc":
        images.gc()
    else:
        monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
        assert say(box, "cat /etc/both") == "upper"
    assert in_use(images) == []


@pytest.mark.usefixtures("copied", "nothing_left")
def test_ctrl_c_ends_a_command_that_copies(images, box, monkeypatch):
    copy = snapshots.Copy.make

    def interrupted(self, root):
        copy(self, root)
        signal.raise_signal(signal.SIGINT)  # for this thread, unless that holds it back

    monkeypatch.setattr(snapshots.Copy, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plain.run(ContainerConfig(command=("true",), image=box), interactive=False)
    assert in_use(images) == []


@pytest.mark.usefixtures("nothing_left")
def test_no_room(images, box, monkeypatch):
    def fail(_, place, *__):
        Path(place).mkdir()
        Path(place, "half").touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    monkeypatch.setattr("pycgroups.images.flatten.flatten", fail)
    monkeypatch.setattr(images.store.inside, "apart", lambda fn, *args: fn(*args))
    with pytest.raises(pc.Error, match=r"copy layers.*ENOSPC"):
        pc.run(["true"], image=box)
    assert in_use(images) == []


REFUSING = """
import ctypes
import os
import subprocess
import sys
import pycgroups as pc
from tests.boxes import BASE, put, say
from tests.images import Image

os.chdir(sys.argv[1])
assert ctypes.CDLL(None).unshare(0x20000) == 0  # CLONE_NEWNS; os.unshare() is of Python 3.12
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
for lower, upper, work, place in (("a", "b", "c", "one"), ("one", "d", "e", "two")):
    option = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", option, place], check=True)
box = put(pc.Store("two/store").images, Image(BASE, Env=["PATH=/bin"]))
print(say(box, "cat /etc/both", userns="host"), os.listdir("two/store/tmp"))
"""


@pytest.mark.requires("root")
def test_a_file_system_that_overlayfs_refuses(scratch, script):
    """A store on an overlay on an overlay: the kernel takes no third one."""
    for name in ("a", "b", "c", "d", "e", "one", "two"):
        (scratch / name).mkdir()
    assert script(REFUSING, scratch, cwd=Path(__file__).parents[2]) == "lower []\n"


def the_check():
    (check,) = [check for check in pc.doctor().checks if check.name == "images"]
    return check


def test_the_doctor_tells_which_way(scratch, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", str(scratch))
    check = the_check()
    assert (check.works, check.detail.endswith("joined by overlayfs")) == (True, True), check
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", "copy")
    check = the_check()
    assert (check.works, check.detail) == (True, "copied for each container, as $PYCGROUPS_SNAPSHOTS says")


@pytest.mark.parametrize(("asked", "works"), [("", None), ("overlay", False)])
def test_the_doctor_tells_what_overlayfs_lacks(scratch, monkeypatch, asked, works):
    monkeypatch.setenv("PYCGROUPS_STORE", str(scratch))
    refuse(monkeypatch)
    monkeypatch.setenv("PYCGROUPS_SNAPSHOTS", asked)
    check = the_check()
    assert check.works is works
    assert "ENODEV" in check.why
    assert check.mend.startswith("as root: modprobe overlay")
