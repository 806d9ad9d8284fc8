"""The command `pycgroups-oci` as its callers use it: a process of its own for each call."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from tests.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from tests.integration.bundles import Bundle

COMMAND = os.environ.get("PYCGROUPS_TEST_RUNTIME", str(Path(sys.executable).with_name("pycgroups-oci")))


class Answer(NamedTuple):
    """What came of a call."""

    code: int
    out: str
    err: str


class Oci:
    """The command, with the root and the bundle of a test."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.words = [COMMAND, "--root", str(bundle.state)]

    def call(self, *arguments: object, code: int | None = 0, before: tuple[str, ...] = (), **options: Any) -> Answer:
        """Run it to its end; a container that goes on may keep its output."""
        options = {"timeout": PATIENCE, **({} if "input" in options else {"stdin": subprocess.DEVNULL}), **options}
        with self._file("out") as out, self._file("err") as err:
            command = [*before, *self.words, *map(str, arguments)]
            done = subprocess.run(command, stdout=out, stderr=err, check=False, text=True, **options)
            for file in (out, err):
                file.seek(0)
            answer = Answer(done.returncode, out.read(), err.read())
        assert code in {answer.code, None}, answer
        assert "Traceback" not in answer.err
        return answer

    def _file(self, name: str) -> IO[str]:
        """Make a file without a name. Not a TemporaryFile, which is opened in a way that criu cannot repeat."""
        path = self.bundle.path.parent / name
        file = path.open("w+")
        path.unlink()
        return file

    def fails(self, *arguments: object, code: int = 1, **options: Any) -> str:
        """Run what has to fail: one line says why."""
        answer = self.call(*arguments, code=code, **options)
        assert answer.err.count("\n") == 1, answer
        return answer.err

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Have it run meanwhile."""
        return subprocess.Popen([*self.words, *map(str, arguments)], text=True, **options)

    def create(self, name: str = "web", *flags: object, verb: str = "create", **options: Any) -> Answer:
        return self.call(verb, "--bundle", self.bundle.write(), *flags, name, **options)

    def run(self, *flags: object, name: str = "web", **options: Any) -> Answer:
        return self.create(name, *flags, verb="run", **options)

    def running(self, *args: str, name: str = "web") -> int:
        """Have a container run; its pid."""
        self.bundle.run(*(args or ("sleep", "1000")))
        self.run("--detach", name=name)
        pid: int = self.state(name)["pid"]
        return pid

    def in_scope(self) -> str:
        """Have systemd make the cgroup; its scope."""
        self.words.append("--systemd-cgroup")
        name = f"web{os.getpid()}"
        self.bundle.config["linux"]["cgroupsPath"] = f"system.slice:pycgroups-test:{name}"
        return f"pycgroups-test-{name}.scope"

    def state(self, name: str = "web") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.call("state", name).out)
        return document

    def wait_for(self, status: str, name: str = "web") -> None:
        """Wait for a status, of a container that need not be there yet."""
        wait_for(lambda: f'"status": "{status}"' in self.call("state", name, code=None).out)

    def names(self) -> list[str]:
        return self.call("list", "-q").out.split()


class Watched(Oci):
    """A copy of the command, which finds beside it a Python that says when it is called."""

    def __init__(self, bundle: Bundle, directory: Path) -> None:
        super().__init__(bundle)
        self.called = directory / "called"
        self.program = Path(shutil.copy2(COMMAND, directory))
        self.words[0] = str(self.program)
        self.python("")

    def python(self, before: str) -> None:
        """Have its Python do something first."""
        note = f'(shift 5; echo "$*") >>{self.called}'  # what comes after -SEP -X WHERE -c PROGRAM
        python = self.program.with_name("python3")
        python.write_text(f'#!/bin/sh\n{note}\n{before}\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)

    def alone(self, *arguments: object, **options: Any) -> None:
        """Have it succeed without Python."""
        assert self.call(*arguments, **options) == (0, "", "")
        assert not self.called.exists()

    def asks(self, *arguments: object, **options: Any) -> Answer:
        """Have it ask Python; what came of it."""
        answer = self.call(*arguments, code=None, **options)
        self.called.unlink()
        return told(answer)


def told(answer: Answer) -> Answer:
    """What is told, whenever."""
    return answer._replace(err=re.sub(r'time="[^"]*"', "", answer.err))


class Receiver:
    """A socket that gets a descriptor, as conmon has one for a terminal; a context manager."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "socket"

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen()
        self._socket.settimeout(PATIENCE)
        return self

    def receive(self) -> tuple[bytes, int]:
        """Return what it gets: data and a descriptor, which the caller closes."""
        connection, _ = self._socket.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 100, 1)
        return data, fds[0]

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.path.unlink()


def read_all(fd: int) -> bytes:
    """Read a terminal's master until nobody has the terminal any more, and close it."""
    text = b""
    try:
        while piece := os.read(fd, 4096):
            text += piece
    except OSError:
        pass
    finally:
        os.close(fd)
    return text
