"""What docker users write after --format and --filter."""

from __future__ import annotations

import json

import pytest

from pycgroups.cli import filters, keys, templates
from pycgroups.cli.flags import UsageError

FACTS = {
    "id": "0123456789ab",
    "name": "web",
    "image": "sha256:5",
    "state": {"status": "stopped", "exit_code": 3, "oom": False, "finished": None},
    "config": {
        "image": "debian:13",
        "command": ["sh", "-c"],
        "labels": [["a", "b"], ["c", ""]],
        "volumes": [{"kind": "volume", "source": "data", "destination": "/var/data"}],
    },
    "created": "2026-01-01T12:00:00Z",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "web"),
        ("{{ .State.ExitCode }}", "3"),
        ("{{.State.OOM}} {{.state.finished}}.", "false ."),
        (r"{{.Id}}\t{{.name}}\n", "0123456789ab\tweb\n"),
        ("{{json .State.Status}}", '"stopped"'),
        ('{{index .Config.Labels "a"}}{{index .Config.Labels "z"}}', "b"),
        ("{{.Config.Command}}", "[sh -c]"),
        ("plain", "plain"),
        ("{{range .Config}}x{{end}}", None),
        ("{{.Name | upper}}", None),
        ("{{index .Config}}", None),
        ("{{}}", None),
    ],
)
def test_templates(template, text):
    if text is None:
        with pytest.raises(UsageError, match="allowed"):
            templates.render(template, FACTS)
    else:
        assert templates.render(template, FACTS) == text


def test_a_key_that_is_not_there_is_empty():
    facts = {"Actor": {"Attributes": templates.Keys({"exit_code": "3"})}}
    asked = '{{.Actor.Attributes.exit_code}}{{.Actor.Attributes.none}}{{index .Actor.Attributes "no"}}'
    assert templates.render(asked, facts) == "3"
    assert templates.render("{{json .Actor}}", facts) == '{"Attributes": {"exit_code": "3"}}'


def test_the_case_of_a_key_does_not_matter_unless_it_does():
    facts = {"Attributes": templates.Keys({"exit_code": "3", "Name": "a", "name": "b"})}
    assert templates.render("{{.Attributes.exitCode}}{{.Attributes.ExitCode}}", facts) == "33"
    assert templates.render("{{.Attributes.name}}{{.Attributes.Name}}", facts) == "ba"


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{.State.Going}}", r"no field Going in \.State; there are: status, exit_code, oom, finished"),
        ("{{.Nothing}}", "no field Nothing in it; there are: id, name, image, state, config, created"),
        ("{{.State.Finished.Year}}", r"no field Year in \.State\.Finished; it has none"),
        ("{{.Name}} {{.State.Status}", r"template: \{\{\.State\.Status\} is not closed by \}\}"),
    ],
)
def test_what_is_not_there_is_an_error(template, error):
    with pytest.raises(UsageError, match=error):
        templates.render(template, FACTS)


def test_the_whole_and_the_headings():
    assert templates.render("{{json .}}", {"a": [1]}) == '{"a": [1]}'
    assert templates.render("{{.}}", {"a": [1, True]}) == "map[a:[1 true]]"


def test_rows(capsys):
    rows = [{"Names": "a", "ID": "1", "Labels": {"x": "\x1b[2J"}}, {"Names": "b\nc", "ID": "22", "Labels": {}}]
    templates.print_rows(r"{{.Names}}\t{{.ID}} {{.Labels}}", rows, rows[0])
    assert capsys.readouterr().out == "a\t1 map[x:\\x1b[2J]\nb\\nc\t22 map[]\n"
    templates.print_rows(r"table {{.Names}}\t{{.ID}}", rows, rows[0])
    assert capsys.readouterr().out == "NAMES  ID\na      1\nb\\nc   22\n"
    with pytest.raises(UsageError, match="no field Name"):
        templates.print_rows("{{.Name}}", [], rows[0])


STEERING = "\x1b[2J\nb\u202e\x7f\x9b\ud800"


def test_what_would_steer_a_terminal_is_written_out_wherever_it_is(capsys):
    rows = [{"Name": STEERING, "Labels": {STEERING: [STEERING]}, "Pairs": [[STEERING, STEERING]]}]
    for form in ("{{.Name}}", "{{.Labels}}", "{{.Pairs}}", "{{.}}", '{{index .Pairs "x"}}', "{{json .}}"):
        for words in (form, f"table {form}"):
            templates.print_rows(words, rows, rows[0])
            *lines, end = capsys.readouterr().out.split("\n")
            assert all(line.isprintable() for line in lines)
            assert (len(lines), end) == (2 if words != form else 1, "")


def test_json_is_what_it_was(capsys):
    rows = [{"Name": STEERING, "Labels": {STEERING: "\\n"}}]
    for form in ("{{json .}}", "table {{json .}}"):
        templates.print_rows(form, rows, rows[0])
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == rows[0]
    assert templates.render("{{json .Name}} {{.Name}}", rows[0]) == f"{json.dumps(STEERING)} {STEERING}"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([], True),
        (["name=we"], True),
        (["name=x"], False),
        (["name=x", "name=web"], True),
        (["name=web", "id=9"], False),
        (["id=0123"], True),
        (["label=a"], True),
        (["label=a=b"], True),
        (["label=a", "label=z"], False),
        (["status=exited"], True),
        (["status=running"], False),
        (["status=running", "status=stopped"], True),
        (["exited=3"], True),
        (["exited=0"], False),
        (["ancestor=debian"], True),
        (["ancestor=debian:13"], True),
        (["ancestor=debian:12"], False),
        (["ancestor=sha256:5"], True),
        (["health=none"], True),
        (["health=healthy"], False),
        (["volume=data"], True),
        (["volume=/var/data"], True),
        (["volume=other"], False),
        (["network=none"], True),
        (["network=host"], False),
        (["before=2026-01-02"], True),
        (["since=2026-01-02"], False),
        (["since=2025-01-02"], True),
    ],
)
def test_filters(asked, wanted):
    assert filters.matches(FACTS, [filters.read(text) for text in asked]) is wanted


def test_a_damaged_one_is_filtered_as_well():
    damaged = {"id": "01", "name": "", "state": {"status": "damaged"}, "damaged": "why"}
    for word in filters.WORDS:
        assert filters.matches(damaged, [(word, "none")]) is False
    assert filters.matches(damaged, [("status", "damaged")])


def test_what_is_no_filter():
    for text in ("name", "color=red", ""):
        with pytest.raises(ValueError, match="status="):
            filters.read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-@,CTRL-[", b"a\x00\x1b"), ("", b""), ("~", b"~")],
)
def test_the_keys_that_leave(text, expected):
    assert keys.read(text) == expected


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-pp", "ab", "a,,b", "é", "ctrl-1"])
def test_what_are_no_keys(text):
    with pytest.raises(ValueError, match="ctrl-p"):
        keys.read(text)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"abc", (b"abc", b"", False)),
        (b"ab\x10", (b"ab", b"\x10", False)),
        (b"ab\x10\x11c", (b"ab", b"", True)),
        (b"\x10\x10", (b"\x10", b"\x10", False)),
        (b"\x11\x10a", (b"\x11\x10a", b"", False)),
    ],
)
def test_they_are_found_in_what_is_typed(typed, found):
    assert keys.split(typed, b"\x10\x11") == found
    assert keys.split(typed, b"") == (typed, b"", False)
