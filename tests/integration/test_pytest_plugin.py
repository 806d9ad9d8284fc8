"""The pytest plugin: the marker `sandboxed` and the fixture `sandbox`, each in a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from xml.etree import ElementTree as ET

import pytest

# pytester forgets what is imported in a session of its own; these hold what must not be loaded twice.
from pycgroups.pytest_plugin import fixture, marker
from tests.worlds import features

assert fixture
assert marker

pytestmark = [pytest.mark.requires("userns")]
slow_in_vm = pytest.mark.slow_in_vm("starts a pytest, and others in containers")


@pytest.fixture
def pytests(pytester, monkeypatch):
    """Run pytest on some files, and return what it says."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*arguments, **files):
        if files:
            pytester.makepyfile(**files)
        return pytester.runpytest_inprocess("-p", "no:hypothesispytest", "-p", "no:faulthandler", *arguments)

    return run


def said(result):
    return result.stdout.str() + result.stderr.str()


# -- the marker


REPORTED = """
import os, socket, warnings
import pytest

pytestmark = pytest.mark.sandboxed

@pytest.fixture(scope="session", autouse=True)
def noted(tmp_path_factory):
    path = tmp_path_factory.mktemp("noted") / "file"
    path.write_text("noted inside")
    return path

class TestPlace:
    @pytest.fixture(autouse=True)
    def number(self):
        self.number = 17

    @pytest.mark.parametrize("word", ["a[b]::c", "\\u00e9"])
    def test_is_a_container(self, word, noted, tmp_path, record_property):
        assert os.getpid() != OUTSIDE and os.getcwd() == CWD
        assert noted.read_text() == "noted inside" and self.number == 17
        (tmp_path / "file").write_text(word)
        with pytest.raises(OSError, match="Read-only"):
            open(__file__, "a")
        assert socket.if_nameindex() == [(1, "lo")]
        assert "A_SECRET" not in os.environ and os.environ["A_FLAG"] == "7"
        record_property("word", word)
        warnings.warn("mind " + word, DeprecationWarning)

def test_fails():
    print("printed inside")
    numbers = [1, 2]
    assert numbers == [1, 3]

@pytest.mark.skipif(True, reason="not now")
def test_skips():
    pass

@pytest.mark.xfail(reason="known")
def test_xfails():
    assert not "yet"

@pytest.mark.skip(reason="never")
def test_never():
    pass
"""


@slow_in_vm
def test_a_sandboxed_test_is_reported_as_any_other(pytests, pytester, monkeypatch):
    monkeypatch.setenv("A_SECRET", "4711")
    monkeypatch.setenv("A_FLAG", "7")
    pytester.makeini("[pytest]\npycgroups_env = A_FL*\njunit_family = xunit1\n")
    facts = f"OUTSIDE = {os.getpid()}\nCWD = {str(pytester.path)!r}\n"
    result = pytests("-ra", "--strict-markers", "--junitxml=junit.xml", test_it=facts + REPORTED)
    result.assert_outcomes(passed=2, failed=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert numbers == [[]1, 3[]]",
            "E         At index 1 diff: 2 != 3",
            "test_it.py:35: AssertionError",
            "*Captured stdout call*",
            "printed inside",
            "*- sandbox -*",
            "exited with 0",
            "used: * of memory, * s of CPU time in * s*",
            "*test_it.py:*DeprecationWarning: mind a[[]b[]]::c",
            "SKIPPED [[]1[]] test_it.py:37: not now",
            "SKIPPED [[]1[]] test_it.py:45: never",
            "XFAIL test_it.py::test_xfails - known",
            "FAILED test_it.py::test_fails - assert [[]1, 2[]] == [[]1, 3[]]",
        ]
    )
    assert '<property name="word" value="a[b]::c"' in (pytester.path / "junit.xml").read_text()
    assert sorted(path.name for path in pytester.path.iterdir() if path.name != "__pycache__") == [
        ".pytest_cache",
        "junit.xml",
        "test_it.py",
        "tox.ini",
    ]


@slow_in_vm
def test_what_is_recorded_for_junit_is_in_its_file(pytests, pytester):
    code = """
    import pytest

    @pytest.mark.sandboxed
    @pytest.mark.parametrize("word", ["a::b"])
    def test_it(word, record_testsuite_property, record_xml_attribute, record_property):
        record_testsuite_property("suite", "<&>")
        record_xml_attribute("assertions", 3)
        record_property("word", word)
        with pytest.raises(TypeError, match="name parameter"):
            record_testsuite_property(3, 3)
    """
    pytests("--junitxml=junit.xml", "-o", "junit_family=xunit1", test_it=code).assert_outcomes(passed=1, warnings=1)
    suite = ET.parse(pytester.path / "junit.xml").getroot()[0]
    assert [one.attrib for one in suite.findall("properties/property")] == [{"name": "suite", "value": "<&>"}]
    (case,) = suite.findall("testcase")
    assert case.attrib["assertions"] == "3"
    assert [one.attrib for one in case.findall("properties/property")] == [{"name": "word", "value": "a::b"}]
    assert suite.attrib["tests"] == "1"
    pytests().assert_outcomes(passed=1, warnings=1)


@slow_in_vm
def test_what_says_which_case_it_is_cannot_be_recorded(pytests):
    code = """
    import pytest
    @pytest.mark.sandboxed
    @pytest.mark.parametrize("name", ["classname", "a b"])
    def test_it(name, record_xml_attribute):
        record_xml_attribute(name, "other")
    """
    result = pytests("--junitxml=junit.xml", "-o", "junit_family=xunit1", test_it=code)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E * ValueError: record_xml_attribute of a sandboxed test does not take 'classname'"])


@slow_in_vm
def test_what_steers_the_terminal_is_shown_and_the_log_goes_on(pytests, pytester):
    code = r"""
    import logging, warnings
    import pytest
    pytestmark = pytest.mark.sandboxed
    def test_a():
        logging.warning("\x1b[2J\ud800 logged")
        warnings.warn("\x1b[2J warned")
        print("\x1b[2J printed")
        assert False, "\x1b[2J told"
    def test_b():
        logging.warning("next")
    """
    result = pytests("--log-file=log", "--log-cli-level=INFO", "-v", test_it=code)
    result.assert_outcomes(passed=1, failed=1, warnings=1)
    assert "\x1b[2J" not in said(result)
    for word in ("printed", "told", "warned"):
        assert rf"\x1b[2J {word}" in said(result)
    assert r'warnings.warn("' in said(result)
    log = (pytester.path / "log").read_text()
    assert r"\x1b[2J\ud800 logged" in log
    assert "next" in log


@slow_in_vm
def test_more_than_can_be_read_is_a_failure(pytests, monkeypatch):
    monkeypatch.setattr(marker, "_LARGEST", 1 << 18)
    code = """
    import pytest
    @pytest.mark.sandboxed
    @pytest.mark.parametrize("size", [1, 18])
    def test_it(size):
        print("x" * (1 << size))
    """
    result = pytests(test_it=code)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["the test cannot be run in a container: * it answered with * bytes, more than 262144"])


@slow_in_vm
@pytest.mark.parametrize("flag", ["--setup-show", "--setup-only", "--setup-plan"])
def test_fixtures_of_a_sandboxed_test_are_shown(flag, pytests):
    code = """
    import pytest
    @pytest.fixture(scope="session")
    def of_session(): pass
    @pytest.fixture(params=[7])
    def of_test(request, of_session): pass
    MARKER
    def test_it(of_test): pass
    """

    def shown(marker):
        lines = pytests(flag, test_it=code.replace("MARKER", marker)).outlines
        return [line for line in lines if re.match(r"(SETUP|TEARDOWN| |\.)", line)]

    plain = shown("")
    assert len(plain) >= 5
    assert shown("@pytest.mark.sandboxed") == plain


@slow_in_vm
@pytest.mark.requires("limits")
def test_a_limit_is_told_in_the_failure(pytests):
    code = """
    import subprocess, sys, threading
    import pytest

    @pytest.mark.sandboxed(memory="200M")
    def test_memory():
        bytearray(1 << 30)

    @pytest.mark.sandboxed(pids=8)
    def test_pids():
        for _ in range(20):
            threading.Thread(target=threading.Event().wait, daemon=True).start()

    @pytest.mark.sandboxed(memory="200M")
    def test_copes():
        code = subprocess.call([sys.executable, "-c", "bytearray(1 << 30)"])
        assert code == -9
    """
    result = pytests(test_it=code)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "out of memory, with memory=200M: the test did not come to its end",
            "hit its limit memory=200M * time*",
            "*RuntimeError: can't start new thread",
            "hit its limit pids=8 * time*",
            "FAILED test_it.py::test_memory - Failed: out of memory, with memory=200M: *",
        ]
    )


BROKEN = """
import ctypes, os, signal, time
import pytest

pytestmark = pytest.mark.sandboxed

@pytest.mark.sandboxed(timeout=TIMEOUT)
def test_hangs():
    os.write(2, b"lost")
    ctypes.CDLL(None).sleep(1000)  # which a signal ends

def test_leaves():
    os._exit(3)

def test_dies():
    os.kill(os.getpid(), signal.SIGSEGV)

@pytest.fixture
def late():
    yield
    os._exit(0)

def test_in_the_end(late):
    pass

@pytest.mark.sandboxed(image="debian:13")
def test_image():
    pass

@pytest.mark.sandboxed(colour="red")
def test_option():
    pass

@pytest.mark.sandboxed(memory="lots")
def test_size():
    pass
"""


@slow_in_vm
def test_what_does_not_come_to_its_end_is_a_failure_and_the_session_goes_on(pytests):
    timeout = "40" if features.IN_VM else "4"
    result = pytests(test_it=BROKEN.replace("TIMEOUT", timeout))
    result.assert_outcomes(passed=1, failed=6, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_in_the_end*",
            "exited with 0: the test did not come to its end",
            f"timeout={timeout} seconds were over, and all its processes were killed: the test did not come to its end",
            "*- Output of the test's process -*",
            "Current thread 0x* (most recent call first):",
            '  File "*test_it.py", line 9 in test_hangs',
            "*- sandbox -*",
            "exited with 3: the test did not come to its end",
            "killed by SIGSEGV: the test did not come to its end",
            "the test cannot be run in a container: *image*'debian:13'*",
            "the test cannot be run in a container: sandboxed() does not take colour: *",
            "the test cannot be run in a container: option memory: got 'lots'*",
        ]
    )
    assert "_pytest/runner.py" not in said(result)
    assert "INTERNALERROR" not in said(result)


@slow_in_vm
def test_what_is_killed_may_be_expected_to_fail_and_hooks_look_for_its_fixtures_in_vain(pytests, pytester):
    pytester.makeconftest(
        """
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item):
            report = yield
            if report.failed:
                item.funcargs["tmp_path"]
            return report
        """
    )
    code = """
    import os, pytest
    pytestmark = pytest.mark.sandboxed

    def test_dies(tmp_path): os._exit(3)
    @pytest.mark.xfail(reason="known")
    def test_known(): os._exit(3)
    @pytest.mark.xfail(raises=ValueError)
    def test_other(): os._exit(3)
    def test_after(): pass
    """
    result = pytests("-rx", test_it=code)
    result.assert_outcomes(passed=1, failed=2, xfailed=1)
    result.stdout.fnmatch_lines(
        ["exited with 3: the test did not come to its end", "XFAIL test_it.py::test_known - known*"]
    )


@slow_in_vm
def test_logs_are_shown_live_and_written_to_the_file(pytests, pytester):
    code = """
    import logging
    import pytest
    @pytest.fixture
    def made():
        logging.info("set up")
    MARKER
    def test_it(made, caplog):
        logging.getLogger("a").info("seen")
        logging.getLogger("a").debug("unseen")
        assert "seen" in caplog.text
    """
    pytester.makeconftest("import logging\ndef pytest_sessionstart(): logging.getLogger('c').warning('starts')")
    flags = ("--log-level=DEBUG", "--log-cli-level=INFO", "--log-file=log", "--log-file-level=INFO")

    def logged(marker):
        lines = pytests(*flags, test_it=code.replace("MARKER", marker)).outlines
        shown = [line for line in lines if re.match(r"-+ live log|INFO|WARNING|PASSED|test_it.py::", line)]
        return shown, (pytester.path / "log").read_text()

    plain = [re.sub(r"test_it.py:\d+", "test_it.py", part) for part in map(str, logged(""))]
    assert "live log setup" in plain[0]
    assert "set up" in plain[1]
    marked = map(str, logged("@pytest.mark.sandboxed"))
    assert [re.sub(r"test_it.py:\d+", "test_it.py", part) for part in marked] == plain


@slow_in_vm
def test_subtests_and_a_breakpoint(pytests):
    code = """
    import pytest
    pytestmark = pytest.mark.sandboxed
    def test_parts(subtests):
        with subtests.test("part", number=1):
            assert False
    def test_stops():
        breakpoint()
    """
    result = pytests(test_it=code)
    result.stdout.fnmatch_lines(
        [
            "SUBFAILED[[]part[]] (number=1) test_it.py::test_parts - assert False",
            "FAILED test_it.py::test_parts - contains 1 failed subtest",
            "FAILED test_it.py::test_stops - Failed: no debugger reaches a sandboxed test",
        ]
    )


@slow_in_vm
@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has them from 9 on")
def test_what_is_killed_after_a_subtest_has_failed(pytests):
    code = """
    import os, pytest
    @pytest.mark.sandboxed
    def test_dies(subtests):
        with subtests.test("part"):
            pass
        os._exit(3)
    """
    result = pytests(test_it=code)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_dies - Failed: exited with 3: *", "*1 failed*"])
    assert "ERROR" not in said(result)


TIMED = """
import pytest, signal, time

@pytest.fixture
def slow():
    time.sleep(100)

@pytest.fixture
def ends():
    yield
    print("torn down")

@pytest.mark.sandboxed
@pytest.mark.timeout(1, method="METHOD")
def test_in_call(ends):
    print("printed before")
    time.sleep(100)

@pytest.mark.sandboxed
@pytest.mark.timeout(1, method="METHOD", func_only=True)
def test_function():
    time.sleep(100)

@pytest.mark.sandboxed(timeout=None)
@pytest.mark.timeout(1, method="METHOD")
def test_in_setup(slow): pass

@pytest.mark.sandboxed
@pytest.mark.timeout(1, method="METHOD")
def test_plainly_ignored():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(100)

def test_after(): pass
"""


@slow_in_vm
@pytest.mark.parametrize("method", ["signal", "thread"])
def test_pytest_timeout_shows_where_the_test_was(method, pytests, monkeypatch):
    monkeypatch.setattr(marker, "_LATER", 3.0)
    result = pytests("-p", "timeout", test_it=TIMED.replace("METHOD", method))
    result.assert_outcomes(passed=1, failed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py:5: Failed",
            "*- sandbox -*",
            ">       time.sleep(100)",
            "E       Failed: Timeout (>1.0s) from pytest-timeout.",
            "test_it.py:16: Failed",
            "*- Captured stdout call -*",
            "printed before",
            "*- sandbox -*",
            "exited with 0",
            "*- Captured stdout teardown -*",
            "torn down",
            "test_it.py:21: Failed",
            "timeout=4 seconds were over, and all its processes were killed: the test did not come to its end",
            '  File "*test_it.py", line 31 in test_plainly_ignored',
        ]
    )
    assert "containers/job.py" not in said(result)


@slow_in_vm
@pytest.mark.parametrize(
    ("ends", "code", "passed", "told"),
    [
        ('pytest.exit("enough", returncode=7)', 7, 0, "!* _pytest.outcomes.Exit: enough !*"),
        ('pytest.exit("enough", returncode=0)', 2, 0, "!* _pytest.outcomes.Exit: enough !*"),
        ('pytest.exit("enough", returncode=256)', 2, 0, "!* _pytest.outcomes.Exit: enough !*"),
        ("raise KeyboardInterrupt", 2, 0, "!* KeyboardInterrupt: *test_it.py:6: KeyboardInterrupt !*"),
        ('request.session.shouldstop = "enough"', 2, 1, "!* Interrupted: enough !*"),
    ],
    ids=["exit", "exit-0", "exit-256", "interrupt", "stop"],
)
def test_what_ends_the_session_ends_it(ends, code, passed, told, pytester):
    test = f"""
    import pytest
    @pytest.mark.sandboxed
    def test_before(): pass
    @pytest.mark.sandboxed
    def test_ends(request):
        {ends}
    def test_after(): pass
    """
    pytester.makepyfile(test_it=test)
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1 + passed)
    result.stdout.fnmatch_lines([told])
    assert result.ret == code


@slow_in_vm
def test_a_session_that_does_not_begin_inside_is_a_failed_test(pytests, pytester):
    pytester.makeconftest(
        f"""
        import os, pytest
        def pytest_sessionstart():
            if os.getpid() != {os.getpid()}:
                pytest.exit("no server")
        """
    )
    result = pytests(test_it="import pytest\n@pytest.mark.sandboxed\ndef test_it(): pass\ndef test_next(): pass")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["it ended the session by *Exit: no server"])


@pytest.mark.skipif(features.lack("limits") is None, reason="there are limits here")
def test_a_limit_that_this_host_cannot_enforce_is_a_failure_unless_told(pytests):
    code = """
    import pytest
    @pytest.mark.sandboxed
    def test_none(): pass
    @pytest.mark.sandboxed(require_limits=False)
    def test_told(): assert False
    """
    result = pytests("--pycgroups-memory=1G", test_it=code)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["the test cannot be run in a container: *memory*", "not in force on this host: memory"]
    )


MOUNTED = """
cd "$0" && mkdir lower upper work merged && mv test_it.py lower &&
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && cd merged && exec "$@"
"""


@slow_in_vm
@pytest.mark.requires("root")
def test_code_on_a_file_system_without_idmapped_mounts(scratch):
    code = "import os, pytest\n@pytest.mark.sandboxed\ndef test_it():\n    assert os.getpid() < 10\n"
    (scratch / "test_it.py").write_text(code)
    place = ["unshare", "--mount", "--propagation=private", "sh", "-ec", MOUNTED, scratch]
    command = [*place, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


@slow_in_vm
def test_a_file_that_cannot_be_imported_inside_is_a_failed_test(pytests):
    code = f"""
    import os, pytest
    if os.getpid() != {os.getpid()}:
        import nothing_of_this_name
    @pytest.mark.sandboxed
    def test_it():
        pass
    """
    result = pytests(test_it=code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*import nothing_of_this_name", "E   ModuleNotFoundError: *", "FAILED test_it.py::*"])


@slow_in_vm
@pytest.mark.parametrize("plugins", [(), ("-p", "no:cacheprovider", "-p", "no:logging")], ids=["all", "some"])
@pytest.mark.parametrize("strict", [("-W", "error"), ("--strict-config",)], ids=lambda strict: strict[0])
def test_strict_sessions_with_plugins_left_out(plugins, strict, pytests):
    code = """
    import pytest
    @pytest.mark.sandboxed
    def test_it(): pass
    """
    pytests(*plugins, *strict, test_it=code).assert_outcomes(passed=1)


@slow_in_vm
def test_a_session_without_an_ini_file_has_none_inside(pytests, pytester):
    code = """
    import pytest
    @pytest.mark.sandboxed
    def test_it(pytestconfig):
        assert not pytestconfig.getini("xfail_strict")
        assert not hasattr(pytest, "from_above")
    """
    below = pytester.mkdir("place") / "below"
    below.mkdir()
    (below / "pytest.ini").write_text("[pytest]\nxfail_strict = true\n")
    (below / "test_it.py").write_text(textwrap.dedent(code))
    pytester.makeconftest("import pytest\npytest.from_above = True")  # above the rootdir: none of the session's
    pytests("--rootdir=place", "place").assert_outcomes(passed=1)


REPORTING = """
OPTIONS = ("report-log", "report_log"), ("html", "htmlpath"), ("alluredir", "allure_report_dir")
def pytest_addoption(parser):
    for word, name in OPTIONS:
        parser.addoption(f"--{word}", dest=name)
    parser.addoption("--teamcity", action="count", default=0)
    parser.addoption("--no-teamcity", action="count", default=0)
def pytest_configure(config):
    for _, name in OPTIONS:
        path = config.getoption(name)
        if path:
            open(path, "w").close()
    if config.option.teamcity and not config.option.no_teamcity:
        print("##teamcity")
"""


@slow_in_vm
def test_reports_of_other_plugins_are_written_outside_alone(pytests, pytester, capfd):
    pytester.makeconftest(REPORTING)
    code = """
    import pytest
    @pytest.mark.sandboxed
    def test_it(): pass
    """
    flags = ("--report-log=a", "--html=b", "--alluredir=c", "--teamcity")
    pytests("-s", *flags, test_it=code).assert_outcomes(passed=1)
    assert capfd.readouterr().out.count("##teamcity") == 1


@slow_in_vm
def test_a_plugin_that_reports_to_an_editor_is_left_out_inside(pytests, pytester, monkeypatch):
    monkeypatch.setenv("TEST_RUN_PIPE", "pipe")
    pytester.syspathinsert()
    plugin = """
    import os, pytest
    @pytest.hookimpl(hookwrapper=True)
    def pytest_report_teststatus():
        os.environ["TEST_RUN_PIPE"]
        yield
    """
    code = """
    import pytest
    @pytest.mark.sandboxed
    def test_it(): pass
    """
    pytests("-p", "vscode_pytest", vscode_pytest=plugin, test_it=code).assert_outcomes(passed=1)


@slow_in_vm
def test_what_a_plugin_selects_it_selects_outside(pytests, pytester):
    """As pytest-split does: the second half of what there is, and of one test that is none."""
    plugin = """
    import pytest
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(items):
        items[:] = items[(len(items) + 1) // 2 :]
    """
    pytester.makeconftest(textwrap.dedent(plugin))
    code = """
    import pytest
    def test_one(): pass
    @pytest.mark.sandboxed
    def test_two(): pass
    """
    pytests(test_it=code).assert_outcomes(passed=1)


@slow_in_vm
def test_hypothesis_has_a_place_to_write_to(pytester):
    code = """
    import pytest
    from hypothesis import given, strategies
    @pytest.mark.sandboxed
    @given(strategies.integers())
    def test_it(number):
        assert number < 100
    """
    pytester.makepyfile(test_it=code)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   *assert 100 < 100"])


@slow_in_vm
def test_the_test_is_alone_in_its_process(pytests):
    code = """
    import os, signal
    import pytest

    @pytest.mark.sandboxed
    def test_it(recwarn):
        assert os.listdir("/proc/self/task") == [str(os.getpid())]
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        with pytest.raises(ChildProcessError):
            os.wait()
        assert not list(recwarn)
    """
    pytests(test_it=code).assert_outcomes(passed=1)


@slow_in_vm
def test_fixtures_that_make_containers_are_refused_in_a_sandboxed_test(pytests):
    code = """
    import pytest
    pytestmark = pytest.mark.sandboxed

    @pytest.fixture
    def database(container_session):
        return container_session(name="db")

    def test_sandbox(sandbox): pass
    def test_container(container): pass
    def test_session(database): pass
    def test_in_its_course(request): request.getfixturevalue("sandbox")
    """
    result = pytests(test_it=code)
    result.assert_outcomes(errors=3, failed=1)
    told = "a sandboxed test makes no containers: the fixtures sandbox, container and container_session *"
    result.stdout.fnmatch_lines([told] * 4)
    assert "Traceback" not in said(result)


@slow_in_vm
@pytest.mark.requires("root")
def test_users_and_rules_of_the_host(pytests):
    code = """
    import pytest
    @pytest.mark.sandboxed(userns="host")
    def test_users(): pass
    @pytest.mark.sandboxed(landlock={"/": "rwx"}, namespaces=None)
    def test_rules(): pass
    """
    pytests(test_it=code).assert_outcomes(passed=2)


@slow_in_vm
def test_stopping_at_the_first_failure_and_running_the_last_ones_again(pytests):
    code = """
    import pytest
    pytestmark = pytest.mark.sandboxed
    def test_a(): pass
    def test_b(): assert False
    def test_c(): pass
    """
    pytests("-x", test_it=code).assert_outcomes(passed=1, failed=1)
    result = pytests("--lf")
    result.assert_outcomes(failed=1)
    assert "run-last-failure" in said(result)


@slow_in_vm
def test_what_is_set_up_outside_is_torn_down_in_time(pytests):
    code = """
    import os
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def of_the_module():
        print("up", os.getpid(), flush=True)
        yield
        print("down", os.getpid(), flush=True)
        assert not BROKEN

    def test_outside(): pass
    @pytest.mark.sandboxed
    def test_inside(): pass
    """
    first, second = code.replace("BROKEN", "0"), code.replace("BROKEN", f"os.getpid() == {os.getpid()}")
    result = pytests("-s", test_a=first, test_b=second)
    result.assert_outcomes(passed=4, errors=1)
    told = re.findall(rf"(up|down) {os.getpid()}$", said(result), re.MULTILINE)
    assert told[:4] == ["up", "down", "up", "down"]


@slow_in_vm
@pytest.mark.parametrize("flag", ["-s", "--capture=sys", "--capture=tee-sys"])
def test_without_capturing_output_goes_where_the_sessions_goes(flag, pytests, capfd):
    code = """
    import os
    import pytest
    @pytest.mark.sandboxed
    def test_it():
        print("seen at once", flush=True)
        os.write(1, b"seen by all\\n")
    """
    pytests(flag, test_it=code).assert_outcomes(passed=1)
    printed = [] if flag == "--capture=sys" else ["seen at once"]  # pytest's copy may wait in a buffer
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines[: 1 + len(printed)]) == [*printed, "seen by all"]


def test_a_debugger_is_refused_before_anything_is_run(pytests):
    code = """
    import pytest
    def test_a(): assert False
    @pytest.mark.sandboxed
    def test_b(): pass
    """
    for option in ("--pdb", "--trace"):
        result = pytests(option, test_it=code)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "no debugger reaches a sandboxed test, as test_it.py::test_b is" in said(result)
    pytests("--trace", "--collect-only", "-m", "not sandboxed", test_it=code)


COVERED = """
def covered(flag):
    if flag:
        return "inside"
    return "outside"

def left():
    pass
"""


@slow_in_vm
@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_coverage_and_xdist(workers, pytester):
    code = """
    import pytest, library
    WORKER = "gw0" if WORKERS else "master"

    @pytest.mark.sandboxed
    def test_inside(worker_id):
        assert worker_id == WORKER
        assert library.covered(True) == "inside"

    def test_outside():
        assert library.covered(False) == "outside"
    """
    pytester.makepyfile(library=COVERED, test_it=code.replace("WORKERS", repr(workers)))
    options = ("-p", "no:hypothesispytest", "--cov=library", "--cov-branch", "--cov-report=term-missing")
    result = pytester.runpytest_subprocess(*workers, *options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["library.py * 88%   7", "TOTAL *"])


# -- the fixture


LIBRARY = """
import os, sys, time
from dataclasses import dataclass
from pathlib import Path

class Odd(Exception):
    pass

@dataclass
class Point:
    x: int

def plain(*words, **named):
    print("printed", *words)
    print("complained", file=sys.stderr)
    return {"words": words, "named": named, "pid": os.getpid(), "path": Path("/a")}

def odd():
    raise Odd("as", "said")

def point():
    return Point(1)

def eat(size):
    return len(bytearray(size))

def leave():
    os._exit(4)

def sleep():
    time.sleep(1000)

def write(path):
    Path(path).write_text("from inside")
"""

CALLS = """
import os
import pytest
import pycgroups as pc
import library

def test_value(sandbox, capsys):
    value = sandbox.call(library.plain, 1, b"x", word=2.5)
    assert value.pop("pid") != os.getpid()
    assert value == {"words": (1, b"x"), "named": {"word": 2.5}, "path": library.Path("/a")}
    assert capsys.readouterr() == ("printed 1 b'x'\\n", "complained\\n")

def test_exception(sandbox):
    with pytest.raises(library.Odd) as caught:
        sandbox.call(library.odd)
    assert caught.value.args == ("as", "said")
    assert 'raise Odd("as", "said")' in caught.value.__notes__[0]

def test_what_cannot_go_in_or_out(sandbox):
    with pytest.raises(pc.Error, match="Point.* plain data"):
        sandbox.call(library.point)
    with pytest.raises(pc.InvalidConfig, match="fn.*top level"):
        sandbox.call(lambda: 0)
    with pytest.raises(pc.InvalidConfig, match="word.*pickled"):
        sandbox.call(library.plain, word=lambda: 0)
    with pytest.raises(pc.InvalidConfig, match="image"):
        sandbox.using(image="debian:13").call(library.plain)

def test_its_end(sandbox):
    with pytest.raises(pc.Error, match="ended with 4, and without an answer"):
        sandbox.call(library.leave)
    with pytest.raises(pc.TimeoutExpired, match="sleep"):
        sandbox.using(timeout=0.5).call(library.sleep)

def test_directory(sandbox):
    with pytest.raises(OSError):
        sandbox.call(library.write, "/workspace/file")
    path = sandbox.directory / "file"
    sandbox.call(library.write, "/workspace/file")
    assert path.read_text() == "from inside" and path.stat().st_uid == os.getuid()
    assert sandbox(["cat", "file"]).stdout == b"from inside"

def test_of_this_file(sandbox):
    assert sandbox.call(here) == os.path.dirname(__file__)

def here():
    return os.getcwd()
"""


@slow_in_vm
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_functions_are_called_in_a_container(mode, pytests, pytester):
    pytester.syspathinsert()
    selected = () if mode == "prepend" else ("-k", "of_this_file")
    result = pytests(f"--import-mode={mode}", *selected, library=LIBRARY, test_calls=CALLS)
    result.assert_outcomes(passed=6 if mode == "prepend" else 1, deselected=0 if mode == "prepend" else 5)


@slow_in_vm
def test_runs_have_the_options_of_the_session_and_the_last_ones_are_shown_in_a_failure(pytests, pytester):
    pytester.makeini("[pytest]\npycgroups_timeout = 0.5\npycgroups_network = none\n")
    code = """
    import pytest
    import pycgroups as pc
    from pycgroups.pytest_plugin import Sandbox

    @pytest.fixture
    def sandbox(sandbox: Sandbox) -> Sandbox:
        assert isinstance(sandbox, Sandbox)
        return sandbox.using(env={"WORD": "mine"})

    def test_runs(sandbox):
        assert sandbox(["sh", "-c", "echo $WORD"], text=True).stdout == "mine\\n"
        assert sandbox(["true"]).returncode == 0
        short = sandbox(["sh", "-c", "echo before; sleep 1000"], text=True)
        assert (short.reason, short.stdout) == ("timeout", "before\\n")
        assert sandbox.using(timeout=30).run(["sleep", "0.6"]).returncode == 0
        for number in range(5):
            sandbox(["sh", "-c", f"exit {number}"])
        try:
            sandbox(["sh", "-c", "kill $$"], check=True)
        except pc.CalledProcessError:
            assert not "well"
    """
    result = pytests(test_it=code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*- sandbox: sh -c exit 4 -*", "exited with 4", "used: *", "*- sandbox: sh -c kill $$ -*", "killed by SIGTERM"]
    )
    assert "sandbox: true" not in said(result)
    result = pytests("--pycgroups-timeout=0.2", "-k", "nothing")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = pytests("--pycgroups-timeout=soon")
    assert "pycgroups_timeout: 'soon' is no number" in said(result)


@pytest.mark.requires("limits")
def test_a_limit_ends_a_call(pytests):
    code = """
    import pytest
    import pycgroups as pc

    def eat():
        return len(bytearray(1 << 30))

    def test_it(sandbox):
        with pytest.raises(pc.CalledProcessError, match="oom") as caught:
            sandbox.call(eat)
        assert caught.value.result.hits["oom"] >= 1
    """
    pytests("--pycgroups-memory=64M", test_it=code).assert_outcomes(passed=1)


# -- the plugin itself


@slow_in_vm
def test_it_says_what_there_is(pytests):
    assert "@pytest.mark.sandboxed(memory=, cpus=, pids=, timeout=, network=, ...): run the test in" in said(
        pytests("--markers")
    )
    helped = said(pytests("--help"))
    for word in ("memory", "cpus", "pids", "disk", "timeout", "network", "image", "store"):
        assert f"--pycgroups-{word}" in helped
        assert f"pycgroups_{word} " in helped
    fixtures = said(pytests("--fixtures"))
    assert "Run programs and call Python functions, each in a container" in fixtures
    assert "Make and start containers that the test holds" in fixtures


@slow_in_vm
def test_a_session_that_does_not_use_it_loads_nothing_of_it(pytester):
    code = """
    def test_it(tmp_path):
        import sys
        loaded = {name for name in sys.modules if name.startswith("pycgroups")}
        assert loaded == {"pycgroups", "pycgroups.pytest_plugin"}
    """
    path = pytester.makepyfile(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    assert subprocess.run(command, check=False).returncode == 0
