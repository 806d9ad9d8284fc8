"""What happens in a cgroup on v1: eventfds (cgroup-v1/cgroups.rst, section 2.5; cgroup-v1/memory.rst, 10 and 11)."""

from __future__ import annotations

import os
import re
import time

from pycgroups.cgroups.events import Counters, Source
from pycgroups.cgroups.v1.stats import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.cgroups.files import Directory

_PATIENCE = 1.0  # seconds between the notice of an OOM and the kill, at most
_PAUSE = 0.001
_SILENT = (6, 11)


def sources(directory: Directory, controllers: frozenset[str], kinds: frozenset[str]) -> Iterator[Source]:
    """Open what tells of some kinds, as far as v1 does."""
    if "memory" in controllers and "oom" in kinds:
        yield Notice(directory, "oom", "memory.oom_control")
    if "memory" in controllers and "oom_kill" in kinds and oom_kills(directory) is not None:
        yield Kills(directory)
    if "pids" in controllers and "pids" in kinds and not pids_are_silent():
        yield Counters(directory, "pids.events", {"pids": ("max", 1)})


def pids_are_silent() -> bool:
    """Whether v1's pids.events changes without telling anybody, as it does since kernel 6.11."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is None or tuple(map(int, version.groups())) >= _SILENT


class Notice(Source):
    """An eventfd that the kernel adds to: whenever memory runs out, or is under a level of pressure."""

    fd: int

    def __init__(self, directory: Directory, kind: str, name: str, argument: str = "") -> None:
        """Register it.

        Raises:
            CgroupError: the kernel refuses it.
        """
        self.kinds = frozenset({kind})
        self._directory = directory
        self._file = directory.open(name, os.O_RDONLY)
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            directory.write("cgroup.event_control", f"{self.fd} {self._file} {argument}")
        except BaseException:
            self.close()
            raise

    def look(self) -> dict[str, int]:
        """Take what was added. Removal of the cgroup adds too: that is none of these events."""
        count = self._take()
        self._directory.check()
        return dict.fromkeys(self.kinds, count) if count else {}

    def close(self) -> None:
        """Close both; the kernel forgets the eventfd."""
        os.close(self._file)
        os.close(self.fd)

    def _take(self) -> int:
        try:
            return os.eventfd_read(self.fd)
        except BlockingIOError:
            return 0


class Kills(Notice):
    """OOM kills, which are counted a moment after the notice that memory ran out: so look until they are.

    Until then the eventfd is kept readable, by adding to it: who waits for it comes back.
    """

    def __init__(self, directory: Directory) -> None:
        """Register it."""
        super().__init__(directory, "oom_kill", "memory.oom_control")
        self._last = oom_kills(directory) or 0
        self._awaited = 0
        self._added = 0
        self._until = 0.0

    def look(self) -> dict[str, int]:
        """Compare the count, and wait a little while a kill is to come."""
        notices, self._added = self._take() - self._added, 0
        if notices > 0:
            self._awaited += notices
            self._until = time.monotonic() + _PATIENCE
        self._directory.check()
        count = oom_kills(self._directory) or self._last
        kills, self._last = count - self._last, count
        self._awaited = max(0, self._awaited - kills)
        if self._awaited and time.monotonic() < self._until:
            time.sleep(_PAUSE)
            os.eventfd_write(self.fd, 1)
            self._added = 1
        else:
            self._awaited = 0  # an OOM that killed nobody, or elsewhere
        return dict.fromkeys(self.kinds, kills) if kills > 0 else {}
