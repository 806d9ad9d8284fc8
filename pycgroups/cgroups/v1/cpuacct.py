"""The CPU time used on v1 (cgroup-v1/cpuacct.rst): of all processes, also those that nobody waited for."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller


class Cpuacct(Controller):
    """cpuacct.usage, cpuacct.stat. It has no limits."""
