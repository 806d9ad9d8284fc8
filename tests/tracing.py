"""strace(1) as a tool of attack: it makes the Nth call of a kind fail, or kills the process at it."""

from __future__ import annotations

import os
import select
import subprocess
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pycgroups as pc
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKED, REFUSED, FELL, INTERRUPTED = 0, 2, 3, 130


@contextmanager
def attached(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Trace a process, which waits for something meanwhile, until it ends."""
    command = ["strace", "-qq", "-o", str(log), "-p", str(pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            if tracer.poll() is not None:
                assert tracer.stderr
                raise RuntimeError(tracer.stderr.read().decode())
            time.sleep(0.001)
        yield
        tracer.wait(PATIENCE)


def calls(log: Path) -> Counter[str]:
    """How often each system call was made, as far as the log has them."""
    names = (
        line.partition("(")[0].split()[-1:] for line in log.read_text(errors="replace").splitlines() if "(" in line
    )
    return Counter(name[0] for name in names if name and name[0].isidentifier())


def injected(log: Path) -> str | None:
    """The first call that was made to fail."""
    return next((line for line in log.read_text(errors="replace").splitlines() if "(INJECTED)" in line), None)


def outcome(action: Callable[[], object], log: Path, *options: str, follow: bool = True) -> int:
    """Do something in a process of its own, under strace; how that ended.

    Args:
        action: what.
        log: of strace.
        options: of strace.
        follow: threads and what it starts, too; its end is waited for then.

    Returns:
        `WORKED`, `REFUSED` with an error of pycgroups, `INTERRUPTED`, `FELL` with any other, or what a signal makes of
        the status.
    """
    waiting, go = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: none of ours are left
        pid = os.fork()
    if pid == 0:
        os._exit(_status(action, waiting, go))
    os.close(waiting)
    try:
        with attached(pid, log, *(["-f"] if follow else []), *options):
            os.close(go)
    finally:
        _, status = os.waitpid(pid, 0)
    return status if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def _status(action: Callable[[], object], waiting: int, go: int) -> int:
    try:
        os.close(go)
        select.select([waiting], [], [])  # none of the calls that are made to fail
        action()
    except pc.Error:
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException:  # noqa: BLE001 (it is told by the status)
        traceback.print_exc()
        return FELL
    return WORKED
