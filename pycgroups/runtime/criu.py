"""criu(8) as a child process, which waits for us twice.

    we                              sh, then criu
    --                              -------------
    start it, place(its pid)
    a line                      ->  make namespaces, and the first process in them
    meet(the first's pid)       <-  its pid: nothing of the container runs yet
    a line                      ->  do the rest
    its exit code               <-  it is done

Where a pipe is closed and no line comes, it gives up.
"""

from __future__ import annotations

import os
import select
import subprocess
from contextlib import ExitStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

_AFTER_A_LINE = 'read -r line && exec "$@" </dev/null'
# An action script, which criu executes at each stage; it closes what it was given, so our pipes are named.
_ASK = """#!/bin/sh
[ "$CRTOOLS_SCRIPT_ACTION" != setup-namespaces ] || {{ echo "$CRTOOLS_INIT_PID" >{}; read -r line <{}; }}
"""
_LONGEST_PID = 20


def run(
    command: Sequence[str],
    *,
    given: Sequence[int] = (),
    place: Callable[[int], None] | None = None,
    meet: Callable[[int], None] | None = None,
) -> int:
    """Run it; its exit code.

    Args:
        command: criu, and what it is told.
        given: descriptors that it gets.
        place: called with its pid before it does anything. What it raises ends criu, and is raised when criu has ended.
        meet: likewise, with the pid of the first process that it restores.
    """
    with ExitStack() as held:
        question, ask = _pipe(held)
        wait, answer = _pipe(held)
        script = held.enter_context(_executable(_ASK.format(_path(ask), _path(wait))))
        asking = ["--action-script", _path(script)] if meet else []
        words = ["/bin/sh", "-c", _AFTER_A_LINE, "sh", *command, *asking]
        process = held.enter_context(subprocess.Popen(words, bufsize=0, stdin=subprocess.PIPE, pass_fds=given))
        assert process.stdin is not None
        with process.stdin as begin:
            if place:
                place(process.pid)
            _write_line(begin)
        with answer:
            if meet and _has_asked(process, question):
                meet(int(question.read(_LONGEST_PID)))
                _write_line(answer)
    return process.returncode


def _pipe(held: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    output, input_ = os.pipe2(os.O_CLOEXEC)
    return held.enter_context(open(output, "rb", buffering=0)), held.enter_context(open(input_, "wb", buffering=0))


def _executable(script: str) -> IO[bytes]:
    """Make a file that is nowhere, for /run may be mounted noexec. Nobody may have it open to write: ETXTBSY."""
    with open(os.memfd_create("pycgroups-ask"), "wb", buffering=0) as file:
        file.write(script.encode())
        return open(_path(file), "rb", buffering=0)


def _path(file: IO[bytes]) -> str:
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _has_asked(process: subprocess.Popen[bytes], question: IO[bytes]) -> bool:
    """Wait for that, or for its end."""
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        for fd in (pidfd, question.fileno()):
            poll.register(fd, select.POLLIN)
        return any(fd != pidfd for fd, _ in poll.poll())
    finally:
        os.close(pidfd)


def _write_line(pipe: IO[bytes]) -> None:
    try:
        pipe.write(b"\n")
    except BrokenPipeError:  # it has ended, and its exit code tells of that
        pass
