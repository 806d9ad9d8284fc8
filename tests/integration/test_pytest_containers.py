"""The fixtures `container` and `container_session` of the pytest plugin, each in a pytest of its own."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

import pycgroups as pc

# pytester forgets what is imported in a session of its own; these hold what must not be loaded twice.
from pycgroups.containers import container, opening
from pycgroups.containers.home import TRACES
from pycgroups.pytest_plugin import held, marker
from tests.boxes import put
from tests.images import Image, tar

assert all((container, held, marker, opening))

pytestmark = [pytest.mark.requires("userns")]
slow_in_vm = pytest.mark.slow_in_vm("starts a pytest, and nothing of it depends on cgroups")


@pytest.fixture
def directory(store):
    """The directory of the store; all tests of the inner pytest have their containers there."""
    return store.containers._root


@pytest.fixture
def pytests(pytester, monkeypatch, directory, root):
    """Run pytest on a file, where ROOT is a root file system; returns what it says."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*arguments, code, apart=False):
        pytester.makepyfile(test_it=f"ROOT = {str(root)!r}\n{textwrap.dedent(code)}")
        given = ("-p", "no:hypothesispytest", "-p", "no:faulthandler", f"--pycgroups-store={directory}", *arguments)
        return (pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess)(*given)

    return run


def left(store):
    """All that is in a store of runs of pytest."""
    containers = [each.name for each in store.containers.list(all=True)]
    return [*containers, *os.listdir(f"{store.containers._root}/pytest")]


def said(result):
    return result.stdout.str() + result.stderr.str()


HELD = """
import pytest
import pycgroups as pc

names = []

@pytest.fixture
def sleeper(container):
    return container(["sleep", "1000"], rootfs=ROOT, name="sleeper", labels={"a": "b"})

def test_a(container, sleeper):
    assert isinstance(sleeper, pc.Container) and sleeper.status == "running"
    assert sleeper.name == "sleeper" and sleeper.labels["a"] == "b"
    assert sleeper.exec(["echo", "hello"], text=True).stdout == "hello\\n"
    assert container(["sleep", "1000"], rootfs=ROOT, restart="always", detach=True).detached
    container(["true"], rootfs=ROOT).remove(force=True)
    with pytest.raises(pc.Error, match="nothing-there"):
        container(["nothing-there"], rootfs=ROOT, name="again")
    container(["sleep", "1000"], rootfs=ROOT, name="again")

def test_b(sleeper):
    assert sleeper.status == "running"

def test_fails(container, sleeper):
    ended = container(["sh", "-c", "echo said; echo complained >&2; exit 3"], rootfs=ROOT, name="ended")
    ended.wait(timeout=60)
    container(["true"], rootfs=ROOT, name="gone").remove(force=True)
    assert not "yet"

@pytest.fixture
def broken(sleeper):
    assert not "set up"

def test_broken(broken):
    pass
"""


@slow_in_vm
def test_containers_are_removed_at_the_end_of_the_test_and_shown_when_it_failed(pytests, store):
    result = pytests("-q", code=HELD)
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_broken*",
            "*- container: sleeper -*",
            "running",
            "*_ test_fails _*",
            "*- container: sleeper -*",
            "running",
            "*- container: ended -*",
            "exited with 3",
        ]
    )
    assert {"said", "complained", "removed"} <= set(said(result).splitlines())
    assert left(store) == []


STOPPED = """
import os, signal
import pytest

def test_it(container):
    container(["sleep", "1000"], rootfs=ROOT)
    HOW

def test_next(container):
    assert False
"""


@slow_in_vm
@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", "pytest.exit('enough')"])
def test_interrupted_it_leaves_nothing(how, pytests, store):
    result = pytests("-q", code=STOPPED.replace("HOW", how), apart=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert left(store) == []


@slow_in_vm
def test_what_a_killed_run_leaves_the_next_one_removes(pytests, store):
    code = STOPPED.replace("HOW", "container(['sleep', '1000'], rootfs=ROOT, detach=True); os.kill(os.getpid(), 9)")
    assert pytests("-q", code=code, apart=True).ret == -signal.SIGKILL
    assert len(left(store)) == 3
    mine = store.containers.create(["true"], image="host", labels={"pycgroups.pytest.other": "1"})
    pytests("-q", "-k", "next", code=STOPPED).assert_outcomes(failed=1, deselected=1)
    assert left(store) == [mine.name]


@slow_in_vm
def test_options_are_those_of_the_session(pytests, pytester, store):
    put(store.images, Image(tar(("etc/of", b"the image")), Cmd=["none"]), "box:1")
    pytester.makeini("[pytest]\npycgroups_image = box:1\npycgroups_network = host\npycgroups_timeout = 3\n")
    code = """
    def test_it(container, container_session):
        for make in (container, container_session):
            config = make(["sleep", "1000"], rootfs=ROOT).config
            assert (config.network, config.timeout, config.image) == ("none", None, None)
    """
    pytests("--pycgroups-network=none", "--pycgroups-disk=1M", code=code).assert_outcomes(passed=1)
    code = """
    import pytest
    import pycgroups as pc
    def test_it(container):
        with pytest.raises(pc.Error):
            container(["nothing-there"])
        assert container.made[0].options["image"] == "box:1"
    """
    pytests(code=code).assert_outcomes(passed=1)
    assert left(store) == []


@pytest.mark.requires("limits")
def test_a_limit_is_told(pytests):
    code = """
    def test_it(container):
        made = container(["sh", "-c", "tail /dev/zero"], rootfs=ROOT)
        assert made.wait(timeout=60) == 0
    """
    result = pytests("-q", "--pycgroups-memory=16M", code=code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["out of memory, with memory=16M"])


# -- for the session


SHARED = """
import contextlib, os, time
import pytest
import pycgroups as pc

@pytest.fixture(scope="session")
def database(container_session):
    return container_session(["sleep", "1000"], rootfs=ROOT, name="db")

@pytest.fixture(scope="session")
def own(container_session):
    return container_session(["sleep", "1000"], rootfs=ROOT)

def note(word, text):
    with open(os.path.join(HERE, word), "a") as file:
        file.write(f"{text}\\n")

def meet(count):
    note("here", os.getpid())
    deadline = time.monotonic() + 60
    while len(set(open(os.path.join(HERE, "here")))) < count and time.monotonic() < deadline:
        time.sleep(0.01)

@pytest.mark.parametrize("number", range(4))
def test_it(number, database, own):
    meet(2)
    note("shared", database.id)
    note("own", own.id)
    assert database.status == own.status == "running"
    assert database.exec(["true"]).returncode == 0
"""


@slow_in_vm
def test_workers_share_a_container_that_has_a_name(pytests, store, tmp_path):
    result = pytests("-n2", code=f"HERE = {str(tmp_path)!r}\n{SHARED}", apart=True)
    result.assert_outcomes(passed=4)
    words = {name: set((tmp_path / name).read_text().split()) for name in ("here", "shared", "own")}
    assert {name: len(found) for name, found in words.items()} == {"here": 2, "shared": 1, "own": 2}
    assert left(store) == []


@slow_in_vm
def test_a_worker_that_crashes_takes_no_shared_container_with_it(pytests, store, tmp_path):
    code = f"""
HERE = {str(tmp_path)!r}
{SHARED}

@pytest.mark.parametrize("number", range(6))
def test_crash(number, database):
    note("shared", database.id)
    meet(2)
    with contextlib.suppress(FileExistsError), open(os.path.join(HERE, "crashed"), "x"):  # the first of two
        os.kill(os.getpid(), 9)
    meet(3)
    assert database.exec(["true"]).returncode == 0
"""
    result = pytests("-n2", "-k", "test_crash", code=code, apart=True)
    result.assert_outcomes(passed=5, failed=1)
    assert "crashed while running" in said(result)
    assert len(set((tmp_path / "shared").read_text().split())) == 1
    assert left(store) == []


@slow_in_vm
def test_a_name_stands_for_one_container_of_a_run(pytests, store):
    code = """
    import pytest
    import pycgroups as pc

    def test_it(container_session):
        first = container_session(["sleep", "1000"], rootfs=ROOT, name="db", caps_drop={"CHOWN", "FOWNER"})
        again = container_session(["sleep", "1000"], rootfs=ROOT, name="db", caps_drop={"FOWNER", "CHOWN"})
        assert first == again and first.name.startswith("db-")
        with pytest.raises(pc.StateError, match="container_session db.*other options"):
            container_session(["sleep", "1"], rootfs=ROOT, name="db")
        with pytest.raises(pc.StateError, match="container_session db.*other options"):
            container_session(["sleep", "1000"], rootfs=ROOT, name="db", restart="always")

    def test_fails(container_session):
        assert not "well"
    """
    result = pytests(code=code)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- container: db-* -*", "running"])
    assert left(store) == []


def test_who_finds_it_half_made_starts_it(store, root):
    from pycgroups.pytest_plugin.held import SessionFactory
    from pycgroups.pytest_plugin.runs import Run

    runs = [Run("0123456789", store.containers._root) for _ in range(2)]
    factories = [SessionFactory(run, {"rootfs": str(root)}) for run in runs]
    try:
        first = factories[0](["sleep", "1000"], name="db")
        first.stop(timeout=0)
        assert factories[1](["sleep", "1000"], name="db").status == "stopped"  # it has had its run
        for path in ("run.json", *TRACES):
            Path(first.inspect()["directory"], path).unlink(missing_ok=True)
        assert factories[1](["sleep", "1000"], name="db").status == "running"
        factories[0].close()
        runs[0].close()
        assert first.status == "running"
        factories[1].close()
    finally:
        runs[1].close()
    with pytest.raises(pc.NotFound):
        first.inspect()
