from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pycgroups import cli, errors
from pycgroups.cli import commands, run
from pycgroups.cli.text import escaped
from pycgroups.containers.job import Outcome
from pycgroups.containers.verdict import Hits, Usage

USAGE = Usage(
    wall_time=1.5,
    cpu_time=0.5,
    user_time=0.25,
    system_time=0.25,
    peak_memory=3 << 20,
    io_read=0,
    io_written=2048,
    processes=None,
)


def outcome(returncode, reason="exited", **hits):
    return Outcome(returncode=returncode, reason=reason, hits=Hits(**hits), usage=USAGE, unenforced=())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help(arguments, capsys):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in commands.COMMANDS)


@pytest.mark.parametrize("command", sorted(commands.COMMANDS))
def test_every_command_has_help(command, capsys):
    assert cli.main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: pycgroups {command}")


@pytest.mark.parametrize("words", ["run", "volume ls", "container rm"])
def test_help_of_a_command(words, capsys):
    assert cli.main([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["help", *words.split()]) == 0
    assert capsys.readouterr().out == shown
    assert cli.main(["help", "dance"]) == 125


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("container ls", "ps"),
        ("container rm", "rm"),
        ("container run", "run"),
        ("image ls", "images"),
        ("image rm", "rmi"),
    ],
)
def test_dockers_two_words_are_one_of_ours(words, command, capsys):
    assert cli.main([*words.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: pycgroups {command} ")


def test_two_words_that_nobody_has(capsys):
    assert cli.main(["container", "dance"]) == 125
    assert "pycgroups container prune, and not 'dance'" in capsys.readouterr().err
    assert cli.main(["image", "--help"]) == 0
    assert "image df|prune" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pycgroups 0.")


def test_an_unknown_command(capsys):
    assert cli.main(["dance\x1b"]) == 125
    assert capsys.readouterr().err == "pycgroups: 'dance\\x1b' is not a command (see pycgroups --help)\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [("imges", "did you mean 'images'?"), ("version", "pycgroups --version"), ("build", "docker build")],
)
def test_what_was_meant_is_told(capsys, word, said):
    assert cli.main([word]) == 125
    assert f"{word!r} is not a command; {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--pid host -- true", "unknown flag '--pid': --namespace pid=host"),
        ("--gpus all -- true", "unknown flag '--gpus': --device and -v"),
        ("--log-opt max-size=1m -- true", "flags '--log-driver' and '--log-opt': with -d"),
    ],
)
def test_flags_of_dockers(arguments, said, capsys):
    assert cli.main(["run", *arguments.split()]) == 125
    assert capsys.readouterr().err.startswith(f"pycgroups: {said}")


@pytest.mark.parametrize(
    ("arguments", "said"), [("-- true", "--output"), ("-o p -t -- true", "--tty"), ("-o p", "which program")]
)
def test_what_cannot_be_recorded(arguments, said, capsys):
    assert cli.main(["record", *arguments.split()]) == 125
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CommandNotFound(step="exec"), 127),
        (errors.CommandNotExecutable(step="exec"), 126),
        (errors.LaunchError(step="mount", path="/x\x07"), 125),
        (errors.InvalidConfig("no"), 125),
        (OSError(5, "five"), 125),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_of_errors(error, code, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(run, "main", fail)
    assert cli.main(["run"]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == (code != 130)
    assert "\x07" not in said


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr(run, "main", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run"])


@pytest.mark.parametrize(
    ("ended", "code"), [(outcome(0), 0), (outcome(3), 3), (outcome(-9, "oom"), 137), (outcome(-9, "timeout"), 124)]
)
def test_exit_codes_of_programs(ended, code):
    assert run.exit_code(ended) == code


def test_the_table_of_usage():
    lines = run.table(outcome(-9, "oom", oom=2)).splitlines()
    assert "reason      oom, the memory limit was hit" in lines
    assert "hits        oom 2" in lines
    assert "peak memory 3 MiB" in lines
    assert "written     2 KiB" in lines
    assert "processes   not counted" in lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain äöü", "plain äöü"), ("a\x1b[0m\n\x07\x9b", "a\\x1b[0m\\n\\x07\\x9b"), ("\udcff\u202e", "\\udcff\\u202e")],
)
def test_nothing_steers_a_terminal(text, shown):
    assert escaped(text) == shown


def test_the_command_imports_nothing_slow():
    slow = {"argparse", "subprocess", "json", "rich", "asyncio", "ssl", "hashlib", "tempfile", "shutil"}
    program = (
        "import sys, pycgroups.cli.run, pycgroups.cli.plain; modules = sorted(sys.modules); "
        "import json; print(json.dumps(modules))"
    )
    path = f"import sys; sys.path[:] = {sys.path!r}; "
    done = subprocess.run([sys.executable, "-S", "-c", path + program], capture_output=True, check=True)
    assert slow & set(json.loads(done.stdout)) == set()
