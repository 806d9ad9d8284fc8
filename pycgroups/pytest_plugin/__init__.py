"""The pytest plugin: the fixtures `sandbox`, `container` and `container_session`, and the marker `sandboxed`.

words.py     options from the command line and the ini file; the verdict in words
fixture.py   what `sandbox` is: runs of programs, and calls of functions
held.py      what `container` and `container_session` are: containers that are held
runs.py      which processes and containers belong together
marker.py    a marked test: its item is run by another pytest, in a container
inside.py    that pytest

pytest loads this file in every session where pycgroups is installed; the others are loaded when they are needed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from pycgroups.pytest_plugin import fixture, held, runs
    from pycgroups.pytest_plugin.fixture import Sandbox
    from pycgroups.pytest_plugin.held import ContainerFactory

__all__ = ["ContainerFactory", "Sandbox", "container", "container_session", "sandbox"]

_OPTIONS = {
    "memory": "bytes of memory, such as 256M",
    "cpus": "CPU time per time, such as 1.5",
    "pids": "processes and threads at once",
    "disk": "bytes that may be written, such as 100M",
    "timeout": "seconds; 60 unless it is given, 0 for none",
    "network": '"none", which is usual, or "host"',
}
_HELD = {
    "image": 'of each container of the fixtures container and container_session: its image, such as debian:13; "host"',
    "store": "directory of the store of the fixtures container and container_session, seen from rootdir",
}
_LIMITS = tuple(word for word in _OPTIONS if word != "timeout")
_MARKER = (
    "sandboxed(memory=, cpus=, pids=, timeout=, network=, ...): run the test in a container of the host's root file "
    "system, with the options of pycgroups.run that a container has"
)
_APART = (
    "a sandboxed test makes no containers: the fixtures sandbox, container and container_session do not work in one; "
    "leave out the fixture, or the marker sandboxed"
)
_RUNS = pytest.StashKey[list["fixture.Run"]]()
_MADE = pytest.StashKey[list["held.Made"]]()
_TIMER = pytest.StashKey[float]()
_SHOWN = 5


def __getattr__(name: str) -> Any:
    """Load the classes of the fixtures for whoever asks for them (PEP 562)."""
    if name == "Sandbox":
        from pycgroups.pytest_plugin.fixture import Sandbox

        return Sandbox
    if name == "ContainerFactory":
        from pycgroups.pytest_plugin.held import ContainerFactory

        return ContainerFactory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the usual limits be given in the ini file, as pycgroups_memory, or on the command line."""
    group = parser.getgroup("pycgroups", "containers for tests (pycgroups)")
    usual = {word: f"of each container of the fixtures and of sandboxed tests: {of}" for word, of in _OPTIONS.items()}
    for word, about in (usual | _HELD).items():
        group.addoption(f"--pycgroups-{word}", metavar=word.upper(), help=about)
        parser.addini(f"pycgroups_{word}", about, default="")
    about = "names of environment variables that sandboxed tests get, beside those of Python, pytest and the language"
    parser.addini("pycgroups_env", about, type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what cannot be, before anything is run.

    Raises:
        UsageError: a debugger is wanted for tests that no terminal reaches.
    """
    config = session.config
    if not any(config.getoption(name, default=False) for name in ("usepdb", "trace")):
        return
    marked = next((item.nodeid for item in session.items if _is_sandboxed(item)), None)
    if marked is not None:
        raise pytest.UsageError(
            f"no debugger reaches a sandboxed test, as {marked} is: leave out --pdb and --trace, or run "
            'the others with -m "not sandboxed"'
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test in a container."""
    if not _is_sandboxed(item):
        return None
    from pycgroups.pytest_plugin import marker

    marker.protocol(item, nextitem, tuple(_OPTIONS), item.stash.get(_TIMER, None))
    return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Leave the timer of pytest-timeout to the pytest inside, which knows where the test is; remember its length."""
    if not _is_sandboxed(item):
        return None
    item.stash[_TIMER] = float(settings.timeout)
    return True


def _is_sandboxed(item: pytest.Item) -> bool:
    """Tell whether a test is to go into a container: not if it is there, and not to be skipped there."""
    if item.get_closest_marker("sandboxed") is None or item.get_closest_marker("skip") is not None:
        return False
    return not _is_inside(item.config)


def _is_inside(config: pytest.Config) -> bool:
    return bool(config.getoption("pycgroups_inside", default=False))


def _refuse_inside(config: pytest.Config) -> None:
    """Fail at once where containers would, later, and for reasons that are none."""
    if _is_inside(config):
        pytest.fail(_APART, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show in the report of a failure what came of the last runs, and of the containers that the test has."""
    report = yield
    if report.failed:
        report.sections += [(f"sandbox: {run.name}", run.verdict()) for run in item.stash.get(_RUNS, [])[-_SHOWN:]]
        made = item.stash.get(_MADE, [])
        if "container_session" in getattr(item, "fixturenames", ()):
            made = item.session.stash.get(_MADE, []) + made
        report.sections += [(f"container: {one.name}", one.verdict()) for one in made[-_SHOWN:]]
    return report


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Run programs and call Python functions, each in a container of its own; see `Sandbox`."""
    _refuse_inside(request.config)
    from pycgroups.pytest_plugin import words
    from pycgroups.pytest_plugin.fixture import Sandbox, Scratch

    made = Sandbox(words.defaults(request.config, tuple(_OPTIONS)), Scratch(lambda: tmp_path_factory.mktemp("sandbox")))
    request.node.stash[_RUNS] = made.runs
    return made


@pytest.fixture(scope="session")
def _pycgroups_run(request: pytest.FixtureRequest) -> Generator[runs.Run]:
    """Remove, with the last process of the run, what it has left."""
    _refuse_inside(request.config)
    from contextlib import closing

    from pycgroups.pytest_plugin import runs, words

    worker: dict[str, Any] = getattr(request.config, "workerinput", {})
    store = words.given(request.config, ["store"]).get("store")
    root = "" if store is None else str(request.config.rootpath / store)
    with closing(runs.Run(worker.get("testrunuid") or os.urandom(16).hex(), root)) as run:
        yield run


@pytest.fixture
def container(request: pytest.FixtureRequest, _pycgroups_run: runs.Run) -> Generator[ContainerFactory]:
    """Make and start containers that the test holds; they are removed at its end. See `ContainerFactory`."""
    from contextlib import closing

    from pycgroups.pytest_plugin import words
    from pycgroups.pytest_plugin.held import ContainerFactory

    factory = ContainerFactory(_pycgroups_run, words.held(request.config, _LIMITS))
    request.node.stash[_MADE] = factory.made
    with closing(factory):
        yield factory


@pytest.fixture(scope="session")
def container_session(request: pytest.FixtureRequest, _pycgroups_run: runs.Run) -> Generator[ContainerFactory]:
    """Make and start containers for the whole run; one with a name is shared by all tests, and by all workers."""
    from contextlib import closing

    from pycgroups.pytest_plugin import words
    from pycgroups.pytest_plugin.held import SessionFactory

    factory = SessionFactory(_pycgroups_run, words.held(request.config, _LIMITS))
    request.session.stash[_MADE] = factory.made
    with closing(factory):
        yield factory
