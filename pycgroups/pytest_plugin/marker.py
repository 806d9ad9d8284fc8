"""A marked test: its whole protocol is run by another pytest, in a container, and the reports are shown here.

here                                        there (inside.py)
----                                        -----------------
collects, as ever
node id, options               ->           collects the one file again; sets up, calls and tears down the test,
                                            with all fixtures, of whatever scope
reports, warnings, coverage    <-
what has set up here and is no longer
needed is torn down
"""

from __future__ import annotations

import json
import marshal
import math
import os
import sys
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import _pytest
import pluggy
import pytest
from _pytest import skipping
from _pytest.junitxml import bin_xml_escape, xml_key

from pycgroups.containers.python import run_python
from pycgroups.containers.streams import PIPE, STDOUT
from pycgroups.containers.values import seconds
from pycgroups.errors import Error
from pycgroups.pytest_plugin import inside, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from pycgroups.containers.result import Result
    from pycgroups.containers.vocabulary import Options

    When = Literal["setup", "call", "teardown"]

# What is the outer session's own: distribution, selection, debugging, and files that it writes.
_OUTER: dict[str, Any] = {
    # Reports of pytest-reportlog, -html, -excel, -json-ctrf, -nunit, -md and allure-pytest; of pytest-json-report,
    # -md-report and -split; and of teamcity-messages, which go to stdout.
    **dict.fromkeys(("report_log", "htmlpath", "excelpath", "ctrf", "nunit_xmlpath", "mdpath", "allure_report_dir")),
    **dict.fromkeys(("json_report", "md_report", "store_durations"), False),
    "no_teamcity": 1,
    **dict.fromkeys(
        ("numprocesses", "xmlpath", "log_file", "basetemp", "durations", "pastebin", "deselect", "tx", "px")
    ),
    **dict.fromkeys(("usepdb", "trace", "lf", "failedfirst", "newfirst", "cacheclear", "stepwise", "distload"), False),
    **dict.fromkeys(("collectonly", "pyargs", "looponfail"), False),
    "dist": "no",
    "keyword": "",
    "markexpr": "",
    "maxfail": 0,
    "cov_source": [],
    "pycgroups_inside": True,
}
# Where plugins of pytest would write into the tests' own directory, which is read-only. Without a plugin its word is
# unknown, and a warning or an error.
_ELSEWHERE = {"cacheprovider": "cache_dir=/tmp/pytest-cache", "logging": "log_file="}
# Plugins that are left out inside: VS Code's tells the editor of each test, and fails where its pipe is not.
_REPORTING = ("vscode_pytest",)
_COVERAGE = {name: f"run:{name}" for name in ("branch", "source", "source_pkgs", "omit", "include")}
_RERAISED = (KeyboardInterrupt, pytest.exit.Exception)
_OUTCOMES = ("passed", "failed", "skipped")
_PHASES = ("setup", "call", "teardown")
# What a report is made of. Any other key would be an attribute of it, and those of pytest-xdist, say, are trusted.
_REPORTED = {
    *("nodeid", "location", "keywords", "outcome", "longrepr", "when", "sections", "duration", "start", "stop"),
    *("user_properties", "wasxfail", "$report_type", "_report_type", "_subtest.context"),
}
_PACKAGES = tuple(f"{path}/" for module in (_pytest, pluggy) for path in module.__path__)
_FRAMES = tuple(f'  File "{place}' for place in (*_PACKAGES, inside.__file__, "<string>"))
_GRACE = 1.0  # seconds after the timeout, in which a test writes its tracebacks and ends
_LARGEST = (
    1 << 26
)  # bytes that are read of a test's reports, with its output in each; in Python they take many times that
_LATER = 10.0  # seconds after pytest-timeout's timer, which runs inside and needs not have worked


class Outcome(NamedTuple):
    """What came out.

    Attributes:
        result: what `pycgroups.run` says.
        verdict: the same, in words.
        reports: those of the test that have come, in their order.
        problem: why there are no more, as the inner pytest tells.
        ended: what ends the session, which the test has raised; or None.
        shown: what the inner pytest wrote for the terminal, by how many reports came before.
    """

    result: Result
    verdict: str
    reports: list[pytest.TestReport]
    problem: str
    ended: BaseException | None
    shown: dict[int, str]

    @property
    def last(self) -> list[pytest.TestReport]:
        """The reports of the last attempt: pytest-rerunfailures makes more, of which each but the last says "rerun"."""
        return _last(self.reports)

    @property
    def is_complete(self) -> bool:
        """Whether the test was run to its end."""
        return bool(self.last) and self.last[-1].when == "teardown"


def _last(reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    start = max((at for at, report in enumerate(reports) if report.when == "setup"), default=0)
    last = reports[start:]
    is_over = bool(last) and last[-1].when == "teardown"
    return [] if is_over and any(map(_is_rerun, last)) else last


def _is_rerun(report: pytest.TestReport) -> bool:
    return report.outcome not in _OUTCOMES


def protocol(
    item: pytest.Item, nextitem: pytest.Item | None, names: tuple[str, ...], timer: float | None = None
) -> None:
    """Run a test, and report; instead of pytest's own protocol.

    Args:
        item: the test.
        nextitem: the one after it.
        names: of the options that the command line and the ini file have.
        timer: seconds of pytest-timeout's timer, which is started inside; or None.
    """
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, outcome = _reports(item, names, timer)
    shown = {} if outcome is None else outcome.shown
    for count, report in enumerate(reports):
        _show(item, shown.get(count, ""))
        item.ihook.pytest_runtest_logreport(report=report)
    _show(item, shown.get(len(reports), ""))
    if outcome is not None and outcome.ended is not None:  # pytest's own protocol reports no more of the test either
        raise outcome.ended
    for report in _teardown(item, nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[pytest.TestReport]:
    """Tear down what tests before this one have set up here, and those after it do not need."""
    state = item.session._setupstate  # noqa: SLF001 (pytest's own protocol does so, and there is no other way)
    call = _call(lambda: state.teardown_exact(nextitem), "teardown")
    if call.excinfo is not None:
        yield _report(item, call)


def _call(what: Callable[[], Any], when: When) -> pytest.CallInfo[Any]:
    return pytest.CallInfo.from_call(what, when=when, reraise=_RERAISED)


def _report(item: pytest.Item, call: pytest.CallInfo[Any]) -> pytest.TestReport:
    try:
        made: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    except Exception:  # noqa: BLE001 (hooks of others, which may look for what was set up inside)
        made = pytest.TestReport.from_item_and_call(item, call)
        expecting = skipping.pytest_runtest_makereport(item, call)  # what pytest does of xfail, without the others
        next(expecting)
        with suppress(StopIteration):
            expecting.send(made)
    return made


# -- reports -----------------------------------------------------------------------------------------------------------


def _reports(
    item: pytest.Item, names: tuple[str, ...], timer: float | None
) -> tuple[list[pytest.TestReport], Outcome | None]:
    """Run the test; return its reports, and what came out of the container, if there was one."""
    call = _call(lambda: _run(item, names, timer), "call")
    if call.excinfo is not None:
        return [_passed(item, "setup"), _report(item, call), _passed(item, "teardown")], None
    outcome: Outcome = call.result
    reports = outcome.reports
    if not outcome.is_complete and outcome.ended is None:
        reports += _missing(item, outcome)
    # What the container and the inner pytest took to start is part of the set-up.
    for first in reports[:1]:
        first.duration += max(0.0, call.duration - sum(report.duration for report in reports))
    for report in reports:
        if report.failed:
            report.sections.append(("sandbox", outcome.verdict))
    return reports, outcome


def _missing(item: pytest.Item, outcome: Outcome) -> Iterator[pytest.TestReport]:
    """Make the reports that did not come: the phase that was under way has failed."""
    # A subtest, which has a context, is reported as a call of its own, before that of the test.
    come = {report.when for report in outcome.last if not hasattr(report, "context")}
    broken: When = "teardown" if "call" in come else "call"
    text = outcome.problem
    if not text or outcome.result.reason != "exited":
        text = f"{outcome.verdict.splitlines()[0]}: the test did not come to its end\n{text}".rstrip()
    with suppress(pytest.fail.Exception):  # of a condition that cannot be told, which the test was to fail by
        item.stash[skipping.xfailed_key] = skipping.evaluate_xfail_marks(
            item
        )  # as pytest does when it sets up the test
    if "setup" not in come:
        yield _passed(item, "setup")
    failed = _failed(item, text, broken)
    if outcome.result.stdout:
        failed.sections.append(("Output of the test's process", _shortened(outcome.result.stdout)))
    yield failed
    if broken == "call":
        yield _passed(item, "teardown")


def _shortened(output: bytes) -> str:
    """Leave frames of pytest out of the tracebacks that are written as the time is over."""
    lines = output.decode(errors="replace").splitlines()
    text: str = words.plain("\n".join(line for line in lines if not line.startswith(_FRAMES)))
    return text


def _passed(item: pytest.Item, when: When) -> pytest.TestReport:
    return _report(item, _call(lambda: None, when))


def _failed(item: pytest.Item, text: str, when: When) -> pytest.TestReport:
    return _report(item, _call(lambda: pytest.fail(text, pytrace=False), when))


# -- the container -----------------------------------------------------------------------------------------------------


def _run(item: pytest.Item, names: tuple[str, ...], timer: float | None) -> Outcome:
    """Run the inner pytest, and read what it sends."""
    try:
        later = words.TIMEOUT if timer is None else timer + _LATER
        options = words.marked(item, words.defaults(item.config, names, later))
        if timer is not None:
            options = {**options, "timeout": _earlier(options.get("timeout"), later)}
        result, answer = _run_inside(item, options)
    except (Error, pytest.UsageError) as error:
        problem = str(error)
    else:
        return _read(item, answer, result, words.verdict(result, options))
    pytest.fail(f"the test cannot be run in a container: {problem}", pytrace=False)


def _earlier(timeout: float | None, other: float) -> float:
    return other if timeout is None else min(seconds(timeout, "timeout"), other)


def _run_inside(item: pytest.Item, options: Options) -> tuple[Result, bytes]:
    timeout = options.get("timeout")
    if timeout is not None:
        options = {**options, "timeout": seconds(timeout, "timeout") + _GRACE}
    job = tuple(_job(item, timeout))
    places = map(str, (item.config.rootpath, item.path.parent))
    # What the inner pytest does not capture goes where the outer one's output does, as it is written.
    stdout, stderr = (PIPE, STDOUT) if item.config.getoption("capture", default="no") == "fd" else (None, None)
    result, answer = run_python(
        inside.__file__, job, places, stdout=stdout, stderr=stderr, options=options, largest=_LARGEST
    )
    if result.returncode == -inside.OVER:
        result.reason = "timeout"
    return result, answer


def _read(item: pytest.Item, answer: bytes, result: Result, verdict: str) -> Outcome:
    reports: list[pytest.TestReport] = []
    shown: dict[int, str] = {}
    told: dict[str, list[Any]] = {"problem": [], "stop": [], "exit": [], "interrupt": []}
    try:
        for line in answer.splitlines():
            kind, value = words.plain(json.loads(line))
            if kind == "report":
                _check_order(reports)
                reports.append(_read_report(item, value))
            elif kind == "warning":
                _warn(item, value)
            elif kind == "coverage":
                _measured(item, value)
            elif kind in {"property", "attribute"}:
                _noted(item, kind, *value)
            elif kind == "shown":
                shown[len(reports)] = shown.get(len(reports), "") + value
            elif kind == "logged":
                _log(item.config, value)
            else:
                told[kind].append(value)
        ended = _ended(told["exit"], told["interrupt"])
    except Exception as error:  # noqa: BLE001 (what comes from inside may be anything)
        told["problem"].append(f"what it answered is not understood: {error!r}")
        ended = None
    outcome = Outcome(result, verdict, reports, "\n".join(map(str, told["problem"] + told["stop"])), ended, shown)
    if told["stop"] and outcome.is_complete:
        item.session.shouldstop = str(told["stop"][0])
    return outcome


def _ended(exits: list[Any], interrupts: list[Any]) -> BaseException | None:
    """Return what the test raised to end the session, if it did; that all is well is not for it to say."""
    for message, code in exits:
        return pytest.exit.Exception(str(message), code if _is_failure(code) else None)
    for place in interrupts:
        return KeyboardInterrupt(str(place))
    return None


def _is_failure(code: Any) -> bool:
    """Tell whether a number is an exit status that says that something failed; exit(3) keeps eight bits of it."""
    return type(code) is int and 0 < code < 256  # noqa: PLR2004


def _job(item: pytest.Item, timeout: float | None) -> inside.Job:
    config = item.config
    options = {name: value for name, value in vars(config.option).items() if _is_plain(value)} | _OUTER
    elsewhere = [place for plugin, place in _ELSEWHERE.items() if config.pluginmanager.has_plugin(plugin)]
    options |= {
        "rootdir": str(config.rootpath),
        # Without a file to read pytest would look for one beside the test, and in the directories above it.
        "inifilename": str(config.inipath or os.devnull),
        "confcutdir": config.known_args_namespace.confcutdir,
        "plugins": [],
        "override_ini": [*(config.option.override_ini or ()), *elsewhere],
    }
    worker = getattr(config, "workerinput", None)
    xml = config.stash.get(xml_key, None)
    node = _node(item)
    place = "::".join((str(item.path), *node.split("::")[1:]))
    return inside.Job(
        node=node,
        arguments=[*(f"-p{name}" for name in config.option.plugins if name not in _REPORTING), place],
        options=options,
        coverage=_coverage(),
        over=None if timeout is None else time.monotonic() + timeout,
        logs=_log_file(config) is not None,
        junit=None if xml is None else xml.family,
        worker=None if worker is None else {name: value for name, value in worker.items() if _is_plain(value)},
    )


def _node(item: pytest.Item) -> str:
    """Return the id that the test has inside: without the group that a worker of pytest-xdist adds to it."""
    own = "" if item.parent is None else f"{item.parent.nodeid}::{item.name}"
    return own if own and item.nodeid.startswith(f"{own}@") else item.nodeid


def _is_plain(value: Any) -> bool:
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def _check_order(reports: list[pytest.TestReport]) -> None:
    """Refuse a report after the last one: pytest has written the case for ``--junitxml`` then, and knows it no more.

    Raises:
        ValueError: the last one has come.
    """
    if reports and reports[-1].when == "teardown" and _last(reports):
        raise ValueError("a report after the last one")


def _read_report(item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
    """Make a report of what came, if it is one of this test, and can be shown.

    Raises:
        Exception: it is not.
    """
    has_reruns = item.config.pluginmanager.has_plugin("rerunfailures")
    known = _REPORTED | {"rerun"} if has_reruns else _REPORTED
    data = {name: value for name, value in data.items() if name in known}
    report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
    outcomes = (*_OUTCOMES, "rerun") if has_reruns else _OUTCOMES
    if report.nodeid != words.plain(_node(item)) or report.when not in _PHASES or report.outcome not in outcomes:
        raise ValueError("a report of something else")
    if report.nodeid != item.nodeid:
        report.nodeid = item.nodeid
    report.location = item.location
    report.keywords = dict(report.keywords)
    report.duration, report.start, report.stop = map(_finite, (report.duration, report.start, report.stop))
    # Lists of JSON are tuples to those who show it.
    where: Any = report.longrepr
    if isinstance(where, list):
        report.longrepr = (str(where[0]), int(where[1]), str(where[2]))
    report.sections = [(str(name), str(text)) for name, text in report.sections]
    # pytest quotes the words of a subtest whenever they are read.
    context = getattr(report, "context", None)
    if context is not None:
        object.__setattr__(context, "kwargs", dict(data["_subtest.context"]["kwargs"]))
    report.user_properties = [(bin_xml_escape(name), value) for name, value in report.user_properties]
    _check_reason(report)
    return report


def _finite(number: Any) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{number} seconds")
    return float(number)


def _check_reason(report: pytest.TestReport) -> None:
    """Refuse a report that others could not show.

    Raises:
        Exception: it is one.
    """
    reason: Any = report.longrepr
    is_expected = hasattr(report, "wasxfail")
    if is_expected and not isinstance(report.wasxfail, str):
        raise TypeError("wasxfail is no text")
    is_skip = report.skipped and not is_expected
    if (is_skip and not isinstance(reason, tuple)) or (report.failed and reason is None):
        raise ValueError("a report without a reason")
    crash = getattr(reason, "reprcrash", None)
    if crash is not None and not (isinstance(crash.message, str) and isinstance(crash.path, str)):
        raise TypeError("a crash that is no text")
    assert isinstance(report.longreprtext, str)  # whoever shows it does this


def _show(item: pytest.Item, text: str) -> None:
    """Write what the inner pytest writes in the course of a test: fixtures, for --setup-show."""
    if text and item.config.pluginmanager.has_plugin("terminalreporter"):
        item.config.get_terminal_writer().write(text)


def _log_file(config: pytest.Config) -> Any:
    """Return what writes the file of ``--log-file``, if there is one."""
    logs: Any = config.pluginmanager.get_plugin("logging-plugin")
    if logs is None or logs.log_file_handler.baseFilename == os.devnull:
        return None
    return logs.log_file_handler


def _log(config: pytest.Config, text: str) -> None:
    handler = _log_file(config)
    if handler is not None:
        handler.stream.write(str(text))
        handler.flush()


def _noted(item: pytest.Item, kind: str, name: Any, value: Any) -> None:
    """Write what the fixtures of ``--junitxml`` were given; nothing, if the session makes no such file."""
    xml = item.config.stash.get(xml_key, None)
    if xml is None:
        return
    if kind == "property":
        xml.add_global_property(bin_xml_escape(name), bin_xml_escape(value))
    else:
        inside.check_attribute(name)  # which would be written as it is
        xml.node_reporter(getattr(item, "id", item.nodeid)).add_attribute(str(name), str(value))


def _warn(item: pytest.Item, told: list[Any]) -> None:
    """Tell of a warning, which is of a type that is known here, or no more than a `UserWarning`."""
    text, module, name, file, number, line, location = told
    kind = getattr(sys.modules.get(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Warning)):
        kind = UserWarning
    # Without a line pytest would look for it, in a file that is named by what is inside.
    message = warnings.WarningMessage(str(text), kind, filename=str(file), lineno=int(number), line=str(line))
    place = None if location is None else (str(location[0]), int(location[1]), str(location[2]))
    facts = {"warning_message": message, "when": "runtest", "nodeid": item.nodeid, "location": place}
    item.ihook.pytest_warning_recorded.call_historic(kwargs=facts)


# -- coverage ----------------------------------------------------------------------------------------------------------


def _current() -> Any:
    """Return the measurement that is under way here, if there is one: pytest-cov's, or that of ``coverage run``."""
    coverage = sys.modules.get("coverage")
    return None if coverage is None else coverage.Coverage.current()


def _coverage() -> dict[str, Any] | None:
    current = _current()
    if current is None:
        return None
    found = {name: current.get_option(key) for name, key in _COVERAGE.items()}
    return {name: value for name, value in found.items() if value} | {
        "config_file": current.config.config_file or False
    }


def _measured(item: pytest.Item, found: dict[str, list[Any]]) -> None:
    current = _current()
    # Those that are made inside are not there; and coverage, when it reports, would read a device or a FIFO to no end.
    found = {file: lines for file, lines in found.items() if os.path.isfile(file)}
    if current is None or not found:
        return
    if item.config.getoption("cov_context", default=None) == "test":
        current.switch_context(f"{item.nodeid}|run")
    data = current.get_data()
    if current.get_option("run:branch"):
        data.add_arcs({os.fspath(file): [tuple(arc) for arc in arcs] for file, arcs in found.items()})
    else:
        data.add_lines(found)
