"""The share of CPU time on v1 (scheduler/sched-bwc.rst); the time used is counted by `cpuacct`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.limits import CPU_PERIOD
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits


class Cpu(Controller):
    """cpu.cfs_period_us, cpu.cfs_quota_us."""

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write period and quota. A quota above the parent's is refused (EINVAL)."""
        if limits.cpu_quota is not None:
            directory.write("cpu.cfs_period_us", str(CPU_PERIOD))
            directory.write("cpu.cfs_quota_us", str(limits.cpu_quota))
