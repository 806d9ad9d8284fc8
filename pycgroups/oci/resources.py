"""``linux.resources`` of the OCI runtime specification: what a cgroup limits, in one vocabulary for v1 and v2.

It is the contract of `pycgroups.cgroups`: its controllers write these, whoever asked for them. None means "leave it as
it is", everywhere.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#control-groups
"""

from __future__ import annotations

from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import field, frozen

    from pycgroups.oci.kinds import (
        DeviceAccess,
        DeviceRuleType,
        Int64,
        NotEmpty,
        PageSize,
        UInt16,
        UInt32,
        UInt64,
    )
else:
    from pycgroups.frozen import field, frozen


@frozen(kw_only=True, repr=False)
class DeviceRule(Model):
    """Allow or deny access to device nodes; the last rule that matches decides. "Allowed Device list".

    Attributes:
        allow: whether access is allowed.
        type: ``a`` (all), ``c`` or ``b``; None is all.
        major: None or -1 is every one.
        minor: likewise.
        access: letters of ``rwm``, for read, write and mknod; None is all three.
    """

    allow: bool
    type: DeviceRuleType | None = None
    major: Int64 | None = None
    minor: Int64 | None = None
    access: DeviceAccess | None = None


@frozen(kw_only=True, repr=False)
class Memory(Model):
    """Bytes; -1 is unlimited. "Memory".

    Attributes:
        limit: hard limit.
        reservation: what reclaim spares as long as others have more (v1 soft limit, v2 ``memory.low``).
        swap: memory and swap together.
        kernel: kernel memory; obsolete, no kernel since 6.1 limits it.
        kernel_tcp: memory of TCP buffers; v1 only.
        swappiness: 0 to 100, how willingly anonymous memory is swapped out; v1 only.
        disable_oom_killer: a process at the limit waits instead of being killed; v1 only.
        use_hierarchy: v1 only, and always so since Linux 5.11.
        check_before_update: refuse a limit below what is in use, instead of reclaiming and killing.
    """

    limit: Int64 | None = None
    reservation: Int64 | None = None
    swap: Int64 | None = None
    kernel: Int64 | None = None
    kernel_tcp: Int64 | None = field(default=None, metadata={"json": "kernelTCP"})
    swappiness: UInt64 | None = None
    disable_oom_killer: bool | None = field(default=None, metadata={"json": "disableOOMKiller"})
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


@frozen(kw_only=True, repr=False)
class Cpu(Model):
    """CPU time, and which CPUs. "CPU".

    Attributes:
        shares: weight against others, 2 to 262144, 1024 by default (v2 ``cpu.weight``, converted).
        quota: microseconds of CPU time in each period; -1 is unlimited.
        burst: microseconds that a quiet group may save up for later (Linux 5.14).
        period: microseconds, 1,000 to 1,000,000.
        realtime_runtime: microseconds of realtime scheduling in each period; v1 only.
        realtime_period: microseconds; v1 only.
        cpus: list of CPUs, ``0-1,3``.
        mems: list of memory nodes.
        idle: 1 for a group that runs when nobody else wants to (SCHED_IDLE; Linux 5.15).
    """

    shares: UInt64 | None = None
    quota: Int64 | None = None
    burst: UInt64 | None = None
    period: UInt64 | None = None
    realtime_runtime: Int64 | None = None
    realtime_period: UInt64 | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: Int64 | None = None


@frozen(kw_only=True, repr=False)
class Pids(Model):
    """How many tasks; -1 is unlimited. "PIDs"."""

    limit: Int64 = field(metadata={"absent": -1})


@frozen(kw_only=True, repr=False)
class WeightDevice(Model):
    """Weight of one block device, 10 to 1000. "Block IO"."""

    major: Int64
    minor: Int64
    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None


@frozen(kw_only=True, repr=False)
class ThrottleDevice(Model):
    """Bytes or operations per second of one block device; 0 is unlimited. "Block IO"."""

    major: Int64
    minor: Int64
    rate: UInt64


@frozen(kw_only=True, repr=False)
class BlockIo(Model):
    """Block devices; weights are 10 to 1000. "Block IO"."""

    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"json": "throttleReadIOPSDevice"}
    )
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"json": "throttleWriteIOPSDevice"}
    )


@frozen(kw_only=True, repr=False)
class HugepageLimit(Model):
    """Bytes in huge pages of one size, ``2MB`` or ``1GB``. "Huge page limits"."""

    page_size: PageSize
    limit: UInt64


@frozen(kw_only=True, repr=False)
class InterfacePriority(Model):
    """Priority of what is sent over one network interface."""

    name: NotEmpty
    priority: UInt32


@frozen(kw_only=True, repr=False)
class Network(Model):
    """Class and priorities of sent packets; v1 only. "Network"."""

    class_id: UInt32 | None = field(default=None, metadata={"json": "classID"})
    priorities: tuple[InterfacePriority, ...] = ()


@frozen(kw_only=True, repr=False)
class Rdma(Model):
    """Handles and objects of one RDMA device. "RDMA"."""

    hca_handles: UInt32 | None = None
    hca_objects: UInt32 | None = None


@frozen(kw_only=True, repr=False, cache_hash=True)
class Resources(Model):
    """All that a cgroup limits.

    Attributes:
        devices: which device nodes may be opened; in order.
        memory: see `Memory`.
        cpu: see `Cpu`; CPU sets included.
        pids: see `Pids`.
        block_io: see `BlockIo`.
        hugepage_limits: one for each page size.
        network: see `Network`.
        rdma: device name and limits, each.
        unified: file name and text, each: written to a v2 cgroup as they are, after all others.
    """

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIo | None = field(default=None, metadata={"json": "blockIO"})
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network | None = None
    rdma: tuple[tuple[str, Rdma], ...] = ()
    unified: tuple[tuple[str, str], ...] = ()
