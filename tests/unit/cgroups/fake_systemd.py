"""A systemd on a bus of its own: answers the calls that pycgroups makes, as it is told to, and keeps them.

For the tests that want what a real systemd does not do on request: refuse, fail, be slow, say nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import attrs
from jeepney import (
    DBusAddress,
    HeaderFields,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import DBusConnection, prep_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "/org/freedesktop/systemd1"
NAME = "org.freedesktop.systemd1"
CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@attrs.define
class Systemd:
    """What it does, and what it was asked.

    Attributes:
        refuse: (name, text) of the error that the next calls are answered with.
        result: how jobs end; None if they never do.
        before: say so before the reply to the call that began the job.
        silent: do not answer.
        top: path of its cgroup.
        moves: called with the processes of a scope that it starts.
        calls: (method, body) of each.
    """

    refuse: tuple[str, str] | None = None
    result: str | None = "done"
    before: bool = False
    silent: bool = False
    top: str = ""
    moves: Callable[[str, list[int]], object] | None = None
    calls: list[Any] = attrs.field(factory=list)

    def reply(self, message, method):
        """Answer what begins no job."""
        if method == "Get":
            return new_method_return(message, "v", (("s", self.top),))
        return new_method_return(message) if method in {"SetUnitProperties", "ResetFailedUnit"} else None

    def serve(self, connection, over):
        """Answer calls until `over` is set."""
        jobs = 0
        while not over.is_set():
            try:
                message = connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            if message.header.message_type is not MessageType.method_call:
                continue
            method = message.header.fields[HeaderFields.member]
            self.calls.append((method, message.body))
            if self.silent:
                continue
            if self.refuse:
                name, text = self.refuse
                connection.send(new_error(message, name, "s", (text,)))
                continue
            if reply := self.reply(message, method):
                connection.send(reply)
                continue
            if method == "StartTransientUnit" and self.moves:
                self.moves(message.body[0], dict(message.body[2])["PIDs"][1])
            jobs += 1
            job = f"{PATH}/job/{jobs}"
            reply = new_method_return(message, "o", (job,))
            manager = DBusAddress(PATH, NAME, f"{NAME}.Manager")
            # Somebody else's job, which is over as well.
            signals = [new_signal(manager, "JobRemoved", "uoss", (0, f"{PATH}/job/0", "other.service", "failed"))]
            if self.result:
                signals.append(new_signal(manager, "JobRemoved", "uoss", (jobs, job, message.body[0], self.result)))
            for each in [*signals, reply] if self.before else [reply, *signals]:
                connection.send(each)


@contextlib.contextmanager
def bus(directory) -> Iterator[str]:
    """A D-Bus daemon; the value is the path of its socket."""
    socket = f"{directory}/bus"
    (directory / "bus.conf").write_text(CONFIG.format(socket=socket))
    command = ["dbus-daemon", "--nofork", "--nopidfile", "--print-address", f"--config-file={directory}/bus.conf"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout
            assert daemon.stdout.readline()  # it listens
            yield socket
        finally:
            daemon.kill()


@contextlib.contextmanager
def serving(socket) -> Iterator[Systemd]:
    """A systemd on the bus."""
    systemd, over = Systemd(), threading.Event()
    with DBusConnection(prep_socket(socket)) as connection:
        connection.send_and_get_reply(message_bus.RequestName(NAME), timeout=10)
        thread = threading.Thread(target=systemd.serve, args=(connection, over))
        thread.start()
        try:
            yield systemd
        finally:
            over.set()
            thread.join(10)
            deadline = time.monotonic() + 10
            while thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
