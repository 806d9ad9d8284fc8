"""`pycgroups.run` from end to end: what comes back, and what is said and left when it cannot start."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups as pc

pytestmark = [pytest.mark.requires("userns", "busybox", "gcc"), pytest.mark.usefixtures("nothing_left")]


def test_a_result_is_a_completed_process(inside):
    result = inside(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert isinstance(result, subprocess.CompletedProcess)
    assert (result.args, result.returncode) == (["sh", "-c", "echo out; echo err >&2; exit 3"], 3)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert result.hits == {"oom": 0, "pids": 0, "disk": 0}
    assert (result.reason, result.unenforced) == ("exited", ())


def test_one_str_is_a_program_and_no_shell_line(inside):
    assert inside("true").returncode == 0
    with pytest.raises(pc.CommandNotFound):
        inside("echo hello")


def test_the_root_file_system_is_the_one_given(inside, root):
    assert set(inside(["ls", "/bin"]).stdout.split()) == set(os.listdir(root / "bin"))


def test_runs_follow_each_other_without_a_trace(inside):
    texts = {inside(["cat", "/proc/self/mountinfo"]).stdout.count("\n") for _ in range(20)}
    assert len(texts) == 1


def test_two_hundred_arguments_and_ten_thousand_variables_arrive(inside):
    words = [f"word {i}" for i in range(200)]
    assert inside(["printf", "%s\n", *words]).stdout.splitlines() == words
    env = {f"VARIABLE_{i}": f"value {i}" for i in range(10_000)}
    lines = inside(["probe", "environment"], env=env).stdout.splitlines()
    assert set(lines) >= {f"{name}={value}" for name, value in env.items()}


def test_arguments_that_are_not_utf8_or_empty_arrive_whole(root):
    words = [b"\xff\xfe", b"", b"a\nb", "\udc80", "ü"]
    result = pc.run([b"printf", b"%s|", *words], rootfs=root)
    assert result.stdout == b"\xff\xfe||a\nb|\x80|\xc3\xbc|"
    assert result.args[2] == "\udcff\udcfe"


@pytest.mark.parametrize("big", [["x" * 200_000], ["y" * 100_000] * 40])
def test_an_argument_list_that_is_too_long(inside, big):
    with pytest.raises(pc.LaunchError, match="Argument list too long") as caught:
        inside(["true", *big])
    assert (caught.value.errno, caught.value.step) == (errno.E2BIG, "exec")
    assert not isinstance(caught.value, pc.CommandNotFound | pc.CommandNotExecutable)


# -- a program that is not there, one that cannot run, and a set-up that failed


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("program", ["nothing", "/bin/nothing", "/etc/passwd/x", "bin/probe/x"])
def test_a_missing_program(inside, program, init):
    with pytest.raises(pc.CommandNotFound) as caught:
        inside([program], init=init)
    error = caught.value
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, pc.LaunchError)
    assert (error.step, error.path) == ("exec", program)
    assert error.errno in (errno.ENOENT, errno.ENOTDIR)
    assert "not found in the container" in str(error)


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(("program", "number"), [("/etc/passwd", errno.EACCES), ("/etc", errno.EACCES)])
def test_a_program_that_cannot_be_executed(inside, program, number, init):
    with pytest.raises(pc.CommandNotExecutable) as caught:
        inside([program], init=init)
    assert isinstance(caught.value, PermissionError)
    assert (caught.value.path, caught.value.errno) == (program, number)
    assert caught.value.hint


def test_a_file_of_no_known_format(own_root):
    script = own_root / "bin/script"
    script.write_text("echo no interpreter line\n")
    script.chmod(0o755)
    with pytest.raises(pc.CommandNotExecutable) as caught:
        pc.run(["script"], rootfs=own_root)
    assert caught.value.errno == errno.ENOEXEC
    script.write_text("#!/bin/sh\necho fine\n")
    assert pc.run(["script"], rootfs=own_root).stdout == b"fine\n"
    script.write_text("#!/no/such/shell\n")
    with pytest.raises(pc.CommandNotFound):
        pc.run(["script"], rootfs=own_root)


def test_path_of_the_container_is_searched_as_a_shell_does(own_root):
    for name in ("first", "second"):
        (own_root / name).mkdir()
    (own_root / "first/tool").write_text("not executable")
    (own_root / "second/tool").write_text("#!/bin/sh\necho second\n")
    (own_root / "second/tool").chmod(0o755)
    env = {"PATH": "/missing:/first:/second:/bin"}
    assert pc.run(["tool"], rootfs=own_root, env=env).stdout == b"second\n"
    (own_root / "second/tool").unlink()
    with pytest.raises(pc.CommandNotExecutable):
        pc.run(["tool"], rootfs=own_root, env=env)
    with pytest.raises(pc.CommandNotFound):
        pc.run(["tool"], rootfs=own_root, env={"PATH": "/missing"})


@pytest.mark.parametrize(
    ("options", "step", "number"),
    [
        ({"cwd": "/etc/passwd"}, "mkdir", errno.ENOTDIR),
        ({"cwd": "/etc/passwd/below"}, "mkdir", errno.ENOTDIR),
        ({"mounts": [pc.Mount.tmpfs("/etc/passwd/below")]}, "mount", errno.ENOTDIR),
        ({"sysctls": {"net.nothing": "1"}}, "sysctl", errno.ENOENT),
        ({"sysctls": {"net.ipv4.ip_default_ttl": "many"}}, "sysctl", errno.EINVAL),
        ({"caps_drop": ["ALL"], "user": 1000, "cwd": "/root"}, "chdir", errno.EACCES),
    ],
    ids=str,
)
@pytest.mark.requires("subuid")
def test_a_step_that_fails_is_named(own_root, options, step, number):
    (own_root / "root").chmod(0o700)
    with pytest.raises(pc.LaunchError) as caught:
        pc.run(["true"], rootfs=own_root, **options)
    assert not isinstance(caught.value, pc.CommandNotFound | pc.CommandNotExecutable)
    assert (caught.value.step, caught.value.operation, caught.value.errno) == (step, step, number)
    assert os.strerror(number) in str(caught.value)
    assert caught.value.path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"volumes": {"/": "/there", "/no/such": "/in"}}, "volumes[1], mount at /in: source /no/such"),
        ({"mounts": [pc.Mount.bind("/no/such", "/in")]}, "mounts[0], mount at /in: source /no/such"),
        ({"mounts": [pc.Mount.overlay(["/no/such", "/"], "/in")]}, "mounts[0], mount at /in: source /no/such"),
        ({"workspace": "/no/such"}, "workspace, mount at /workspace: source /no/such"),
        ({"devices": ["/dev/nothing"]}, "devices[0], mount at /dev/nothing: source /dev/nothing"),
    ],
    ids=["volumes", "bind", "overlay", "workspace", "devices"],
)
def test_a_source_that_is_missing_is_told_with_its_option(own_root, options, told):
    with pytest.raises(pc.LaunchError) as caught:
        pc.run(["true"], rootfs=own_root, **options)
    assert str(caught.value).startswith(f"{told}: No such file or directory (ENOENT) (hint: ")
    assert caught.value.step == "tree"


def test_a_failure_with_limits_leaves_no_cgroup_either(inside):
    for _ in range(3):
        with pytest.raises(pc.LaunchError):
            inside(["true"], volumes={"/no/such/directory": "/in"}, memory="64M", pids=10, require_limits=False)
        with pytest.raises(pc.CommandNotFound):
            inside(["nothing"], memory="64M", pids=10, require_limits=False)


def test_hints_name_what_mends_it(inside):
    with pytest.raises(pc.LaunchError, match=r"hint: .*does not exist on the host"):
        inside(["true"], volumes={"/no/such/directory": "/in"})


# -- a root that is none


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda path: path / "missing", pc.NotFound, "No such file"),
        (lambda path: path / "file", pc.InvalidConfig, "is not a directory"),
        (lambda path: path / "loop", pc.InvalidConfig, "Too many levels of symbolic links"),
        (lambda path: path / "file/below", pc.InvalidConfig, "Not a directory"),
        (lambda path: f"{path}/{'a' * 300}", pc.InvalidConfig, "File name too long"),
        (lambda _: "/" + "a" * 5000, pc.InvalidConfig, "at most 4095 bytes"),
        (lambda _: "/a" * 2500, pc.InvalidConfig, "at most 4095 bytes"),
        (lambda path: f"{path}/a\0b", pc.InvalidConfig, "NUL"),
        (lambda path: os.fsencode(path) + b"/\xff", pc.NotFound, "No such file"),
        (lambda _: 7, pc.InvalidConfig, "text, bytes or a path"),
    ],
    ids=["missing", "file", "loop", "below a file", "long name", "5000", "long path", "NUL", "not UTF-8", "int"],
)
def test_a_root_that_is_none(scratch, make, kind, text):
    (scratch / "file").touch()
    (scratch / "loop").symlink_to("loop")
    with pytest.raises(kind, match=text) as caught:
        pc.run(["true"], rootfs=make(scratch))
    assert type(caught.value) is kind


def test_a_root_with_a_name_that_is_not_utf8_or_full_of_separators(own_root):
    for name in (b"\xff\xfe", b"a b,c:d\\e=f\n,lowerdir=g"):
        link = os.fsencode(own_root.parent) + b"/" + name
        os.symlink(own_root, link)
        try:
            assert pc.run(["echo", "here"], rootfs=link).stdout == b"here\n"
        finally:
            os.unlink(link)


def test_an_empty_directory_is_a_root_without_programs(scratch):
    with pytest.raises(pc.CommandNotFound):
        pc.run(["true"], rootfs=scratch)


def test_the_callers_process_is_as_before(inside):
    def facts():
        spaces = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in os.listdir("/proc/self/ns")}
        status = Path("/proc/self/status").read_text()
        keep = ("Uid", "Gid", "Groups", "Cap", "Sig", "NoNewPrivs", "Seccomp", "Umask")
        lines = [line for line in status.splitlines() if line.startswith(keep) and not line.startswith("SigQ")]
        return spaces, lines, os.getpid(), os.getcwd(), os.getsid(0), len(os.listdir("/proc/self/fd"))

    before = facts()
    inside(["true"])
    with pytest.raises(pc.CommandNotFound):
        inside(["nothing"])
    inside(["sleep", "1000"], timeout=0.05)
    assert facts() == before


def test_a_thread_may_run_containers_and_end(script, root):
    code = """
import sys, threading, pycgroups as pc
out = []
def one(i): out.append(pc.run(["sh", "-c", f"exit {i}"], rootfs=sys.argv[1]).returncode)
threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(out))
"""
    assert script(code, root) == "[0, 1, 2, 3, 4, 5, 6, 7]\n"


@pytest.mark.parametrize("disposition", ["SIG_IGN", "lambda *_: reap()"])
def test_the_application_may_treat_sigchld_as_it_likes(script, root, disposition):
    code = f"""
import os, signal, sys, pycgroups as pc
def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, getattr(signal, {disposition!r}, None) or ({disposition.replace("SIG_IGN", "None")}))
for i in (0, 3, 5):
    r = pc.run(["sh", "-c", f"exit {{i}}"], rootfs=sys.argv[1], timeout=300)
    print(r.returncode, r.reason)
r = pc.run(["sh", "-c", "kill -SEGV $$"], rootfs=sys.argv[1], timeout=300)
print(r.returncode, r.reason)
"""
    assert script(code, root) == "0 exited\n3 exited\n5 exited\n-11 signal\n"


def test_import_of_the_face_is_lean(script):
    code = """
import sys
import pycgroups as pc
pc.run
slow = {"subprocess", "ssl", "asyncio", "hashlib", "json", "typing_extensions"}
print(sorted(slow & set(sys.modules)))
"""
    assert script(code) == "[]\n"


@pytest.mark.skipif(sys.executable is None, reason="needs its own path")
def test_a_program_of_the_host_is_not_taken_for_one_of_the_root(inside):
    with pytest.raises(pc.CommandNotFound):
        inside([sys.executable, "-c", ""])
