"""The store: images come whole or not at all, are shared, used, and gone when nobody needs them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from pycgroups import kernel
from pycgroups.images import default, layouts
from pycgroups.images.collection import Images
from pycgroups.images.copying import copy
from pycgroups.images.digest import Digest
from pycgroups.images.events import Advanced, Ended, Started
from pycgroups.images.layers import chain_ids
from pycgroups.images.reference import Location
from tests.boxes import BASE, BUSYBOX, NAME, UPPER, directory, entry, layer, put, say
from tests.images import Image, Index, link, sha256, tar

if TYPE_CHECKING:
    from pycgroups.images.events import Event

pytestmark = [pytest.mark.requires("userns")]
many_processes = pytest.mark.slow_in_vm("starts Python again and again; cgroup v2 changes nothing about locks of files")

IMAGE = Image(BASE, UPPER)


@pytest.fixture
def box(images):
    return put(images, Image(BASE, UPPER, Cmd=["cat", "/etc/both"], Env=["COLOUR=blue", "PATH=/bin"]))


# -- to run it


def test_a_container_of_an_image(box):
    assert say(box, "cat /etc/both /etc/second; ls /etc") == "upper\nsecond\nboth\ngroup\npasswd\nsecond"


@pytest.mark.requires("subuid")
def test_what_the_image_says_of_how_to_run_it(images):
    image = put(
        images,
        Image(BASE, Entrypoint=["sh", "-c"], Cmd=["echo $COLOUR $(id -u) $PWD"], Env=["COLOUR=blue", "PATH=/bin"],
              User="app", WorkingDir="/srv/app"),
    )  # fmt: skip
    assert pc.run(image=image, text=True).stdout == "blue 1000 /srv/app\n"
    assert pc.run(None, image=image, text=True).stdout == "blue 1000 /srv/app\n"
    assert pc.run(["echo $COLOUR"], image=image, text=True, env={"COLOUR": "red"}).stdout == "red\n"
    assert pc.run(["cat", "/etc/both"], image=image, entrypoint=[], text=True).stdout == "lower\n"
    assert pc.run(["id -u"], image=image, user=0, text=True).stdout == "0\n"
    assert pc.run(["pwd"], image=image, cwd="/tmp", text=True).stdout == "/tmp\n"


def test_a_command_that_nobody_names_is_told(images):
    image = put(images, Image(BASE, UPPER))
    for call in (pc.run, pc.explain, pc.seccomp.record):
        for options in ({}, {"image": image}):
            with pytest.raises(pc.InvalidConfig, match="option command"):
                call(**options)


@pytest.mark.requires("subuid")
def test_users_by_name_with_their_groups(images):
    image = put(images, Image(BASE, UPPER, User="app", Env=["PATH=/bin"]))
    assert say(image, "id -u; id -g; id -G; echo $HOME") == "1000\n1000\n1000 2000\n/home/app"
    with pytest.raises(pc.InvalidConfig, match="nobody-here"):
        say(image, "id", user="nobody-here")


def test_nothing_that_is_written_stays(box):
    assert say(box, "touch /new /etc/new; echo x > /etc/both; ls /etc/new /new") == "/etc/new\n/new"
    assert say(box, "ls /; cat /etc/both") == "bin\ndev\netc\nproc\nsys\ntmp\nupper"


def test_read_only(box):
    assert "Read-only" in say(box, "touch /etc/new", read_only=True)


def test_a_limit_of_what_may_be_written(box):
    result = pc.run(["sh", "-c", "cat /dev/zero > /tmp/full"], image=box, disk="4M", timeout=300)
    assert result.reason == "disk"


def test_owners_are_those_of_the_image(images):
    image = put(images, Image(BASE, layer(entry("owned", b"x", uid=1000, gid=2000, mode=0o4755)), Env=["PATH=/bin"]))
    found = say(image, "stat -c '%u %g %a' /owned")
    assert found == ("1000 2000 4755" if image.store.inside.has_all_ids else "0 0 755")


def test_many_layers(images):
    layers = [layer(directory("many"), entry(f"many/{number}", b"x")) for number in range(125)]
    image = put(images, Image(BASE, *layers, Env=["PATH=/bin"]))
    assert len(say(image, "ls /many").split()) == 125


def test_an_image_by_its_name(box, images, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", images.store.root)
    for name in ("box:1", NAME, box.id, box.id.removeprefix("sha256:"), box.short_id, f"box@{box.digest}"):
        assert pc.run(None, image=name, pull="never", text=True).stdout == "upper\n", name
    with pytest.raises(pc.ImageNotFound, match="other"):
        pc.run(["true"], image="localhost:1/other", pull="never")
    default().close()


def test_what_would_be_done(box, images):
    told = pc.explain(image=box)
    assert told.spec.process.args == ("cat", "/etc/both")
    assert "COLOUR=blue" in told.spec.process.env
    assert "lowerdir" in str(told.plan)


def test_to_look_makes_no_store(scratch, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", str(scratch / "none"))
    assert pc.images.list() == []
    with pytest.raises(pc.ImageNotFound):
        pc.explain(["true"], image="localhost:1/not/here")
    assert not (scratch / "none").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_store_that_is_none_is_told(scratch, place):
    (scratch / "file").write_text("")
    for collection in ("images", "containers", "volumes"):
        with pytest.raises(pc.Error, match="ENOTDIR") as caught:
            getattr(pc.Store(scratch / place), collection).list()
        assert "another place" in caught.value.hint


def test_a_kernel_that_takes_layers_together(box, monkeypatch):
    monkeypatch.setattr(kernel, "running", lambda: (6, 1))
    assert say(box, "cat /etc/both /etc/second") == "upper\nsecond"


@pytest.mark.requires("root")
@pytest.mark.parametrize("layers", [(BASE,), (BASE, UPPER)], ids=["one", "two"])
def test_mount(images, layers):
    image = put(images, Image(*layers))
    with image.mount() as root:
        assert ("second" in os.listdir(f"{root}/etc")) == (len(layers) == 2)
        assert subprocess.run(["cat", f"{root}/etc/group"], stdout=subprocess.PIPE, check=True).stdout.startswith(
            b"root"
        )
        with pytest.raises(OSError, match="Read-only"):
            Path(root, "new").touch()
        assert images.remove("box:1").layers == 0
    assert images.gc().layers == len(layers)


def test_no_program_at_all(images):
    image = put(images, Image(BASE))
    with pytest.raises(pc.InvalidConfig, match="name a program"):
        pc.run(None, image=image)


@pytest.mark.requires("no_subuid")
def test_a_user_that_the_account_cannot_give(images):
    image = put(images, Image(BASE, UPPER, User="app", Cmd=["true"]))
    with pytest.raises(pc.InvalidConfig, match="id 1000"):
        pc.run(None, image=image)


@pytest.mark.parametrize(
    "defaults",
    [{"Env": ["novalue"]}, {"Env": ["=x"]}, {"WorkingDir": "relative"}, {"WorkingDir": "/a/../../.."}, {"User": "-1"},
     {"User": "4294967296"}, {"StopSignal": "SIGFOO"}],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_cannot_be_used(images, defaults):
    image = put(images, Image(BASE, Cmd=["true"], **defaults))
    with pytest.raises(pc.Error) as caught:
        pc.run(None, image=image)
    assert not isinstance(caught.value, pc.LaunchError)


# -- names


def test_tag_and_remove(box, images):
    again = box.tag("again:2")
    assert again.reference == "docker.io/library/again:2"
    assert again == box
    assert images.remove("box:1").images == (NAME,)
    assert say(again, "cat /etc/both") == "upper"
    freed = images.remove("again:2")
    assert freed.layers == 2
    assert freed.blobs == 4
    with pytest.raises(pc.ImageNotFound):
        images.get("again:2")


def test_a_name_that_is_given_again(images):
    first = put(images, Image(BASE))
    second = put(images, Image(BASE, UPPER))
    assert images.get("box:1") == second
    assert [one.reference for one in images.list()] == [NAME, None]
    assert images.get(first.id) == first
    assert images.prune().images == (first.digest,)
    assert images.list() == [second]


def test_removal_by_id_takes_all_names(box, images):
    box.tag("other:1")
    assert set(images.remove(box.id).images) == {NAME, "docker.io/library/other:1"}
    assert images.list() == []


def test_a_name_with_a_digest_cannot_be_given(box, images):
    with pytest.raises(pc.InvalidConfig):
        images.tag(box, f"x@{box.digest}")


# -- what is shared, used, and removed


def test_layers_are_shared(images):
    put(images, Image(BASE))
    before = os.stat(images.store.layers.path(chain_ids([Digest.parse(sha256(BASE))])[0]))
    put(images, Image(BASE, UPPER), "two:1")
    assert len(os.listdir(images.store.layers.root)) == 2
    after = os.stat(images.store.layers.path(chain_ids([Digest.parse(sha256(BASE))])[0]))
    assert after.st_ino == before.st_ino
    assert images.remove("two:1").layers == 1


def test_layers_in_use_stay(box, images):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, images.store.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"running\n"
        assert images.remove("box:1").layers == 0
        assert len(os.listdir(images.store.layers.root)) == 2
        holder.communicate(b"go on\n", timeout=60)
    assert images.gc().layers == 2


HOLD = """
import sys
import tarfile
import pycgroups as pc
images = pc.Store(sys.argv[1]).images
pc.run(["sh", "-c", "echo running; read line"], image=images.get("box:1"), stdin=0, stdout=1)
"""


def test_disk_use(box, images):
    put(images, Image(BASE, layer(entry("own", b"x" * 5000))), "two:1")
    use = images.df()
    assert {one.name for one in use.images} == {NAME, "docker.io/library/two:1"}
    two = next(one for one in use.images if "two" in one.name)
    assert 5000 < two.unique < 20000 < len(BUSYBOX) < two.size
    assert use.unneeded == 0
    with images.store.names.changing() as entries:
        entries.clear()
    assert images.df().unneeded > len(BUSYBOX)


def test_a_layer_that_is_gone_is_unpacked_again(box, images):
    layers = images.store.layers
    chains = images.store.unpacked(box.manifest)
    for chain in chains:
        os.utime(layers.root, ns=(0, 10**18))  # nothing has changed for long
        assert layers.have(chains)
        assert layers.discard(str(chain))
        assert not layers.have(chains)
        assert say(box, "cat /etc/both") == "upper"
    assert layers.have(chains)


# -- broken ones


def test_a_layer_that_is_another_one(images):
    image = Image(BASE, UPPER)
    document = json.loads(image.config)
    document["rootfs"]["diff_ids"][1] = sha256(b"other")
    bad = Bad(image, json.dumps(document).encode())
    with pytest.raises(pc.DigestMismatch):
        put(images, bad)
    with pytest.raises(pc.ImageNotFound):
        images.get("box:1")
    assert put(images, image) == images.get("box:1")


class Bad(Image):
    """An image with another configuration."""

    def __init__(self, image, config):
        self.__dict__.update(image.__dict__)
        manifest = json.loads(image.text)
        manifest["config"] = self._described(config, manifest["config"]["mediaType"])
        self.text = json.dumps(manifest).encode()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_layers(images, count):
    image = Image(BASE, UPPER)
    document = json.loads(image.config)
    document["rootfs"]["diff_ids"] = [sha256(BASE)] * count
    with pytest.raises(pc.ImageError, match="layers"):
        put(images, Bad(image, json.dumps(document).encode()))


def test_a_failed_pull_leaves_the_name_as_it_was(box, images):
    class Broken(Image):
        def blob(self, blob, start=0):
            yield b"other bytes"

    with pytest.raises(pc.ImageError):
        put(images, Broken(BASE, layer(entry("x", b"y"))))
    assert images.get("box:1") == box
    assert images.verify() == []


def test_an_index_of_several_platforms(images):
    here, there = Image(BASE), Image(UPPER, architecture="s390x")
    index = Index(here, there)
    from pycgroups.images.platforms import host_platform

    document = json.loads(here.config)
    document["architecture"] = host_platform().architecture
    image = put(images, index, platform=host_platform())
    assert image.digest == index.digest
    assert image.manifest_digest == here.digest
    assert images.verify() == []
    whole = put(images, index, "all:1")
    assert whole == image
    assert images.get("all:1", platform="linux/s390x").manifest_digest == there.digest


def test_a_container_of_another_platform(images, scratch, monkeypatch):
    """Which one, is said as `pull` is told; what another one is here is not run instead of it."""
    monkeypatch.setenv("PYCGROUPS_STORE", images.store.root)
    told = Image(BASE, architecture="s390x", Cmd=["cat", "/etc/both"], Env=["PATH=/bin"])
    place = f"oci:{scratch}/layout:{NAME}"
    copy(Index(told, Image(UPPER)), layouts.destination(Location.parse(place)))
    with pytest.raises(pc.ImageNotFound, match="has nothing for linux/arm64, only for linux/amd64, linux/s390x"):
        pc.run(None, image=place, platform="linux/arm64")
    assert pc.run(None, image=place, platform="linux/s390x", text=True).stdout == "lower\n"
    assert pc.run(None, image=NAME, platform="linux/s390x", pull="never", text=True).stdout == "lower\n"
    with pytest.raises(pc.ImageNotFound, match="linux/amd64 is not here, but linux/s390x") as caught:
        pc.run(None, image=NAME, platform="linux/amd64", pull="never")
    assert caught.value.hint == f"pycgroups pull --platform linux/amd64 {NAME}"
    default().close()


def test_an_image_of_another_platform_than_was_asked_for(box, images, scratch, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", images.store.root)
    refused = "is for linux/amd64, and linux/arm64 was asked for"
    for image in (box, NAME, box.id):
        with pytest.raises(pc.ImageNotFound, match=refused):
            pc.run(None, image=image, platform="linux/arm64", pull="never")
        assert pc.run(None, image=image, platform="linux/amd64", text=True).stdout == "upper\n"
    place = f"oci:{scratch}/layout:{NAME}"
    copy(IMAGE, layouts.destination(Location.parse(place)))
    with pytest.raises(pc.ImageNotFound, match=refused):
        images.pull(place, platform="linux/arm64")
    assert images.get(NAME) == box
    assert images.pull(place) != box
    default().close()


def test_rot_is_found_and_mended(box, images):
    store = images.store
    digest = Digest.parse(box.layers[1])
    os.chmod(store.blobs.path(digest), 0o600)
    with open(store.blobs.path(digest), "r+b") as file:
        file.write(b"rotten")
    (problem,) = images.verify()
    assert problem.name == str(digest)
    assert problem.images == (NAME,)
    with pytest.raises(pc.DigestMismatch, match=digest.encoded):
        images.save(box, os.devnull)
    assert str(digest) in images.repair()[0]
    put(images, Image(BASE, UPPER, Cmd=["cat", "/etc/both"], Env=["COLOUR=blue", "PATH=/bin"]))
    assert images.verify() == []
    assert pc.run(None, image=images.get("box:1"), text=True).stdout == "upper\n"


# -- archives


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_save_and_load(box, images, scratch, form):
    path = scratch / "saved.tar"
    images.save(box, path, form=form)
    images.remove("box:1")
    (loaded,) = images.load(path)
    assert loaded.reference == NAME
    assert loaded.id == box.id
    assert pc.run(None, image=loaded, text=True).stdout == "upper\n"
    again = io.BytesIO()
    images.save(loaded, again, form=form)
    assert again.getvalue() == path.read_bytes()


def test_load_from_a_pipe(box, images):
    reader, writer = os.pipe()
    with open(reader, "rb") as source, open(writer, "wb") as target:

        def save():
            with target:
                images.save(box, target)

        thread = threading.Thread(target=save)
        thread.start()
        (loaded,) = images.load(source)
        thread.join()
    assert loaded == box


def test_import(images, scratch):
    (scratch / "root.tar").write_bytes(BASE)
    image = images.import_(scratch / "root.tar", "mine:1", changes=["CMD cat /etc/first", "ENV PATH=/bin"])
    assert pc.run(None, image=image, text=True).stdout == "first\n"


def test_import_a_directory(images, scratch):
    """What it becomes is what was there, by whom it was."""
    root = scratch / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/busybox").write_bytes(BUSYBOX)
    (root / "bin/busybox").chmod(0o755)
    for applet in ("cat", "stat"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "note").write_text("kept\n")
    if os.getuid() == 0:
        os.chown(root / "note", 7, 8)
    image = images.import_(root, "mine:1", changes=["ENV PATH=/bin", "CMD cat /note"])
    assert images.import_(root, "mine:2", changes=["ENV PATH=/bin", "CMD cat /note"]) == image
    assert pc.run(["cat", "/note"], image=image, text=True).stdout == "kept\n"
    owner = "7 8" if os.getuid() == 0 else f"{os.getuid()} {os.getgid()}"
    archive = io.BytesIO()
    images.save(image, archive)
    with tarfile.open(fileobj=io.BytesIO(layer_of(archive.getvalue()))) as files:
        assert " ".join(map(str, (files.getmember("note").uid, files.getmember("note").gid))) == owner


def layer_of(archive):
    """The largest file of an archive: its only layer."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return files.extractfile(max(files, key=lambda member: member.size)).read()


def test_progress(images, scratch):
    """What is told of a layer has its digest and its size, while it comes and while it is unpacked."""
    image = Image(BASE, UPPER, UPPER, layer(entry("noise", os.urandom(2**20))))
    copy(image, layouts.destination(Location.parse(f"oci:{scratch}/layout:{NAME}")))
    told: list[Event] = []
    here = images.pull(f"oci:{scratch}/layout", progress=told.append)
    sizes = {blob.digest: blob.size for blob in here.manifest.layers}
    for doing in ("copy", "unpack"):
        for digest, size in sizes.items():
            mine = [event for event in told if (event.doing, event.digest) == (doing, digest)]
            assert (mine[0], mine[-1]) == (Started(doing, digest, size), Ended(doing, digest, "done"))
            done = [event.done for event in mine[1:-1]]
            assert done == sorted(set(done))
            assert all(0 < count <= size for count in done)
            assert doing == "copy" or done[-1] == size
    assert {event.doing for event in told} == {"copy", "unpack"}


def test_a_callback_that_fails_while_a_layer_is_unpacked(images, scratch):
    place = f"oci:{scratch}/layout:{NAME}"
    copy(IMAGE, layouts.destination(Location.parse(place)))

    def fail(event):
        if event.doing == "unpack" and isinstance(event, Advanced):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        images.pull(place, progress=fail)
    assert images.list() == []
    assert images.pull(place).reference == NAME


def test_names_come_along(images, scratch):
    """An image of another place is called as there, whether its name was said or not."""
    whole, other = f"oci:{scratch}/layout", "example.com/other:2"
    copy(IMAGE, layouts.destination(Location.parse(f"{whole}:{NAME}")))
    assert images.pull(whole).reference == NAME
    copy(IMAGE, layouts.destination(Location.parse(f"{whole}:{other}")))
    images.remove(NAME)
    assert images.pull(f"{whole}:{other}").reference == other
    assert [image.reference for image in images.list()] == [other]
    assert images.pull(whole).reference == NAME
    assert [image.reference for image in images.list()] == [NAME, other]
    for form in ("oci-archive", "docker-archive"):
        images.tag(NAME, other)
        images.save([NAME, other], scratch / form, form=form)
        images.prune(all=True)
        assert images.pull(f"{form}:{scratch / form}").reference == NAME
        assert [image.reference for image in images.list()] == [NAME, other]
        images.remove(other)
        images.pull(f"{form}:{scratch / form}:{NAME}")
        assert [image.reference for image in images.list()] == [NAME]


def test_what_has_no_name_is_found_without(images, scratch):
    copy(IMAGE, layouts.destination(Location.parse(f"oci:{scratch}/layout:latest")))
    image = images.pull(f"oci:{scratch}/layout")
    assert (image.reference, image.digest) == (None, IMAGE.digest)
    assert images.get(image.digest) == images.get(image.id) == images.get(image.short_id) == image
    images.save(image.id, scratch / "saved")
    images.remove(image.id)
    assert images.list() == []
    (loaded,) = images.load(scratch / "saved")
    assert loaded.reference is None


def test_load_an_app_container_image(images, scratch):
    """Of rkt's days: with its name, its version and what it runs."""
    machine = {"x86_64": "amd64"}.get(os.uname().machine, os.uname().machine)
    app = {"exec": ["/bin/cat", "/note"], "user": "0", "group": "0"}
    labels = [{"name": "arch", "value": machine}, {"name": "version", "value": "1.0"}]
    manifest = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/old", "labels": labels}
    files = [("bin/busybox", BUSYBOX, 0o755), ("note", b"old\n", 0o644)]
    packed = layer(
        entry("manifest", json.dumps({**manifest, "app": app}).encode()),
        *(entry(f"rootfs/{name}", content, mode=mode) for name, content, mode in files),
        (link("rootfs/bin/cat", "busybox"), b""),
    )
    (scratch / "old.aci").write_bytes(gzip.compress(packed))
    (image,) = images.load(scratch / "old.aci")
    assert image.reference == "example.com/old:1.0"
    assert pc.run(None, image=image, text=True).stdout == "old\n"


def test_manifests_by_their_sha512(images, scratch):
    """What an index calls so is found so, and kept as long as the index."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    both = Index(
        Image(BASE, Cmd=["cat", "/etc/first"], Env=["PATH=/bin"], architecture=machine),
        Image(UPPER, architecture="s390x"),
        algorithm="sha512",
    )
    copy(both, images.store.destination(NAME))
    assert images.get(NAME).manifest_digest.startswith("sha512:")
    assert pc.run(None, image=images.get(NAME), text=True).stdout == "first\n"
    images.gc()
    assert images.verify() == []
    assert len(os.listdir(f"{images.store.blobs.root}/sha512")) == 2
    images.save(NAME, scratch / "saved")
    images.remove(NAME)
    assert os.listdir(f"{images.store.blobs.root}/sha512") == []
    (loaded,) = images.load(scratch / "saved")
    assert loaded.digest == both.digest


def test_an_image_by_its_sha512(images):
    digest = f"sha512:{hashlib.sha512(IMAGE.text).hexdigest()}"
    name = f"docker.io/library/box@{digest}"
    copy(IMAGE, images.store.destination(name))
    found = images.get(name)
    assert (found.digest, found.reference) == (digest, name)
    assert images.get(digest) == images.get(digest[:20]) == found
    with pytest.raises(pc.DigestMismatch):
        copy(IMAGE, images.store.destination(f"docker.io/library/box@sha512:{'0' * 128}"))
    assert images.verify() == []


# -- several at once, and crashes


def test_threads_run_the_same(box, images, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", images.store.root)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: pc.run(None, image="box:1", text=True).stdout, range(24)))
    assert results == ["upper\n"] * 24
    default().close()


@many_processes
def test_several_processes_put_the_same(images):
    with Several(images, PUT, 4) as several:
        assert several.codes() == [0] * 4
    assert len(images.list()) == 1
    assert images.verify() == []


@many_processes
def test_putting_and_removing_at_once(images):
    with Several(images, PUT_AND_REMOVE, 4) as several:
        assert several.codes() == [0] * 4
    assert images.verify() == []


class Several:
    """Processes that run the same code with a store."""

    def __init__(self, images, code, count):
        command = [sys.executable, "-c", code, images.store.root]
        self.processes = [subprocess.Popen(command) for _ in range(count)]

    def codes(self):
        return [process.wait(300) for process in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for process in self.processes:
            process.kill()
            process.wait()


_START = """
import sys
import tarfile
import pycgroups as pc
from pycgroups.images.copying import copy
from tests.images import Image
from tests.boxes import BASE, UPPER, NAME
images = pc.Store(sys.argv[1]).images
image = Image(BASE, UPPER, Cmd=["cat", "/etc/both"], Env=["PATH=/bin"])
"""
PUT = f"""{_START}
copy(image, images.store.destination(NAME))
assert pc.run(None, image=images.get(NAME), text=True).stdout == "upper\\n"
"""
PUT_AND_REMOVE = f"""{_START}
for _ in range(5):
    copy(image, images.store.destination(NAME))
    try:
        assert pc.run(None, image=images.get(NAME), text=True).stdout == "upper\\n"
        images.remove(NAME)
    except pc.ImageNotFound:  # another one was quicker
        pass
    except pc.ImageError as error:
        assert "no such layer" in str(error), error
"""


@many_processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "interrupt"])
def test_a_pull_that_is_ended(images, number):
    """Wherever it is ended: the next one succeeds, and in the end nothing is left."""
    command = [sys.executable, "-c", STEP_BY_STEP, images.store.root]
    for step in range(12):
        with subprocess.Popen([*command, str(step)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            if process.stdout.readline():
                process.send_signal(number)
            process.wait(120)
        assert images.verify() == []
    put(images, Image(BASE, UPPER, Cmd=["cat", "/etc/both"], Env=["PATH=/bin"]))
    assert pc.run(None, image=images.get(NAME), text=True).stdout == "upper\n"


STEP_BY_STEP = f"""{_START}
import time
count = 0
def trace(event, args):
    global count
    if event in ("os.rename", "open", "os.mkdir", "shutil.rmtree") and images.store.root in str(args):
        count += 1
        if count == int(sys.argv[2]) * 2 + 1:
            print("now", flush=True)
            time.sleep(1)
images.store
sys.addaudithook(trace)
copy(image, images.store.destination(NAME))
"""


# -- others


def test_an_additional_store(box, images, scratch):
    other = Images(scratch / "other", additional=[images.store.root])
    found = other.get("box:1")
    assert found == box
    assert pc.run(None, image=found, text=True).stdout == "upper\n"
    with pytest.raises(pc.InvalidConfig, match="additional"):
        other.remove("box:1")
    other.close()


def test_nobody_else_sees_the_store(images, box):
    old = os.umask(0)
    try:
        put(images, Image(BASE, layer(entry("suid", b"x", mode=0o6755))), "suid:1")
    finally:
        os.umask(old)
    root = Path(images.store.root)
    assert root.stat().st_mode & 0o777 == 0o700
    for path in root.rglob("*"):
        if "diff" not in path.parts:
            assert path.lstat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("place", ["oci:{}:x", "dir:{}", "oci-archive:{}.tar", "docker-archive:{}.tar:a/b:1"])
def test_what_is_elsewhere(box, images, scratch, place):
    place = place.format(scratch / "there")
    images.copy(box, place)
    facts = images.inspect(place)
    assert facts["id"] == box.id
    assert facts["config"]["config"]["Cmd"] == ["cat", "/etc/both"]
    assert len(facts["manifest"]["layers"]) == 2
    assert images.inspect("box:1")["id"] == box.id
    with pytest.raises(pc.ImageNotFound):
        images.inspect(f"oci:{scratch}/none")


def test_what_it_is(box):
    assert box.reference == NAME
    assert box.digest.startswith("sha256:")
    assert box.id == box.manifest.config.digest
    assert len(box.layers) == 2
    assert box.config.cmd == ("cat", "/etc/both")
    assert box.size > len(BUSYBOX)
    assert box.inspect()["config"]["config"]["Cmd"] == ["cat", "/etc/both"]
    assert "box" in repr(box)
    assert "<table>" in box._repr_html_()
    assert tar(("x", b"y")) != b""
