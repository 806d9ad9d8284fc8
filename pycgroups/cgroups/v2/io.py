"""Block devices on v2 (cgroup-v2.rst, "IO Interface Files")."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller


class Io(Controller):
    """It counts what was read and written (io.stat)."""
