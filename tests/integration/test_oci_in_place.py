"""Containers without a mount namespace: all is mounted in that of their creator, and goes with them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pycgroups import runtime
from pycgroups.errors import InvalidConfig, LaunchError, StateError, Unsupported
from pycgroups.runtime import creation
from tests.integration.bundles import output
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")
needs_root = pytest.mark.requires("root")


def mounted(root):
    """What is mounted in a directory and above, with how it is propagated; other tests mount elsewhere."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = file.readlines()
    places = [line.split()[4].rstrip("/") + "/" for line in lines]
    root = f"{root}/"
    return [line for line, place in zip(lines, places, strict=True) if root.startswith(place) or place.startswith(root)]


@pytest.fixture
def before(own_root):
    """What was mounted before the test."""
    found = mounted(own_root)
    yield found
    assert mounted(own_root) == found


@pytest.fixture(params=["none", "the caller's own"])
def in_place(request, before, own_root, bundle):
    """A bundle whose config.json has no mount namespace, or names that of this process."""
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != "mount"]
    if request.param != "none":
        linux["namespaces"].append({"type": "mount", "path": "/proc/self/ns/mnt"})
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "marker").write_text("of the root")
    return bundle


@needs_root
def test_all_that_it_mounts_is_there_and_goes_with_it(in_place, own_root, before):
    in_place.config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "t"})
    in_place.shell("readlink /proc/self/ns/mnt; pwd; cat /proc/self/mountinfo; echo; exec sleep 1000")
    read, write = os.pipe()
    container = in_place.create(stdio=(0, write, write))
    os.close(write)
    container.start()
    with open(read, encoding="utf-8") as file:
        assert [file.readline().strip(), file.readline().strip()] == [os.readlink("/proc/self/ns/mnt"), "/"]
        seen = {line.split()[4] for line in iter(file.readline, "\n")}
    assert seen >= {"/", "/proc", "/dev/pts", "/data"}
    places = {line.split()[4] for line in mounted(own_root)} - {line.split()[4] for line in before}
    assert {str(own_root), f"{own_root}/proc", f"{own_root}/data"} <= places
    assert own_root.joinpath("data").is_dir()
    container.delete(force=True)


@needs_root
def test_what_is_executed_in_it_and_hooks_have_its_root(in_place, before):
    hook = {"path": "/bin/busybox", "args": ["sh", "-c", "pwd >/hook; ls / >>/hook"]}
    in_place.config["hooks"] = {"startContainer": [hook]}
    in_place.run("sleep", "1000")
    container = in_place.create()
    container.start()
    read, write = os.pipe()
    executed = container.exec(in_place.process("sh", "-c", "pwd; ls /; cat hook"), stdio=(0, write, write))
    os.close(write)
    with open(read, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert executed.wait() == 0
    assert lines.count("/") == 2
    assert lines.count("marker") == 2
    container.delete(force=True)


@needs_root
@pytest.mark.parametrize("readonly", [False, True])
def test_layers_devices_and_a_root_that_is_read_only(in_place, own_root, before, *, readonly):
    for name in ("one", "two"):
        (in_place.path / name).mkdir()
        (in_place.path / name / name).write_text(name)
    lower = f"lowerdir={in_place.path}/one:{in_place.path}/two"
    in_place.config["mounts"].append({"destination": "/mnt", "type": "overlay", "source": "o", "options": [lower]})
    (own_root / "mnt").mkdir(exist_ok=True)
    in_place.config["root"]["readonly"] = readonly
    script = "cat /mnt/one /mnt/two; : >/dev/null; (: >/new) 2>/dev/null && echo -rw || echo -ro"
    assert output(in_place, script) == f"onetwo-{'ro' if readonly else 'rw'}\n"
    assert (own_root / "new").exists() is not readonly


@needs_root
def test_one_that_fails_leaves_nothing(in_place, before):
    in_place.config["mounts"].append({"destination": "/mnt", "type": "no such file system", "source": "x"})
    with pytest.raises(LaunchError, match="no such file system"):
        in_place.create()


CREATE = """
import sys
from pycgroups import runtime
runtime.create(sys.argv[1], "killed", root=sys.argv[2])
"""

DELETE = """
import sys
from pycgroups import runtime
container = runtime.get(sys.argv[1], root=sys.argv[2])
container.delete(force=True)
print(container.notices)
"""


@needs_root
def test_what_a_creator_leaves_that_is_killed_is_removed(in_place, own_root, before, tmp_path):
    there = tmp_path / "there"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f": >{there}; exec sleep 1000"]}
    in_place.config["hooks"] = {"createRuntime": [hook]}
    with subprocess.Popen([sys.executable, "-c", CREATE, in_place.write(), in_place.state]) as creator:
        wait_for(there.exists)
        assert len(mounted(own_root)) > len(before)
        creator.kill()
    container = runtime.get("killed", root=in_place.state)
    container.delete(force=True)


@needs_root
@pytest.mark.parametrize("where", ["", "/in/it"], ids=["the same", "one in it"])
def test_one_that_would_be_mounted_over_another_is_refused(in_place, own_root, before, where):
    (own_root / "in/it").mkdir(parents=True)
    first = in_place.create()
    in_place.config["root"]["path"] = f"{own_root}{where}"
    with pytest.raises(StateError, match=f"container {first.id},.*has its root there.*delete that first"):
        in_place.create()
    first.delete(force=True)
    in_place.config["root"]["path"] = str(own_root)
    in_place.create().delete(force=True)


@needs_root
def test_one_is_refused_where_another_is_about_to_be_mounted(in_place, before, monkeypatch):
    def launch(*args, **kwargs):
        monkeypatch.undo()
        with pytest.raises(StateError, match="has its root there"):
            in_place.create(cgroup_manager="disabled")
        return launched(*args, **kwargs)

    launched = creation.launch
    monkeypatch.setattr(creation, "launch", launch)
    in_place.create(cgroup_manager="disabled").delete(force=True)


@needs_root
def test_what_others_have_mounted_over_it_is_left(in_place, own_root, before):
    """As a container does whose state is elsewhere."""
    first = in_place.create()
    in_place.state /= "elsewhere"
    in_place.config["linux"]["cgroupsPath"] += "-2"
    second = in_place.create()
    seen = mounted(own_root)
    first.delete(force=True)
    assert mounted(own_root) == seen
    second.delete(force=True)
    assert not set(mounted(own_root)) - set(seen)
    subprocess.run(["umount", "--lazy", own_root], check=True)


@needs_root
def test_who_deletes_it_elsewhere_is_told_what_stays(in_place, own_root, before):
    container = in_place.create()
    seen = mounted(own_root)
    command = ["unshare", "--mount", sys.executable, "-c", DELETE, container.id, in_place.state]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"mounted at {own_root} in another mount namespace" in told
    assert mounted(own_root) == seen
    subprocess.run(["umount", "--lazy", own_root], check=True)


@needs_root
def test_what_is_mounted_at_its_root_by_then_is_left(in_place, own_root, before):
    container = in_place.create()
    subprocess.run(["umount", "--lazy", own_root], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "other", own_root], check=True)
    container.delete(force=True)
    assert " tmpfs other " in mounted(own_root)[-1]
    subprocess.run(["umount", own_root], check=True)


@needs_root
@pytest.mark.parametrize("overlay", [False, True])
def test_a_shared_root_that_is_bound_over_itself_stays(in_place, own_root, before, *, overlay):
    above = str(own_root.parent)
    subprocess.run(["mount", "--bind", above, above], check=True)
    subprocess.run(["mount", "--make-shared", above], check=True)
    subprocess.run(["mount", "--bind", own_root, own_root], check=True)
    if overlay:
        lower = f"lowerdir={own_root}/etc:{own_root}/bin"
        in_place.config["mounts"].append({"destination": "/mnt", "type": "overlay", "source": "o", "options": [lower]})
    seen = mounted(own_root)
    assert output(in_place, "cat /marker") == "of the root"
    assert mounted(own_root) == seen
    subprocess.run(["umount", own_root], check=True)
    subprocess.run(["umount", above], check=True)


@needs_root
def test_the_root_of_the_creator_is_none(in_place, before):
    in_place.config["root"]["path"] = "/"
    with pytest.raises(InvalidConfig, match=r"root of its creator.*add"):
        in_place.create()


@needs_root
def test_a_hook_may_mount_something_over_it(in_place, own_root, before):
    """The process has the root that was made for it."""
    hook = {"path": "/bin/mount", "args": ["mount", "-t", "ramfs", "over", str(own_root)]}
    in_place.config["hooks"] = {"createRuntime": [hook]}
    assert output(in_place, "cat /marker") == "of the root"
    subprocess.run(["umount", own_root], check=True)
    subprocess.run(["umount", "--lazy", own_root], check=True)


@needs_root
def test_the_command_runs_it(in_place, oci, before):
    in_place.run("cat", "/marker")
    done = oci.call("run", "--bundle", in_place.write(), "whole")
    assert done.out == "of the root"


@pytest.mark.requires("criu", "limits")
def test_criu_does_not_know_such(in_place, before, tmp_path):
    in_place.run("sleep", "1000")
    container = in_place.create()
    container.start()
    with pytest.raises(Unsupported, match="mount namespace"):
        container.checkpoint(tmp_path / "images")
    container.delete(force=True)
    with pytest.raises(Unsupported, match="mount namespace"):
        runtime.restore(in_place.path, "other", runtime.CheckpointImages(tmp_path), root=in_place.state)


def test_root_of_a_user_namespace_may_mount_nothing_there(in_place, before):
    if os.geteuid() == 0:
        in_place.map_ids(100_000)
    with pytest.raises(Unsupported, match=r"user namespace.*mount namespace.*add"):
        in_place.create()


@needs_root
def test_a_root_that_a_link_leads_to(in_place, own_root, before, tmp_path):
    (tmp_path / "link").symlink_to(own_root)
    (tmp_path / "above").symlink_to(own_root.parent)
    for path in (tmp_path / "link", tmp_path / "above" / own_root.name):
        in_place.config["root"]["path"] = str(path)
        assert output(in_place, "cat /marker") == "of the root"
