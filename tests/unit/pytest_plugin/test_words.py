"""Verdicts in words, and what comes from inside a sandboxed test when it is none of pytest's doing."""

from __future__ import annotations

import json
import os
import types

import coverage
import pytest
from _pytest.junitxml import LogXML, xml_key
from _pytest.skipping import xfailed_key
from _pytest.warnings import warning_record_to_str

from pycgroups.containers.result import Result
from pycgroups.containers.verdict import Hits, Usage
from pycgroups.containers.vocabulary import Options, RunOptions
from pycgroups.pytest_plugin import marker, words


def result(reason="exited", returncode=0, unenforced=(), peak=5 << 20, processes=3, **hits):
    usage = Usage(
        wall_time=1.25,
        cpu_time=0.5,
        user_time=0.3,
        system_time=0.2,
        peak_memory=peak,
        io_read=0,
        io_written=0,
        processes=processes,
    )
    return Result(["f"], returncode, reason=reason, hits=Hits(**hits), usage=usage, unenforced=unenforced)


OPTIONS = {"memory": "5M", "pids": 8, "timeout": 2.5}
USED = "used: 5 MiB of memory, 0.50 s of CPU time in 1.25 s, 3 processes at most"


@pytest.mark.parametrize(
    ("ended", "lines"),
    [
        (result(), ["exited with 0", USED]),
        (result(returncode=-9, reason="signal"), ["killed by SIGKILL", USED]),
        (result(returncode=-63, reason="signal"), ["killed by signal 63", USED]),
        (result("oom", -9, oom=2), ["out of memory, with memory=5M", "hit its limit memory=5M 2 times", USED]),
        (result("exited", 0, pids=1), ["exited with 0", "hit its limit pids=8 1 time", USED]),
        (result("timeout", -9), ["timeout=2.5 seconds were over, and all its processes were killed", USED]),
        (
            result(peak=None, processes=None, unenforced=("memory", "pids")),
            [
                "exited with 0",
                "used: not counted of memory, 0.50 s of CPU time in 1.25 s",
                "not in force on this host: memory, pids",
            ],
        ),
    ],
)
def test_a_verdict(ended, lines):
    assert words.verdict(ended, OPTIONS).splitlines() == lines


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (3 << 30, "3 GiB"), (9 << 40, "9216 GiB")])
def test_a_size(count, text):
    assert words._size(count) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\n\r\n\u00e9 \U0001f600", None),
        ("\x1b[31;1mred\x1b[m", None),
        ("\x1b[2J\x1b]52;c;eA==\x07", r"\x1b[2J\x1b]52;c;eA==\x07"),
        ("a\rb\0\x7f\x9b1m", r"a\rb\x00\x7f\x9b1m"),
        ("\ud800", r"\ud800"),
        ("\x1b[\u0661m", "\\x1b[\u0661m"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text, shown):
    shown = text if shown is None else shown
    assert words.plain({text: [text, 1, None]}) == {shown: [shown, 1, None]}


OF_RUN = sorted({*RunOptions.__optional_keys__, "text", "encoding", "errors"} - Options.__optional_keys__)
NOT_OF_CONTAINERS = (
    ": it takes the options of pycgroups.run that a container has; its input, output and end are pytest's"
)


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        (pytest.mark.sandboxed("256M", 3), "'256M', 3: it takes options by name, as in memory=\"256M\""),
        (pytest.mark.sandboxed(memry=1), "memry; did you mean 'memory'?"),
        (pytest.mark.sandboxed(mem_limit=1), "mem_limit: it is 'memory' here"),
        (pytest.mark.sandboxed(colour=1), "colour: it is no option of pycgroups.run"),
        *((pytest.mark.sandboxed(**{word: None}), word + NOT_OF_CONTAINERS) for word in OF_RUN),
    ],
)
def test_what_the_marker_does_not_take(marker, told, request):
    request.node.add_marker(marker)
    with pytest.raises(pytest.UsageError) as caught:
        words.marked(request.node, {})
    assert str(caught.value) == f"sandboxed() does not take {told}"


def a_report(request, **changes):
    report = pytest.TestReport(request.node.nodeid, ("a", 1, "b"), {}, "passed", None, "teardown")
    return request.config.hook.pytest_report_to_serializable(config=request.config, report=report) | changes


def read(request, *lines):
    answer = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return marker._read(request.node, answer, result(), "verdict")


def test_a_report_comes_back(request):
    skipped = a_report(request, when="setup", outcome="skipped", longrepr=["file", 3, "why"])
    outcome = read(request, ["report", skipped], ["report", a_report(request)])
    assert [report.when for report in outcome.reports] == ["setup", "teardown"]
    assert outcome.reports[0].longrepr == ("file", 3, "why")
    assert (outcome.is_complete, outcome.problem) == (True, "")


def test_what_steers_a_terminal_is_written_out_in_reports_and_problems(request):
    steers, shown = "\x1b[2J\ud800", r"\x1b[2J\ud800"
    changes = {"outcome": "failed", "longrepr": steers, "sections": [[steers, steers]]}
    changes["user_properties"] = [[steers, steers]]
    outcome = read(request, ["report", a_report(request, **changes)], ["shown", steers], ["problem", steers])
    (report,) = outcome.reports
    assert (report.longreprtext, outcome.shown, outcome.problem) == (shown, {1: shown}, shown)
    assert report.sections == report.user_properties == [(shown, shown)]
    assert marker._shortened(steers.encode(errors="replace")) == r"\x1b[2J?"


CRASH = {
    "reprcrash": {"path": "a", "lineno": 1, "message": 3},
    "reprtraceback": {"reprentries": [], "extraline": None, "style": "long"},
    "sections": [],
    "chain": None,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"nodeid": "another"},
        {"when": "never"},
        {"outcome": "great"},
        {"duration": "long"},
        {"sections": 3},
        {"longrepr": [1]},
        {"keywords": 7},
        {"$report_type": "CollectReport"},
        {"$report_type": "Odd"},
        {"duration": float("inf")},
        {"outcome": "skipped", "longrepr": "no triple"},
        {"outcome": "skipped"},
        {"outcome": "failed"},
        {"outcome": "skipped", "wasxfail": 3},
        {"outcome": "failed", "longrepr": CRASH},
    ],
)
def test_a_report_of_something_else_is_a_problem_and_no_crash(request, changes):
    outcome = read(request, ["report", a_report(request, **changes)])
    assert outcome.reports == []
    assert not outcome.is_complete
    assert outcome.problem.startswith("what it answered is not understood")


def test_of_a_report_no_more_is_taken_than_what_it_is_made_of(request):
    forged = {"node": 1, "url": 1, "worker_id": "gw7", "rerun": 1, "user_properties": [["a\0\x1b[m", "b"]]}
    (report,) = read(request, ["report", a_report(request, **forged)]).reports
    assert not {"node", "url", "worker_id", "rerun"} & set(vars(report))
    assert report.user_properties == [(r"a\x00#x1B[m", "b")]


@pytest.mark.parametrize(
    ("id_", "inside"),
    [
        ("test_it.py::A::test_a[x@y]", "test_it.py::A::test_a[x@y]"),
        ("test_it.py::A::test_a[x@y]@group", "test_it.py::A::test_a[x@y]"),
        ("of its own@kind", "of its own@kind"),
    ],
)
def test_the_group_of_xdist_is_no_part_of_the_id(id_, inside):
    """With --dist=loadgroup, and a pytest before 9.2, workers add it."""
    item = types.SimpleNamespace(nodeid=id_, name="test_a[x@y]", parent=types.SimpleNamespace(nodeid="test_it.py::A"))
    assert marker._node(item) == inside


def test_of_several_attempts_the_last_one_counts(request):
    first = [["report", a_report(request, when=when)] for when in ("setup", "call", "teardown")]
    first[1][1]["outcome"] = "rerun"
    second = [["report", a_report(request, when=when)] for when in ("setup", "call", "teardown")]
    assert not read(request, *first).reports[1:]  # without the plugin, which knows the word
    request.config.pluginmanager.register(object(), "rerunfailures")
    try:
        attempts = [read(request, *reports) for reports in (first, first + second[:2], first + second)]
    finally:
        request.config.pluginmanager.unregister(name="rerunfailures")
    assert [len(outcome.reports) for outcome in attempts] == [3, 5, 6]
    assert [[report.when for report in outcome.last] for outcome in attempts] == [
        [],
        ["setup", "call"],
        ["setup", "call", "teardown"],
    ]
    assert [outcome.is_complete for outcome in attempts] == [False, False, True]


@pytest.fixture
def junit(request, tmp_path):
    """The file of --junitxml of a session, as it is written in the end."""
    xml = LogXML(tmp_path / "junit.xml", None, family="xunit1")
    kept = request.config.stash.get(xml_key, None)
    request.config.stash[xml_key] = xml
    xml.pytest_sessionstart()
    yield xml
    if kept is None:
        del request.config.stash[xml_key]
    else:
        request.config.stash[xml_key] = kept


def test_no_report_comes_after_the_last_one(request, junit):
    failed = {"outcome": "failed", "longrepr": "it"}
    call, end = (a_report(request, when=when, **failed) for when in ("call", "teardown"))
    outcome = read(request, *(["report", data] for data in (call, call, a_report(request), end)))
    for report in outcome.reports:
        junit.pytest_runtest_logreport(report)
    assert [report.when for report in outcome.reports] == ["call", "call", "teardown"]
    assert "after the last one" in outcome.problem


FORGED = ('x="1"/><testcase classname="other" name="test_b"/><testcase y', "name", "classname", "xmlns", "a:b", "", 3)


@pytest.mark.parametrize("name", FORGED)
def test_an_attribute_that_pytest_would_not_make_is_a_problem(name, request, junit):
    assert "not understood" in read(request, ["attribute", [name, "value"]]).problem
    assert "not understood" not in read(request, ["attribute", ["assertions", "3"]]).problem
    (case,) = junit.node_reporters_ordered
    assert case.attrs == {"assertions": "3"}


def test_names_of_properties_are_escaped(request, junit):
    read(request, ["property", ["a\x1b[m\ufffe", "b\x1b[m"]])
    assert junit.global_properties == [("a#x1B[m#xFFFE", "b#x1B[m")]


def test_no_file_is_read_that_a_warning_names(tmp_path):
    (tmp_path / "netrc").write_text("a secret\n")
    told = []
    hook = types.SimpleNamespace(call_historic=lambda kwargs: told.append(kwargs["warning_message"]))
    item = types.SimpleNamespace(nodeid="a", ihook=types.SimpleNamespace(pytest_warning_recorded=hook))
    for line in ("", "warns()"):
        marker._warn(item, ["mind", "builtins", "UserWarning", str(tmp_path / "netrc"), 1, line, None])
    texts = [warning_record_to_str(message) for message in told]
    assert [text.splitlines()[1:] for text in texts] == [[], ["  warns()"]]


def test_coverage_is_of_files_alone(request, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    measured = coverage.Coverage(data_file=None, config_file=False)
    monkeypatch.setattr(marker, "_current", lambda: measured)
    monkeypatch.setattr(request.config.option, "cov_context", None, raising=False)
    read(request, ["coverage", {file: [1] for file in (__file__, "/dev/zero", str(tmp_path / "fifo"), "/tmp/no.py")}])
    data = measured.get_data()
    files = data.measured_files()
    data.close(force=True)
    assert files == {__file__}


def test_a_condition_of_xfail_that_cannot_be_told_is_no_crash(request):
    request.node.add_marker(pytest.mark.xfail("1 +"))
    try:
        reports = list(marker._missing(request.node, read(request)))
    finally:
        request.node.own_markers.pop()
    assert [report.outcome for report in reports] == ["passed", "failed", "passed"]


def test_what_is_expected_to_fail_is_so_although_a_hook_raises(request):
    def pytest_runtest_makereport(item):
        item.funcargs["of the inside"]

    plugin = types.SimpleNamespace(pytest_runtest_makereport=pytest_runtest_makereport)
    request.config.pluginmanager.register(plugin)
    request.node.add_marker(pytest.mark.xfail(reason="known"))
    try:
        reports = list(marker._missing(request.node, read(request)))
    finally:
        request.node.own_markers.pop()
        del request.node.stash[xfailed_key]
        request.config.pluginmanager.unregister(plugin)
    assert [(report.outcome, getattr(report, "wasxfail", "")) for report in reports] == [
        ("passed", ""),
        ("skipped", "known"),
        ("passed", ""),
    ]


@pytest.mark.parametrize(
    ("timer", "told", "timeout"), [(None, None, 60), (300, None, 310), (300, 20, 20), (5, None, 15), (5, 20, 15)]
)
def test_a_timer_of_pytest_timeout_is_in_the_place_of_the_usual_timeout(timer, told, timeout, request, monkeypatch):
    given = []

    def run(_item, options):
        given.append(options)
        return result(), b""

    monkeypatch.setattr(marker, "_run_inside", run)
    if told is not None:
        request.node.add_marker(pytest.mark.sandboxed(timeout=told))
    marker._run(request.node, (), timer)
    assert given[0]["timeout"] == timeout


@pytest.mark.parametrize("line", [b"\xff", b"{", [], ["report"], ["warning", []], ["report", None], "x"])
def test_nonsense_is_a_problem_and_no_crash(request, line):
    assert "not understood" in read(request, line).problem
