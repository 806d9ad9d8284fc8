"""The command's own grammar: flags before and after a command, help, the log, exit codes. Nothing is run."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest

import pycgroups
from pycgroups.oci_cli import COMMANDS, PROGRAM, SPEC_VERSION, main
from pycgroups.oci_cli.line import FLAGS

LINE = re.compile(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=(?P<level>\w+) msg="(?P<msg>.*)"\n')


@pytest.fixture
def oci(tmp_path, capsys):
    """Call the command with an empty root; the answer is its exit code, stdout and stderr."""

    def call(*arguments):
        code = main(["--root", str(tmp_path / "root"), *arguments])
        return code, *capsys.readouterr()

    return call


def command(name):
    return import_module(f"pycgroups.oci_cli.{name}").COMMAND


def message(text):
    """What a line of the text log says, without its quotes."""
    found = LINE.fullmatch(text)
    assert found, text
    assert found["level"] == "error"
    return found["msg"].replace(r"\"", '"').replace(r"\\", "\\")


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(oci, flag):
    assert oci(flag) == (0, f"{PROGRAM} version {pycgroups.__version__}\nspec: {SPEC_VERSION}\n", "")


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_help_names_every_command_and_flag(oci, arguments):
    code, out, err = oci(*arguments)
    assert (code, err) == (0, "")
    assert all(f"\n  {name}" in out and what in out for name, what in COMMANDS.items())
    assert all(flag.names[0] in out for flag in FLAGS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["web", "--help"], ["--help", "web", "x", "y"]], ids=str)
def test_help_of_a_command(oci, name, arguments):
    code, out, err = oci(name, *arguments)
    if arguments[0] == "web" and command(name).most < 0:  # what follows is another program's
        return
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: {PROGRAM} {name} ")
    assert all(each in out for flag in command(name).flags for each in flag.names)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_flag_that_is_not_known(oci, name):
    code, out, err = oci(name, "--no-such-flag", "web")
    assert (code, out) == (command(name).failed, "")
    assert message(err) == "unknown flag '--no-such-flag'; see --help"


def test_what_is_not_known_before_the_command(oci):
    assert message(oci("--no-such-flag", "list")[2]) == "unknown flag '--no-such-flag'; see --help"
    assert message(oci("nonesuch")[2]) == f"'nonesuch' is not a command; see {PROGRAM} --help"
    assert oci("nonesuch")[0] == oci("--no-such-flag")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--log-format", "xml", "list"], "text, json"),
        (["--log-level", "loud", "list"], "error, warning, info, debug"),
        (["--cgroup-manager", "me", "list"], "cgroupfs, systemd, disabled"),
        (["--rootless=perhaps", "list"], "true, false, auto"),
        (["list", "--format", "xml"], "table, json"),
        (["events", "web", "--interval", "5"], "a duration"),
        (["update", "web", "--memory", "much"], "-1, or a number of bytes"),
        (["exec", "--user", "root", "web", "sh"], "a number from 0 on"),
        (["create", "web", "--preserve-fds", "-1"], "a number from 0 on"),
        (["checkpoint", "web", "--empty-ns", "uts"], "network"),
    ],
)
def test_a_value_that_is_not_right(oci, arguments, allowed):
    code, _, err = oci(*arguments)
    assert code == (255 if arguments[0] == "exec" else 1)
    assert f"allowed: {allowed}" in message(err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["state"], '"state" requires exactly 1 argument(s)'),
        (["state", "a", "b"], '"state" requires exactly 1 argument(s)'),
        (["list", "web"], '"list" requires exactly 0 argument(s)'),
        (["kill"], '"kill" requires a minimum of 1 argument(s)'),
        (["kill", "a", "TERM", "b"], '"kill" requires a maximum of 2 argument(s)'),
        (["exec"], '"exec" requires a minimum of 1 argument(s)'),
        (["ps"], '"ps" requires a minimum of 1 argument(s)'),
    ],
)
def test_words_are_counted_as_by_runc(oci, arguments, said):
    code, _, err = oci(*arguments)
    assert code == (255 if arguments[0] == "exec" else 1)
    assert message(err).startswith(said)


@pytest.mark.parametrize("name", ["start", "state", "kill", "delete", "pause", "resume", "ps", "events", "update"])
def test_a_container_that_is_not_there(oci, name):
    assert message(oci(name, "web")[2]).endswith("container does not exist")
    assert oci(name, "web")[:2] == (1, "")


def test_exec_has_an_exit_code_of_its_own(oci):
    code, _, err = oci("exec", "web", "true")
    assert code == 255
    assert message(err).endswith("container does not exist")


@pytest.mark.parametrize("arguments", [["--force", "web"], ["-f", "web"], ["web", "--force"], ["web", "-f"]])
def test_delete_by_force_needs_no_container(oci, arguments):
    assert oci("delete", *arguments) == (0, "", "")


@pytest.mark.parametrize("name", ["a/b", "..", "", "a b", "x" * 256])
def test_no_name(oci, name):
    code, _, err = oci("state", name)
    assert code == 1
    assert "option id" in message(err)


# -- flags that follow the container's name ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words", "flags"),
    [
        ("create", "web --bundle B --pid-file P", ["web"], {"bundle": "B", "pid_file": "P"}),
        ("create", "-b B web --no-pivot", ["web"], {"bundle": "B", "no_pivot": True}),
        ("create", "--preserve-fds=2 web", ["web"], {"preserve_fds": 2}),
        ("run", "web -d --keep", ["web"], {"detach": True, "keep": True}),
        ("kill", "web KILL --all", ["web", "KILL"], {"all": True}),
        ("kill", "-a web 9", ["web", "9"], {"all": True}),
        ("delete", "web -f", ["web"], {"force": True}),
        ("update", "web --pids-limit -1 --memory 64m", ["web"], {"pids.limit": -1, "memory.limit": 64 << 20}),
        ("update", "-r - web", ["web"], {"resources": "-"}),
        ("events", "web --stats --interval=1m30s", ["web"], {"stats": True, "interval": 90.0}),
        ("list", "-q -f json", [], {"quiet": True, "format": "json"}),
        ("ps", "-f json web -ef", ["web", "-ef"], {"format": "json"}),
        ("ps", "web --forest", ["web", "--forest"], {}),
        ("exec", "-t web sh -c x", ["web", "sh", "-c", "x"], {"tty": True}),
        ("exec", "-e A=1 --env B=2 web env", ["web", "env"], {"env": ["A=1", "B=2"]}),
        ("exec", "-u 7:8 -g 9 -g 10 web id", ["web", "id"], {"user": {"uid": 7, "gid": 8}, "additional_gids": [9, 10]}),
        ("exec", "-u 7 web id", ["web", "id"], {"user": {"uid": 7}}),
        ("exec", "--cap CAP_KILL -c CAP_CHOWN web id", ["web", "id"], {"cap": ["CAP_KILL", "CAP_CHOWN"]}),
        ("exec", "-d -p F --pid-file P web", ["web"], {"detach": True, "process": "F", "pid_file": "P"}),
        ("exec", "--cgroup memory:a --cgroup b web id", ["web", "id"], {"cgroup": ["memory:a", "b"]}),
        ("restore", "web -d --image-path I", ["web"], {"detach": True, "image_path": "I"}),
        ("checkpoint", "web --tcp-established", ["web"], {"tcp_established": True}),
    ],
)
def test_where_flags_may_stand(name, arguments, words, flags):
    given = command(name).read(name, None, arguments.split())
    assert (given.words, given.flags) == (words, flags)


# -- the log ----------------------------------------------------------------------------------------------------------


def test_a_line_of_json(oci, tmp_path):
    log = tmp_path / "log"
    code, out, err = oci("--log", str(log), "--log-format", "json", "state", "web")
    document = json.loads(log.read_text())
    assert (code, out) == (1, "")
    assert set(document) == {"level", "msg", "time"}
    assert document["level"] == "error"
    assert document["msg"].endswith("container does not exist")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["time"])
    assert err == f"{document['msg']}\n"  # for people


def test_lines_are_appended(oci, tmp_path):
    log = tmp_path / "log"
    for name in ("web", "db"):
        oci("--log", str(log), "state", name)
    first, second = log.read_text().splitlines(keepends=True)
    assert "web" in message(first)
    assert "db" in message(second)


def test_json_goes_to_stderr_without_a_file(oci):
    assert json.loads(oci("--log-format=json", "state", "web")[2])["level"] == "error"


@pytest.mark.parametrize("flags", [["--debug"], ["--log-level", "debug"]])
def test_debug_tells_more(oci, tmp_path, flags):
    log = tmp_path / "log"
    oci("--log", str(log), *flags, "state", "web")
    levels = [LINE.fullmatch(line)["level"] for line in log.read_text().splitlines(keepends=True)]
    assert levels[-1] == "error"
    assert "debug" in levels


def test_a_log_that_cannot_be_written_changes_nothing_else(oci):
    code, out, err = oci("--log", "/nonexistent/log", "--debug", "list", "-q")
    assert (code, out) == (0, "")
    assert err == "cannot write the log /nonexistent/log: No such file or directory\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_message_is_one_line_whatever_is_in_it(oci, tmp_path, form):
    log = tmp_path / "log"
    name = 'a"b\\c\n\x1b[31m\udcff\u2028'
    code, _, err = oci("--log", str(log), "--log-format", form, name)
    assert code == 1
    assert log.read_text(errors="strict").count("\n") == err.count("\n") == 1
    assert all(char.isprintable() for char in log.read_text()[:-1] + err[:-1])
