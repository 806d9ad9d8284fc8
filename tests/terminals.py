"""A command on a terminal, as a person uses it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class Screen:
    """The master of a pty: type, and expect what is shown."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self.seen!r}"
            self.look(left)
        self.seen = self.seen[match.end() :]
        return match

    def look(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536).decode()

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.master, (rows, columns))  # the kernel tells the foreground: SIGWINCH


class Session(Screen):
    """A command on a pty."""

    def __init__(self, *command: str, size: tuple[int, int] = (24, 80), env: Mapping[str, str] | None = None) -> None:
        master, self.terminal = pty.openpty()
        super().__init__(master)
        termios.tcsetwinsize(self.master, size)
        self.before = termios.tcgetattr(self.terminal)
        self.process = subprocess.Popen(
            # A session of its own, with this as its controlling terminal: SIGWINCH and Ctrl-C come from there.
            ["setsid", "--ctty", *command],
            env=env,
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
        )

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        super().__exit__()
        os.close(self.terminal)

    def end(self) -> int:
        """Wait for the command; its exit code. The terminal is as it was before."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.look(0.05)
        assert termios.tcgetattr(self.terminal) == self.before
        return self.process.wait(timeout=1)

    def hang_up(self) -> int:
        """Take the terminal away, as when its window is closed, and wait for the command; its exit code."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, self.master, inheritable=False)
        os.close(nothing)
        return self.process.wait(PATIENCE)
