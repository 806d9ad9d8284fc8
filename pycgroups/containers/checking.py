"""``python -m pycgroups.containers.checking ID``: check once whether a container is well.

The monitor of a container starts this now and then, one at a time (`pycgroups.containers.monitor.Check`). The test is
executed in the container, and what came of it is noted. The exit code tells the monitor when the next one is due.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial

from pycgroups import images
from pycgroups._native.calls import lib
from pycgroups.containers import ending, health, inner
from pycgroups.containers.container import Container
from pycgroups.containers.health import Checked
from pycgroups.containers.place import place
from pycgroups.containers.run import open_streams
from pycgroups.containers.streams import STDOUT
from pycgroups.errors import Error
from pycgroups.threads import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SIGNALLED = 128
_PIECE = 2**16


def main(id_: str) -> int:
    """Check the container of the default store, if it runs and is not paused; the exit code.

    Raises:
        NotFound: it was removed.
    """
    where = place(None, images.default())
    with where.homes.open(id_) as home:
        record, start = home.record(), home.start()
        if start is None:
            return 0
        container, before = Container.of(where, id_), health.read(home.fd, start)
        now, checked = before, perform(container, record.healthcheck) if container.status == "running" else None
        # One that has been paused meanwhile, or has ended, fails for that.
        if checked is not None and container.status == "running" and ending.is_alive(start):
            now = health.after(before, checked, record.healthcheck, start.started)
            health.write(home.fd, start, now)
        if now.status != before.status:
            attributes = {"health": now.status}
            where.events.append("container", "health_status", id_=id_, name=record.name, attributes=attributes)
        is_early = health.is_early(now, record.healthcheck, start.started, time.time_ns())
        return int(lib.MONITOR_EARLY) if is_early else 0


def perform(container: Container, check: Mapping[str, Any]) -> Checked:
    """Execute the test in a container that runs."""
    begun, output = time.time_ns(), _Output()
    # Not among the events: who follows them wants to hear of what changes.
    begin = partial(container.launch, check["command"], is_told=False)
    try:
        streams = open_streams(None, output.fd, STDOUT, None)
        _, (returncode, reason, *_) = inner.run(begin, streams, check["timeout"])
    except Error as error:
        output.close()
        return Checked(begun, time.time_ns(), -1, str(error)[: health.LONGEST_OUTPUT])
    text = output.close()
    if reason == "timeout":
        return Checked(begun, time.time_ns(), -1, f"{text}\nit took longer than {check['timeout']:g} seconds".lstrip())
    code = returncode if returncode >= 0 else _SIGNALLED - returncode
    return Checked(begun, time.time_ns(), code, text)


class _Output:
    """A pipe that takes all that is written, and keeps the beginning.

    Attributes:
        fd: the end to write to.
    """

    def __init__(self) -> None:
        self._read, self.fd = os.pipe2(os.O_CLOEXEC)
        self._kept = b""
        self._reader = Thread(self._take, "pycgroups-check")
        self._reader.start()

    def _take(self) -> None:
        while piece := os.read(self._read, _PIECE):
            self._kept += piece[: health.LONGEST_OUTPUT - len(self._kept)]

    def close(self) -> str:
        """Return what was kept. Whoever has got the other end and keeps it is not waited for."""
        os.close(self.fd)
        self._reader.join(1)
        return self._kept.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
