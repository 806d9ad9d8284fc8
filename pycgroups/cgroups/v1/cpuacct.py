"""The CPU time used on v1 (cgroup-v1/cpuacct.rst): of all processes, also those that nobody waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory

_NANOSECONDS = 1_000_000_000


class Cpuacct(Controller):
    """cpuacct.usage, cpuacct.stat. It has no limits."""

    def sample(self, directory: Directory) -> dict[str, Any]:
        """Exact time, divided as cpuacct.stat has it, which counts in ticks of 10 ms.

        Before the first tick the division is unknown and left out.
        """
        nanoseconds = directory.number("cpuacct.usage")
        if nanoseconds is None:
            return {}
        total = nanoseconds / _NANOSECONDS
        ticks = directory.counts("cpuacct.stat")
        user, system = ticks.get("user", 0), ticks.get("system", 0)
        if not user + system:
            return {"cpu_time": total}
        user_time = total * user / (user + system)
        return {"cpu_time": total, "user_time": user_time, "system_time": total - user_time}
