from __future__ import annotations

import io
import json
import os

import pytest

import pycgroups as pc
from pycgroups import cli


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", str(tmp_path / "store"))


@pytest.fixture
def say(capsys):
    """Run a command; its exit code, and what it said."""

    def run(*words):
        code = cli.main(["volume", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_from_the_making_to_the_end(say):
    assert say("create", "--label", "of=shop", "--label", "bare", "data") == (0, "data\n", "")
    code, name, _ = say("create")
    assert (code, len(name)) == (0, 65)
    assert say("ls", "-q", "--filter", "label=of=shop") == (0, "data\n", "")
    assert say("ls", "-q", "-f", "name=dat") == (0, "data\n", "")
    assert say("ls", "-q", "-f", "name=^da.a$") == (0, "data\n", "")
    assert say("ls", "-q", "-f", "name=^ata") == (0, "", "")
    assert "regular expression" in say("ls", "-q", "-f", "name=(")[2]
    assert say("ls", "--filter", "label=of")[1].splitlines()[1].split() == ["data", "just", "now", "of=shop,", "bare="]
    assert say("ls", "-f", "name=data", "--format", "{{.Scope}} {{.Labels}}")[1] == "local of=shop,bare=\n"
    code, text, _ = say("inspect", "data")
    (facts,) = json.loads(text)
    assert (code, facts["name"], facts["labels"]) == (0, "data", {"of": "shop", "bare": ""})
    assert {one["name"] for one in json.loads(say("ls", "--format", "json")[1])} == {"data", name.strip()}
    assert say("rm", "data", name.strip()) == (0, f"data\n{name}", "")
    assert say("ls") == (0, "NAME  CREATED  LABELS\n", "")


def test_a_comma_in_a_label_is_the_labels_own(say):
    say("create", "--label", "of=a,b", "--label", "c=", "data")
    assert say("ls")[1].splitlines()[1].endswith("  of=a,b, c=")
    assert say("ls", "--format", "{{json .Labels}}") == (0, '"of=a,b,c="\n', "")


def test_one_that_is_there_stays_as_it_is(say):
    say("create", "--label", "of=shop", "data")
    assert say("create", "--label", "of=bank", "data") == (0, "data\n", "")
    assert say("ls", "--format", "{{.Labels}}")[1] == "of=shop\n"


def test_what_goes_wrong(say):
    say("create", "data")
    code, out, error = say("inspect", "data", "other")
    assert (code, len(json.loads(out))) == (1, 1)
    assert "there is none" in error
    assert say("rm", "other", "data")[:2] == (1, "data\n")
    assert say("rm", "-f", "other") == (0, "", "")
    assert say("rm", "../x")[0] == 1


@pytest.mark.parametrize(
    "words",
    [["dance"], ["rm"], ["ls", "data"], ["create", "a", "b"], ["ls", "--filter", "x"], ["prune", "--filter", "name=x"]],
)
def test_what_is_no_command(say, words):
    code, out, error = say(*words)
    assert (code, out) == (125, "")
    assert error.startswith("pycgroups: ")


@pytest.mark.parametrize("words", [[], ["--help"], ["create", "--help"], ["rm", "--help"], ["prune", "--help"]])
def test_help(say, words):
    code, out, _ = say(*words)
    assert code == 0
    assert out.startswith("usage: pycgroups volume")


def test_what_is_in_use_stays_unless_it_is_forced(say):
    path, lock = pc.volumes.default().use("data")
    with lock:
        code, _, error = say("rm", "data")
        assert code == 1
        assert "a container uses it" in error
        assert say("prune", "-f")[:2] == (0, "Total reclaimed space: 0 B\n")
        assert os.path.isdir(path)
        assert say("rm", "-f", "data")[:2] == (0, "data\n")


def test_prune_asks(say, monkeypatch):
    say("create", "--label", "of=shop", "one")
    say("create", "two")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert say("prune")[0] == 1
    assert say("ls", "-q")[1] == "one\ntwo\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, _ = say("prune", "--filter", "label=of")
    assert code == 0
    assert out.startswith("one\nTotal reclaimed space: ")
    assert say("prune", "-f", "-a")[1].startswith("two\n")
