"""`Worker`: functions called in a user namespace, one after the other or at once, by one child of this process.

`pycgroups.namespaces.call` starts an interpreter for each call. The conversation is drawn in
`pycgroups.namespaces.worker`.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from contextlib import ExitStack

from pycgroups.errors import Error, LaunchError, own_errors
from pycgroups.namespaces import inside, worker
from pycgroups.namespaces.worker import NAME
from pycgroups.runtime import interpreter, unsharing
from pycgroups.runtime.calling import outcome, pickled
from pycgroups.runtime.signals import send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar, TypeVarTuple

    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.inside import Answer

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

_LONGEST = 2**16  # what the worker says when it begins
_SIGKILL = 9


class Worker:
    """A child in a new user namespace, which many threads may call functions in at once."""

    @own_errors(NAME)
    def __init__(self, idmap: IdMap) -> None:
        """Start it; the namespace is made meanwhile.

        Args:
            idmap: of the namespace.

        Raises:
            Unsupported: this process has no interpreter that can be started.
            LaunchError: the namespace cannot be made, or joined; nothing is left.
        """
        self._creator = os.getpid()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as undo:
            undo.callback(self._channel.close)
            with theirs, open(os.pidfd_open(self._creator), "rb", buffering=0) as caller:
                given = (theirs.fileno(), caller.fileno())
                self._running = interpreter.start(worker.__name__, b"", given, operation=NAME, bare=True)
            undo.callback(self._running.close)
            (user,) = unsharing.create("user", userns=idmap)
            with user:
                socket.send_fds(self._channel, [b"user"], [user.fileno()], socket.MSG_NOSIGNAL)
            said, _ = _heard(self._channel, self._running.pidfd, _LONGEST)
            outcome(_answered(said, NAME))
            undo.pop_all()

    @property
    def is_there(self) -> bool:
        """Whether it can be called: it has not ended, and is this process's own, and not of one that has forked it."""
        return self._creator == os.getpid() and not self._running.wait(0)

    def close(self) -> None:
        """End it, and with it what is going on in it."""
        self._channel.close()
        if self._creator == os.getpid():
            self._running.close()
        else:
            self._running.let_go()

    def call(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function of a module there, and return its value.

        When something interrupts the wait, as Ctrl-C does, the function has ended before that goes on from here.

        Raises:
            Error: the worker, or the function's process, was killed.
            BaseException: what the function raises.
        """
        value: T = outcome(self._call(fn.__qualname__, fn.__module__, pickled(fn, args)))
        return value

    @own_errors(NAME)
    def _call(self, name: str, module: str, function: bytes) -> Answer:
        with (
            open(os.memfd_create("job"), "w+b", buffering=0) as job,
            open(os.memfd_create("answer"), "w+b", buffering=0) as answer,
        ):
            job.write(function)
            job.seek(0)
            self._perform(name, module, job.fileno(), answer.fileno())
            answer.seek(0)
            return _answered(answer.read(), name)

    def _perform(self, name: str, module: str, job: int, answer: int) -> None:
        """Have a job done, and return when its process has ended."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                _send(self._channel, module.encode(), [theirs.fileno(), job, answer])
            said, fds = _heard(ours, self._running.pidfd, worker.ERRNO_BYTES)
            if not fds and said:
                raise LaunchError(step="fork", path=name, errno=int.from_bytes(said, sys.byteorder))
            for process in fds:
                try:
                    _send(ours, b"\0")
                    _wait(process)
                except BaseException:
                    send_signal(process, _SIGKILL)
                    _wait(process)
                    raise
                finally:
                    os.close(process)


def _send(to: socket.socket, data: bytes, fds: list[int] | None = None) -> None:
    """Send to who may be gone: then there will be no answer."""
    try:
        socket.send_fds(to, [data], fds or [], socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        pass


def _heard(talk: socket.socket, process: int, most: int) -> tuple[bytes, list[int]]:
    """Wait for what a process has to say, and the descriptors with it; nothing when it has ended.

    The end of the file alone would not tell: a process that was forked here meanwhile may have a copy of the other end.
    """
    poll = select.poll()
    poll.register(talk, select.POLLIN)
    poll.register(process, select.POLLIN)
    if all(fd != talk.fileno() for fd, _ in poll.poll()):
        return b"", []
    try:
        said, fds, _, _ = socket.recv_fds(talk, most, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", []
    return said, fds


def _wait(process: int) -> None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _answered(data: bytes, name: str) -> Answer:
    answer = inside.unpacked(data)
    if answer is None:
        raise _gone(name)
    return answer


def _gone(name: str) -> Error:
    return Error("its process has ended without an answer", operation=NAME, path=name, hint="was it killed?")
