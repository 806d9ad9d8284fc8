"""The CPUs of who called, which are not the container's: its cgroup's cpuset decides.

A daemon that is pinned to some CPUs starts containers that are not. The kernel (Linux 6.2) keeps what a process was
pinned to, and its children with it, where they enter a cpuset.
"""

from __future__ import annotations

import posix

_MOST = 8192  # the greatest NR_CPUS of any kernel configuration


def forget() -> None:
    """Let this process, and so the container's, run on all CPUs that its cpuset has; sched_setaffinity(2)."""
    try:
        posix.sched_setaffinity(0, range(_MOST))
    except OSError:  # a filter of a container that this runs in; there the pinning stays
        return
