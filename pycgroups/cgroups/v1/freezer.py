"""Stop and continue a cgroup on v1 (cgroup-v1/freezer-subsystem.rst)."""

from __future__ import annotations

import time

from pycgroups.cgroups import tree
from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory

_STATE = "freezer.state"
_PAUSE = 0.001


class Freezer(Controller):
    """freezer.state. It has no limits."""

    def frozen(self, directory: Directory) -> bool | None:
        """Whether every process stands still, be it that a cgroup above is frozen; None without a freezer."""
        state = directory.read_if_there(_STATE).strip()
        return state == "FROZEN" if state else None

    def set_frozen(self, directory: Directory, wanted: bool, deadline: float) -> None:
        """Stop or continue all processes.

        A process that forks meanwhile leaves the state at FREEZING, until it is written again; nothing tells when.

        Raises:
            CgroupError: it is not done at `deadline`, or the cgroup was removed.
        """
        state = "FROZEN" if wanted else "THAWED"
        while True:
            directory.write(_STATE, state)
            if directory.read(_STATE).strip() == state:
                return
            if time.monotonic() > deadline:
                raise tree.restless(directory, wanted)
            time.sleep(_PAUSE)

    def thaw_all(self, directory: Directory) -> None:
        """Let everything here and below go on, as far as this cgroup stops it."""
        if directory.write_if_there(_STATE, "THAWED"):
            for child in directory.subgroups():
                self.thaw_all(child)
