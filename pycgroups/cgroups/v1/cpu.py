"""CPU time on v1 (scheduler/sched-design-CFS.rst, sched-bwc.rst, sched-rt-group.rst); `cpuacct` counts what is used."""

from __future__ import annotations

import errno

from pycgroups.cgroups.manager import Controller
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci import resources as oci
    from pycgroups.oci.resources import Resources

_RUNTIME, _PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"


class Cpu(Controller):
    """cpu.shares, cpu.idle (kernel 5.15), cpu.cfs_period_us, cpu.cfs_quota_us, cpu.cfs_burst_us (5.14), cpu.rt_*."""

    witness = "cpu.shares"
    needs: ClassVar = {
        "cpu.idle": (("cpu.idle",), "use Linux 5.15 or later"),
        "cpu.burst": (("cpu.cfs_burst_us",), "use Linux 5.14 or later"),
        "cpu.realtimeRuntime": ((_RUNTIME,), "build the kernel with CONFIG_RT_GROUP_SCHED"),
        "cpu.realtimePeriod": ((_PERIOD,), "build the kernel with CONFIG_RT_GROUP_SCHED"),
    }

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write weight, bandwidth and realtime. A quota above the parent's is refused (EINVAL)."""
        cpu = resources.cpu
        if cpu is None:
            return
        if cpu.idle is not None:  # before the shares: an idle group has none to set
            directory.write_if_there("cpu.idle", str(cpu.idle))
        if cpu.shares is not None:
            directory.write("cpu.shares", str(cpu.shares))
        _apply_bandwidth(directory, cpu)
        _apply_realtime(directory, cpu)


def _apply_bandwidth(directory: Directory, cpu: oci.Cpu) -> None:
    bandwidth = [("cpu.cfs_period_us", cpu.period), ("cpu.cfs_quota_us", cpu.quota)]
    if cpu.burst is not None and directory.exists("cpu.cfs_burst_us"):
        bandwidth.insert(1, ("cpu.cfs_burst_us", cpu.burst))
    try:
        directory.write_agreeing([(name, str(value)) for name, value in bandwidth if value is not None])
    except CgroupError as error:
        if error.errno == errno.EINVAL:
            error.hint = (
                "on v1 no group has more CPU time than the one above it: lower those inside, as of a program that is"
                " executed in a container, first, or raise those above"
            )
        raise


def _apply_realtime(directory: Directory, cpu: oci.Cpu) -> None:
    if (cpu.realtime_runtime is None and cpu.realtime_period is None) or not directory.exists(_RUNTIME):
        return
    realtime = [(_PERIOD, cpu.realtime_period), (_RUNTIME, cpu.realtime_runtime)]
    try:
        directory.write_agreeing([(name, str(value)) for name, value in realtime if value is not None])
    except CgroupError as error:
        if error.errno == errno.EINVAL:
            error.hint = f"each group above needs as much of {_RUNTIME}, and those beside it none of that"
        raise
