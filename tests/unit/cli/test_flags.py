from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cli.flags import Flag, UsageError, describe, parse

FLAGS = (
    Flag("--env -e", "a variable", value="VALUE", many=True),
    Flag("--memory -m", "bytes", value="SIZE"),
    Flag("--pids-limit --pids", "processes", word="pids", value="N", read=int),
    Flag("--tty -t", "a terminal"),
    Flag("--interactive -i", "stdin"),
    Flag("--no-init", "no init", word="init", on=False),
)


@pytest.mark.parametrize(
    ("words", "found", "rest", "dashed"),
    [
        ("", {}, "", False),
        ("true", {}, "true", False),
        ("-- true", {}, "true", True),
        ("true -- -x", {}, "true -- -x", False),
        ("-it sh -c", {"interactive": True, "tty": True}, "sh -c", False),
        ("-e A=1 -eB=2 -e=C=3 --env=D=4 --env E=5", {"env": ["A=1", "B=2", "C=3", "D=4", "E=5"]}, "", False),
        ("-m 1 -m 2", {"memory": "2"}, "", False),
        ("-itm64M x", {"interactive": True, "tty": True, "memory": "64M"}, "x", False),
        ("--pids 3", {"pids": 3}, "", False),
        ("--pids-limit=3", {"pids": 3}, "", False),
        ("--tty=false --no-init", {"tty": False, "init": False}, "", False),
        ("--no-init=false -t=0", {"init": True, "tty": False}, "", False),
        ("--memory -- x", {"memory": "--"}, "x", False),
        ("- x", {}, "- x", False),
        ("--help", {"help": True}, "", False),
    ],
)
def test_dockers_grammar(words, found, rest, dashed):
    assert parse(FLAGS, words.split()) == (found, rest.split(), dashed)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--nothing", "--nothing"),
        ("--mem 1", "unknown flag '--mem'; did you mean '--memory'\\? see --help"),
        ("--nothing=1", "unknown flag '--nothing'; see --help"),
        ("-x", "-x"),
        ("-tx", "-x"),
        ("--memory", "SIZE"),
        ("-m", "SIZE"),
        ("--tty=perhaps", "true, false"),
        ("-x=1", "-x"),
    ],
)
def test_what_is_wrong_is_named(words, named):
    with pytest.raises(UsageError, match=named):
        parse(FLAGS, words.split())


def test_a_wrong_value_is_shown_with_what_is_allowed():
    def read(_):
        raise ValueError("an egg")

    with pytest.raises(UsageError, match="'--bird': 'stone' is not right; allowed: an egg"):
        parse([Flag("--bird", "", value="EGG", read=read)], ["--bird", "stone"])


@given(st.lists(st.text() | st.sampled_from(["-it", "--env", "-m", "--", "--tty=", "-e=", "--pids=3"])))
def test_any_words_are_read_or_refused(words):
    try:
        found, rest, _ = parse(FLAGS, words)
    except UsageError:
        return
    assert found.keys() <= {"env", "memory", "pids", "tty", "interactive", "init", "help"}
    assert rest == words[len(words) - len(rest) :]


def test_help_has_every_flag_on_a_line_of_its_own():
    lines = describe(FLAGS).splitlines()
    assert len(lines) == len(FLAGS) + 1
    assert "  -m, --memory SIZE           bytes" in lines
