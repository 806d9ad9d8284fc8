"""`pycgroups-oci checkpoint` and `restore`, and what they say where they cannot."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from pycgroups import runtime
from pycgroups.cgroups import Limits
from pycgroups.runtime.state import start_of
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")
with_criu = pytest.mark.requires("criu", "limits")
same_on_v2 = pytest.mark.slow_in_vm("many processes of Python's, and nothing of cgroups")

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
SLEEP = "while :; do sleep 1; done"  # a sleep that is restored ends at once
COUNT = "i=0; while :; do i=$((i+1)); echo $i >> /data/count; sleep 0.02; done"


def _options():
    """Options of the tree of v2, where it is all there is."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next(
        (options for _, place, kind, options, *_ in lines if (place, kind) == ("/sys/fs/cgroup", "cgroup2")), ""
    )


@pytest.fixture(scope="module", autouse=True)
def _options_of_cgroups():
    """Criu mounts cgroup v2 without options, which takes nsdelegate and others from every mount of it."""
    before = _options()
    yield
    if _options() != before:
        subprocess.run(["mount", "-o", f"remount,{before}", "/sys/fs/cgroup"], check=True)


@pytest.fixture
def counting(oci, bundle):
    """A container that counts, into a directory of the host; the function that tells how far it came."""
    (bundle.path / "data").mkdir()
    mount = {"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "rprivate"]}
    cgroups = {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid"]}
    bundle.config["mounts"] += [mount, cgroups]
    bundle.config["linux"]["resources"] = {"pids": {"limit": 20}}

    def counted():
        path = bundle.path / "data/count"
        return int(path.read_text().split()[-1]) if path.exists() else 0

    oci.running("sh", "-c", COUNT)
    wait_for(lambda: counted() > 3)
    return counted


def ended(pid):
    wait_for(lambda: start_of(pid) == 0)


@with_criu
def test_a_container_goes_on(oci, bundle, counting):
    pid = oci.state()["pid"]
    oci.call("checkpoint", "--image-path", bundle.path / "images", "--work-path", bundle.path / "work", "web")
    assert oci.names() == []
    ended(pid)
    assert (bundle.path / "work/dump.log").exists()
    before = counting()
    for place in ("data", "sys"):  # as in a root that nobody has used yet
        (Path(bundle.config["root"]["path"]) / place).rmdir()
    bundle.config["linux"]["cgroupsPath"] += "-2"
    bundle.config["linux"]["resources"]["pids"]["limit"] = 10
    bundle.write()
    words = ["--bundle", bundle.path, "--image-path", bundle.path / "images", "--pid-file", bundle.path / "pid"]
    oci.call("restore", "--detach", *words, "again")
    state = oci.state("again")
    assert (state["status"], state["pid"]) == ("running", int((bundle.path / "pid").read_text()))
    wait_for(lambda: counting() > before + 3)
    numbers = [int(line) for line in (bundle.path / "data/count").read_text().split()]
    assert numbers == list(range(1, len(numbers) + 1))  # and not from the beginning
    assert oci.call("exec", "again", "hostname").out == "inside\n"
    assert state["pid"] in json.loads(oci.call("ps", "-f", "json", "again").out)
    assert json.loads(oci.call("events", "--stats", "again").out)["data"]["pids"]["limit"] == 10
    oci.call("delete", "--force", "again")
    ended(state["pid"])


@with_criu
def test_one_that_something_was_executed_in_with_limits(oci, bundle, counting):
    """On v2 its processes have moved."""
    held = runtime.get("web", root=bundle.state)
    process = held.spec().process
    assert process is not None
    for limits in (Limits(pids=5), None):
        assert held.exec(evolve(process, args=("true",)), limits=limits).wait() == 0
    pid = oci.state()["pid"]
    oci.call("checkpoint", "--image-path", bundle.path / "images", "web")
    ended(pid)
    before = counting()
    oci.call("restore", "--detach", "--bundle", bundle.path, "--image-path", bundle.path / "images", "web")
    wait_for(lambda: counting() > before + 3)
    for limits in (None, Limits(pids=5), None):
        assert held.exec(evolve(process, args=("true",)), limits=limits).wait() == 0


@same_on_v2
@with_criu
def test_it_can_be_left_running(oci, bundle, counting):
    for _ in range(2):
        oci.call("checkpoint", "--leave-running", "web", cwd=bundle.path)
    assert oci.state()["status"] == "running"
    before = counting()
    wait_for(lambda: counting() > before)
    assert (bundle.path / "checkpoint/pstree.img").exists()


@same_on_v2
@pytest.mark.requires("dirty_pages", "limits")
def test_its_memory_beforehand(oci, bundle, counting):
    oci.call("checkpoint", "--pre-dump", "--image-path", bundle.path / "first", "web")
    assert oci.state()["status"] == "running"
    oci.call("checkpoint", "--parent-path", "../first", "--image-path", bundle.path / "images", "web")
    before = counting()
    oci.call("restore", "-d", "-b", bundle.path, "--image-path", bundle.path / "images", "web")
    wait_for(lambda: counting() > before)


@same_on_v2
@with_criu
def test_streams_and_the_exit_code_are_those_of_restore(oci, bundle):
    bundle.shell("echo ready; while read line; do echo got $line; test $line = end && exit 3; done")
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with oci.start("run", "--bundle", bundle.write(), "web", **streams) as run:
        assert run.stdout.readline() == "ready\n"
        oci.call("checkpoint", "--image-path", bundle.path / "images", "web")
        run.wait(PATIENCE)
    words = ["restore", "--bundle", bundle.path, "--image-path", bundle.path / "images", "web"]
    with oci.start(*words, **streams) as restored:
        restored.stdin.write("one\nend\n")
        restored.stdin.flush()
        assert restored.stdout.read() == "got one\ngot end\n"
        assert restored.wait(PATIENCE) == 3
    assert oci.names() == []


@same_on_v2
@with_criu
def test_hooks_meet_the_new_namespaces(oci, bundle, tmp_path):
    """With runc's kinds, the state on stdin, before anything runs: the interface is there when the program goes on."""
    told = tmp_path / "told"
    words = ["--bundle", bundle.path, "--image-path", bundle.path / "images"]
    oci.running("sh", "-c", SLEEP)
    oci.call("checkpoint", *words[2:], "web")
    hooks = {kind: [_hook(f"echo {kind} >> {told}; cat >> {told}; echo >> {told}")] for kind in KINDS}
    hooks["createRuntime"].append(_hook(f"read -r state; ls -l /proc/self/ns/net >> {told}"))
    bundle.config["hooks"] = hooks
    bundle.write()
    oci.call("restore", "--detach", *words, "web")
    pid = oci.state()["pid"]
    lines = told.read_text().splitlines()
    states = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line for line in lines if line in KINDS] == ["prestart", "createRuntime"]
    assert [(state["id"], state["pid"], state["status"]) for state in states] == [("web", pid, "created")] * 2
    assert os.readlink("/proc/self/ns/net") in lines[-1]  # the host's
    oci.call("delete", "--force", "web")
    assert told.read_text().splitlines()[-2:-1] == ["poststop"]
    hooks["createRuntime"][1] = _hook("echo because >&2; exit 3")
    bundle.write()
    err = oci.fails("restore", "--detach", *words, "web")
    assert "hooks.createRuntime[1]" in err
    assert "because" in err
    assert oci.names() == []


@pytest.mark.requires("systemd", "criu")
def test_it_goes_on_in_a_scope_of_systemds(oci, bundle):
    scope = Path("/sys/fs/cgroup/system.slice", oci.in_scope())
    words = ["--image-path", bundle.path / "images"]
    bundle.config["linux"]["resources"] = {"pids": {"limit": 20}}
    oci.running("sh", "-c", SLEEP)
    oci.call("checkpoint", *words, "web")
    wait_for(lambda: not scope.exists())
    bundle.config["linux"]["resources"]["pids"]["limit"] = 10
    oci.call("restore", "--detach", "--bundle", bundle.write(), *words, "web")
    pid = oci.state()["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/system.slice/{scope.name}\n"
    assert (scope / "pids.max").read_text() == "10\n"
    assert pid in json.loads(oci.call("ps", "-f", "json", "web").out)
    oci.call("delete", "--force", "web")
    ended(pid)
    wait_for(lambda: not scope.exists())


def _hook(script):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}


@same_on_v2
@pytest.mark.requires("root")
def test_what_criu_cannot_do_changes_nothing(oci, bundle):
    pid = oci.running()
    oci.words += ["--criu", "/nonexistent/criu"]
    assert "there is no /nonexistent/criu" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")
    oci.words[-1] = "false"
    assert "criu ended with 1" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")
    assert oci.state()["status"] == "running"
    assert "--lazy-pages" in oci.fails("checkpoint", "--lazy-pages", "web")
    oci.call("kill", "web", "KILL")
    ended(pid)
    assert "container not running" in oci.fails("checkpoint", "web")
    oci.call("delete", "web")
    assert "pycgroups.json" in oci.fails("restore", "--bundle", bundle.path, "--image-path", bundle.path, "web")
    (bundle.path / "pycgroups.json").write_text('{"streams": ["", "", ""]}')
    assert "criu ended with 1" in oci.fails("restore", "--bundle", bundle.path, "--image-path", bundle.path, "web")
    assert oci.names() == []


@same_on_v2
@pytest.mark.requires("root")
def test_a_terminal_is_not_saved(oci, bundle):
    bundle.config["process"]["terminal"] = True
    bundle.write()
    (bundle.path / "pycgroups.json").write_text('{"streams": ["", "", ""]}')
    assert "process.terminal" in oci.fails("restore", "--bundle", bundle.path, "--image-path", bundle.path, "web")


@same_on_v2
@pytest.mark.requires("rootless")
def test_an_ordinary_user_is_told(oci, bundle):
    oci.running()
    assert "checkpoints need root" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")
