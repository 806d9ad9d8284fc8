"""A container is started whose readiness is handed on: see `pycgroups.oci_cli.notify`, and sd_notify(3)."""

from __future__ import annotations

import _socket  # socket itself takes 4 ms to import
import os
import select

from pycgroups.oci_cli import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.runtime import Container

_READY = b"READY=1"
_LONGEST = 65536
_PATIENCE = 5000  # milliseconds that a manager has to answer; systemd-notify(1) gives as many


def start(container: Container, directory: str, *, wait: bool) -> None:
    """Start it.

    Args:
        container: one that is created.
        directory: what it is shown, for the socket.
        wait: return only when its program has said that it is ready, or has ended.
    """
    pid = container.state().pid
    pidfd = os.pidfd_open(pid)
    holder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        socket.bind(f"/proc/self/fd/{holder}/{notify.SOCKET}")  # its own path may be longer than an address
        os.chmod(notify.SOCKET, 0o777, dir_fd=holder)  # noqa: S103 (whoever the program is)
        container.start(wait=wait)
        if wait:
            _hand_on(socket, pid, pidfd)
    except BaseException:
        _close(socket, pidfd)
        raise
    finally:
        os.close(holder)
    if wait:
        _close(socket, pidfd)
        return
    from threading import Thread

    Thread(target=_hand_on_and_close, args=(socket, pid, pidfd), daemon=True).start()


def _hand_on_and_close(socket: Any, pid: int, pidfd: int) -> None:
    try:
        _hand_on(socket, pid, pidfd)
    finally:
        _close(socket, pidfd)


def _close(socket: Any, pidfd: int) -> None:
    socket.close()
    os.close(pidfd)


def _hand_on(socket: Any, pid: int, pidfd: int) -> None:
    """Wait until the program says that it is ready, or ends."""
    said = select.poll()
    for fd in (socket.fileno(), pidfd):
        said.register(fd, select.POLLIN)
    while socket.fileno() in {fd for fd, _ in said.poll()}:
        if _READY in socket.recv(_LONGEST).split(b"\n"):
            _tell(pid)
            return


def _tell(pid: int) -> None:
    """Tell our service manager, and wait until it has listened: it asks who we are, and we may end at once."""
    name = os.environ[notify.VARIABLE]
    manager = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        manager.connect(f"\0{name[1:]}" if name.startswith("@") else name)
        manager.send(_READY)
        manager.send(b"MAINPID=%d" % pid)
        _wait(manager)
    finally:
        manager.close()


def _wait(manager: Any) -> None:
    """Send the end of a pipe, which is closed when the message is read; sd_notify_barrier(3)."""
    from pycgroups.runtime import handing

    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        handing.send(manager.fileno(), b"BARRIER=1", write)
        os.close(write)
        write = -1
        closed = select.poll()
        closed.register(read, 0)
        closed.poll(_PATIENCE)
    finally:
        for fd in (read, write):
            if fd >= 0:
                os.close(fd)
