"""A program with a monitor, as the containers have one: for the tests of the monitor and of the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pycgroups.containers import logs, monitor
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Watched:
    """A plain process in the place of a container.

    Attributes:
        path: the container's directory.
        directory: the same, opened.
        program: the process.
        monitor: of it.
    """

    def __init__(self, path: Path, argv: Sequence[str | bytes], **task: Any) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.program = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        assert self.program.stdout
        assert self.program.stderr
        self.pidfd = os.pidfd_open(self.program.pid)
        streams = {"stdout": self.program.stdout.fileno(), "stderr": self.program.stderr.fileno()}
        self.monitor = monitor.start(
            monitor.Task(**{"directory": self.directory, "pidfd": self.pidfd, **streams, **task})
        )
        self.program.stdout.close()
        self.program.stderr.close()

    def say(self, *lines: bytes) -> None:
        """Give the program something to read."""
        assert self.program.stdin
        self.program.stdin.write(b"".join(lines))
        self.program.stdin.flush()

    def end(self) -> monitor.Exit:
        """Let the program come to its end, and wait for the monitor's."""
        self.program.communicate()
        found = monitor.wait(self.directory, PATIENCE)
        assert found is not None
        return found

    def records(self, **options: Any) -> list[logs.Record]:
        """Read the log."""
        return list(logs.read(self.directory, **options))

    def output(self, stream: str = "stdout") -> bytes:
        """What the log has of a stream."""
        return b"".join(record.data for record in self.records() if record.stream == stream)

    def close(self) -> None:
        """End all that is left."""
        try:
            os.killpg(self.program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.program.communicate()
        try:
            signal.pidfd_send_signal(self.monitor.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for fd in (self.directory, self.pidfd, self.monitor.pidfd):
            os.close(fd)


@contextmanager
def watched(path: Path, script: str, **task: Any) -> Iterator[Watched]:
    """Run a shell script with a monitor."""
    made = Watched(path, ["sh", "-c", script], **task)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def python(path: Path, script: str, **task: Any) -> Iterator[Watched]:
    """Run a Python script with a monitor."""
    made = Watched(path, [sys.executable, "-c", script], **task)
    try:
        yield made
    finally:
        made.close()


FORMS = pytest.mark.parametrize("form", ["json", "plain"])
