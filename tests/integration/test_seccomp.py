"""Filters by name: `seccomp="strict"`, where programs compute and do nothing else."""

from __future__ import annotations

import json
import subprocess

import pytest

import pycgroups as pc
from pycgroups._native.calls import syscall_numbers

pytestmark = pytest.mark.requires("userns")

# Reads a number, computes in a thread of its own, and writes another.
COMPUTES = """
import decimal, hashlib, json, random, threading
number = int(input())
thread = threading.Thread(target=lambda: print(json.dumps(sum(range(number)))))
thread.start()
thread.join()
"""

# Tries calls by number, and prints the error of each.
TRIES = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "ok"
print(json.dumps({name: attempt(*call) for name, *call in json.loads(sys.argv[1])}))
"""


@pytest.fixture(scope="module")
def compute(shelf):
    """A dynamically linked program of C, which doubles a number."""
    source = (
        '#include <stdio.h>\nint main(void) { double n; return scanf("%lf", &n) != 1 || printf("%g\\n", 2 * n) < 0; }'
    )
    (shelf / "computes").mkdir()
    subprocess.run(["gcc", "-x", "c", "-o", shelf / "computes/double", "-"], input=source.encode(), check=True)
    return shelf / "computes"


def strict(command, **options):
    return pc.run(command, text=True, seccomp="strict", **options)


def test_a_shell_computes(root):
    result = strict(
        ["sh", "-c", "read n; echo $((n * 6)); while read line; do echo $line; done"], rootfs=root, input="7\na\nb\n"
    )
    assert (result.returncode, result.stdout) == (0, "42\na\nb\n")
    assert strict(["sort"], rootfs=root, input="c\na\nb\n").stdout == "a\nb\nc\n"


def test_programs_of_c_compute(compute):
    assert strict(["/in/double"], volumes={compute: "/in:ro"}, input="21").stdout == "42\n"


def test_a_static_program_has_threads(root):
    assert strict(["probe", "threads"], rootfs=root).stdout == "threads ok\n"


def test_python_computes():
    result = strict(["python3", "-c", COMPUTES], input="100\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "4950\n", "")


def test_without_namespaces():
    result = strict(["python3", "-c", COMPUTES], input="100\n", isolation="process")
    assert (result.returncode, result.stdout, result.stderr) == (0, "4950\n", "")
    assert "PermissionError" in strict(["python3", "-c", "import os; os.fork()"], isolation="process").stderr


def test_abort_is_told():
    assert strict(["python3", "-c", "import os; os.abort()"]).returncode == -6


# Calls with arguments that do no harm where they are not refused.
FORBIDDEN = """
    fork, vfork, clone 17, execveat -1, kill 1 15, ptrace 16 1, setuid 0, setresuid 0 0 0, capset, seccomp 1
    socket 1 1, socketpair 1 1, pipe2, eventfd2, epoll_create1, inotify_init1, memfd_create, shmget 0 4096 512
    mount, umount2, unshare 268435456, setns -1, chroot, prctl 1 9, setrlimit 3, sched_setaffinity 0 8
    mkdirat -100, unlinkat -100, renameat, fchmod 1, ftruncate 1, ioctl 0 21522
"""


def test_nothing_else_is_done(root):
    numbers = syscall_numbers()
    tries = [call.split() for call in FORBIDDEN.replace("\n", ",").split(",") if call.strip()]
    words = json.dumps([(name, numbers[name], *map(int, args)) for name, *args in tries if name in numbers])
    answers = json.loads(strict(["python3", "-c", TRIES, words]).stdout)
    assert len(answers) > 25
    assert {name: answer for name, answer in answers.items() if answer != "EPERM"} == {}
    answers = strict(["probe", "system-calls"], rootfs=root).stdout
    assert {line.split()[1] for line in answers.splitlines()} == {"EPERM"}


def test_no_file_is_written(scratch):
    (scratch / "there").write_text("before")
    writes = "\n".join(
        f"try:\n  open({name!r}, {mode!r})\nexcept PermissionError: print('refused')"
        for name, mode in (
            ("/in/new", "w"),
            ("/in/there", "w"),
            ("/in/there", "a"),
            ("/in/there", "r+"),
            ("/tmp/x", "x"),
        )
    )
    result = strict(["python3", "-c", f"print(open('/in/there').read())\n{writes}"], volumes={scratch: "/in"})
    assert result.stdout == "before\n" + 5 * "refused\n", result
    assert [path.name for path in scratch.iterdir()] == ["there"]
    assert (scratch / "there").read_text() == "before"


def test_a_program_that_cannot_do_without_fails():
    """The verdict is its own."""
    result = strict(["python3", "-c", "import os; os.fork()"])
    assert (result.returncode, result.reason) == (1, "exited")
    assert "PermissionError: [Errno 1]" in result.stderr
