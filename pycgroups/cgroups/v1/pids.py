"""Numbers of processes on v1 (cgroup-v1/pids.rst): the file of v2."""

from __future__ import annotations

from pycgroups.cgroups.v2 import pids


class Pids(pids.Pids):
    """pids.max."""
