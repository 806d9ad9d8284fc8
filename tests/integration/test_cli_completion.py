"""Completion on the command line, in real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

import pycgroups as pc
from pycgroups import cli
from pycgroups.cli import commands, completion
from pycgroups.containers import collection
from tests.boxes import BASE, put
from tests.images import Image
from tests.terminals import Session

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("each word is an interpreter, and a terminal has seconds to answer"),
]


@pytest.fixture
def filled(store, make, run, monkeypatch):
    """A store with something to complete, for this process and others."""
    run(name="running", detach=True)
    make(name="resting")
    put(store.images, Image(BASE), "me/app:1")
    store.volumes.create("data")
    monkeypatch.setenv("PYCGROUPS_STORE", os.path.dirname(store.containers._place.homes.path))
    monkeypatch.setattr(collection, "default", lambda: store.containers)
    monkeypatch.setattr(pc.images, "default", lambda: store.images)
    monkeypatch.setattr(pc.volumes, "default", lambda: store.volumes)
    yield
    store.volumes.remove("data")


@contextmanager
def shell(home, *words, prepared=""):
    """Start one of the shells, with our completion and a function in the place of the program."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]}")
    program = f"'{sys.executable}' -m pycgroups"
    environment = {**os.environ, "PS1": "ready> ", "TERM": "dumb", "HOME": home, "HISTFILE": ""}
    with Session(*words, env=environment) as session:
        session.type(f'{prepared} pycgroups() {{ {program} "$@"; }}; ')
        session.type(f"eval \"$({program} completion {words[0]})\"; echo prep''ared\n")
        session.expect(r"(?s)\nprepared.*?ready> ")
        yield session


# What is typed before each tab, and what becomes of it.
TYPED = [
    [("pycgroups att", "pycgroups attach ")],
    [("pycgroups exec --det", "pycgroups exec --detach ")],
    [("pycgroups stop r", "pycgroups stop running ")],
    [("pycgroups start r", "pycgroups start resting ")],
    [("pycgroups run me/app:", "pycgroups run me/app:1 ")],
    [("pycgroups volume insp", "pycgroups volume inspect "), ("d", "data ")],
    [("pycgroups logs -n 5 res", "pycgroups logs -n 5 resting ")],
]


@pytest.mark.parametrize("words", [("bash", "--norc", "--noprofile"), ("zsh", "-f")], ids=["bash", "zsh"])
def test_in_a_shell(filled, words, tmp_path):
    prepared = "autoload -U compinit; compinit -D -u;" if words[0] == "zsh" else ""
    with shell(str(tmp_path), *words, prepared=prepared) as session:
        for line in TYPED:
            for typed, completed in line:
                session.type(f"{typed}\t")
                session.expect(re.escape(completed.split()[-1]))
            session.type("\x01echo '<\x05>'\n")  # to the line's beginning, and its end
            whole = "".join(completed for _, completed in line).rstrip()  # zsh takes the last space away again
            session.expect(f"(?s)\n<{re.escape(whole)} ?>.*?ready> ")


def test_in_fish(filled, tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("no fish")
    function = f"function pycgroups; '{sys.executable}' -m pycgroups $argv; end; pycgroups completion fish | source;"
    for line in TYPED:
        typed, completed = "".join(piece for _, piece in line[:-1]) + line[-1][0], line[-1][1]
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"{function} complete -C '{typed}'"],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [answer.split("\t")[0] for answer in done.stdout.splitlines()] == [completed.split()[-1]]


def test_the_candidates(filled, capsys):
    def candidates(*words):
        assert cli.main(["__complete", *words]) == 0
        return {line.split("\t")[0] for line in capsys.readouterr().out.splitlines()}

    assert candidates("") >= set(commands.COMMANDS)
    assert candidates("rm", "r") == {"running", "resting"}
    assert candidates("inspect", "") == {"running", "resting", "me/app:1"}
    assert candidates("cp", "run") == {"running:"}
    assert candidates("run", "--name", "x", "") == {"me/app:1"}
    assert candidates("run", "-it", "me/app:1", "") == set()  # the shell offers files
    assert candidates("run", "--image", "m") == {"me/app:1"}
    assert candidates("exec", "running", "") == set()
    assert candidates("volume", "create", "") == set()
    assert candidates("ps", "--format", "j") == {"json"}
    assert candidates("ps", "") == candidates("no-such", "x") == set()
    assert candidates("completion", "") == set(completion.SHELLS)
    for command in commands.COMMANDS:
        assert candidates(command, "--hel") == {"--help"}, command


def test_what_is_no_shell(capsys):
    assert cli.main(["completion", "csh"]) == 125
    assert "bash, zsh, fish" in capsys.readouterr().err
