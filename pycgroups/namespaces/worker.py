"""The child of `pycgroups.runtime.working`: root of a user namespace, it forks for each piece of work.

    caller                                 worker                  piece, a child of the worker's
    the user namespace ─────────────────▶  goes in
                            ◀────────────  is ready
    a module, a socket, two files ──────▶  loads it, forks ─────▶
                            ◀───────────────────────────────────  its pidfd
    a byte on the socket ───────────────────────────────────────▶ reads a function from one file, calls it,
                                                                   writes what came of it to the other, ends

So an interpreter starts, and modules are loaded, once. A piece is a process, and no thread, so that the caller can end
it alone, and so that two of them have two processors. It does nothing before the caller holds its pidfd.

Nothing of this outlives the caller: the worker watches its pidfd, and pieces die with the worker.
"""

from __future__ import annotations

import _pickle as pickle  # what comes is the caller's own; `pickle` itself loads regular expressions
import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums of all numbers
import _socket  # `socket` takes half as long as all the rest
import importlib
import os
import select
import sys

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.errors import Error
from pycgroups.namespaces import inside
from pycgroups.namespaces.inside import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

NAME = "work in a user namespace"
LONGEST_NAME = 1024
"""Of a module, in bytes."""
ERRNO_BYTES = 4
"""What comes when a piece could not be forked, and no pidfd."""

_FD_BYTES = 4
_MOST_FDS = 3


def main(given: BinaryIO, first: int) -> None:
    """Go into the user namespace, and fork until the caller has ended, or has closed its end."""
    given.close()
    channel, caller = _socket.socket(fileno=first), first + 1
    for fd in (first, caller):
        os.set_inheritable(fd, False)
    try:
        _, users = _receive(channel)
        for user in users:
            inside.enter_user(user, NAME)
    except Exception as error:  # noqa: BLE001 (told to the caller)
        channel.send(inside.packed(inside.failed(error, NAME)))
        return
    # It is not to die with the thread that started it: others may have work for it.
    calls.process_control(lib.PR_SET_PDEATHSIG, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for pieces here, and none becomes a zombie
    channel.send(inside.packed(Answer(value=pickle.dumps(None))))
    _serve(channel, caller)
    os._exit(0)


def _serve(channel: _socket.socket, caller: int) -> None:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    poll.register(caller, select.POLLIN)
    worker = os.getpid()
    while all(fd != caller for fd, _ in poll.poll()):
        module, fds = _receive(channel)
        if not fds:
            return
        _load(module.decode())
        talk, job, answer = _socket.socket(fileno=fds[0]), *fds[1:]
        try:
            if os.fork() == 0:
                channel.close()
                os.close(caller)
                _do(talk, job, answer, worker)
        except OSError as error:
            talk.send((error.errno or 0).to_bytes(ERRNO_BYTES, sys.byteorder))
        talk.close()
        os.close(job)
        os.close(answer)


def _load(module: str) -> None:
    """Load what every piece would have to; of what cannot be loaded the piece tells."""
    if module not in sys.modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001, S110 (modules raise what they like)
            pass


def _do(talk: _socket.socket, job: int, answer: int, worker: int) -> None:
    """Be a piece; does not return."""
    try:
        calls.process_control(lib.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != worker:  # it has ended before that
            return
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        own = os.pidfd_open(os.getpid())
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, own.to_bytes(_FD_BYTES, sys.byteorder))
        talk.sendmsg([b"\0"], [rights], _socket.MSG_NOSIGNAL)
        os.close(own)
        if talk.recv(1):  # otherwise the caller has given up
            inside.write(answer, _answer(job))
    finally:
        os._exit(0)


def _answer(job: int) -> Answer:
    try:
        with open(job, "rb") as file:
            function, arguments = pickle.load(file)
    except Exception as error:  # noqa: BLE001 (likewise)
        message = f"it cannot be loaded: {type(error).__name__}: {error}"
        return inside.failed(Error(message, operation=NAME), NAME)
    return inside.perform(function, arguments, function.__qualname__)


def _receive(channel: _socket.socket) -> tuple[bytes, list[int]]:
    """Receive a name and descriptors; none when the caller has closed its end."""
    space = _socket.CMSG_SPACE(_MOST_FDS * _FD_BYTES)
    name, ancillary, _, _ = channel.recvmsg(LONGEST_NAME, space, _socket.MSG_CMSG_CLOEXEC)
    return name, [fd for _, _, data in ancillary for fd in memoryview(data).cast("i").tolist()]
