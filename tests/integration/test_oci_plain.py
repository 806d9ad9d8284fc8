"""`pycgroups-oci start`, `kill` and `delete` of a plain container need no Python; and when they call it all the same.

bin/pycgroups-oci.c and `runtime.Container` do the same by the same steps; here is what would show that they do not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import uuid
import venv
from pathlib import Path

import pytest

import pycgroups
from pycgroups import runtime
from tests import tracing
from tests.integration.oci import COMMAND, Oci, told
from tests.podman import IMAGE, Podman
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")
same_on_v2 = pytest.mark.slow_in_vm("many processes of Python's, and nothing that cgroup v2 changes")

CALLS = "flock,newfstatat,write,poll,getdents64,unlinkat,rmdir"


class InPython(Oci):
    """The same command without the part in C."""

    def __init__(self, bundle):
        super().__init__(bundle)
        self.words[0:1] = [sys.executable, "-m", "pycgroups.oci_cli"]

    def asks(self, *arguments, **options):
        return told(self.call(*arguments, code=None, **options))


@pytest.fixture
def ways(bundle, watched):
    """Both, to be asked for the same."""
    return watched, InPython(bundle)


@pytest.fixture
def create(oci, bundle):
    """Create a container; its state directory."""

    def create(name="web"):
        bundle.run("sleep", "1000")
        oci.create(name)
        return bundle.state / name

    return create


@pytest.fixture
def stop(oci, create):
    """Have a container run and end; its state directory."""

    def stop(name="web"):
        made = create(name)
        oci.call("start", name)
        oci.call("kill", name, "KILL")
        oci.wait_for("stopped", name)
        return made

    return stop


def cgroups(name, bundle):
    with runtime.get(name, root=bundle.state).cgroup() as group:
        return [Path(path) for path in group.paths]


# -- without Python ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), ("web",)),
        (("--log", "log", "--log-format=json"), ("--force", "web")),
        (("--systemd-cgroup", "--log-format", "text", "--log=log"), ("web", "-f")),
    ],
)
def test_a_life(watched, oci, create, flags, words):
    home = create()
    places = cgroups("web", watched.bundle)
    watched.words += flags
    watched.alone("start", "web")
    assert oci.state()["status"] == "running"
    watched.alone("kill", "web", "KILL")
    oci.wait_for("stopped")
    watched.alone("delete", *words)
    assert not home.exists()
    assert not [path for path in places if path.exists()]
    assert oci.names() == []


def test_where_containers_are_by_default(watched, bundle, scratch):
    roots = Path("/run/pycgroups/oci")
    is_new = os.geteuid() == 0 and not roots.exists()
    name = f"web-{uuid.uuid4().hex}"
    env = {**os.environ, "XDG_RUNTIME_DIR": str(scratch)}
    watched.words = watched.words[:1]
    bundle.run("true")
    watched.call("create", "--bundle", bundle.write(), name, env=env)
    watched.called.unlink()
    watched.alone("start", name, env=env)
    wait_for(lambda: '"stopped"' in watched.asks("state", name, env=env).out)
    watched.alone("delete", "--force", name, env=env)
    assert name not in watched.asks("list", "-q", env=env).out
    if is_new:
        with contextlib.suppress(OSError):  # somebody else has containers there by now
            roots.rmdir()


@pytest.mark.parametrize("words", [(), ("TERM",), ("SIGTERM",), ("15",), ("USR1",), ("10",), ("SIGWINCH",), ("34",)])
@same_on_v2
def test_a_signal(watched, bundle, words):
    name = {"15": "TERM", "10": "USR1", "34": "34"}.get(*words or ["15"], words and words[0].removeprefix("SIG"))
    bundle.shell(f"trap 'exit 7' {name}; echo ready; while :; do sleep 0.05; done")
    with watched.start("run", "--bundle", bundle.write(), "web", stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == "ready\n"
        wait_for(lambda: b"__attend" in Path(f"/proc/{run.pid}/cmdline").read_bytes())  # it has the lock until then
        watched.called.unlink()
        watched.alone("kill", "web", *words)
        assert run.wait(PATIENCE) == 7


def test_what_containerd_asks_for_after_the_end(watched, bundle, stop):
    home = stop()
    for words in (("kill", "--all", "web", "9"), ("kill", "web", "KILL", "-a"), ("delete", "web")):
        watched.alone(*words)
    assert not home.exists()
    watched.alone("delete", "--force", "web")
    assert InPython(bundle).asks("delete", "--force", "web") == (0, "", "")


@pytest.mark.requires("limits")
@pytest.mark.parametrize("inside", ["", "below"])
def test_who_is_left_in_the_cgroup_is_killed_with_all(watched, bundle, stop, inside):
    stop()
    place = next(path for path in cgroups("web", bundle) if "cpuset" not in path.parts) / inside
    place.mkdir(exist_ok=True)
    with subprocess.Popen(["sleep", "1000"]) as left:
        (place / "cgroup.procs").write_text(str(left.pid))
        watched.call("kill", "--all", "web", "KILL")
        assert left.wait(PATIENCE) == -signal.SIGKILL
    watched.call("delete", "web")


@pytest.mark.requires("root", "limits")
def test_without_a_pid_namespace_all_are_killed(watched, bundle):
    namespaces = bundle.config["linux"]["namespaces"]
    namespaces[:] = [each for each in namespaces if each["type"] != "pid"]
    bundle.shell("sleep 1000 & sleep 1000")
    watched.create()
    watched.call("start", "web")
    watched.called.unlink()
    watched.call("kill", "web", "KILL")
    assert watched.called.exists()
    watched.wait_for("stopped")


@same_on_v2
def test_both_leave_the_same(ways, oci, bundle, create):
    def facts(name):
        state = oci.state(name)
        names = sorted(os.listdir(bundle.state / name))
        return state["status"], names, [path.name for path in cgroups(name, bundle)]

    seen = []
    for way in ways:
        create()
        found = [facts("web")]
        way.call("start", "web")
        found.append(facts("web"))
        oci.call("kill", "web", "KILL")
        oci.wait_for("stopped")
        found.append(facts("web"))
        way.call("delete", "web")
        seen.append((found, os.listdir(bundle.state)))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", ["createRuntime", "poststop"])
@same_on_v2
def test_hooks(watched, bundle, stop, kind):
    bundle.config["hooks"] = {kind: [{"path": shutil.which("true")}]}
    stop()
    if kind == "createRuntime":
        watched.alone("delete", "web")
    else:
        assert watched.asks("delete", "web") == (0, "", "")


@pytest.mark.requires("podman")
@pytest.mark.slow_in_vm("podman takes seconds for each command, and cgroup v2 changes nothing about this")
def test_podman_calls_python_once(watched, root, monkeypatch):
    monkeypatch.setattr("tests.podman.RUNTIME", str(watched.program))
    with Podman() as podman:
        podman.load(root)
        assert podman("run", "--rm", IMAGE, "echo", "inside") == "inside\n"
    (call,) = watched.called.read_text().splitlines()
    assert " create " in call


# -- by Python, with its words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("start", "web"),
        ("delete", "web"),
        ("delete", "--force", "--all", "web"),
        ("start",),
        ("start", "web", "more"),
        ("start", "--force", "web"),
        ("start", "--help"),
        ("start", ""),
        ("start", ".."),
        ("start", "a/b"),
        ("start", "a b\n'\""),
        ("delete", "x" * 256),
        ("delete", "--regex", "web"),
        ("delete", "--", "-f"),
        ("kill", "web"),
        ("kill", "--all", "web", "KILL"),
        ("kill", "--force", "web", "KILL"),
        ("delete", "--all", "web"),
        ("kill",),
        ("kill", "web", "NONE"),
        ("kill", "web", "65"),
        ("kill", "web", "-9"),
        ("kill", "-9", "web"),
        ("kill", "web", "9", "9"),
        ("kill", "web", ""),
        ("--log-format", "xml", "start", "web"),
        ("--root",),
        ("--root", "", "start", "web"),
        ("--root=relative", "start", "web"),
        ("--root", "/../nothing", "start", "web"),
        ("--debug", "start", "web"),
        ("--log-level", "debug", "start", "web"),
        ("--nonsense", "start", "web"),
        (),
    ],
    ids=str,
)
@same_on_v2
def test_what_is_wrong_is_told_as_python_does(ways, tmp_path, words):
    answers = [way.asks(*words, cwd=tmp_path) for way in ways]
    assert answers[0] == answers[1]
    assert answers[0].code in {0, 1}


@same_on_v2
def test_wrong_states(ways, oci, create):
    create()
    assert [way.asks("delete", "web").code for way in ways] == [1, 1]
    oci.call("start", "web")
    for word in ("start", "delete"):
        answers = [way.asks(word, "web") for way in ways]
        assert answers[0] == answers[1]
        assert "running" in answers[0].err
    oci.call("kill", "web", "KILL")
    oci.wait_for("stopped")
    for words in (("start", "web"), ("kill", "web"), ("kill", "web", "KILL"), ("kill", "web", "0")):
        answers = [way.asks(*words) for way in ways]
        assert answers[0] == answers[1]
        assert re.search("stopped|not running", answers[0].err)


def edit(name, change):
    """Change a file."""

    def damage(home):
        path = home / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def link(home):
    (home / "plain").rename(home / "other")
    (home / "plain").symlink_to("other")


DAMAGES = {
    "no plain": lambda home: (home / "plain").unlink(),
    "empty": edit("plain", lambda _: b""),
    "cut in a word": edit("plain", lambda text: text[:-3]),
    "cut in the numbers": edit("plain", lambda text: text[: text.index(b"\0") + 1]),
    "no number": edit("plain", lambda text: text.replace(b"\0", b"x\0", 1)),
    "negative": edit("plain", lambda text: b"-" + text),
    "long": edit("plain", lambda text: text + (b"/" + b"x" * 99 + b"\0") * 200),
    "a link": link,
    "a directory": lambda home: ((home / "plain").unlink(), (home / "plain").mkdir()),
    "another record": lambda home: os.utime(home / "state.json"),
    "a damaged record": edit("state.json", lambda text: text[:-3]),
    "open to others": lambda home: home.chmod(0o777),
}


@pytest.mark.parametrize("damage", DAMAGES)
@same_on_v2
def test_damage(ways, oci, create, stop, damage):
    def after(prepare, way, word):
        home = prepare()
        pid = oci.state()["pid"]
        DAMAGES[damage](home)
        answer = way.asks(word, "web")
        if home.exists():
            home.chmod(0o700)
        if pid:  # which a damaged record does not tell
            os.kill(pid, signal.SIGKILL)
        oci.call("delete", "--force", "web")
        assert not home.exists()
        return answer

    for prepare, word in ((create, "start"), (stop, "delete")):
        answers = [after(prepare, way, word) for way in ways]
        assert answers[0] == answers[1]


@pytest.mark.requires("limits")
def test_one_that_is_paused_is_not_started(watched, create):
    create()
    watched.call("pause", "web")
    watched.called.unlink()
    answer = watched.asks("start", "web")
    assert (answer.code, "cannot start a container that is paused" in answer.err) == (1, True)
    watched.call("resume", "web")
    watched.called.unlink()
    watched.alone("start", "web")
    watched.wait_for("running", "web")


@pytest.mark.requires("limits")
def test_one_that_is_paused_dies(watched, create):
    create()
    watched.call("start", "web")
    watched.call("pause", "web")
    watched.call("kill", "web", "KILL")
    watched.wait_for("stopped", "web")


@pytest.mark.requires("limits")
def test_one_that_somebody_else_has_frozen_is_not_started(watched, create, bundle):
    create()
    with runtime.get("web", root=bundle.state).cgroup() as group:
        group.freeze()
        answer = watched.asks("start", "web")
        assert (answer.code, "cannot start a container that is paused" in answer.err) == (1, True)
        group.thaw()
    watched.alone("start", "web")


def test_what_python_compiles_is_for_nobody_else_to_write(watched):
    (watched.program.parent / "python3").write_text("#!/bin/sh\numask\n")
    assert watched.call("features", umask=0).out == "0022\n"


def test_what_is_left_of_a_wheel_is_not_the_package(tmp_path):
    venv.create(tmp_path)
    (packages,) = tmp_path.glob("lib/python3*/site-packages")
    (packages / "pycgroups/oci_cli/__pycache__").mkdir(parents=True)
    (packages / "__editable__.pycgroups-0.pth").write_text(str(Path(pycgroups.__file__).parents[1]))
    program = shutil.copy2(COMMAND, tmp_path / "bin")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@same_on_v2
def test_files_of_others_beside(watched, stop):
    home = stop()
    (home / "more").write_text("x")
    watched.alone("delete", "web")
    home = stop()
    (home / "directory/more").mkdir(parents=True)
    assert watched.asks("delete", "web") == (0, "", "")
    assert not home.exists()


@pytest.mark.requires("limits")
def test_cgroups_with_more_in_them(watched, bundle, stop):
    home = stop()
    places = cgroups("web", bundle)
    (places[0] / "inside").mkdir()
    assert watched.asks("delete", "web") == (0, "", "")
    assert not home.exists()
    assert not [path for path in places if path.exists()]


# -- at once, and in between ------------------------------------------------------------------------------------------


@same_on_v2
def test_another_command_has_the_lock(watched, bundle, stop):
    home = stop()
    fd = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with watched.start("delete", "web") as waiting:
            wait_for(watched.called.exists)
            assert home.exists()
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)
    assert waiting.returncode == 0
    assert not home.exists()


@same_on_v2
def test_two_at_once(oci, create, stop):
    for _ in range(5):
        create()
        starts = [oci.start("start", "web", stderr=subprocess.PIPE) for _ in range(2)]
        err = "".join(start.communicate()[1] for start in starts)
        assert sorted(start.returncode for start in starts) == [0, 1], err
        assert "running" in err
        oci.call("kill", "web", "KILL")
        oci.wait_for("stopped")
        deletes = [oci.start("delete", "--force", "web") for _ in range(2)]
        assert [delete.wait() for delete in deletes] == [0, 0]
        assert oci.names() == []


def traced(watched, tmp_path, *words, inject=()):
    """Call it under strace; its answer, and its system calls by number."""
    log = tmp_path / "log"
    before = ("strace", "-qq", "-o", str(log), f"--trace={CALLS}", *inject)
    answer = watched.call(*words, code=None, before=before)
    watched.called.unlink(missing_ok=True)
    return answer, [(name, n) for name, count in tracing.calls(log).items() for n in range(1, count + 1)]


@pytest.mark.requires("strace")
@pytest.mark.slow_in_vm("a container for each system call")
@pytest.mark.parametrize("word", ["start", "delete"])
@pytest.mark.parametrize("what", ["signal=SIGKILL", "error=EIO"])
def test_killed_or_refused_at_a_system_call(watched, request, tmp_path, word, what):
    prepare = request.getfixturevalue({"start": "create", "delete": "stop"}[word])
    prepare()
    answer, cases = traced(watched, tmp_path, word, "web")
    assert answer == (0, "", "")
    assert {"flock", "unlinkat"} <= {name for name, _ in cases}
    watched.call("delete", "--force", "web")
    for name, number in cases:
        prepare()
        places = cgroups("web", watched.bundle)
        answer, _ = traced(watched, tmp_path, word, "web", inject=[f"--inject={name}:{what}:when={number}"])
        if what == "error=EIO":
            assert answer.code == 0, (name, answer)
        watched.call("delete", "--force", "web")
        assert watched.names() == []
        assert not [path for path in places if path.exists()], (name, number)


# -- which Python -----------------------------------------------------------------------------------------------------


def test_python_is_the_one_beside_it_or_the_first_in_the_path(watched, tmp_path):
    (tmp_path / "link").symlink_to(watched.program)
    (tmp_path / "second").symlink_to("link")
    watched.words = ["./second"]
    said = watched.asks("--version", cwd=tmp_path)
    assert said.out.startswith("pycgroups-oci version ")
    watched.words = [shutil.copy2(COMMAND, tmp_path)]
    assert watched.asks("--version", env={**os.environ, "PATH": str(watched.program.parent)}) == said
    answer = watched.call("--version", code=127, env={**os.environ, "PATH": "/nowhere"})
    assert answer.err == "python3: No such file or directory\n"


@pytest.mark.parametrize(
    ("name", "package", "is_short"),
    [("python3.99", "python3.99", True), ("python3.99t", "python3.99t", True), ("python3.99", "python3.98", False)],
)
def test_the_package_of_its_environment_is_not_looked_for_by_python(tmp_path, name, package, is_short):
    for directory in ("bin", "base", f"lib/{package}/site-packages/pycgroups/oci_cli"):
        (tmp_path / directory).mkdir(parents=True)
    entry = tmp_path / f"lib/{package}/site-packages/pycgroups/oci_cli/entry.py"
    entry.touch()
    (tmp_path / "base" / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "base" / name).chmod(0o755)
    (tmp_path / "bin/python3").symlink_to(tmp_path / "base" / name)
    program = shutil.copy2(COMMAND, tmp_path / "bin")
    words = subprocess.check_output([program, "state", "web"], text=True, env={"LC_ALL": "x"}).splitlines()
    assert words[-2:] == ["state", "web"]
    assert words[:3] == ["-SEP", "-X", f"pycgroups_oci={program}"]
    if is_short:
        assert [Path(word).resolve() for word in words[3:-2]] == [entry]
    else:
        assert words[3] == "-c"


def test_an_environment_as_pip_fills_it(tmp_path, oci, bundle):
    venv.create(tmp_path)
    (packages,) = tmp_path.glob("lib/python3*/site-packages")
    (packages / "pycgroups").symlink_to(Path(pycgroups.__file__).parent)
    for path in Path(sysconfig.get_path("platlib")).iterdir():
        if "pycgroups" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    oci.words[0] = shutil.copy2(COMMAND, tmp_path / "bin")
    bundle.shell("exit 7")
    assert oci.run(code=7) == (7, "", "")
    assert oci.names() == []
