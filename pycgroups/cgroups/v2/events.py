"""What happens in a cgroup on v2: the *.events files and pressure triggers (cgroup-v2.rst; accounting/psi.rst)."""

from __future__ import annotations

import errno
import os
import select

from pycgroups.cgroups.events import Counters, Source
from pycgroups.cgroups.files import GONE
from pycgroups.errors import CgroupError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.cgroups.events import PressureTrigger
    from pycgroups.cgroups.files import Directory

_FILES = {
    "memory.events": {"oom": ("oom", 1), "oom_kill": ("oom_kill", 1), "high": ("high", 1)},
    "pids.events": {"pids": ("max", 1)},
    "cgroup.events": {
        "populated": ("populated", 1),
        "empty": ("populated", -1),
        "frozen": ("frozen", 1),
        "thawed": ("frozen", -1),
    },
}


def sources(directory: Directory, kinds: frozenset[str]) -> Iterator[Source]:
    """Open the files that tell of some kinds, as far as the cgroup has them."""
    for name, keys in _FILES.items():
        wanted = {kind: key for kind, key in keys.items() if kind in kinds}
        if wanted:
            try:
                yield Counters(directory, name, wanted)
            except CgroupError as error:
                if error.errno not in GONE:
                    raise


class Pressure(Source):
    """A trigger; it lives as long as its descriptor."""

    def __init__(self, directory: Directory, trigger: PressureTrigger) -> None:
        """Set it up.

        Raises:
            Unsupported: the kernel has no pressure files, or refuses this window.
            CgroupError: it refuses for another reason.
        """
        name = f"{trigger.resource}.pressure"
        self.kinds = frozenset({name})
        self.path = f"{directory.path}/{name}"
        try:
            self._file = directory.open(name, os.O_RDWR | os.O_NONBLOCK)
        except CgroupError as error:
            if error.errno == errno.ENOENT:
                raise self._unsupported() from None
            raise
        try:
            os.write(self._file, trigger.text().encode())
        except OSError as error:
            os.close(self._file)
            if error.errno == errno.EOPNOTSUPP:
                raise self._unsupported() from None
            hint = "without CAP_SYS_RESOURCE the window has to be a multiple of 2 seconds, and that since kernel 6.4"
            raise CgroupError(
                operation=f"write {trigger.text()!r} to", path=self.path, errno=error.errno, hint=hint
            ) from None
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def look(self) -> dict[str, int]:
        """Ask the kernel; asking takes the event away."""
        happened = self._poll.poll(0)
        # Of a removed cgroup it says POLLPRI and POLLERR for ever.
        return dict.fromkeys(self.kinds, 1) if happened and not happened[0][1] & select.POLLERR else {}

    def close(self) -> None:
        """Close it; the trigger goes with it."""
        os.close(self._file)

    def _unsupported(self) -> Unsupported:
        return Unsupported(
            "the kernel does not measure pressure here",
            operation="watch pressure",
            path=self.path,
            hint="it needs kernel 5.2 with CONFIG_PSI; boot with psi=1",
        )
