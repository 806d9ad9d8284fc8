"""The commands that show what containers do: stats, top and events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from pycgroups import cli
from pycgroups.containers import collection, recorded
from tests.terminals import Session
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")

COMMAND = [sys.executable, "-m", "pycgroups"]
BUSY = ["sh", "-c", "while :; do :; done"]


@pytest.fixture
def command(store, monkeypatch, capfd):
    """Run a command on the containers of that store; its exit code, stdout and stderr."""
    monkeypatch.setattr(collection, "default", lambda: store.containers)

    def call(*words):
        capfd.readouterr()
        return cli.main(list(words)), *capfd.readouterr()

    return call


@pytest.fixture
def elsewhere(store, tmp_path):
    """What another process needs to work with that store."""
    return os.environ | {"PYCGROUPS_STORE": store.containers._root, "MPLCONFIGDIR": str(tmp_path)}


# -- stats ------------------------------------------------------------------------------------------------------------


def test_one_table_of_all_that_run(command, run, make):
    run(name="web"), run(name="db"), make("true", name="idle")
    code, out, err = command("stats", "--no-stream", "--interval", "1ms")
    heading, *rows = out.splitlines()
    assert (code, err) == (0, "")
    assert heading.startswith("CONTAINER ID")
    assert sorted(row.split()[1] for row in rows) == ["db", "web"]


@pytest.mark.requires("limits")
def test_the_figures_of_one(command, run):
    held = run(*BUSY, name="web", memory="64M")
    code, out, _ = command("stats", "--no-stream", "--interval", "300ms", "web")
    (row,) = out.splitlines()[1:]
    id_, name, cpu, *_, pids = row.split()
    assert (code, id_, name, pids) == (0, held.short_id, "web", "2")
    assert float(cpu.rstrip("%")) > 1
    assert "/ 67.1 MB" in row
    (found,) = json.loads(command("stats", "--no-stream", "--interval", "1ms", "--format", "json", "web")[1])
    assert (found["id"], found["name"], found["memory"]["limit"]) == (held.id, "web", 64 << 20)
    held.pause()
    assert " 0.00%" in command("stats", "--no-stream", "--interval", "50ms", "--no-trunc", held.id)[1]


def test_figures_as_a_template_has_them(command, run):
    held = run(name="web")
    words = ["stats", "--no-stream", "--interval", "1ms", "--format"]
    code, out, err = command(*words, "{{.Name}} {{.ID}} {{.NetIO}}")
    assert (code, out, err) == (0, f"web {held.short_id} 0 B / 0 B\n", "")
    assert command(*words, "{{.Container}}")[1] == f"{held.short_id}\n"
    assert command(*words, "{{.Container}} {{.Name}}", held.id[:8])[1] == f"{held.id[:8]} web\n"
    assert command(*words, "table {{.Name}}")[1].split() == ["NAME", "web"]
    assert command(*words, "{{.Nothing}}")[0] == 125


@pytest.mark.requires("no_limits")
def test_what_nobody_counts_is_said_so(command, run):
    run(name="web")
    (row,) = command("stats", "--no-stream", "--interval", "1ms", "web")[1].splitlines()[1:]
    assert row.split()[1:] == ["web", "--", "--", "--", "0", "B", "/", "0", "B", "--", "--"]


def test_a_stream_ends_with_its_container(command, run):
    held = run("sleep", "0.5", name="web")
    code, out, _ = command("stats", "--interval", "50ms", "--format", "json", "web")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {line["id"] for line in lines} == {held.id}
    assert len(lines) >= 2


def test_what_does_not_run_has_no_figures(command, make):
    make("true", name="idle")
    for words in (["stats", "idle"], ["top", "idle"]):
        code, out, err = command(*words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "does not run" in err
    assert command("stats", "--plot", "x.gif", "idle")[0] == 1
    code, out, err = command("stats", "--plot", "/nowhere/x.svg")  # before anything is recorded
    assert (code, out, "/nowhere/x.svg: No such file" in err) == (1, "", True)
    assert command("stats", "--interval", "5", "idle")[0] == 125


def test_a_table_on_a_terminal_that_ctrl_c_ends(run, elsewhere):
    run(name="web")
    with Session(*COMMAND, "stats", "--interval", "20ms", env=elsewhere, size=(24, 120)) as session:
        for _ in range(2):
            session.expect("CONTAINER ID")
            session.expect("web")
        session.type("\x03")
        assert session.end() == 0


@pytest.mark.parametrize(("term", "width"), [("dumb", 120), ("xterm", 40), ("xterm", 10)])
def test_a_table_on_a_terminal_that_can_do_little(run, elsewhere, term, width):
    held = run(name="web-with-a-name")
    environ = elsewhere | {"TERM": term}
    with Session(*COMMAND, "stats", "--interval", "20ms", env=environ, size=(24, width)) as session:
        for _ in range(2):
            session.expect("CON" if width < 40 else "CONTAINER ID")
            session.expect(held.id[:3] if width < 40 else rf"{held.id[:12]} +web-with-a-name")
        session.type("\x03")
        session.end()
    with Session(*COMMAND, "ps", env=environ, size=(24, width)) as session:
        session.expect(rf"{held.id[:12]} .*web-with-a-name\r\n")
        assert session.end() == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_picture_is_drawn_when_it_is_interrupted(run, elsewhere, tmp_path, ending):
    run(name="web")
    words = ["stats", "--interval", "20ms", "--plot", str(tmp_path / "x.svg"), "web"]
    with subprocess.Popen([*COMMAND, *words], env=elsewhere, stdout=subprocess.PIPE) as process:
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(ending)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "web sent" in (tmp_path / "x.svg").read_text()


def test_what_was_recorded_is_shown_and_drawn_later(command, run, elsewhere, tmp_path):
    held = run("sleep", "0.5", name="web")
    kept, drawn = tmp_path / "kept.jsonl", tmp_path / "x.svg"
    kept.write_text(command("stats", "--interval", "50ms", "--format", "json", "web")[1])
    (history,) = recorded.read(kept).values()
    lines = [json.dumps(recorded.line(held.id, "web", sample)) for sample in history.samples]
    assert lines == kept.read_text().splitlines()
    words = ["stats", "--from", str(kept), "--plot", str(drawn), "web"]  # matplotlib keeps its fonts open
    done = subprocess.run([*COMMAND, *words], env=elsewhere, capture_output=True, text=True, check=True)
    heading, row = done.stdout.splitlines()
    assert (heading.split()[0], row.split()[0]) == ("NAME", "web")
    assert "web sent" in drawn.read_text()
    (found,) = json.loads(command("stats", "--from", str(kept), "--format", "json")[1])
    assert (found["name"], found["memory"]) == ("web", history.peaks.memory)
    for words, code in ((["db"], 1), (["--interval", "1s"], 125), (["--no-stream"], 125)):
        assert command("stats", "--from", str(kept), *words)[:2] == (code, "")


# -- top --------------------------------------------------------------------------------------------------------------


def test_processes_and_what_would_steer_a_terminal(command, run):
    held = run("sh", "-c", "sleep 1000; : '\033[2J'", name="web")
    wait_for(lambda: [process.command for process in held.top()[2:]] == ["sleep 1000"])
    code, out, _ = command("top", "web")
    heading, init, shell, sleep = out.splitlines()
    assert code == 0
    assert heading.split() == ["USER", "PID", "INNER", "PPID", "%CPU", "RSS", "STATE", "TIME", "COMMAND"]
    assert init.split()[:3] == ["root", str(held.pid), "1"]
    assert shell.endswith(r"sh -c sleep 1000; : '\x1b[2J'")
    assert sleep.endswith("sleep 1000")
    listed = json.loads(command("top", "--format", "json", "web")[1])
    assert [(each["inner_pid"], each["user"]) for each in listed] == [(1, "root"), (2, "root"), (3, "root")]


def test_a_log_that_is_followed_ends_by_ctrl_c_as_dockers(run, elsewhere):
    run("sh", "-c", "echo ready; exec sleep 1000", name="web")
    with subprocess.Popen(
        [*COMMAND, "logs", "-f", "web"], env=elsewhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 128 + signal.SIGINT
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "logs", "web"], env=elsewhere, capture_output=True, check=False
    )
    assert (done.returncode, b"Bad file descriptor" in done.stderr) == (1, True)


# -- events -----------------------------------------------------------------------------------------------------------


def test_what_has_happened(command, run):
    for name in ("web", "db"):
        run("sh", "-c", "exit 3", name=name).wait(timeout=PATIENCE)
    wait_for(lambda: command("events", "--stream=false")[1].count(" die ") == 2)
    code, out, err = command("events", "--stream=false", "--filter", "container=web")
    assert (code, err) == (0, "")
    assert [line.split()[1:3] for line in out.splitlines()] == [
        ["container", "create"],
        ["container", "start"],
        ["container", "die"],
    ]
    assert "(name=web, exit_code=3, " in out
    words = ["events", "--since", "1h", "--until", "0s", "--format", "json"]
    (died,) = map(json.loads, command(*words, "-f", "event=die", "-f", "container=web")[1].splitlines())
    assert (died["action"], died["attributes"]["exit_code"], died["name"]) == ("die", "3", "web")
    assert command(*words, "-f", "exit_code=4")[1] == ""
    assert command(*words, "-f", f"container={died['id'][:12]}", "-f", "container=no")[1].count("\n") == 3
    assert command(*words, "-f", "type=volume")[1] == ""
    for wrong, allowed in (("die", "event=..."), ("bogus=1", "exit_code=..."), ("image=x", "container=...")):
        code, out, err = command("events", "-f", wrong)  # and waits for nothing
        assert (code, out, allowed in err) == (125, "", True)
    assert "event=die" in command("events", "-f", "event=stop")[2]
    assert "type=volume" in command("events", "-f", "type=network")[2]


def test_each_as_a_template_has_it(command, run):
    run("sh", "-c", "exit 3", name="web").wait(timeout=PATIENCE)
    words = ["events", "--stream=false", "--format"]
    form = r'{{.Type}}\t{{.Action}} {{.Actor.Attributes.name}} {{index .Attributes "exit_code"}}'
    wait_for(lambda: "die" in command(*words, form)[1])
    shown = ["container\tcreate web ", "container\tstart web ", "container\tdie web 3"]
    assert command(*words, form) == (0, "\n".join([*shown, ""]), "")
    assert command(*words, "{{.Actor.Attributes.exit_code}}") == (0, "\n\n3\n", "")
    code, out, err = command(*words, "{{.When}}")
    assert (code, out, "Time, TimeNano" in err) == (125, "", True)


def test_what_other_processes_do_is_told_at_once(make, elsewhere):
    held = make("sleep", "1000", name="web")
    words = ["events", "--since", "1h", "--filter", "event=start", "--filter", "event=die"]
    with subprocess.Popen([*COMMAND, *words], env=elsewhere, stdout=subprocess.PIPE, text=True) as process:
        held.start()
        assert " container start " in process.stdout.readline()
        held.kill()
        assert "exit_code=137" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == 128 + signal.SIGINT
