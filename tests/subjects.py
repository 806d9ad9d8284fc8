"""Processes to be attacked: each has pycgroups loaded, and runs one container when it is told to.

A nursery is a process with a single thread that forks them, so that each costs milliseconds. It adopts what they
leave behind when they die: its descendants are all that is left of them.

    test                     nursery                  subject
    a socket  ------------>  fork  ---------------->
              <-------------------------------------  its pid
    attaches a tracer
    options of run  ------------------------------->  pc.run(...)
              <-------------------------------------  what came of it
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TREE = Path(__file__).parents[1]
PARTS = ("_native", "cgroups", "containers", "errors", "namespaces", "oci", "runtime", "security")
_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Subject:
    """One process, waiting for its orders."""

    def __init__(self, connection: socket.socket) -> None:
        """Wait until it is there."""
        self._file = connection.makefile("rw")
        connection.close()
        self.pid = int(self._file.readline())

    def run(self, command: Sequence[str], **options: Any) -> None:
        """Have it run a container; `outcome` tells."""
        self._file.write(json.dumps([command, options]) + "\n")
        with suppress(BrokenPipeError):
            self._file.flush()

    def outcome(self) -> dict[str, Any] | None:
        """What came of the run; None if the process died."""
        try:
            answer = self._file.readline()
        except ConnectionResetError:
            answer = ""
        with suppress(BrokenPipeError):
            self._file.close()
        return json.loads(answer) if answer else None


class Nursery:
    """Makes subjects."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        """Hold the process that forks them."""
        self.pid = process.pid
        self._connection = connection

    def subject(self) -> Subject:
        """Make one, as if it had just imported pycgroups: nothing is cached."""
        ours, its = socket.socketpair()
        with its:
            socket.send_fds(self._connection, [b"."], [its.fileno()])
        return Subject(ours)

    def wait_until_empty(self, patience: float) -> list[str]:
        """Wait for all subjects, and all that they left running, to end; the command lines of what does not."""
        deadline = time.monotonic() + patience
        while (left := descendants(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Keep a nursery for some time."""
    ours, its = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(its.fileno())], pass_fds=[its.fileno()], cwd=TREE, start_new_session=True
    )
    its.close()
    try:
        yield Nursery(process, ours)
    finally:
        ours.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def descendants(pid: int) -> list[str]:
    """Command lines of everything alive below a process."""
    found = []
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{child} {line}")
        found += descendants(child)
    return found


# -- in the nursery ------------------------------------------------------------------------------------------------


def _main(connection: socket.socket) -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, _reap)
    _load_all()
    while True:
        data, fds, _, _ = socket.recv_fds(connection, 1, 1)
        if not data:
            break
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.close()
            return _be_subject(socket.socket(fileno=fds[0]))
        os.close(fds[0])
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _load_all() -> None:
    """Import what a run imports, so that no import is attacked; but call nothing, since much is kept."""
    import pycgroups

    for module in pkgutil.walk_packages(pycgroups.__path__, "pycgroups."):
        if module.name.split(".")[1] in PARTS and not module.name.endswith(".build"):
            importlib.import_module(module.name)
    for name in ("encodings.ascii", "pwd", "traceback", "linecache"):
        importlib.import_module(name)


def _be_subject(connection: socket.socket) -> None:
    connection.send(f"{os.getpid()}\n".encode())
    command, options = json.loads(connection.makefile().readline())
    before = _steadily(_descriptors)
    answer = _attempt(command, options)
    answer["fds"] = sorted(_steadily(_descriptors) - before)
    answer["children"] = _steadily(lambda: descendants(os.getpid()))
    os.writev(connection.fileno(), [json.dumps(answer).encode() + b"\n"])  # a call that a run does not make


def _attempt(command: list[str], options: dict[str, Any]) -> dict[str, Any]:
    import pycgroups as pc

    try:
        result = pc.run(command, **options)
    except BaseException as error:  # noqa: BLE001 (whatever it is, is told)
        own = isinstance(error, pc.Error)
        return {"error": type(error).__name__, "own": own, "text": str(error), "trace": "" if own else _trace(error)}
    return {"returncode": result.returncode, "reason": result.reason, "stdout": (result.stdout or b"").decode()}


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _steadily(question: Callable[[], Any]) -> Any:
    """Ask again when a fault was injected into the question."""
    while True:
        with suppress(OSError):
            return question()


def _descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add(f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
