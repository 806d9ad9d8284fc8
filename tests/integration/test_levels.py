"""The levels "process" and "none": what a program has and has not without namespaces, and that nothing of it stays."""

from __future__ import annotations

import errno
import os
import pwd
import random
import signal
import sys
import threading
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.namespaces import own
from pycgroups.security import capabilities
from tests.waiting import in_time, wait_for

WORLD = os.environ.get("PYCGROUPS_TEST_WORLD")

pytestmark = [pytest.mark.requires("gcc"), pytest.mark.usefixtures("nothing_left")]
both = pytest.mark.parametrize("level", ["process", "none"])
needs_limits = pytest.mark.requires("limits")
needs_landlock = pytest.mark.requires("landlock")
not_asan = pytest.mark.skipif(WORLD == "asan", reason="the Python inside is without AddressSanitizer")
needs_root = pytest.mark.requires("root")

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def run(command, level="process", **options):
    return pc.run(command, isolation=level, text=True, **options)


def status(level="process", **options):
    lines = run(["cat", "/proc/self/status"], level, **options).stdout.splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def has_output(result):
    return result.stdout


@pytest.fixture
def mark():
    """A word for a command line; at the end no process has it."""
    word = f"1000.{random.randrange(10**9)}"
    yield word
    wait_for(lambda: not list(marked(word)))


def marked(word):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            yield int(pid)


# -- what it has


@both
def test_it_is_in_the_callers_namespaces_and_sees_the_hosts_files(level):
    code = f"for name in {' '.join(NAMESPACES)}; do readlink /proc/self/ns/$name; done"
    found = run(["sh", "-c", code], level).stdout.split()
    assert found == [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]
    assert run(["cat", __file__], level).stdout == Path(__file__).read_text()


@both
def test_it_is_the_caller(level):
    found = status(level)
    assert found["Uid"] == [str(os.geteuid())] * 4
    assert found["Gid"] == [str(os.getegid())] * 4
    assert set(map(int, found["Groups"])) | {os.getegid()} == {*os.getgroups(), os.getegid()}
    assert found["NoNewPrivs"] == ["1"]


@both
def test_it_has_no_environment_and_no_descriptors_of_the_caller(level, probe, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    fd = os.open("/", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        assert [line.split()[0] for line in run([probe, "fds"], level).stdout.splitlines()] == ["0", "1", "2"]
    finally:
        os.close(fd)
    home = pwd.getpwuid(os.geteuid()).pw_dir
    variables = dict(line.split("=", 1) for line in run(["env"], level, env={"A": "1"}).stdout.splitlines())
    assert {name: variables[name] for name in ("HOME", "A")} == {"HOME": home, "A": "1"}
    assert set(variables) <= {"HOME", "A", "PATH", "PWD", "SHLVL", "_"}
    python = run(["python3", "-c", "import sys; print(sys.executable, sys.version)"], level).stdout
    assert python.split()[1] == sys.version.split()[0]


@both
def test_streams_and_status(level):
    result = run(["sh", "-c", "cat; echo err >&2; exit 7"], level, input="in\n")
    assert (result.stdout, result.stderr, result.returncode, result.reason) == ("in\n", "err\n", 7, "exited")
    for number in (2, 9, 15):
        result = run(["sh", "-c", f"kill -{number} $$"], level)
        assert (result.returncode, result.reason) == (-number, "signal")


@both
def test_what_is_not_there(level, tmp_path):
    with pytest.raises(pc.CommandNotFound):
        run(["nothing-like-this"], level)
    with pytest.raises(pc.CommandNotExecutable):
        run(["/etc/passwd"], level)
    with pytest.raises(pc.LaunchError) as caught:
        run(["true"], level, cwd=tmp_path / "missing")
    assert (caught.value.step, (tmp_path / "missing").exists()) == ("chdir", False)


@both
def test_the_process_itself(level, tmp_path):
    tmp_path.chmod(0o755)
    code = "pwd; umask; ulimit -n; cat /proc/self/oom_score_adj"
    found = run(["sh", "-c", code], level, cwd=tmp_path, umask=0o027, ulimits={"nofile": 50}, oom_score_adj=500).stdout
    assert found.split() == [str(tmp_path), "0027", "50", "500"]


@both
def test_the_mounts_and_names_of_the_host_stay(level):
    mounts = Path("/proc/self/mountinfo")
    before = mounts.read_text(), os.uname()
    assert run(["true"], level).returncode == 0
    assert (mounts.read_text(), os.uname()) == before


# -- what it may do


def test_the_filter():
    assert status()["Seccomp"] == ["2"]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO"}]}
    code = "import os\ntry: os.uname()\nexcept OSError as error: print(error.errno)"
    assert run(["python3", "-c", code], seccomp=profile).stdout == "1\n"
    outside = status("none")["Seccomp"]
    assert (
        outside
        == status(seccomp="unconfined")["Seccomp"]
        == Path("/proc/self/status").read_text().split("Seccomp:")[1].split()[:1]
    )


def bits(found, name):
    return int(found[name][0], 16)


def test_capabilities():
    have = own.effective()
    default = capabilities.mask(capabilities.DEFAULT) & have if os.geteuid() == 0 else 0
    found = status()
    assert bits(found, "CapEff") == bits(found, "CapPrm") == default
    assert bits(status(caps_drop=["ALL"]), "CapEff") == 0
    assert bits(status("none"), "CapEff") == (have if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        assert bits(found, "CapBnd") == default
        assert bits(status(caps_drop=["ALL"], caps_add=["KILL"]), "CapEff") == capabilities.mask(["CAP_KILL"])


@pytest.mark.requires("rootless")
def test_what_only_root_has():
    for options in ({"user": 1}, {"groups": [1]}, {"caps_add": ["SYS_ADMIN"]}):
        with pytest.raises(pc.InvalidConfig) as caught:
            run(["true"], **options)
        assert caught.value.path == next(iter(options))
    assert run(["id", "-u"], user=f"{os.getuid()}:{os.getgid()}").stdout == f"{os.getuid()}\n"


@needs_root
@both
def test_another_user(level):
    found = status(level, user="nobody", groups=[5])
    identity = pwd.getpwnam("nobody")
    assert (found["Uid"], found["Gid"]) == ([str(identity.pw_uid)] * 4, [str(identity.pw_gid)] * 4)
    assert (found["Groups"], bits(found, "CapEff"), bits(found, "CapPrm")) == (["5"], 0, 0)


# -- Landlock

RULES = {"/usr": "rx", "/dev/null": "rw"}


@needs_landlock
def test_landlock_rules_are_for_the_hosts_paths(scratch):
    (scratch / "in").mkdir()
    (scratch / "secret").write_text("x")
    code = f"cd {scratch}; cat secret; echo made > in/file; cat in/file; echo no > out"
    result = run(["/usr/bin/sh", "-c", code], landlock={**RULES, scratch / "in": "rw"})
    assert result.stdout == "made\n"
    assert result.stderr.count("Permission denied") == 2
    assert sorted(path.name for path in scratch.iterdir()) == ["in", "secret"]


@needs_landlock
def test_the_other_way_to_say_process(probe):
    rules = {**RULES, str(probe): "rx"}
    result = pc.run([probe, "does", "read:/etc/passwd"], namespaces=None, landlock=rules, text=True)
    assert result.stdout == "read:/etc/passwd EACCES\n"
    inside = pc.explain(["true"], namespaces=None, landlock=rules)
    assert (inside.config.isolation, inside.plan.namespaces) == ("process", 0)
    assert pc.explain(["true"], namespaces=None).config.isolation == "container"


@needs_landlock
def test_it_sends_no_signals_to_others(probe, script):
    """Its supervisor is of the same user, and all that can find its descendants."""
    words = [probe, "does", f"signal:{os.getpid()}", "signal:0"]
    assert run(words).stdout.split() == [words[2], "EPERM", words[3], "ok"]
    result = run(["sh", "-c", "kill -9 $PPID || echo refused; setsid sleep 1000 & exit 3"])
    assert (result.returncode, result.stdout) == (3, "refused\n")


@needs_landlock
def test_it_does_not_look_into_others(probe):
    """Whose memory and environment its user may read."""
    found = run([probe, "does", f"read:/proc/{os.getpid()}/environ", "read:/proc/self/environ"]).stdout.splitlines()
    assert [line.split()[1] for line in found] == ["EACCES", "ok"]


@needs_landlock
@pytest.mark.requires("userns")
@not_asan
@pytest.mark.slow_in_vm("Python in Python, and another program in that")
@pytest.mark.parametrize("outer", [{}, {"isolation": "process", "landlock": {"/": "rx", "/dev/null": "rw"}}], ids=str)
def test_under_rules_in_a_container_or_under_other_rules(outer):
    """A container's filter forbids namespaces, and has no clone3(2)."""
    code = """
import pycgroups as pc
rules = {"/usr": "rx", "/dev/null": "rw"}
code = "cat /etc/passwd || echo denied; sleep 1000 & setsid sleep 1000 & exit 5"
result = pc.run(["sh", "-c", code], isolation="process", landlock=rules, text=True)
print(result.stdout, result.returncode, result.reason)
"""
    result = pc.run(["python3", "-c", code], text=True, **outer)
    assert result.stdout.split() == ["denied", "5", "exited"], result


@not_asan
@pytest.mark.requires("userns")
@pytest.mark.slow_in_vm("Python in a container")
def test_where_namespaces_are_forbidden_the_error_says_so():
    code = """
import pycgroups as pc
try:
    pc.run(["true"])
except pc.LaunchError as error:
    print(error.step, error.errno, 'isolation="process"' in error.hint)
"""
    assert pc.run(["python3", "-c", code], text=True).stdout.split() == ["clone3", str(errno.EPERM), "True"]


# -- the end


@both
def test_the_end_of_the_program_is_the_end_of_its_daemons(level, mark):
    code = f"(setsid sleep {mark} &); setsid sh -c 'sleep {mark} & sleep {mark}' & sleep {mark} & echo started"
    result = run(["sh", "-c", code], level)
    assert (result.returncode, result.reason, result.stdout) == (0, "exited", "started\n")
    assert not list(marked(mark))


@both
@pytest.mark.parametrize("options", [{}, pytest.param({"pids": 64}, marks=needs_limits)], ids=str)
def test_timeout(level, mark, options):
    code = f"(setsid sleep {mark} &); setsid sleep {mark} & echo started; exec sleep {mark}"
    result = in_time(lambda seconds: run(["sh", "-c", code], level, timeout=seconds, **options), has_output)
    assert (result.returncode, result.reason, result.stdout) == (-9, "timeout", "started\n")
    assert not list(marked(mark))


@both
@pytest.mark.parametrize("what", ["stubborn", "runaway"])
@pytest.mark.parametrize("options", [{}, pytest.param({"pids": 64}, marks=needs_limits)], ids=str)
def test_timeout_of_what_does_not_want_to_end(level, probe, what, options):
    def attempt(seconds):
        return run([probe, what], level, timeout=seconds, **options)

    result = in_time(attempt, has_output)
    # What runs away leaves no program behind, but its first process, and that has ended.
    assert (result.stdout, result.reason) == ("ready\n", "exited" if what == "runaway" else "timeout")
    wait_for(lambda: not list(marked(what)))


@both
def test_an_exception_while_it_runs(level, mark):
    """A signal handler of the caller raises it."""

    def give_up(*_):
        raise KeyboardInterrupt

    code = f"(setsid sleep {mark} &); echo started; exec sleep {mark}"
    before = signal.signal(signal.SIGUSR1, give_up)
    main = threading.main_thread().ident

    def interrupt():
        wait_for(lambda: len(list(marked(mark))) >= 2)
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", code], level)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert not list(marked(mark))


@pytest.mark.slow_in_vm("six threads of Python; cgroup v2 changes nothing about them")
@both
def test_in_threads(level):
    wrong = []

    def work(number):
        for turn in range(5):
            result = run(
                ["sh", "-c", f"setsid sleep 1000 & read word; echo $word; exit {turn}"], level, input=f"{number}\n"
            )
            if (result.returncode, result.stdout) != (turn, f"{number}\n"):
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- limits


@needs_limits
@both
def test_memory(level, probe):
    result = run([probe, "touch", "200"], level, memory="64M")
    assert (result.returncode, result.reason, result.hits["oom"] >= 1) == (-9, "oom", True)
    result = run([probe, "touch", "40"], level, memory="64M")
    assert (result.returncode, result.reason) == (0, "exited")
    assert 40 << 20 <= result.usage.peak_memory <= 64 << 20


@needs_limits
@both
def test_processes(level):
    result = run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait"], level, pids=6, timeout=300)
    assert (result.reason, result.hits["pids"] >= 1) == ("pids", True)


@both
def test_usage_without_a_group(level, probe):
    result = run([probe, "burn", "0.3"], level)
    assert result.usage.cpu_time >= 0.25
    assert result.usage.peak_memory > 0


# -- explain, command line


@both
def test_explain(level):
    told = pc.explain(["true"], isolation=level, memory="64M", require_limits=False)
    names = [step.name for step in told.plan.steps]
    assert {"mount", "pivot", "propagate", "tree", "fs", "mkdir", "become root"} & set(names) == set()
    assert (told.plan.namespaces, told.spec.linux.namespaces, told.spec.mounts) == (0, (), ())
    assert ("seccomp" in names) == (level == "process")
    assert names[-1] == "exec"


def test_on_the_command_line(script):
    code = """
import subprocess, sys
program = ["sh", "-c", "readlink /proc/self/ns/pid; exit 4"]
command = [sys.executable, "-m", "pycgroups", "run", "--isolation", "process", "--", *program]
done = subprocess.run(command, capture_output=True, text=True)
print(done.returncode, done.stdout.strip(), done.stderr)
"""
    assert script(code).split() == ["4", os.readlink("/proc/self/ns/pid")]
