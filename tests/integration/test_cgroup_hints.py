"""What an error tells an ordinary user to have done as root, done: limits work then."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pycgroups as pc
from tests.waiting import PATIENCE

USER = 54_322
TOP = Path("/sys/fs/cgroup")

CODE = """
    import os, sys
    # Now, since the user may not be let in where they are.
    from pycgroups import cgroups, errors
    from pycgroups.cgroups import dbus, group, hints, moving, places
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    try:
        cgroups.Cgroup.create(memory="64M", pids=9)
    except errors.Unsupported as error:
        print(error.hint.removeprefix("as root: "), flush=True)
    sys.stdin.readline()
    with cgroups.Cgroup.create(memory="64M", pids=9) as made:
        print(made.unenforced, *made.paths, flush=True)
"""


@pytest.mark.requires("root", "limits")
def test_the_command_makes_limits_work():
    command = [sys.executable, "-c", textwrap.dedent(CODE).replace("USER", str(USER))]
    # In a group of its own: on v1 the directory for the user is made below that.
    with (
        pc.Cgroup.create(memory="1G", pids=100) as around,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            around.add(process.pid)
            assert process.stdin
            assert process.stdout
            hint = process.stdout.readline().strip()
            subprocess.run(["sh", "-ec", hint], check=True, timeout=PATIENCE)
            process.stdin.write("\n")
            process.stdin.flush()
            made = process.stdout.readline().split()
            assert made[0] == "()"
            assert len(made) > 1
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
            for path in (TOP / f"user-{USER}/self", TOP / f"user-{USER}"):
                if path.is_dir():
                    path.rmdir()
