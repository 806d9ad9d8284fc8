"""`pycgroups-oci checkpoint` and `restore`, and what they say where they cannot."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import termios
from pathlib import Path

import pytest
from attrs import evolve

from pycgroups import runtime
from pycgroups.cgroups import Limits
from pycgroups.runtime.state import start_of
from tests.integration.oci import Receiver
from tests.terminals import Screen, Session
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
def test_where_nothing_was_saved_is_nothing_to_restore(oci, bundle):
    bundle.run("true")
    words = ["--bundle", bundle.write(), "--image-path", bundle.path / "nothing"]
    assert "where checkpoint has written" in oci.fails("restore", *words, "web")
    assert oci.names() == []


@with_criu
def test_one_that_waits_for_its_start_is_none_to_save(oci, bundle):
    bundle.run("sleep", "1000")
    oci.create()
    oci.call("pause", "web")
    assert "container not running" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")


@with_criu
@pytest.mark.requires("cgroup_v1")
def test_one_that_v1_has_frozen_is_to_be_resumed_first(oci, bundle, counting):
    oci.call("pause", "web")
    assert "resume it first" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")


@with_criu
def test_where_a_link_of_the_image_is_mounted_on(oci, bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "link").symlink_to("/data/there")
    bundle.config["mounts"].append({"destination": "/link", "source": str(bundle.path), "options": ["bind"]})
    oci.running("sh", "-c", SLEEP)
    oci.call("checkpoint", "--image-path", bundle.path / "images", "web")
    oci.call("restore", "--detach", "--image-path", bundle.path / "images", "--bundle", bundle.path, "web")
    assert "config.json" in oci.call("exec", "web", "ls", "/data/there").out


@with_criu
@pytest.mark.parametrize("mode", ["soft", "full", "ignore"])  # strict wants a cgroup that is not there
def test_what_becomes_of_the_cgroups_saved(oci, bundle, counting, mode):
    flags = ["--image-path", bundle.path / "images", "--manage-cgroups-mode", mode]
    oci.call("checkpoint", *flags, "web")
    oci.call("restore", "--detach", *flags, "--bundle", bundle.path, "web")
    before = counting()
    wait_for(lambda: counting() > before)


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


@pytest.mark.requires("limits", "lazy_pages")
def test_its_memory_stays_until_it_is_touched(oci, bundle, counting):
    """The checkpoint serves it, and criu's lazy-pages fetches it, as for runc."""
    server, images = f"127.0.0.1:{_free_port()}", bundle.path / "images"
    output, ready = os.pipe()
    words = ["--image-path", images, "--lazy-pages", "--page-server", server, "--status-fd", ready]
    with oci.start("checkpoint", *words, "web", pass_fds=(ready,)) as checkpoint:
        os.close(ready)
        assert os.read(output, 1) == b"\0"
        os.close(output)
        before = counting()
        oci.words += ["--root", str(bundle.path / "elsewhere")]  # it is there until all its memory was fetched
        bundle.config["linux"]["cgroupsPath"] += "-2"
        bundle.write()
        try:
            with _lazy_pages(images, server) as daemon:
                words = ["--bundle", bundle.path, "--image-path", images, "--lazy-pages"]
                oci.call("restore", "--detach", *words, "web")
                wait_for(lambda: counting() > before + 3)
                assert daemon.wait(PATIENCE) == 0
            assert checkpoint.wait(PATIENCE) == 0
        finally:
            checkpoint.kill()
    oci.call("delete", "--force", "web")
    oci.words = oci.words[:-2]
    assert oci.names() == []


@same_on_v2
@with_criu
def test_its_memory_goes_to_a_page_server(oci, bundle, counting):
    images, port = bundle.path / "images", _free_port()
    images.mkdir()
    command = ["criu", "page-server", "--images-dir", images, "--address", "127.0.0.1", "--port", str(port)]
    output, ready = os.pipe()
    with subprocess.Popen([*command, "--status-fd", str(ready)], pass_fds=(ready,)) as server:
        os.close(ready)
        os.read(output, 1)
        os.close(output)
        oci.call("checkpoint", "--image-path", images, "--page-server", f"127.0.0.1:{port}", "web")
        assert server.wait(PATIENCE) == 0
    before = counting()
    oci.call("restore", "--detach", "--bundle", bundle.path, "--image-path", images, "web")
    wait_for(lambda: counting() > before + 3)


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def _lazy_pages(images, server):
    """Fetch memory for a container that is being restored."""
    address, port = server.split(":")
    words = ["--images-dir", images, "--work-dir", images, "--page-server", "--address", address, "--port", port]
    with subprocess.Popen(["criu", "lazy-pages", *words]) as daemon:
        try:
            wait_for((images / "lazy-pages.socket").exists)
            yield daemon
        finally:
            daemon.kill()


@same_on_v2
@pytest.mark.requires("root")
def test_flags_of_memory_that_cannot_be(oci):
    oci.running()
    for words, why in (
        (["--lazy-pages"], "--lazy-pages needs --page-server"),
        (["--lazy-pages", "--page-server", "127.0.0.1:27", "--pre-dump"], "--pre-dump saves memory at once"),
        (["--status-fd", "1"], "--status-fd is for --lazy-pages"),
        (["--page-server", "127.0.0.1"], "ADDRESS:PORT"),
        (["--page-server", "127.0.0.1:70000"], "ADDRESS:PORT"),
    ):
        assert why in oci.fails("checkpoint", *words, "web")


@same_on_v2
@with_criu
def test_memory_cannot_stay_where_pipes_are_small(oci, bundle):
    oci.running()
    before = ("setpriv", "--bounding-set=-sys_resource")
    words = ("--lazy-pages", "--page-server", f"127.0.0.1:{_free_port()}")
    err = oci.call("checkpoint", "--image-path", bundle.path / "images", *words, "web", before=before, code=1).err
    assert "sysctl fs.pipe-max-size=4194304, or have CAP_SYS_RESOURCE" in err
    assert oci.state()["status"] == "running"
    assert not (bundle.path / "images").exists()


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
    oci.call("kill", "web", "KILL")
    ended(pid)
    assert "container not running" in oci.fails("checkpoint", "web")
    oci.call("delete", "web")
    assert "pycgroups.json" in oci.fails("restore", "--bundle", bundle.path, "--image-path", bundle.path, "web")
    (bundle.path / "pycgroups.json").write_text('{"streams": ["", "", ""]}')
    assert "criu ended with 1" in oci.fails("restore", "--bundle", bundle.path, "--image-path", bundle.path, "web")
    assert oci.names() == []


def on_terminal(oci, directory, verb, *flags):
    """Have a container run, or be restored; its terminal's screen."""
    with Receiver(directory) as receiver:
        oci.call(verb, "--detach", "--bundle", oci.bundle.write(), "--console-socket", receiver.path, *flags, "web")
        name, master = receiver.receive()
    assert name == b"/dev/ptmx"
    return Screen(master)


@with_criu
def test_a_shell_on_a_terminal_goes_on_with_another_master(oci, bundle, tmp_path):
    bundle.config["process"].update(terminal=True, consoleSize={"height": 33, "width": 77})
    bundle.run("sh")
    images, pid_file = ("--image-path", bundle.path / "images"), tmp_path / "pid"
    with on_terminal(oci, tmp_path, "run") as shell:
        shell.type("tty; told=before; stty intr ^B; echo $((40+2))\n")
        shell.expect("/dev/pts/0\r\n42\r\n.*# ")
        shell.resize(44, 99)
        oci.call("checkpoint", *images, "web")
    assert oci.names() == []
    with on_terminal(oci, tmp_path, "restore", *images, "--pid-file", pid_file) as shell:
        pid = int(pid_file.read_text())
        assert termios.tcgetwinsize(shell.master) == (44, 99)
        shell.type("echo $told; tty; stty size\n")
        shell.expect("before\r\n/dev/pts/0\r\n44 99\r\n")
        shell.resize(20, 30)
        shell.type("stty size <>/dev/console; sh -c 'echo in front; exec sleep 1000'\n")
        shell.expect("20 30\r\nin front")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.type("kill -9 %1; wait; sh -c 'echo again; exec sleep 1000'\n")
        shell.expect("\nagain")
        shell.type("\x03")  # is not what interrupts, there
        shell.type("\x02")
        shell.expect(r"\^B")
        shell.type("echo $((40+2)); exit 3\n")
        shell.expect("42\r\n")
        ended(pid)
    assert oci.state()["status"] == "stopped"


@same_on_v2
@with_criu
def test_a_job_in_the_foreground_stays_there(oci, bundle, tmp_path):
    bundle.config["process"]["terminal"] = True
    bundle.shell("rm /dev/tty; exec sh -i")  # which a shell has open, if it can
    images = ("--image-path", bundle.path / "images")
    with on_terminal(oci, tmp_path, "run") as shell:
        shell.type(f"sh -c 'trap exit INT; {SLEEP}'\n")
        shell.expect("done'\r\n")
        wait_for(lambda: len(json.loads(oci.call("ps", "-f", "json", "web").out)) == 3)
        oci.call("checkpoint", *images, "web")
    with on_terminal(oci, tmp_path, "restore", *images) as shell:
        shell.type("\x03")
        shell.expect(r"\^C")
        shell.type("echo $((40+2))\n")
        shell.expect("42\r\n")
    oci.call("delete", "--force", "web")


@same_on_v2
@with_criu
def test_on_the_terminal_of_who_restores_it(oci, bundle, tmp_path):
    bundle.config["process"]["terminal"] = True
    bundle.shell("while read line; do echo got $line; test $line = end && exit 3; done")
    words = ["--bundle", bundle.path, "--image-path", bundle.path / "images"]
    with on_terminal(oci, tmp_path, "run") as screen:
        screen.type("one\n")
        screen.expect("got one")
        oci.call("checkpoint", *words[2:], "web")
    refused = "cannot allocate tty if the command will detach without setting console socket"
    assert refused in oci.fails("restore", "--detach", *words, "web")
    refused = "cannot use console socket if the command will not detach or allocate tty"
    nobody = ("--console-socket", tmp_path / "nobody")
    assert refused in oci.fails("restore", *words, *nobody, "web")
    assert "No such file" in oci.fails("restore", "--detach", *words, *nobody, "web")
    with Session(*oci.words, "restore", *map(str, words), "web") as session:
        session.type("two\n")
        session.expect("got two")
        session.type("end\n")
        session.expect("got end")
        assert session.end() == 3
    assert oci.names() == []


@same_on_v2
@pytest.mark.requires("rootless")
def test_an_ordinary_user_is_told(oci, bundle):
    oci.running()
    assert "checkpoints need root" in oci.fails("checkpoint", "--image-path", bundle.path / "images", "web")
