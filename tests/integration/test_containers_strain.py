"""Containers that are held by processes in trouble: too few descriptors, the end of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for

pytestmark = [pytest.mark.requires("userns"), pytest.mark.slow_in_vm("dozens of starts, by interpreters of their own")]

OPTIONS = ("-X", "dev", "-W", "ignore::ResourceWarning")
PRELUDE = """
import gc, os, resource, sys, threading, time
import pycgroups as pc
from pycgroups.containers import keeping
store, root = pc.Store(sys.argv[1]), sys.argv[2]
"""
FEW_DESCRIPTORS = """
def descriptors():
    return sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
def life():
    made = store.containers.create(["sleep", "1000"], rootfs=root)
    try:
        made.start()
        assert made.exec(["echo", "word"]).stdout == b"word\\n"
        made.write_text("/tmp/word", "word")
        made.logs()
        made.stop(timeout=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        made.remove(force=True)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
keeping.socket()
life()
before, outcomes = descriptors(), set()
for extra in range(0, 60, STEP):
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 1 + extra, limits[1]))
    try:
        life()
        outcomes.add("success")
    except pc.Error as error:
        assert "EMFILE" in str(error), error
        assert "ulimit -n" in error.hint, error.hint
        outcomes.add("error")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    gc.collect()
    assert descriptors() == before, (descriptors(), before)
    assert store.containers.list(all=True) == []
print(*sorted(outcomes))
"""
IN_USE = """
held = store.containers.create(["sh", "-c", "while echo line; do sleep 0.01; done"], rootfs=root, name="held")
detached = store.containers.create(["sleep", "1000"], rootfs=root, name="detached", detach=True)
for each in held, detached:
    each.start()
def work(use):
    while True:
        use()
def follow():
    for line in held.logs(follow=True):
        pass
uses = [gc.collect, lambda: held.exec(["true"]), follow, lambda: detached.inspect(), lambda: detached.exec(["true"])]
for use in uses:
    threading.Thread(target=work, args=[use], daemon=True).start()
kept = [detached.popen(["sleep", "1000"]), held.popen(["cat"], stdin=pc.PIPE), held.logs(follow=True), held.attach()]
next(kept[2])
time.sleep(0.5)
"""


def test_few_descriptors(store, root, script):
    """Any limit: an error of ours, or success; no container is left, and no descriptor."""
    code = PRELUDE + FEW_DESCRIPTORS.replace("STEP", "1" if os.geteuid() == 0 else "7")
    assert script(code, store.containers._root, root) == "error success\n"


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "pc.Container.kept = kept"], ids=["end", "exit", "kept"])
def test_the_interpreter_ends_while_they_are_in_use(store, root, end):
    """It says nothing; the one that it held ends, and the one that is detached goes on."""
    done = subprocess.run(
        [sys.executable, *OPTIONS, "-c", PRELUDE + IN_USE + end, store.containers._root, os.fspath(root)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    held, detached = store.containers.get("held"), store.containers.get("detached")
    wait_for(lambda: held.status == "stopped")
    assert held.exit_code == -9
    assert detached.status == "running"
    wait_for(lambda: len(_processes(detached)) == 2)  # its init, and its program: what was executed has ended
    assert detached.exec(["true"]).returncode == 0


def _processes(held):
    return ["init", *Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split()]
