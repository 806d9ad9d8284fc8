"""CPU time on v2 (cgroup-v2.rst, "CPU Interface Files")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pycgroups.cgroups.limits import CPU_PERIOD
from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits

_MICROSECONDS = 1_000_000
_TIMES = {"cpu_time": "usage_usec", "user_time": "user_usec", "system_time": "system_usec"}


class Cpu(Controller):
    """cpu.max, cpu.stat."""

    def apply(self, directory: Directory, limits: Limits) -> None:
        """Write quota and period."""
        if limits.cpu_quota is not None:
            directory.write("cpu.max", f"{limits.cpu_quota} {CPU_PERIOD}")

    def sample(self, directory: Directory) -> dict[str, Any]:
        """Read the times used, which every cgroup below the root counts, controller or not (kernel 4.15)."""
        counts = directory.counts("cpu.stat")
        return {field: counts[name] / _MICROSECONDS for field, name in _TIMES.items() if name in counts}
