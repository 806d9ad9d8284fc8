"""CPU time on v2 (cgroup-v2.rst, "CPU Interface Files")."""

from __future__ import annotations

from pycgroups.cgroups.convert import amount, cpu_weight
from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Cpu(Controller):
    """cpu.weight, cpu.idle (kernel 5.15), cpu.max, cpu.max.burst (5.14), cpu.stat."""

    witness = "cpu.weight"
    needs: ClassVar = {
        "cpu.idle": (("cpu.idle",), "use Linux 5.15 or later"),
        "cpu.burst": (("cpu.max.burst",), "use Linux 5.14 or later"),
        "cpu.realtimeRuntime": ((), "leave it out; cgroup v1 has it"),
        "cpu.realtimePeriod": ((), "leave it out; cgroup v1 has it"),
    }

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write weight and bandwidth."""
        cpu = resources.cpu
        if cpu is None:
            return
        if cpu.idle is not None:  # before the weight: an idle group has none to set
            directory.write_if_there("cpu.idle", str(cpu.idle))
        if cpu.shares is not None:
            directory.write("cpu.weight", str(cpu_weight(cpu.shares)))
        bandwidth = []
        if cpu.burst is not None and directory.exists("cpu.max.burst"):
            bandwidth.append(("cpu.max.burst", str(cpu.burst)))
        if cpu.quota is not None or cpu.period is not None:
            bandwidth.append(("cpu.max", _bandwidth(directory, cpu.quota, cpu.period)))
        directory.write_agreeing(bandwidth)


def _bandwidth(directory: Directory, quota: int | None, period: int | None) -> str:
    """Write quota and period as cpu.max has them; the kernel keeps a period that is left out, but no quota."""
    most = directory.read("cpu.max").split()[0] if quota is None else amount(quota)
    return most if period is None else f"{most} {period}"
