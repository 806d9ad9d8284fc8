"""criu(8) as a child process that is told over a socket what to do, and tells over it of what it meets.

    we                                          criu swrk
    --                                          ---------
    start it, place(its pid)
    DUMP, PRE_DUMP or RESTORE               ->
                                            <-  NOTIFY "setup-namespaces", with the first process's pid:
    meet(pid)                                   nothing of the container runs yet
    NOTIFY                                  ->
                                            <-  NOTIFY "orphan-pts-master", with the master of its terminal
    NOTIFY                                  ->
                                            <-  it is done, as its exit code says, too

Its command line has what is not said here. Each message is a packet.
Source: https://github.com/checkpoint-restore/criu/blob/v4.1.1/images/rpc.proto.
"""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack

from pycgroups.errors import LaunchError
from pycgroups.runtime import protobuf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pycgroups.runtime.protobuf import Value

_REQUESTS = {"dump": 1, "restore": 2, "pre-dump": 13}  # criu_req_type; SINGLE_PRE_DUMP is criu 3.17's
_NOTIFY = 6
# criu_req, criu_resp
_TYPE, _OPTS, _NOTIFY_SUCCESS = 1, 2, 3
_NOTIFIED = 5
# criu_notify
_SCRIPT, _PID = 1, 2
# criu_opts
_IMAGES_DIR_FD, _OPTS_PID, _LOG_LEVEL, _NOTIFY_SCRIPTS, _ORPHAN_PTS_MASTER = 1, 2, 9, 12, 50
_ALL = 4  # of the log
_LONGEST = 65536
_LARGEST_PID = 2**31 - 1  # pid_t
_GO_ON = ((_TYPE, _NOTIFY), (_NOTIFY_SUCCESS, 1))


def run(
    verb: str,
    command: Sequence[str],
    directory: str,
    *,
    pid: int = 0,
    terminal: bool = False,
    given: Sequence[int] = (),
    place: Callable[[int], None] | None = None,
    meet: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Run it; its exit code, and the master of the terminal that it has restored, or -1.

    Args:
        verb: "dump", "pre-dump" or "restore".
        command: criu, and its options.
        directory: of its images.
        pid: the process to dump, the first of its tree.
        terminal: that has a terminal whose master is somebody else's, or gets one.
        given: descriptors that it gets.
        place: called with its pid before it does anything. What it raises ends criu, and is raised when criu has ended.
        meet: likewise, with the pid of the first process that it restores.

    Raises:
        LaunchError: what it says is not of this protocol. It has ended then, too.
    """
    with ExitStack() as held:
        images = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, images)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            words = [*command, "swrk", str(its.fileno())]
            fds = (*given, its.fileno())
            process = held.enter_context(subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=fds))
        held.enter_context(ours)  # is closed first, and then criu gives up
        if place:
            place(process.pid)
        options = [(_IMAGES_DIR_FD, images), (_LOG_LEVEL, _ALL), (_NOTIFY_SCRIPTS, 1), (_ORPHAN_PTS_MASTER, terminal)]
        if pid:
            options.append((_OPTS_PID, pid))
        _send(ours, (_TYPE, _REQUESTS[verb]), (_OPTS, protobuf.encode(*options)))
        master = _converse(ours, verb, meet)
    return process.returncode, master


def _converse(peer: socket.socket, verb: str, meet: Callable[[int], None] | None) -> int:
    """Answer what it asks until it is done, or has ended; the master of a terminal, or -1."""
    master = -1
    try:
        while packet := _receive(peer):
            data, fds = packet
            master = next(iter(fds), master)
            try:
                pid = _met(data)
            except (KeyError, ValueError) as error:
                raise LaunchError("it says what is none of criu's messages", step=verb, hint="is it criu?") from error
            if pid is None:
                break
            if pid and meet:
                meet(pid)
            _send(peer, *_GO_ON)
    except BaseException:
        if master >= 0:
            os.close(master)
        raise
    return master


def _met(data: bytes) -> int | None:
    """Return the pid of the first process, if that is what a message tells of; 0 if not, None if criu is done.

    Raises:
        KeyError: it lacks a field.
        ValueError: a field is not what it has to be.
    """
    answer = dict(protobuf.decode(data))
    if answer[_TYPE] != _NOTIFY:
        return None
    notified = answer[_NOTIFIED]
    told = dict(protobuf.decode(notified)) if isinstance(notified, bytes) else {}
    if told[_SCRIPT] != b"setup-namespaces":
        return 0
    pid = told[_PID]
    if isinstance(pid, int) and 0 < pid <= _LARGEST_PID:
        return pid
    raise ValueError(f"the pid {pid!r}")


def _send(peer: socket.socket, *fields: tuple[int, Value]) -> None:
    try:
        peer.send(protobuf.encode(*fields), socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):  # it has ended, and its exit code tells of that
        pass


def _receive(peer: socket.socket) -> tuple[bytes, list[int]] | None:
    """Receive a message, and the descriptors that came with it; None if it has ended."""
    try:
        data, fds, _, _ = socket.recv_fds(peer, _LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    return (data, fds) if data else None
