"""What every test shares: the ``requires`` marker, the leak check, and the counts for `tests.worlds`."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from pycgroups.runtime.signals import HANDED_ON
from tests import leaks
from tests.worlds import features
from tests.worlds.__main__ import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator

WORLD = os.environ.get("PYCGROUPS_TEST_WORLD", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long as well")


def pytest_sessionstart() -> None:
    # Ignored in what a shell without job control starts in the background, as the virtual machine does with us, and
    # by nohup(1).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # AddressSanitizer has to come first in a process that loads instrumented code (make test-asan), but other programs
    # that tests start would need many times their memory with it.
    os.environ.pop("LD_PRELOAD", None)
    broken = [reason for feature in features.PROMISES.get(WORLD, ()) if (reason := features.lack(feature))]
    if broken:
        pytest.exit(f"the world {WORLD} is not what it promises to be: {'; '.join(broken)}", returncode=3)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("requires"):
            if unknown := set(marker.args) - set(features.FEATURES):
                raise pytest.UsageError(f"{item.nodeid} requires unknown features: {unknown}")
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        for feature in marker.args:
            if reason := features.lack(feature):
                pytest.skip(reason)
    slow = item.get_closest_marker("slow_in_vm")
    if slow and features.IN_VM and not item.config.getoption("--long"):
        pytest.skip(f"slow in the virtual machine: {' '.join(slow.args)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell `tests.worlds` what came of this session."""
    if not WORLD:
        return
    stats = {kind: len(reports) for kind, reports in terminalreporter.stats.items()}
    failures = [
        f"{report.nodeid} ({report.when})"
        for kind in ("failed", "error")
        for report in terminalreporter.stats.get(kind, [])
    ]
    counts = {
        "passed": stats.get("passed", 0),
        "failed": len(failures),
        "skipped": stats.get("skipped", 0) + stats.get("xfailed", 0),
        "failures": failures,
    }
    terminalreporter.ensure_newline()
    terminalreporter.write_line(COUNTS + json.dumps(counts))


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = leaks.holdings()
    yield
    left = leaks.left_behind(before)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    """Commands that a test calls in this process stay at their signals, and the next test sends some to itself."""
    before = {number: signal.getsignal(number) for number in HANDED_ON}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
