"""A program holds the lock of a pipe of its streams for ever: who touches that pipe cannot even be killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pycgroups as pc
from tests.processes import is_alive, state
from tests.waiting import wait_for

pytestmark = [pytest.mark.requires("userns")]

PRELUDE = """
import os, socket, sys, time
_, terminal = os.openpty()
near, far = socket.socketpair()
near.setblocking(False)
for size in (65536, 1024, 1):
    try:
        while True:
            near.send(bytes(size))  # nobody reads it: what follows waits
    except BlockingIOError:
        near.setblocking(size == 1)
"""
HOLD = {
    "as writer": "os.write(1, b'x'); os.splice(terminal, 1, 1)",
    "as silent writer": "os.splice(terminal, 1, 1)",
    "as reader": "os.write(1, b'x' * 9000); os.splice(os.open('/proc/self/fd/1', os.O_RDONLY), near.fileno(), 9000)",
    "as reader without writers": """
os.write(1, b'x' * 9000)
r = os.open('/proc/self/fd/1', os.O_RDONLY)
os.close(1)
os.splice(r, near.fileno(), 9000)
time.sleep(99)  # all had been read before
""",
    "of its input": "os.splice(0, near.fileno(), 9000)",
    "of errors": "os.write(2, b'x'); os.splice(terminal, 2, 1)",
}
holders = pytest.mark.parametrize("hold", HOLD.values(), ids=HOLD)


@holders
def test_a_timeout_comes_in_time(hold):
    begin = time.monotonic()
    result = pc.run(["python3", "-c", PRELUDE + hold], input=bytes(3_000_000), timeout=2)
    assert result.reason == "timeout"
    assert time.monotonic() - begin < 30


CALLER = """
import sys
import pycgroups as pc
pc.run(["python3", "-c", sys.argv[1]], input=bytes(3_000_000), stderr=None)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
@pytest.mark.parametrize("hold", [name for name in HOLD if name != "of errors"])
def test_the_caller_is_ended(hold, number):
    """Whether it is reading, or has nothing to read, and only closes the pipe in the end."""
    code = f"{PRELUDE}\nprint('now', file=sys.stderr, flush=True)\n{HOLD[hold]}"
    command = [sys.executable, "-c", CALLER, code]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as caller:
        assert caller.stderr.readline() == b"now\n"
        inits = children(caller.pid)
        assert inits
        wait_for(lambda: all(waits(pid) for pid in inits))
        assert all(is_alive(pid) for pid in inits)
        caller.send_signal(number)
        caller.wait(30)
        wait_for(lambda: not any(is_alive(pid) for pid in inits), 30)


def children(pid):
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def waits(pid):
    """Whether a process, and all below it, sleep."""
    return state(pid) in "SX" and all(waits(child) for child in children(pid))
