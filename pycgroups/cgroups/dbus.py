"""A connection to a message bus: calls, and signals to wait for. Nothing here waits without an end.

The messages are jeepney's, the socket is ours: its own blocking connection says hello without a time limit.
Source: https://dbus.freedesktop.org/doc/dbus-specification.html
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pycgroups.cgroups.files import read_path
from pycgroups.errors import CgroupError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 25.0
"""Seconds that a call, or the wait for a signal, may take: D-Bus's own default."""

_SYSTEM_BUS = "/run/dbus/system_bus_socket"
_CHUNK = 4096


class Peer(NamedTuple):
    """What is called: an interface of an object of a program on the bus."""

    name: str
    path: str
    interface: str


_BUS = Peer("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class Refused(Exception):
    """The other side answered with an error; who called makes one of ours of it.

    Attributes:
        name: its name, as "org.freedesktop.DBus.Error.AccessDenied".
        text: what it says.
    """

    def __init__(self, name: str, text: str) -> None:
        """Keep both."""
        super().__init__(name, text)
        self.name = name
        self.text = text


def system_address() -> str:
    """Where the bus of the whole system listens, as the address of a socket, `unix(7)`."""
    return _socket_of("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS


def user_address() -> str:
    """Likewise the bus of this user's session: as told by the environment, else where systemd has it."""
    directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{_outer_uid()}"
    return _socket_of("DBUS_SESSION_BUS_ADDRESS") or f"{directory}/bus"


def _outer_uid() -> int:
    """User id of this process outside of its user namespace, where the session is."""
    own = os.geteuid()
    for line in read_path("/proc/self/uid_map").splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= own < inside + count:
            return outside + own - inside
    return own


def _socket_of(variable: str) -> str | None:
    """First address of "unix:path=/x,guid=1;unix:abstract=y" that a socket can have."""
    for address in os.environ.get(variable, "").split(";"):
        transport, _, settings = address.partition(":")
        keys = dict(setting.partition("=")[::2] for setting in settings.split(","))
        if transport == "unix" and keys.keys() & {"path", "abstract"}:
            from urllib.parse import unquote

            return unquote(keys["path"]) if "path" in keys else "\0" + unquote(keys["abstract"])
    return None


class Bus:
    """A connection of one thread, used for one conversation and closed; a context manager.

    Raises:
        Unsupported: jeepney is not installed.
        CgroupError: the bus is not there (ENOENT, ECONNREFUSED), not for this user (EACCES), or does not answer
            (ETIMEDOUT); so does each call.
    """

    def __init__(self, address: str) -> None:
        """Connect and log in."""
        try:
            import jeepney
        except ImportError:
            raise Unsupported(
                "the Python package jeepney is not installed",
                operation="connect to D-Bus",
                hint="pip install 'pycgroups[systemd]'; Debian: apt-get install python3-jeepney",
            ) from None
        self._address = address.replace("\0", "@")
        self._parser = jeepney.Parser()
        self._serials = itertools.count(1)
        self._signals: list[Any] = []
        self._deadline = time.monotonic() + PATIENCE
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._guarded("connect to", self._socket.connect, address)
            self._log_in()
            self.call(_BUS, "Hello")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; twice is allowed."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def call(self, peer: Peer, method: str, signature: str = "", body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call a method and return the values of its reply.

        Raises:
            Refused: the reply is an error.
        """
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        message = new_method_call(DBusAddress(peer.path, peer.name, peer.interface), method, signature or None, body)
        serial = next(self._serials)
        self._deadline = time.monotonic() + PATIENCE
        self._guarded("send to", self._socket.sendall, message.serialise(serial))
        while True:
            reply = self._receive()
            if reply.header.fields.get(HeaderFields.reply_serial) != serial:
                self._signals.append(reply)
            elif reply.header.message_type is MessageType.error:
                text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
                raise Refused(reply.header.fields[HeaderFields.error_name], text)
            else:
                return tuple(reply.body)

    def listen(self, interface: str, member: str) -> None:
        """Ask the bus for the signals of one name."""
        rule = f"type='signal',interface='{interface}',member='{member}'"
        self.call(_BUS, "AddMatch", "s", (rule,))

    def wait(self, member: str, wanted: Callable[[tuple[Any, ...]], bool]) -> tuple[Any, ...]:
        """Return the values of the first signal of a name that are wanted; those that came before count too."""
        from jeepney import HeaderFields

        self._deadline = time.monotonic() + PATIENCE
        while True:
            message = self._signals.pop(0) if self._signals else self._receive()
            if message.header.fields.get(HeaderFields.member) == member and wanted(message.body):
                return tuple(message.body)

    def _log_in(self) -> None:
        """Have the bus look at the socket to know who this is: in a user namespace, we do not know our own name."""
        self._guarded("send to", self._socket.sendall, b"\0AUTH EXTERNAL\r\nDATA\r\n")
        answer = b""
        while answer.strip() in (b"", b"DATA") or not answer.endswith(b"\n"):  # the first line is the bus's "go on"
            answer += self._chunk()
        if b"\nOK " not in answer:
            raise self._error("log in to", errno.EACCES)
        self._guarded("send to", self._socket.sendall, b"BEGIN\r\n")

    def _receive(self) -> Any:
        while (message := self._parser.get_next_message()) is None:
            self._parser.add_data(self._chunk())
        return message

    def _chunk(self) -> bytes:
        data: bytes = self._guarded("receive from", self._socket.recv, _CHUNK)
        if not data:
            raise self._error("receive from", errno.ECONNRESET)
        return data

    def _guarded(self, operation: str, action: Callable[[Any], Any], argument: Any) -> Any:
        """Do something with the socket in the time that is left."""
        self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
        try:
            return action(argument)
        except TimeoutError:
            raise self._error(operation, errno.ETIMEDOUT) from None
        except OSError as error:
            raise self._error(operation, error.errno) from None

    def _error(self, operation: str, number: int | None) -> CgroupError:
        return CgroupError(
            operation=f"{operation} D-Bus",
            path=self._address,
            errno=number,
            hint="is the bus there, and is it this user's: busctl --user status, or as root: busctl status",
        )
