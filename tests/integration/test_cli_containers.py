"""The commands for containers that are held: docker's words, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import select
import socket
import stat
import subprocess
import sys
import tarfile
import time

import pytest

from pycgroups import cli, images
from pycgroups.cli import commands, signals
from pycgroups.containers import collection
from tests.boxes import BASE, UPPER, put
from tests.images import Image
from tests.terminals import Session
from tests.waiting import wait_for, wait_until_gone

pytestmark = pytest.mark.requires("userns")


@pytest.fixture
def command(store, root, monkeypatch, capfdbinary):
    """Run a command on the containers of that store; its exit code, stdout and stderr."""
    monkeypatch.setattr(collection, "default", lambda: store.containers)
    monkeypatch.setattr(images, "default", lambda: store.images)
    monkeypatch.setattr(signals, "none_overslept", lambda: None)  # which is for as long as the process lives

    def call(*words):
        capfdbinary.readouterr()
        code = cli.main([str(root) if word == "ROOT" else word for word in words])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def test_a_life(command, store):
    code, out, _ = command("create", "--name", "web", "--rootfs", "ROOT", "--", "sh", "-c", "echo hi; sleep 1000")
    assert code == 0
    held = store.containers.get(out.strip())
    assert held.name == "web"
    assert held.detached
    assert command("ps")[1].count("\n") == 1
    assert "created" in command("ps", "-a")[1]
    assert command("start", "web") == (0, "web\n", "")
    wait_for(lambda: command("logs", "web") == (0, "hi\n", ""))
    assert "running" in command("ps")[1]
    assert command("start", "web") == (0, "web\n", "")
    assert command("logs", "-n", "-1", "web") == command("logs", "--tail", "-1", "web") == (0, "hi\n", "")
    assert command("ps", "-q", "--filter", "before=web") == command("ps", "-q", "--filter", "since=web") == (0, "", "")
    assert command("ps", "-q", "--filter", "network=none", "--filter", "health=none")[1].strip() == held.id[:12]
    assert command("ps", "--filter", "before=nobody")[0] == 1
    assert command("exec", "-e", "A=5", "web", "sh", "-c", "echo $A; exit 3") == (3, "5\n", "")
    assert command("exec", "web", "--", "echo", "--", "word") == (0, "-- word\n", "")
    assert command("rename", "web", "site")[0] == 0
    code, out, _ = command("inspect", "site")
    assert (code, json.loads(out)[0]["state"]["status"]) == (0, "running")
    assert command("rm", "site")[0] == 1
    assert command("stop", "-t", "0.1", "site") == (0, "site\n", "")
    assert command("wait", "site")[:2] in ((0, "137\n"), (0, "143\n"))
    assert command("rm", "site") == (0, "site\n", "")
    assert command("ps", "-aq") == (0, "", "")


def test_one_that_is_made_goes_with_its_end(command, store):
    assert command("create", "--rm", "--name", "web", "--rootfs", "ROOT", "true")[0] == 0
    assert [held.name for held in store.containers.list(all=True)] == ["web"]
    assert command("start", "web") == (0, "web\n", "")
    wait_until_gone(store.containers)


@pytest.mark.requires("limits")
def test_a_program_is_executed_with_limits(command, run):
    run(name="web")
    fill = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    assert command("exec", "web", *fill)[0] == 0
    assert command("exec", "--memory", "32M", "--pids-limit", "5", "--cpus", "0.5", "web", *fill)[0] == 137
    assert command("exec", "--memory", "much", "web", "true")[0] == 125
    assert command("exec", "-d", "--memory", "32M", "web", "sh", "-c", "sleep 987; exec sleep 986") == (0, "", "")
    wait_for(lambda: "sleep 987" in command("top", "web")[1])


@pytest.mark.requires("limits")
def test_limits_are_changed(command, store, make):
    held = make(name="web", memory="64M", pids=20)
    assert command("update", "--memory", "32M", "--memory-swap", "64M", "--cpus", "0.5", "web") == (0, "web\n", "")
    held.start()
    assert command("update", "--pids-limit", "-1", "-m", "48M", held.id) == (0, f"{held.id}\n", "")
    with held._runtime().cgroup() as group:
        stats = group.stats()
    assert (stats.memory.limit, stats.pids.limit) == (48 << 20, None)
    assert (held.config.memory_swap, held.config.cpus) == (64 << 20, 0.5)
    code, out, err = command("update", "--pids", "7", "none", "web")
    assert (code, out, err.count("\n"), held.config.pids) == (1, "web\n", 1, 7)
    for words in (["update", "web"], ["update", "--pids", "x", "web"], ["update", "--pids", "5"]):
        assert command(*words)[0] == 125


def test_it_is_asked_by_another_signal(command, run):
    script = "trap 'exit 5' USR1; trap '' TERM; echo ready; while :; do busybox sleep 0.05; done"
    held = run("sh", "-c", script, name="web", detach=True)
    wait_for(held.logs)
    assert command("stop", "-s", "USR1", "web") == (0, "web\n", "")
    assert held.exit_code == 5
    assert command("stop", "--signal", "NONE", "web")[0] == 125


def test_ports(command, run):
    held = run("busybox", "nc", "-l", "-p", "8080", name="api")
    wait_for(held.ports)
    code, out, err = command("port", "api")
    assert (code, out) == (0, "")
    assert "api listens on 8080/tcp, in a network of its own" in err
    assert command("port", "api", "8080")[:2] == (1, "")
    assert command("port", "api", "80/tcp") == (1, "", "pycgroups: api does not listen on port 80/tcp\n")
    (port,) = json.loads(command("port", "--format", "json", "api")[1])
    assert port == {"number": 8080, "protocol": "tcp", "address": port["address"], "host": None}
    for word in ("0", "http", "80/udp", "70000"):
        assert command("port", "api", word)[0] == 125


def test_ports_of_the_hosts_network(command, run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    held = run("busybox", "nc", "-l", "-p", str(number), name="api", network="host")
    wait_for(held.ports)
    (port,) = held.ports()
    where = f"[{port.address}]:{number}" if ":" in port.address else f"{port.address}:{number}"
    assert command("port", "api") == (0, f"{number}/tcp -> {where}\n", "")
    assert command("container", "port", "api", str(number)) == (0, f"{where}\n", "")


def test_those_that_do_not_run_are_removed(command, make, run, monkeypatch):
    made = make(name="new")
    run(name="web", detach=True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert command("container", "prune")[0] == 1
    assert command("container", "prune", "-f") == (0, f"{made.id}\n", "")
    assert command("ps", "-a", "--format", "{{.Names}}")[1] == "web\n"


def test_run_in_the_background(command, store):
    code, out, _ = command("run", "-d", "--name", "job", "--rootfs", "ROOT", "--", "sh", "-c", "echo out; echo err >&2")
    assert (code, store.containers.get("job").id) == (0, out.strip())
    assert command("wait", "job") == (0, "0\n", "")
    assert command("logs", "-f", "job") == (0, "out\n", "err\n")
    assert json.loads(command("ps", "-a", "--format", "json")[1])[0]["name"] == "job"
    assert command("run", "-d", "--rootfs", "ROOT", "--", "no-such-program")[0] == 127
    assert command("ps", "-aq")[1].count("\n") == 1
    assert command("kill", "job")[0] == 1
    assert command("rm", "-f", "job", "no-such") == (
        0,
        "job\n",
        "pycgroups: find container no-such: no such container, No such file or directory (ENOENT)\n",
    )


def test_those_that_are_asked_for_in_the_form_that_is_asked_for(command, run, make):
    run("sh", "-c", "exit 3", name="done", labels={"a": "b"}).wait()
    web = run(name="web", detach=True)
    make(name="new", volumes={"/etc": "/x", "data": "/y"})
    assert command("ps", "--format", "{{.Names}}")[1] == "web\n"
    assert command("ps", "-a", "--format", "{{.Names}} {{.State}}")[1] == "new created\nweb running\ndone stopped\n"
    assert command("ps", "--format", "{{.Names}} {{.Ports}}|{{json .Ports}}")[1] == 'web |""\n'
    assert command("ps", "-l", "--format", "{{.Names}} {{.Mounts}}")[1] == "new /etc,data\n"
    assert command("ps", "-f", "status=exited", "-f", "label=a=b", "--format", "{{.Status}}")[1] == "stopped (3)\n"
    assert command("ps", "-q", "--no-trunc", "--filter", "name=web")[1] == f"{web.id}\n"
    for pattern in ("^web$", "^/web$", "/web", "^w.b", "eb$"):
        assert command("ps", "--filter", f"name={pattern}", "--format", "{{.Names}}") == (0, "web\n", "")
    assert command("ps", "--filter", "name=^eb", "--format", "{{.Names}}") == (0, "", "")
    code, out, err = command("ps", "--filter", "name=*web")
    assert (code, out, "regular expression" in err) == (125, "", True)
    assert command("ps", "-n", "2", "--format", "table {{.Names}}\\t{{.State}}")[1].split() == [
        *("NAMES", "STATE", "new", "created", "web", "running")
    ]
    assert command("ps", "-lq")[1].count("\n") == 1
    assert json.loads(command("ps", "-l", "--format", "json")[1])[0]["name"] == "new"
    assert (
        command("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "done", "web")[1] == "stopped 3\nrunning \n"
    )
    for words in (["ps", "-f", "color=red"], ["ps", "-n", "x"], ["ps", "--format", "{{.}"]):
        assert command(*words)[0] == 125
    assert command("ps", "--format", "{{upper .}}")[0] == 125
    assert "there are: ID, Image, " in command("ps", "-f", "name=nobody", "--format", "{{.Size}}")[2]
    assert command("inspect", "--type", "container", "none")[0] == 1
    assert command("rm", "-fv", "web")[:2] == (0, "web\n")


def test_fields_that_docker_has(command, run, make):
    made = run(name="web", detach=True, env={"A": "5"})
    lines = {
        "{{.State.Running}} {{.State.Paused}} {{.State.OOMKilled}}": "true false false",
        "{{.State.StartedAt}}": made.inspect()["state"]["started"],
        "{{.State.FinishedAt}}.": ".",
        "{{.Config.Env}} {{.Config.Cmd}}": "[A=5] [sleep 1000]",
        "{{.Config.Tty}} {{.Config.Dns}}{{.Config.User}}": "false []",
    }
    for template, line in lines.items():
        assert command("inspect", "-f", template, "web") == (0, f"{line}\n", "")
    code, out, err = command("inspect", "-f", "{{.State.Going}}", "web")
    assert (code, out, "running" in err) == (125, "", True)
    assert "Running" not in command("inspect", "web")[1]


def test_the_end_by_a_signal_is_told_as_a_shell_tells_it(command, run):
    held = run(name="web", detach=True)
    held.kill()
    assert held.wait() == -9
    assert command("ps", "-a", "--format", "{{.Status}}")[1] == "stopped (137)\n"
    assert command("ps", "-q", "-f", "exited=137")[1] == f"{held.short_id}\n"
    assert command("inspect", "-f", "{{.State.ExitCode}}", "web")[1] == "137\n"
    for words in (["inspect", "web"], ["ps", "-a", "--format", "json"]):
        assert json.loads(command(*words)[1])[0]["state"]["exit_code"] == 137
    ends = ("events", "--since", "1h", "--stream=false", "-f")
    wait_for(lambda: "exit_code=137" in command(*ends, "event=die")[1])
    assert command(*ends, "exit_code=137")[1].count("\n") == 1
    assert command(*ends, "exit_code=9") == (0, "", "")


def test_logs_of_some_time(command, run):
    held = run("sh", "-c", "echo one; read word; echo two", stdin_open=True, name="web")
    wait_for(held.logs)
    with held.attach() as joined:
        time.sleep(0.01)
        between = time.time()
        joined.write(b"\n")
        list(joined)
    assert command("logs", "--since", f"{between:.6f}", "web")[1] == "two\n"
    assert command("logs", "--until", f"{between:.6f}", "web")[1] == "one\n"
    assert command("logs", "--since", "1h30m", "web")[1] == "one\ntwo\n"
    assert command("logs", "--since", "2100-01-01T00:00:00Z", "web") == (0, "", "")
    assert command("logs", "-f", "-t", "-n", "1", "web")[1].endswith("Z two\n")
    assert command("logs", "--since", "soon", "web")[0] == 125
    assert command("logs", "--until", "0s", "web")[1] == "one\ntwo\n"


def test_at_a_terminal(run, store):
    held = run("sh", "-c", "echo ready; exec sleep 1000", name="web")
    wait_for(held.logs)
    env = {**os.environ, "PYCGROUPS_STORE": os.path.dirname(os.path.dirname(held.directory))}
    with Session(sys.executable, "-m", "pycgroups", "logs", "-f", "web", env=env) as session:
        session.expect("ready")
        session.type("\3")
        assert (session.end(), "interrupted" in session.seen) == (130, False)
    with Session(sys.executable, "-m", "pycgroups", "cp", "web:/etc/passwd", "-", env=env) as session:
        session.expect("stdout is a terminal")
        assert session.end() == 1


def test_wait_tells_each_end_when_it_comes(run):
    run("sh", "-c", "exit 3", name="one")
    held = run("sleep", "1000", name="two")
    env = {**os.environ, "PYCGROUPS_STORE": os.path.dirname(os.path.dirname(held.directory)), "PYTHONUNBUFFERED": ""}
    words = [sys.executable, "-m", "pycgroups", "wait", "one", "two"]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        try:
            assert select.select([waiting.stdout], [], [], 20)[0]
            assert waiting.stdout.readline() == b"3\n"
        finally:
            held.kill()
        assert waiting.communicate() == (b"137\n", None)


def test_what_is_not_there_is_one_line(command):
    for words in (["start", "x"], ["logs", "x"], ["stop", "x"], ["rename", "x", "y"]):
        code, out, err = command(*words)
        assert (code, out, err.count("\n")) == (1, "", 1), words
    assert command("exec", "x", "true")[0] == 125
    assert command("exec", "x")[0] == 125
    assert "no container and no image" in command("inspect", "x")[2]
    assert "status=stopped" in command("ps", "--filter", "status=nope")[2]
    for name in commands.HELD:
        code, out, _ = command(name, "--help")
        assert (code, out.startswith("usage: pycgroups")) == (0, True)


def test_what_needs_a_container_that_runs_tells_how_to_start_it(command, make):
    make(name="web")
    for words in (["exec", "web", "true"], ["attach", "web"], ["pause", "web"], ["kill", "web"], ["top", "web"]):
        code, _, error = command(*words)
        assert (code, error.count("\n")) == (125 if words[0] == "exec" else 1, 1)
        assert " web: it does not run (hint: start it: start(), pycgroups start)" in error, words


@pytest.mark.requires("root")
def test_what_cannot_be_done_while_it_is_paused_tells_so(command, run):
    run(name="web", detach=True)
    assert command("pause", "web")[0] == 0
    for words in (["exec", "web", "true"], ["pause", "web"]):
        code, _, error = command(*words)
        assert (code, error.count("\n")) == (125 if words[0] == "exec" else 1, 1)
        assert f"pycgroups: {words[0]} web: " in error
        assert "resume(), pycgroups unpause" in error
    assert command("unpause", "web")[0] == 0


def test_files(command, store, own_root, tmp_path):
    store.containers.create(["sleep", "1000"], rootfs=own_root, name="web")
    (tmp_path / "in").write_text("said\n")
    assert command("cp", str(tmp_path / "in"), "web:/tmp/word") == (0, "", "")
    assert command("cp", "web:/tmp/word", str(tmp_path / "out")) == (0, "", "")
    assert (tmp_path / "out").read_text() == "said\n"
    assert command("export", "-o", str(tmp_path / "tar"), "web") == (0, "", "")
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.extractfile("tmp/word").read() == b"said\n"
    for words in (["cp", "a", "b"], ["cp", "web:/a", "web:/b"]):
        assert command(*words)[0] == 125
    (tmp_path / "tree").mkdir()
    for words, said in (
        (["web:/none", str(tmp_path)], "copy from the container /none: No such file"),
        (["web:/etc/hostname", str(tmp_path / "no/x")], f"copy to the host {tmp_path}/no/x: No such file"),
        ([str(tmp_path / "none"), "web:/tmp"], f"copy from the host {tmp_path}/none: No such file"),
        ([str(tmp_path / "no/none"), "web:/tmp"], f"copy from the host {tmp_path}/no/none: No such file"),
        ([str(tmp_path / "in"), "web:/no/x"], "copy to the container /no/x: No such file"),
        ([str(tmp_path / "tree"), "web:/tmp/word"], "copy to the container /tmp/word: a directory"),
        (["web:/tmp", str(tmp_path / "in")], f"copy to the host {tmp_path}/in: a directory"),
    ):
        code, _, error = command("cp", *words)
        assert (code, error.count("\n")) == (1, 1), words
        assert said in error
    for words in (["diff", "web"], ["commit", "web"]):
        code, _, error = command(*words)
        assert (code, "not made of an image" in error) == (1, True)


def test_one_that_ends_when_it_likes_is_waited_for(command, store):
    script = "trap 'sleep 0.5; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    held = store.containers.create(["sh", "-c", script], name="web", image="host", stop_timeout=0.1)
    held.start()
    wait_for(lambda: command("logs", "web")[1] == "ready\n")
    assert command("stop", "-t", "-1", "web") == (0, "web\n", "")
    assert held.exit_code == 3


def test_export_writes_into_what_is_special(command, store, own_root, tmp_path):
    """And follows links, as the shell does."""
    store.containers.create(["true"], rootfs=own_root, name="web")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("old")
    for name in ("fifo", "file"):
        os.symlink(name, tmp_path / f"to-{name}")
    for name in ("fifo", "to-fifo"):
        with open(tmp_path / "read", "w+b") as file, subprocess.Popen(["cat", tmp_path / name], stdout=file) as cat:
            assert command("export", "-o", str(tmp_path / name), "web") == (0, "", "")
            cat.wait()
            tarfile.open(tmp_path / "read").close()
    assert command("export", "-o", str(tmp_path / "to-file"), "web") == (0, "", "")
    tarfile.open(tmp_path / "file").close()
    assert [os.readlink(tmp_path / f"to-{name}") for name in ("fifo", "file")] == ["fifo", "file"]
    assert sorted(os.listdir(tmp_path)) == ["fifo", "file", "read", "to-fifo", "to-file"]
    assert command("cp", "web:/etc/hostname", str(tmp_path / "fifo"))[0] == 1
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


def test_changes(command, store):
    image = put(store.images, Image(BASE, UPPER, Env=["PATH=/bin"]))
    held = store.containers.create(["sleep", "1000"], image=image, name="web")
    held.write_text("/a\nb", "")
    assert command("diff", "web") == (0, "A /a\\nb\n", "")
    assert json.loads(command("diff", "--format", "json", "web")[1]) == [{"kind": "A", "path": "/a\nb"}]
    code, out, _ = command("commit", "-m", "why", "-c", "ENV A=5", "web", "me/app")
    made = store.images.get("me/app")
    assert (code, out, made.history()[-1].comment) == (0, f"{made.id}\n", "why")
