"""Files in the root of a container that runs, of one that does not, and of one in another user namespace."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import namespaces
from pycgroups.containers import spots
from pycgroups.containers.files import RootFiles
from pycgroups.containers.roots import Layers
from pycgroups.containers.upper import Upper
from pycgroups.errors import ImageError
from pycgroups.images.inside import Inside
from pycgroups.images.removing import remove
from pycgroups.images.unpack import LayerLimits
from pycgroups.namespaces.caller import caller
from pycgroups.namespaces.idmap import IdMap, resolve_auto
from tests import boxes, tars, trees
from tests.images import Image
from tests.integration.races import Flipper

ROOT = os.geteuid() == 0
BASE = 700000
SECRET = "nobody inside is to see this"
ODD = ["new\nline", "*", "[a-z]?", "-rf", "\udcff\udcfe", "n" * 255, " ", "..."]
pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("interpreters in user namespaces; cgroup v2 changes nothing about files"),
]
HAS_IDS = ROOT or bool(caller().subuids)
KINDS = ["stopped", "layers", "running", *(["mapped"] if HAS_IDS else [])]
SINGLE = None if ROOT else IdMap.single()


@contextmanager
def running(bundle, root, *, mapped=False):
    """Run a container in a root, and hold its files; mapped: with many ids, which are others outside."""
    bundle.config["root"]["path"] = str(root)
    if mapped:
        idmap = IdMap.parse(f"0:{BASE}:65536") if ROOT else map_of_images()
        linux = bundle.config["linux"]
        linux["namespaces"] = [*(one for one in linux["namespaces"] if one["type"] != "user"), {"type": "user"}]
        for name, ids in (("uidMappings", idmap.uids), ("gidMappings", idmap.gids)):
            linux[name] = [{"containerID": one.container_id, "hostID": one.host_id, "size": one.size} for one in ids]
    if mapped and ROOT:
        for directory, directories, others in os.walk(root):
            for name in [".", *directories, *others]:
                os.lchown(f"{directory}/{name}", BASE, BASE)
    bundle.run("sleep", "1000")
    with open("/dev/null", "r+b", buffering=0) as null:
        container = bundle.create(stdio=(null.fileno(), null.fileno(), null.fileno()))
    container.start()
    pidfd = os.pidfd_open(container.state().pid)
    try:
        with RootFiles.running(pidfd) as files:
            yield files
    finally:
        os.close(pidfd)
        bundle.clean_up()


@contextmanager
def layered(scratch, lower):
    """Hold the files of a container of layers that does not run."""
    for name in ("upper", "work"):
        (scratch / name).mkdir()
    with RootFiles.stopped(layers_of(scratch, lower), idmap=SINGLE) as files:
        yield files


def layers_of(scratch, lower):
    return Layers((os.fsencode(lower),), os.fsencode(scratch / "upper"), os.fsencode(scratch / "work"), user=not ROOT)


@pytest.fixture(params=KINDS)
def files(request, own_root, scratch):
    """The files of a container, whose root has nothing but what every root here has."""
    if request.param == "stopped":
        with RootFiles.stopped(own_root, idmap=SINGLE) as found:
            yield found
    elif request.param == "layers":
        with layered(scratch, own_root) as found:
            yield found
    else:
        with running(request.getfixturevalue("bundle"), own_root, mapped=request.param == "mapped") as found:
            yield found


@pytest.fixture
def stopped(own_root):
    with RootFiles.stopped(own_root, idmap=SINGLE) as found:
        yield found


@pytest.fixture
def canary(scratch):
    """A directory outside of all roots, which stays as it is."""
    path = scratch / "canary"
    path.mkdir()
    (path / "secret").write_text(SECRET)
    before = trees.facts(str(path))
    yield path
    assert trees.facts(str(path)) == before


# -- one file --------------------------------------------------------------------------------------------------------


def test_files_one_by_one(files):
    files.write_text("/etc/new", "text\n")
    files.write_bytes("a/b/c", b"\0\xff", mode=0o600, parents=True)
    assert files.read_text("etc/new") == "text\n"
    assert files.read_bytes("/a/b/c") == b"\0\xff"
    assert files.list("/a/b") == ["c"]
    assert {"etc", "bin", "a"} <= set(files.list())
    found = files.stat("/a/b/c")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size) == (0o600, 0, 0, 2)
    assert stat.S_IMODE(files.stat("/etc/new").st_mode) == 0o644
    files.make_directory("/a/d", mode=0o1777)
    assert stat.S_IMODE(files.stat("/a/d").st_mode) == 0o1777
    files.write_bytes("/a/b/c", b"other")
    assert stat.S_IMODE(files.stat("/a/b/c").st_mode) == 0o600, "it keeps its mode"
    assert files.list("/a/b") == ["c"], "and nothing is left beside it"
    files.remove("/a/d")
    files.remove("/a", recursive=True)
    assert not files.exists("/a")


def test_what_is_refused_is_said(files):
    files.write_text("/file", "")
    files.make_directory("/full")
    files.write_text("/full/file", "")
    for call, kind in [
        (lambda: files.read_bytes("/nothing"), pc.NotFound),
        (lambda: files.read_bytes("/etc"), pc.Error),
        (lambda: files.read_bytes("/file/x"), pc.NotFound),
        (lambda: files.read_bytes("/bin/busybox", limit=10), pc.Error),
        (lambda: files.write_text("/nowhere/x", ""), pc.NotFound),
        (lambda: files.write_text("/etc", ""), pc.Error),
        (lambda: files.write_text("/file/", ""), pc.Error),
        (lambda: files.list("/file"), pc.NotFound),
        (lambda: files.stat("/nothing"), pc.NotFound),
        (lambda: files.make_directory("/etc"), pc.AlreadyExists),
        (lambda: files.remove("/"), pc.Error),
        (lambda: files.remove("/nothing"), pc.NotFound),
        (lambda: files.remove("/full"), pc.Error),
    ]:
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.operation
        assert caught.value.path


def test_odd_names(stopped, scratch):
    for name in ODD:
        stopped.write_text(f"/tmp/{name}", "text")
        stopped.copy_out(f"/tmp/{name}", scratch)
        stopped.copy_in(scratch / name, "/var")
    assert stopped.list("/tmp") == stopped.list("/var") == sorted(os.listdir(scratch)) == sorted(ODD)
    for number, name in enumerate(ODD):
        stopped.remove(f"/var/{name}")
        assert set(stopped.list("/var")) == set(ODD[number + 1 :]), "no other one is gone"


def test_a_file_is_replaced_and_not_written_to(stopped, own_root):
    stopped.write_text("/one", "old")
    os.link(own_root / "one", own_root / "two")
    stopped.write_text("/one", "new")
    assert (stopped.read_text("/one"), stopped.read_text("/two")) == ("new", "old")


@pytest.mark.requires("root")
def test_owners(stopped, own_root, scratch):
    (scratch / "file").write_text("")
    os.chown(scratch / "file", 5, 6)
    stopped.write_text("/one", "", owner=(1000, 2**31))
    stopped.copy_in(scratch / "file", "/two")
    stopped.copy_in(scratch / "file", "/three", owner="7:8")
    stopped.copy_in(scratch / "file", "/four", preserve=True)
    stopped.write_text("/one", "again")
    owners = [stopped.stat(name)[4:6] for name in ("/one", "/two", "/three", "/four")]
    assert owners == [(1000, 2**31), (0, 0), (7, 8), (5, 6)]
    stopped.copy_out("/one", scratch / "out")
    assert os.stat(scratch / "out").st_uid == 0
    stopped.copy_out("/one", scratch / "kept", preserve=True)
    assert os.stat(scratch / "kept").st_gid == 2**31


def test_a_path_that_is_none(stopped, scratch):
    (scratch / "one").write_text("")
    calls = (
        stopped.read_bytes,
        stopped.read_text,
        lambda path: stopped.write_text(path, "", parents=True),
        stopped.stat,
        stopped.exists,
        stopped.list,
        lambda path: stopped.make_directory(path, parents=True),
        lambda path: stopped.remove(path, recursive=True),
        lambda path: stopped.copy_in(scratch / "one", path),
        lambda path: stopped.copy_out(path, scratch / "two"),
    )
    before = stopped.list("/")
    for call in calls:
        for path in ("/a\0b", b"/a/\0", 5, None):
            with pytest.raises(pc.InvalidConfig, match=r"option (path|source|destination)"):
                call(path)
    for call in (lambda: stopped.copy_in("/a\0b", "/"), lambda: stopped.copy_out("/etc/passwd", f"{scratch}/\0")):
        with pytest.raises(pc.InvalidConfig, match=r"option (source|destination)"):
            call()
    assert stopped.list("/") == before
    assert os.listdir(scratch) == ["one"]


def test_an_owner_that_is_none(stopped):
    for owner in ("app", "", (1,), (-1, 0), 5, "1:2:3"):
        with pytest.raises(pc.InvalidConfig, match="owner"):
            stopped.write_text("/x", "", owner=owner)


@pytest.mark.parametrize(("kind", "is_told"), [(OSError, False), (spots.OwnerError, True)])
def test_what_is_said_of_owners_is_said_of_those_alone(kind, is_told):
    with pytest.raises(pc.Error) as told, spots.told("write", b"/x"):
        raise kind(errno.EINVAL, "")
    assert ("user namespace does not have" in str(told.value)) is is_told


@pytest.mark.requires("rootless")
def test_an_owner_that_the_container_does_not_have(bundle, own_root):
    with running(bundle, own_root) as files:
        for call in (
            lambda: files.write_text("/x", "", owner=(5, 5)),
            lambda: files.make_directory("/x/y", owner=(5, 5), parents=True),
            lambda: files.copy_in(__file__, "/x", owner=(5, 5)),
        ):
            with pytest.raises(pc.Error, match="user namespace does not have"):
                call()
            if files.exists("/x"):
                files.remove("/x")
        assert "x" not in files.list("/")


def test_a_process_that_has_ended():
    with subprocess.Popen(["true"]) as process:
        pidfd = os.pidfd_open(process.pid)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        with pytest.raises(pc.NotFound):
            RootFiles.running(pidfd)
    with pytest.raises(pc.NotFound):
        RootFiles.running(pidfd)
    os.close(pidfd)


# -- copies ----------------------------------------------------------------------------------------------------------


def test_a_tree_in_and_out(files, scratch):
    tree, out = scratch / "tree", scratch / "out"
    with ExitStack() as stack:
        spaces = [] if ROOT else [stack.enter_context(*namespaces.create("user", userns=SINGLE))]
        namespaces.call(spaces, trees.as_made, str(scratch), False, True)
    os.chmod(tree / "usr/bin/su", 0o755)
    os.chmod(tree / "nobody-may", 0o400)
    wanted = trees.facts(str(tree), alone=True)
    files.copy_in(tree, "/tmp/tree")
    copied = files.copy_out("/tmp/tree", out)
    assert trees.facts(str(out), alone=True) == wanted
    assert copied.entries == len(wanted) > 30
    assert copied.left_out == ()
    assert os.stat(out / "sparse").st_blocks * 512 <= 2**20


@pytest.mark.requires("root")
def test_a_tree_as_it_is(stopped, scratch):
    tree, out = scratch / "tree", scratch / "out"
    tree.mkdir()
    trees.rich(str(tree), alone=False, nodes=True)
    stopped.copy_in(tree, "/tmp/tree", preserve=True)
    stopped.copy_out("/tmp/tree", out, preserve=True)
    assert trees.facts(str(out)) == trees.facts(str(tree))


@pytest.mark.requires("root")
def test_rights_are_not_copied_unless_asked_for(stopped, own_root, scratch):
    (own_root / "su").write_bytes(b"")
    os.chmod(own_root / "su", 0o6755)
    stopped.copy_out("/su", scratch / "out")
    assert stat.S_IMODE(os.stat(scratch / "out").st_mode) == 0o755
    stopped.copy_out("/su", scratch / "kept", preserve=True)
    assert stat.S_IMODE(os.stat(scratch / "kept").st_mode) == 0o6755


def prepared(top):
    """Make what docker cp's table is about."""
    for name in ("dir", "other"):
        (top / name).mkdir(parents=True)
    (top / "dir/in").write_text("in")
    (top / "other/there").write_text("there")
    (top / "file").write_text("file")
    (top / "taken").write_text("taken")
    os.symlink("dir", top / "to-dir")
    os.symlink("taken", top / "to-file")
    os.symlink("new", top / "to-nothing")


LINK = "dir"
TABLE = [
    ("file", "new", {"new": "file"}),
    ("file", "new/", pc.NotFound),
    ("file", "no/new", pc.NotFound),
    ("file", "taken", {"taken": "file"}),
    ("file", "taken/", pc.Error),
    ("file", "other", {"other/file": "file"}),
    ("file", "other/", {"other/file": "file"}),
    ("file", "to-file", {"taken": "file", "to-file": "file"}),
    ("file", "to-nothing", {"new": "file"}),
    ("file", "to-dir", {"dir/file": "file"}),
    ("dir", "new", {"new/in": "in"}),
    ("dir", "new/", {"new/in": "in"}),
    ("dir", "taken", pc.Error),
    ("dir", "other", {"other/dir/in": "in", "other/there": "there"}),
    ("dir/", "other", {"other/dir/in": "in"}),
    ("dir/.", "other", {"other/in": "in", "other/there": "there"}),
    ("dir/.", "new", {"new/in": "in"}),
    ("to-dir", "new", {"new": LINK}),
    ("to-dir/", "new", {"new/in": "in"}),
    ("to-dir/", "other", {"other/to-dir/in": "in"}),
    ("file/", "new", pc.NotFound),
    ("no", "new", pc.NotFound),
    ("file", "", {"file": "file"}),
]


@pytest.mark.parametrize("way", ["in", "out"])
def test_where_a_copy_goes(stopped, own_root, scratch, way):
    """Docker cp's table, a directory for each line."""
    for number, (source, destination, expected) in enumerate(TABLE):
        here, there = scratch / f"{number}", own_root / f"tmp/{number}"
        prepared(here)
        prepared(there)
        top, copy = (there, stopped.copy_in) if way == "in" else (here, stopped.copy_out)
        ends = (f"{here}/", f"/tmp/{number}/") if way == "in" else (f"/tmp/{number}/", f"{here}/")
        if isinstance(expected, type):
            before = trees.facts(str(top))
            with pytest.raises(expected):
                copy(ends[0] + source, ends[1] + destination)
            assert trees.facts(str(top)) == before
            continue
        copy(ends[0] + source, ends[1] + destination)
        found = {name: os.readlink(top / name) if content == LINK else (top / name).read_text()
                 for name, content in expected.items()}  # fmt: skip
        assert found == expected, (source, destination)


def test_tars(files, scratch):
    files.write_text("/tmp/file", "text", mode=0o640)
    packed = io.BytesIO()
    assert files.copy_out("/tmp", packed) is None
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        assert sorted(archive.getnames()) == ["tmp", "tmp/file"]
        assert archive.getmember("tmp/file").mode == 0o640
    packed.seek(0)
    copied = files.copy_in(packed, "/var")
    assert (copied.entries, copied.size) == (2, 4)
    assert files.read_text("/var/tmp/file") == "text"
    implied = io.BytesIO(tars.file(b"./a/b/c", b"c") + tars.END)
    files.copy_in(implied, "/var/")
    assert files.read_text("/var/a/b/c") == "c"
    for destination in ("/nothing", "/var/tmp/file"):
        packed.seek(0)
        with pytest.raises(pc.Error):
            files.copy_in(packed, destination)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_tars(stopped, compress):
    whole = compress(tars.file(b"file", b"text") + tars.END)
    assert stopped.copy_in(io.BytesIO(whole), "/tmp").entries == 1
    assert stopped.read_text("/tmp/file") == "text"
    with pytest.raises(ImageError, match="is cut off"):
        stopped.copy_in(io.BytesIO(whole[: len(whole) // 2]), "/tmp")


REFUSED = [
    tars.file(b"../x"),
    tars.directory(b"a") + tars.file(b"a/../../x"),
    tars.link(b"x", b"../etc/passwd"),
    tars.link(b"x", b"nothing"),
    tars.file(b"a") + tars.directory(b"a"),
    tars.directory(b"a") + tars.file(b"a"),
    tars.file(b"a") + tars.file(b"a/b"),
    b"no tar" * 1000,
]


def test_tars_that_are_refused(stopped, own_root):
    for number, entries in enumerate(REFUSED):
        stopped.make_directory(f"/tmp/{number}")
        with pytest.raises(pc.Error):
            stopped.copy_in(io.BytesIO(entries + tars.END), f"/tmp/{number}")
        assert set(os.listdir(own_root / f"tmp/{number}")) <= {"a"}
    assert sorted(os.listdir(own_root / "tmp")) == [str(number) for number in range(len(REFUSED))]


def test_what_is_cut_off_leaves_the_old_file(files):
    """Neither half a file nor one beside it is left."""
    files.write_text("/tmp/file", "old")
    whole = tars.file(b"file", b"n" * 10**6)
    for cut in (tars.BLOCK + 1000, tars.BLOCK + 600_000):
        with pytest.raises(ImageError):
            files.copy_in(io.BytesIO(whole[:cut]), "/tmp")
    assert files.read_text("/tmp/file") == "old"
    assert files.list("/tmp") == ["file"]


def test_what_is_read_from_fails(files):
    class Broken:
        def read(self, size):
            raise ZeroDivisionError(size)

    with pytest.raises(ZeroDivisionError):
        files.copy_in(Broken(), "/tmp")


def test_what_is_written_to_fails(files):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        files.copy_out("/bin", Full())


def test_bombs(files, own_root, scratch):
    files.make_directory("/tmp/many")
    for number in range(20):
        files.write_text(f"/tmp/many/{number}", "") if number < 3 else (own_root / f"tmp/{number}").write_text("")
    files.make_directory("/tmp/" + "d/" * 20, parents=True)
    files.write_bytes("/tmp/large", b"x" * 10**6)
    for limits in (LayerLimits(entries=2), LayerLimits(size=10**5), LayerLimits(depth=5)):
        with pytest.raises(pc.Error):
            files.copy_out("/tmp", scratch / "out", limits=limits)
    files.copy_out("/tmp", scratch / "whole", limits=LayerLimits(entries=50, size=2 * 10**6, depth=50))


# -- what is hostile -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", ["stopped", "layers", "running"], indirect=True)
def test_links_lead_nowhere_else(files, own_root, scratch, canary):
    deep = "/.." * 12
    for name, target in {"l": canary, "up": f"{deep}{canary}", "rel": "../" * 12, "loop": "loop"}.items():
        os.symlink(target, own_root / name)
    (scratch / "file").write_text("mine")
    for path in ("/l/secret", "/up/secret", f"/rel{canary}/secret", f"{deep}{canary}/secret", "/loop", "/loop/x"):
        for call in (
            lambda path=path: files.read_bytes(path),
            lambda path=path: files.copy_out(path, scratch / "out"),
            lambda path=path: files.copy_in(scratch / "file", path),
            lambda path=path: files.copy_in(scratch / "file", path + "/x"),
            lambda path=path: files.write_text(path, "x"),
            lambda path=path: files.remove(path, recursive=True),
            lambda path=path: files.make_directory(path),
        ):
            with suppress(pc.Error):
                call()
    assert not (scratch / "out").exists() or (scratch / "out").is_symlink()
    files.copy_out("/l", scratch / "link")
    assert os.readlink(scratch / "link") == str(canary)


def test_links_in_a_copy_lead_nowhere_else(stopped, scratch, canary):
    """What an archive first makes, and then goes through."""
    target = os.fsencode(canary)
    for link in (target, b"../" * 20 + target[1:]):
        hostile = tars.symlink(b"a", link) + tars.file(b"a/secret", b"gone") + tars.link(b"b", b"a") + tars.file(b"b/x")
        with suppress(pc.Error):
            stopped.copy_in(io.BytesIO(hostile + tars.END), "/tmp")
        with suppress(pc.Error):
            stopped.copy_out("/tmp", scratch / "out")


@pytest.mark.parametrize("seconds", [1.5, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["stopped", *(["mapped"] if HAS_IDS else [])])
def test_a_race_leads_nowhere_else(request, own_root, scratch, canary, kind, seconds):  # noqa: PLR0917
    """A directory on the way is a link to the canary's every other moment (CVE-2018-15664)."""
    (own_root / "there").mkdir()
    (own_root / "there/secret").write_text("the container's own")
    os.symlink(canary, own_root / "link")
    (scratch / "tree").mkdir()
    (scratch / "tree/secret").write_text("copied in")
    outcomes = set()
    with own_files(request, kind, own_root) as files, Flipper(own_root / "there", own_root / "link"):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for call in (
                lambda: files.read_text("/there/secret"),
                lambda: read_out(files, "/there", scratch),
                lambda: read_out(files, "/there/", scratch),
                lambda: files.write_text("/there/secret", "the container's own"),
                lambda: files.copy_in(scratch / "tree/secret", "/there/secret"),
                lambda: files.copy_in(f"{scratch}/tree/.", "/there"),
                lambda: files.remove("/there/secret"),
                lambda: files.make_directory("/there/new", parents=True),
                lambda: files.stat("/there/secret").st_size,
            ):
                try:
                    outcomes.add(str(call()))
                except pc.Error as error:
                    outcomes.add(type(error).__name__)
    assert SECRET not in outcomes
    assert {"the container's own", "NotFound"} & outcomes


@contextmanager
def own_files(request, kind, root):
    if kind == "stopped":
        with RootFiles.stopped(root, idmap=SINGLE) as found:
            yield found
    else:
        with running(request.getfixturevalue("bundle"), root, mapped=True) as found:
            yield found


def read_out(files, path, scratch):
    """Copy a tree out, and read what came."""
    out = scratch / "raced"
    try:
        files.copy_out(path, out)
        return (out / "secret").read_text() if not out.is_symlink() else "a link"
    except FileNotFoundError:
        return "nothing"
    finally:
        subprocess.run(["rm", "-rf", out], check=True)


def test_nothing_is_opened_that_may_have_an_effect(files, own_root, scratch):
    """A reader of the FIFO would wait for ever."""
    (own_root / "tmp/special").mkdir()
    os.mkfifo(own_root / "tmp/special/fifo")
    with socket_at(own_root / "tmp/special/socket"):
        for name in ("fifo", "socket"):
            with pytest.raises(pc.Error):
                files.read_bytes(f"/tmp/special/{name}")
            with pytest.raises(pc.Error):
                files.write_bytes(f"/tmp/special/{name}", b"")
        with pytest.raises(pc.Error, match="socket"):
            files.copy_out("/tmp/special/socket", scratch / "socket")
        files.copy_out("/tmp/special", scratch / "special")
    assert os.listdir(scratch / "special") == ["fifo"]
    assert stat.S_ISFIFO(os.stat(scratch / "special/fifo").st_mode)
    files.copy_in(scratch / "special/fifo", "/tmp/fifo")
    assert stat.S_ISFIFO(files.stat("/tmp/fifo").st_mode)


@contextmanager
def socket_at(path):
    import socket

    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_PATH)
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)
        yield


@pytest.mark.requires("root")
def test_devices(stopped, own_root, scratch):
    (own_root / "devices").mkdir()
    os.mknod(own_root / "devices/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(pc.Error, match="device"):
        stopped.copy_out("/devices/null", scratch)
    with pytest.raises(pc.Error, match="device"):
        stopped.read_bytes("/devices/null")
    stopped.copy_out("/devices", scratch / "without")
    assert os.listdir(scratch / "without") == []
    stopped.copy_out("/devices", scratch / "with", preserve=True)
    assert os.stat(scratch / "with/null").st_rdev == os.makedev(1, 3)
    archive = io.BytesIO(tars.entry(b"null", b"3", device=(1, 3)) + tars.link(b"again", b"null") + tars.END)
    assert stopped.copy_in(archive, "/tmp").left_out == ("tmp/null", "tmp/again")


@pytest.mark.parametrize("way", ["in", "out"])
def test_what_is_special_is_not_replaced(stopped, own_root, scratch, way):
    """A file in the place of /dev/null would break the whole host."""
    here, there = scratch / "here", own_root / "tmp/there"
    for top in (here, there):
        top.mkdir()
        (top / "file").write_text("content")
        (top / "tree").mkdir()
        (top / "tree/node").write_text("content")
    top, copy = (there, stopped.copy_in) if way == "in" else (here, stopped.copy_out)
    from_, to = (f"{here}", "/tmp/there") if way == "in" else ("/tmp/there", f"{here}")
    (top / "other").mkdir()
    nodes = [top / "node", top / "other/node", top / "other/file"]
    for path in nodes:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3)) if ROOT else os.mkfifo(path)
    os.symlink("node", top / "link")
    before = [os.lstat(path) for path in [*nodes, top / "link"]]
    for words in ("file node", "file link", "file other", "tree node", "tree/. other"):
        source, destination = words.split()
        with pytest.raises(pc.Error, match="the place of"):
            copy(f"{from_}/{source}", f"{to}/{destination}")
    assert [os.lstat(path) for path in [*nodes, top / "link"]] == before
    source = here if way == "in" else there
    os.mkfifo(source / "fifo")
    os.mkfifo(source / "tree/fifo")
    os.unlink(source / "tree/node")
    for _ in range(2):  # of its kind, by its name, within a directory, and in a tree
        for words in ("fifo other/fifo", "fifo other", "tree other"):
            one, destination = words.split()
            copy(f"{from_}/{one}", f"{to}/{destination}")
    assert all(stat.S_ISFIFO(os.stat(top / path).st_mode) for path in ("other/fifo", "other/tree/fifo"))


def test_a_large_sparse_file_stays_sparse(stopped, own_root, scratch):
    with open(own_root / "sparse", "wb") as file:
        file.truncate(10 * 2**30)
        os.pwrite(file.fileno(), b"data", 5 * 2**30)
    stopped.copy_out("/sparse", scratch)
    found = os.stat(scratch / "sparse")
    assert found.st_size == 10 * 2**30
    assert found.st_blocks * 512 <= 2**20
    with open(scratch / "sparse", "rb") as file:
        assert os.pread(file.fileno(), 6, 5 * 2**30 - 1) == b"\0data\0"
    with open(own_root / "sparse", "r+b") as file:
        file.truncate(2**60)
    with pytest.raises(pc.Error, match="more than"):
        stopped.copy_out("/sparse", scratch / "huge")
    assert not (scratch / "huge").exists()


def test_what_the_kernel_makes(bundle, own_root, scratch):
    """What is in /proc is not copied with all the rest, and what leads out of it leads nowhere."""
    with running(bundle, own_root) as files:
        assert "Linux version" in files.read_text("/proc/version")
        for path in ("/proc/1/root/etc/passwd", "/proc/1/cwd/etc/passwd", "/proc/1/fd/0"):
            with pytest.raises(pc.Error):
                files.copy_out(path + "/.", scratch / "out")
            with pytest.raises(pc.Error):
                files.read_bytes(path)
        for path in ("/proc/kcore", "/dev/zero"):
            with pytest.raises(pc.Error):
                files.copy_out(path, scratch / "out")
        files.copy_out("/proc/version", scratch / "version")
        assert (scratch / "version").read_text() == Path("/proc/version").read_text()
        files.copy_in("/proc/version", "/tmp/version")
        assert files.read_text("/tmp/version") == Path("/proc/version").read_text()
        with pytest.raises(pc.Error, match="more than 10 bytes"):
            files.copy_out("/proc/version", scratch / "limited", limits=LayerLimits(size=10))
        assert not (scratch / "limited").exists()
        with pytest.raises(pc.Error, match="copy from the container /proc/1/mem"):
            files.copy_out("/proc/1/mem", scratch / "out")
        with pytest.raises(pc.Error, match="copy from the container"):
            files.copy_out("/proc", scratch / "proc")
        files.copy_out("/", scratch / "all")
    assert os.listdir(scratch / "all/proc") == os.listdir(scratch / "all/sys") == []
    assert (scratch / "all/etc/passwd").exists()


def test_a_file_that_becomes_shorter_meanwhile(files, own_root, scratch):
    """Of what has gone there are zeros, as with tar(1)."""
    (own_root / "tmp/a").mkdir()
    (own_root / "tmp/a/b").write_bytes(b"x" * 2**20)
    chunks = files.export()
    for chunk in chunks:
        if b"tmp/a/b" in chunk:
            os.truncate(own_root / "tmp/a/b", 1000)
    (own_root / "tmp/a/b").write_bytes(b"x" * 2**20)

    class Cutting(io.BytesIO):
        def write(self, data):
            if os.stat(own_root / "tmp/a/b").st_size > 1000:
                os.truncate(own_root / "tmp/a/b", 1000)
            return super().write(data)

    tar = Cutting()
    files.copy_out("/tmp/a/b", tar)
    tar.seek(0)
    with tarfile.open(fileobj=tar) as archive:
        assert len(archive.extractfile("b").read()) == 2**20


def test_what_is_mounted_is_written_to_and_stays(bundle, own_root, scratch):
    """To replace it would take the mount away from the container."""
    (scratch / "hosts").write_text("mounted")
    (scratch / "volume").mkdir()
    for source, target in (("hosts", "/etc/hosts"), ("volume", "/var/volume")):
        mount = {"destination": target, "type": "bind", "source": str(scratch / source), "options": ["rbind", "rw"]}
        bundle.config["mounts"].append(mount)
    with running(bundle, own_root) as files:
        files.write_text("/etc/hosts", "written")
        assert (scratch / "hosts").read_text() == files.read_text("/etc/hosts") == "written"
        (scratch / "other").write_text("copied")
        files.copy_in(scratch / "other", "/etc/hosts")
        assert (scratch / "hosts").read_text() == files.read_text("/etc/hosts") == "copied"
        for call in (
            lambda: files.remove("/etc/hosts"),
            lambda: files.remove("/var/volume", recursive=True),
            lambda: files.copy_in(io.BytesIO(tars.symlink(b"hosts", b"x") + tars.END), "/etc"),
        ):
            with pytest.raises(pc.Error, match="mounted there"):
                call()
        files.write_text("/var/volume/x", "in it")
        assert (scratch / "volume/x").read_text() == "in it"
        files.copy_out("/var", scratch / "out")
        assert (scratch / "out/volume/x").read_text() == "in it"
        exported = b"".join(files.export())
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        names = archive.getnames()
    assert "var/volume" in names
    assert not {"var/volume/x", "etc/hosts", "proc/1", "sys/fs"} & set(names)


# -- what was changed ------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(scratch, own_root):
    """A container of layers, some of whose files were changed; its layers."""
    (own_root / "var/gone").mkdir()
    for name in ("gone/a", "gone/b", "stays", "goes", "becomes"):
        (own_root / "var" / name).write_text(name)
    with layered(scratch, own_root) as files:
        files.write_text("/var/stays", "changed")
        files.write_text("/var/new\n", "new")
        files.make_directory("/opt/x", parents=True)
        files.remove("/var/goes")
        files.remove("/var/becomes")
        files.make_directory("/var/becomes")
        files.remove("/var/gone", recursive=True)
        files.make_directory("/var/gone")
        files.write_text("/var/gone/b", "again")
        yield files
    Inside()(remove, f"{scratch}/work")
    (scratch / "work").mkdir()


def upper(scratch, own_root):
    return Upper(layers_of(scratch, own_root), idmap=None if ROOT else map_of_images())


def map_of_images():
    who = caller()
    return resolve_auto(who.uid, who.gid, who.subuids, who.subgids, 0)


def test_diff(changed, scratch, own_root):
    with upper(scratch, own_root) as of:
        assert [(change.kind, change.path) for change in of.diff()] == [
            ("A", "/opt"),
            ("A", "/opt/x"),
            ("C", "/var"),
            ("C", "/var/becomes"),
            ("D", "/var/goes"),
            ("C", "/var/gone"),
            ("D", "/var/gone/a"),
            ("C", "/var/gone/b"),
            ("A", "/var/new\n"),
            ("C", "/var/stays"),
        ]


def test_the_layer_of_what_was_changed(changed, scratch, own_root):
    with upper(scratch, own_root) as of:
        layer, again = b"".join(of.layer()), b"".join(of.layer())
    assert layer == again
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        names = set(archive.getnames())
    assert names == {
        *(".", "opt", "opt/x", "var", "var/becomes", "var/becomes/.wh..wh..opq", "var/.wh.goes"),
        *("var/gone", "var/gone/.wh..wh..opq", "var/gone/b", "var/new\n", "var/stays"),
    }


@contextmanager
def of_image(images, scratch, *layers):
    """Have the layers of a container of an image, and its ids."""
    root, lock = images.hold(boxes.put(images, Image(boxes.BASE, boxes.UPPER, *layers, Cmd=["true"])))
    with lock:
        for name in ("upper", "work"):
            (scratch / name).mkdir()
        os.utime(scratch / "upper", ns=(0, 0))
        lower = tuple(os.fsencode(f"{root.directory}/{layer}") for layer in root.layers)
        yield layers_of(scratch, "")._replace(lower=lower), None if ROOT else map_of_images()
        for name in ("upper", "work"):
            Inside()(remove, f"{scratch}/{name}")


def test_an_image_and_what_was_changed_of_it(images, scratch):
    """The layer of it, on top of the image, is what the container was."""
    with of_image(images, scratch) as (layers, idmap):
        with RootFiles.stopped(layers, idmap=idmap) as files:
            assert files.read_text("/etc/both") == "upper\n"
            assert not files.exists("/etc/first")
            files.write_text("/etc/both", "changed\n", mode=0o640)
            files.remove("/etc/second")
            files.copy_in(io.BytesIO(tars.file(b"bin/new", b"new") + tars.END), "/")
            exported = b"".join(files.export())
        with Upper(layers, idmap=idmap) as of:
            layer = b"".join(of.layer())
            assert [change.path for change in of.diff()] == ["/bin", "/bin/new", "/etc", "/etc/both", "/etc/second"]
    with of_image(images, scratch, layer) as (layers, idmap), RootFiles.stopped(layers, idmap=idmap) as files:
        assert b"".join(files.export()) == exported


def test_export_is_the_same_again(files, own_root, scratch):
    files.write_text("/tmp/" + os.fsdecode(b"\xff\n"), "odd")
    os.link(own_root / "etc/passwd", own_root / "etc/same")
    first, second = b"".join(files.export()), b"".join(files.export())
    assert first == second
    out = scratch / "out"
    out.mkdir()
    with RootFiles.stopped(out, idmap=SINGLE) as imported:
        imported.copy_in(io.BytesIO(first), "/")
        imported_names = imported.list("/tmp")
    assert imported_names == [os.fsdecode(b"\xff\n")]
    found, wanted = (trees.facts(str(path), alone=True) for path in (out, own_root))
    for one in (found, wanted):
        for name in (".", "tmp", "dev", "proc", "sys", "tmp/" + os.fsdecode(b"\xff\n")):
            one.pop(name, None)
    assert {name: one for name, one in found.items() if "/" in name and not name.startswith(("dev/", "tmp/"))} == {
        name: one for name, one in wanted.items() if "/" in name and not name.startswith(("dev/", "tmp/"))
    }


def test_many_at_once(files):
    """Each is in a thread of its own."""

    def one(number):
        files.write_text(f"/tmp/{number}", str(number))
        assert files.read_text(f"/tmp/{number}") == str(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.list("/tmp") == ["0", "1", "2", "3"]


def test_paths_of_every_kind(stopped, scratch):
    (scratch / "file").write_text("text")
    stopped.copy_in(os.fsencode(scratch / "file"), Path("/tmp/one"))
    assert stopped.read_text(b"/tmp/one") == "text"


def test_a_copy_that_fails_holds_no_directory_open(stopped, own_root, scratch):
    """Not as long as somebody has the error, either."""
    (own_root / "tmp/a/b").mkdir(parents=True)
    (own_root / "tmp/a/b/file").write_text("content")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(pc.Error, match="more than 1 bytes") as told:
        stopped.copy_out("/tmp", scratch / "out", limits=LayerLimits(size=1))
    assert os.listdir("/proc/self/fd") == before
    assert told.value.__traceback__
