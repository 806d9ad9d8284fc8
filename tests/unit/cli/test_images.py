"""The commands for images, as far as they need no image."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pycgroups import cli, images
from pycgroups.cli import bars, progress, registries, tables
from pycgroups.cli.flags import UsageError, parse
from pycgroups.cli.text import is_sure
from pycgroups.cli.usage import Usage
from pycgroups.errors import ImageNotFound
from pycgroups.images.events import Advanced, Ended, Started
from pycgroups.images.registry import Credentials

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize("words", ["image", "image df", "image prune", "image verify", "image repair"])
def test_help_of_what_looks_after_the_store(words, capsys):
    assert cli.main([*words.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: pycgroups {words}")


@pytest.mark.parametrize(
    "words",
    [
        "pull",
        "push",
        "push a b c",
        "tag a",
        "images a b",
        "rmi -f",
        "inspect",
        "history a b",
        "save -o x",
        "load x",
        "import",
        "import a b c",
        "copy a",
        "copy a b c",
        "image dance",
        "image df a",
        "images --format yaml",
        "save --format zip a",
        "pull --progress perhaps a",
        "pull --retry -1 a",
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(words, capsys, monkeypatch):
    monkeypatch.setenv("PYCGROUPS_STORE", "/proc/none")
    assert cli.main(words.split()) == 125
    assert capsys.readouterr().err.count("\n") == 1


def test_flags_stand_anywhere():
    assert Usage("x", "", progress.FLAGS).read(["a", "-q", "b"]) == ({"quiet": True}, ["a", "b"])
    with pytest.raises(UsageError, match="pycgroups x ONE"):
        Usage("x ONE", "", most=1).read(["a", "b"])


@pytest.mark.parametrize(
    ("error", "code"), [(ImageNotFound("not here"), 1), (OSError(5, "five"), 1), (KeyboardInterrupt(), 130)]
)
def test_exit_codes_are_dockers(error, code, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(images, "df", fail, raising=False)
    assert cli.main(["image", "df"]) == code
    assert capsys.readouterr().err.count("\n") == 1


# -- registries


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--creds me:pass:word", {"credentials": Credentials("me", "pass:word")}),
        ("--tls-verify=false", {"insecure": True}),
        ("--tls-verify", {"insecure": False}),
        ("--insecure", {"insecure": True}),
        ("--cert-dir /c --authfile /a --registries-conf /r --retry 0",
         {"certs": "/c", "authfile": "/a", "registries_conf": "/r", "retries": 0}),
    ],
)  # fmt: skip
def test_how_to_talk_to_registries(flags, expected):
    options = registries.options(parse(registries.FLAGS, flags.split())[0])
    assert {word: getattr(options, word) for word in expected} == expected


def test_nothing_said_is_nothing():
    assert registries.options({"quiet": True}) is None


def test_a_password_that_is_not_given_is_asked_for(monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda: "typed")
    assert parse(registries.FLAGS, ["--creds", "me"])[0] == {"credentials": ("me", "typed")}


# -- tables


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
     (304_000_000, "304 MB"), (5 * 10**18, "5e+03 PB")],
)  # fmt: skip
def test_sizes(count, shown):
    assert tables.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "just now"), (1, "just now"), (90, "90 seconds ago"), (150, "2 minutes ago"), (86_400 * 8, "8 days ago"),
     (86_400 * 20, "2 weeks ago"), (86_400 * 800, "2 years ago")],
)  # fmt: skip
def test_ages(seconds, shown):
    assert tables.age(datetime.now(UTC) - timedelta(seconds=seconds)) == shown


def test_no_age():
    assert tables.age(None) == ""
    assert tables.age(datetime(2000, 1, 1)).endswith("years ago")  # noqa: DTZ001 (some images have such)


def test_columns_are_aligned_and_steer_nothing(capsys):
    tables.print_table(("NAME", "SIZE"), [("a\x1b[31m", "1 B"), ("b", "10 kB")], right=("SIZE",))
    assert capsys.readouterr().out == "NAME        SIZE\na\\x1b[31m    1 B\nb          10 kB\n"


def test_columns_are_aligned_by_the_cells_of_a_terminal(capsys):
    tables.print_table(("NAME", "SIZE"), [("容器", "1 B"), ("e\u0301", "10 kB"), ("é", "\uff11")], right=("SIZE",))
    assert capsys.readouterr().out == "NAME   SIZE\n容器    1 B\ne\u0301     10 kB\né        \uff11\n"


# -- how far it is

EVENTS = (
    Started("copy", DIGEST, 2000),
    Advanced("copy", DIGEST, 1000),
    Started("unpack", DIGEST, 2000),
    Ended("copy", DIGEST, "done"),
    Ended("unpack", DIGEST, "there"),
    Started("verify", DIGEST, 5),
    Ended("verify", DIGEST, "failed"),
)


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_line_for_each_finished_blob(capsys):
    with progress.shown({"progress": "plain"}) as told:
        assert told is not None
        for event in EVENTS:
            told(event)
    assert capsys.readouterr().err == "0123456789ab  copied  2 kB\n0123456789ab  there already  2 kB\n"


def test_nothing_is_shown_to_nobody(monkeypatch):
    with progress.shown({}) as told:
        assert told is None
    monkeypatch.setattr("sys.stderr", Screen())
    with progress.shown({"quiet": True, "progress": "plain"}) as told:
        assert told is None


def test_bars_leave_lines(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown({}) as told:
        assert told is not None
        assert isinstance(told.__self__, bars.Bars)
        for event in EVENTS:
            told(event)
    assert "0123456789ab  copied  2 kB\n" in screen.getvalue()
    assert "\x1b[?25l" not in screen.getvalue()


def test_lines_on_a_terminal_without_rich(monkeypatch):
    monkeypatch.setattr("sys.stderr", Screen())
    monkeypatch.setitem(sys.modules, "pycgroups.cli.bars", None)
    with progress.shown({}) as told:
        assert told is not None
        assert isinstance(told.__self__, progress.Lines)


@pytest.mark.parametrize(
    ("typed", "sure"), [("y\n", True), ("YES\n", True), ("\n", False), ("", False), ("no\n", False)]
)
def test_who_is_sure(typed, sure, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert is_sure("This removes all.") is sure
    assert capsys.readouterr().err.endswith("\n" if typed == "" else "[y/N] ")
