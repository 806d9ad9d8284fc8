"""The pytest in a container: runs one test, and sends the reports out.

Imports nothing of pycgroups, which pytest is to load itself, as outside. See `pycgroups.containers.python` for how it
is called, and `pycgroups.pytest_plugin.marker` for what reads this: lines of JSON, each ``[kind, value]``.
"""

from __future__ import annotations

import faulthandler
import io
import json
import linecache
import logging
import os
import re
import signal
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from _pytest.junitxml import xml_key  # there is no public name for what its fixtures write to

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TextIO

OVER = signal.SIGRTMAX
"""What ends the test when its time is over; no usual signal, which may be the test's own."""
_OF_PYTEST = ("classname", "file", "line", "name", "time", "xmlns")
_SIGEV_SIGNAL, _TIMER_ABSTIME = 0, 1  # timer_create(2), timer_settime(2)


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        node: the id of the test.
        arguments: plugins, and what names the test to pytest.
        options: values of `pytest.Config.option`.
        coverage: keyword arguments of `coverage.Coverage`, or None.
        over: when it is to end, and the tracebacks of all threads be written, by `time.monotonic`; or None.
        worker: what pytest-xdist has told its worker, or None.
        junit: the family of the file that ``--junitxml`` makes, or None.
        logs: whether there is a file of ``--log-file``.
    """

    node: str
    arguments: list[str]
    options: dict[str, Any]
    coverage: dict[str, Any] | None
    over: float | None
    worker: dict[str, Any] | None
    junit: str | None
    logs: bool


def main(job: tuple[Any, ...], answer: int) -> None:
    """Run the test."""
    told = Job(*job)
    channel = Channel(answer)
    if told.over is not None:
        _end_at(told.over)
    measured = None
    if told.coverage is not None:
        import coverage  # before all that it is to measure

        measured = coverage.Coverage(data_file=None, messages=False, **told.coverage)
        measured.start()
    try:
        _run(told, channel)
    finally:
        if measured is not None:
            measured.stop()
            channel.send("coverage", _lines(measured.get_data()))


def _end_at(when: float) -> None:
    """Have the tracebacks of all threads written at a time, and the process killed: no interrupted call goes on.

    By a timer of the kernel's: faulthandler's is a thread, which the test would have beside it, and `os.fork` warns of;
    that of `signal.setitimer` is the test's. A process that is forked has none of it, and a program that is executed.
    """
    try:
        import ctypes
    except ImportError:  # a Python that was built without libffi: the one outside ends it
        return
    faulthandler.register(OVER, file=os.dup(2), chain=True)
    library = ctypes.CDLL(None)
    if not hasattr(library, "timer_create"):  # a glibc before 2.34
        library = ctypes.CDLL("librt.so.1")
    timer = ctypes.c_void_p()
    event = struct.pack("Pii48x", 0, OVER, _SIGEV_SIGNAL)
    seconds, rest = divmod(when, 1)
    expiry = struct.pack("4l", 0, 0, int(seconds), int(rest * 1e9))
    library.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(timer))
    library.timer_settime(timer, _TIMER_ABSTIME, expiry, None)


def _run(job: Job, channel: Channel) -> None:
    try:
        config = pytest.Config.fromdictargs(job.options, job.arguments)
        if job.worker is not None:
            config.workerinput = job.worker  # type: ignore[attr-defined]
        reruns = config.pluginmanager.get_plugin("rerunfailures")
        if reruns is not None:  # it counts for itself: the server of its session, which it would ask, is not in here
            reruns.HAS_PYTEST_HANDLECRASHITEM = False
        if job.junit is not None:
            junit: Any = JUnit(job.junit, channel)
            config.stash[xml_key] = junit
            config.pluginmanager.register(junit)  # pytest unregisters it in the end
        config.pluginmanager.register(Reporter(config, job, channel))
        config.hook.pytest_cmdline_main(config=config)
    except pytest.UsageError as error:
        channel.send("problem", "\n".join(map(str, error.args)))


def _lines(data: Any) -> dict[str, Any]:
    """Return what was run, by file: lines, or pairs of them with branches."""
    get = data.arcs if data.has_arcs() else data.lines
    return {file: sorted(get(file) or ()) for file in data.measured_files()}


class Channel:
    """What goes out; of a process that the test has forked, nothing."""

    def __init__(self, fd: int) -> None:
        """Write where nobody else does."""
        self._file = open(fd, "wb", buffering=0)  # noqa: SIM115 (until the end)
        self._owner = os.getpid()

    def send(self, kind: str, value: Any) -> None:
        """Write one line."""
        if os.getpid() == self._owner:
            self._file.write(json.dumps([kind, value], default=repr).encode() + b"\n")


class Shown(io.TextIOBase):
    """A file: what is written to it is for the session outside."""

    def __init__(self, kind: str, send: Callable[[str, Any], None]) -> None:
        """Send nothing yet."""
        self._kind = kind
        self._send = send

    def write(self, text: str) -> int:
        """Send it."""
        self._send(self._kind, text)
        return len(text)


def check_attribute(name: str) -> None:
    """Refuse what is no attribute that a test may give its case, inside and outside: those that say which one it is.

    Raises:
        ValueError: it is none.
    """
    __tracebackhide__ = True
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII) or name.lower() in _OF_PYTEST:
        raise ValueError(f"record_xml_attribute of a sandboxed test does not take {name!r}")


class JUnit:
    """Stands for the `LogXML` of the session outside, for the fixtures that write to it."""

    def __init__(self, family: str, channel: Channel) -> None:
        """Send nothing yet."""
        self.family = family
        self._send = channel.send

    def add_global_property(self, name: str, value: object) -> None:
        """Send what `record_testsuite_property` is given.

        Raises:
            TypeError: the name is no text.
        """
        __tracebackhide__ = True
        if not isinstance(name, str):
            raise TypeError(f"name parameter needs to be a string, but {type(name).__name__} given")
        self._send("property", [name, str(value)])

    def node_reporter(self, _of_the_test: object) -> JUnit:
        """Return what has `add_attribute`."""
        return self

    def add_attribute(self, name: str, value: object) -> None:
        """Send what `record_xml_attribute` is given.

        Raises:
            ValueError: it is no attribute that a test may have.
        """
        __tracebackhide__ = True
        check_attribute(str(name))
        self._send("attribute", [str(name), str(value)])


class Reporter:
    """A plugin that sends what pytest reports."""

    def __init__(self, config: pytest.Config, job: Job, channel: Channel) -> None:
        """Send nothing yet."""
        self._config = config
        self._node = job.node
        self._logs = job.logs
        self._send = channel.send
        self._is_under_way = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Have pytest write nothing for people: the one outside does."""
        logs: Any = config.pluginmanager.get_plugin("logging-plugin")
        if logs is not None and self._logs:
            logs.log_file_handler.setStream(Shown("logged", self._send_meanwhile))
        if not config.pluginmanager.has_plugin("terminalreporter"):
            return
        reporter: Any = config.pluginmanager.unregister(name="terminalreporter")
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end)
        config.pluginmanager.register(type(reporter)(config, nowhere), "terminalreporter")
        # What others write in the course of the test, as --setup-show does, and live logs.
        shown: Any = type(reporter)(config, cast("TextIO", Shown("shown", self._send_meanwhile)))
        config.get_terminal_writer = lambda: shown._tw  # type: ignore[method-assign]  # noqa: SLF001
        if logs is not None and isinstance(logs.log_cli_handler, logging.StreamHandler):
            logs.log_cli_handler.setStream(shown)

    def _send_meanwhile(self, kind: str, value: Any) -> None:
        """Send what is of the test; what is of the session is told outside."""
        if self._is_under_way:
            self._send(kind, value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Send what is written from now on."""
        self._is_under_way = True

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Send no more of it."""
        self._is_under_way = False

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> object:
        """Have pytest-timeout end the test by a signal: a thread of its own would end all, without a report."""
        if settings.method == "signal":
            return None
        hook = self._config.hook.pytest_timeout_set_timer
        return hook(item=item, settings=settings._replace(method="signal"))

    def pytest_enter_pdb(self) -> None:
        """Refuse to wait for somebody who cannot answer."""
        pytest.fail("no debugger reaches a sandboxed test", pytrace=False)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Leave the one test, whatever others select: they have done so outside."""
        found = [item for item in items if item.nodeid == self._node]
        if not found:
            self._send("problem", f"inside there is no {self._node}, but {[item.nodeid for item in items]}")
        yield
        items[:] = found[:1]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell why a file cannot be imported."""
        if report.failed:
            self._send("problem", report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Tell what went wrong in pytest."""
        self._send("problem", str(excrepr))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell that the test has ended the session, and by what."""
        raised = excinfo.value
        if isinstance(raised, pytest.Session.Interrupted):
            self._send("stop", str(raised))
        elif not self._is_under_way:  # not the test, but what makes it ready in here
            self._send("problem", f"it ended the session by {excinfo.exconly()}")
        elif isinstance(raised, pytest.exit.Exception):
            self._send("exit", [raised.msg, raised.returncode])
        else:
            self._send("interrupt", str(getattr(excinfo.getrepr(), "reprcrash", "")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send("report", data)

    def pytest_warning_recorded(self, warning_message: Any, when: str, location: tuple[str, int, str] | None) -> None:
        """Send a warning of the test; what concerns the session is told outside."""
        if when == "runtest":
            kind = warning_message.category
            told = (str(warning_message.message), kind.__module__, kind.__qualname__)
            place = (warning_message.filename, warning_message.lineno)
            # Outside, no file is read that something in here names.
            line = linecache.getline(*place) if warning_message.line is None else warning_message.line
            self._send("warning", [*told, *place, line, location])
