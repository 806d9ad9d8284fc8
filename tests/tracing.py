"""strace(1) as a tool of attack: it makes the Nth call of a kind fail, or kills the process at it."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


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
