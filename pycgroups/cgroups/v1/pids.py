"""Numbers of processes on v1 (cgroup-v1/pids.rst): the files of v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.v2 import pids

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory


class Pids(pids.Pids):
    """pids.max, pids.peak, pids.events."""

    def refused(self, directory: Directory) -> int | None:
        """Count here and below: v1 counts each refusal in the cgroup of the process that forked, alone."""
        refused = super().refused(directory)
        if refused is None:
            return None
        return refused + sum(self.refused(child) or 0 for child in directory.subgroups())
