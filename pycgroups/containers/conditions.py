"""What can be waited for, each seen from outside the container; `pycgroups.containers.readiness` looks now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pycgroups.containers import health
from pycgroups.errors import shown
from pycgroups.network.listening import listeners

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Protocol

    from pycgroups.containers.files import RootFiles
    from pycgroups.containers.home import Start
    from pycgroups.containers.logs import Arrivals

    Text = str | bytes | re.Pattern[str] | re.Pattern[bytes]

    class Condition(Protocol):
        """Something to wait for."""

        def __call__(self) -> object:
            """Look whether it is there; true or false."""

        def __str__(self) -> str:
            """What it is, and what was seen instead, for errors."""


class Listens:
    """Something listens on a port, on any address of the container's network."""

    def __init__(self, process: int, port: int) -> None:
        """Name the port, and a process of the container by its directory in /proc."""
        self._process = process
        self._port = port
        self._seen: set[int] = set()

    def __call__(self) -> bool:
        """Look."""
        self._seen = {listener.port for listener in listeners(self._process)}
        return self._port in self._seen

    def __str__(self) -> str:
        """Name it, and what listens instead."""
        seen = f"listening: {', '.join(map(str, sorted(self._seen)))}" if self._seen else "nothing listens"
        return f"port {self._port} ({seen})"


class Exists:
    """Something is at a path of the container; a symlink is followed."""

    def __init__(self, files: RootFiles, path: str) -> None:
        """Name the path."""
        self._files = files
        self._path = path

    def __call__(self) -> bool:
        """Look."""
        return self._files.exists(self._path)

    def __str__(self) -> str:
        """Name it."""
        return f"file {shown(self._path)}"


class Calls:
    """A function says so."""

    def __init__(self, function: Callable[[], object]) -> None:
        """Take the function; what it raises goes on to who waits."""
        self._function = function

    def __call__(self) -> object:
        """Ask it."""
        return self._function()

    def __str__(self) -> str:
        """Name it."""
        return f"function {getattr(self._function, '__qualname__', None) or shown(self._function)}"


class IsHealthy:
    """The container's healthcheck says that all is well."""

    def __init__(self, directory: int, start: Start) -> None:
        """Take the container's directory, opened, and its last start."""
        self._directory = directory
        self._start = start

    def __call__(self) -> bool:
        """Look."""
        return health.read(self._directory, self._start).status == health.HEALTHY

    def __str__(self) -> str:
        """Name it, and what the last check said."""
        found = health.read(self._directory, self._start)
        said = f": {found.log[-1].exit_code}, {shown(found.log[-1].output)}" if found.log else ""
        return f"health ({found.status}{said})"


class Written:
    """A text is in what the container has written since its start, on one of its streams."""

    _WINDOW = 2**16  # bytes; a longer text is not found
    _LEAST = 1.0  # seconds of reading, before the time is over

    def __init__(self, arrivals: Arrivals, since: int, wanted: Text, deadline: float | None = None) -> None:
        """Take the log, the start, what is wanted, and when to give up, however much there is to read.

        A compiled pattern of str sees U+FFFD for what is not UTF-8.
        """
        self._arrivals = arrivals
        self._since = since
        self._wanted = wanted
        self._deadline = deadline
        self._unread: dict[str, bytes] = {}

    def __call__(self) -> bool:
        """Read what has come."""
        found = False
        least = time.monotonic() + self._LEAST
        for record in self._arrivals.read():
            if found or (self._deadline is not None and time.monotonic() > max(self._deadline, least)):
                break
            if record.time < self._since:
                continue
            unread = self._unread[record.stream] = self._unread.get(record.stream, b"") + record.data
            if len(unread) > self._WINDOW:
                found = self._is_in(unread)
                self._unread[record.stream] = _last_lines(unread, self._WINDOW // 2)
        return found or any(map(self._is_in, self._unread.values()))

    def _is_in(self, data: bytes) -> bool:
        if isinstance(self._wanted, str | bytes):
            return (self._wanted if isinstance(self._wanted, bytes) else self._wanted.encode()) in data
        pattern = self._wanted
        if isinstance(pattern.pattern, bytes):
            return pattern.search(data) is not None
        return pattern.search(data.decode(errors="replace")) is not None

    def __str__(self) -> str:
        """Name it."""
        return f"log {shown(self._wanted if isinstance(self._wanted, str | bytes) else self._wanted.pattern)}"


def _last_lines(data: bytes, most: int) -> bytes:
    """Return what begins with a line; or the end of one that is longer than all that is wanted."""
    begin = data.find(b"\n", len(data) - most) + 1
    return data[begin or len(data) - most :]
