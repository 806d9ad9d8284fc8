"""What few containers set: hooks, scheduling, devices, time offsets, Intel RDT and the like.

`pycgroups.run` needs none of these, and does not load them.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md and ``config-linux.md``.
"""

from __future__ import annotations

from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import field, frozen

    from pycgroups.oci.kinds import (
        AbsolutePath,
        BandwidthSchema,
        ClassOfService,
        DeviceType,
        Id,
        Int32,
        Int64,
        InterfaceName,
        IoClass,
        IoLevel,
        MemoryFlag,
        MemoryMode,
        Nanoseconds,
        NotEmpty,
        NumberList,
        OneLine,
        PersonalityDomain,
        SchedulerFlag,
        SchedulerPolicy,
        Seconds,
        UInt16,
        UInt32,
        UInt64,
    )
else:
    from pycgroups.frozen import field, frozen


@frozen(kw_only=True, repr=False)
class Hook(Model):
    """A program that gets the state of the container on its standard input; config.md, "POSIX-platform Hooks".

    Attributes:
        path: the program, an absolute path.
        args: its arguments, the program's own name included; empty is the path alone.
        env: its environment, ``KEY=VALUE`` each; None is that of the runtime, as with runc and crun.
        timeout: seconds after which it is killed and has failed; None is never.
    """

    path: AbsolutePath
    args: tuple[str, ...] = ()
    env: tuple[str, ...] | None = None
    timeout: Seconds | None = None


@frozen(kw_only=True, repr=False)
class Hooks(Model):
    """Programs to run at the turns of a container's life, in order; config.md, "POSIX-platform Hooks".

    Attributes:
        prestart: in `create`, in the runtime's namespaces; deprecated for ``create_runtime``, before which it runs.
        create_runtime: in `create`, in the runtime's namespaces, before pivot_root.
        create_container: in `create`, in the container's namespaces, before pivot_root.
        start_container: in `start`, in the container, before its program.
        poststart: in `start`, in the runtime's namespaces, after the program was started.
        poststop: in `delete`, in the runtime's namespaces, after the container is gone.
    """

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


@frozen(kw_only=True, repr=False)
class ConsoleSize(Model):
    """Characters of the terminal, as in ioctl_tty(2)'s ``winsize``; config.md, "Process"."""

    height: UInt16
    width: UInt16


@frozen(kw_only=True, repr=False)
class Scheduler(Model):
    """How the process is scheduled; config.md, "Linux Process", and sched_setattr(2).

    Attributes:
        policy: ``SCHED_OTHER``, ``SCHED_FIFO`` ...
        nice: -20 to 19; of SCHED_OTHER and SCHED_BATCH.
        priority: of SCHED_FIFO and SCHED_RR.
        flags: ``SCHED_FLAG_RESET_ON_FORK`` ...
        runtime: nanoseconds; of SCHED_DEADLINE, as the next two.
        deadline: nanoseconds.
        period: nanoseconds.
    """

    policy: SchedulerPolicy
    nice: Int32 = 0
    priority: Int32 = 0
    flags: tuple[SchedulerFlag, ...] = ()
    runtime: UInt64 = 0
    deadline: UInt64 = 0
    period: UInt64 = 0


@frozen(kw_only=True, repr=False)
class IoPriority(Model):
    """``class_`` as in ``IOPRIO_CLASS_BE``, ``priority`` from 0, the highest, to 7; ioprio_set(2)."""

    class_: IoClass = field(metadata={"json": "class"})
    priority: IoLevel = 0


@frozen(kw_only=True, repr=False)
class CpuAffinity(Model):
    """CPUs of a process that joins the container, ``0-3,7``; config.md, "Linux Process".

    Attributes:
        initial: before it enters the container's cgroup.
        final: after.
    """

    initial: NumberList | None = None
    final: NumberList | None = None


@frozen(kw_only=True, repr=False)
class Device(Model):
    """A device node; ``type`` is one of ``c``, ``b``, ``u``, ``p``; config-linux.md, "Devices"."""

    path: NotEmpty
    type: DeviceType
    major: Int64 | None = None
    minor: Int64 | None = None
    file_mode: UInt32 | None = None
    uid: Id | None = None
    gid: Id | None = None


@frozen(kw_only=True, repr=False)
class TimeOffset(Model):
    """What a clock of the container's time namespace is ahead of the host's; time_namespaces(7)."""

    secs: Int64 = 0
    nanosecs: Nanoseconds = 0


@frozen(kw_only=True, repr=False)
class NetDevice(Model):
    """A network device that moves into the container; ``name`` there, None is the same. Since 1.3."""

    name: InterfaceName | None = None


@frozen(kw_only=True, repr=False)
class Personality(Model):
    """The execution domain, ``LINUX`` or ``LINUX32``; personality(2). No flags are defined yet."""

    domain: PersonalityDomain
    flags: tuple[str, ...] = ()


@frozen(kw_only=True, repr=False)
class IntelRdt(Model):
    """Cache and memory bandwidth by resctrl; config-linux.md, "IntelRdt", as of 1.3.

    ``enableCMT`` and ``enableMBM`` of 1.1 and 1.2, which nobody implemented, are kept as unknown properties.

    Attributes:
        clos_id: directory in resctrl; ``/`` is the default class, None is one named like the container.
        schemata: lines for the file ``schemata``, written after the next two.
        l3_cache_schema: a line ``L3:...``.
        mem_bw_schema: a line ``MB:...``.
        enable_monitoring: make a monitoring group for the container.
    """

    clos_id: ClassOfService | None = field(default=None, metadata={"json": "closID"})
    schemata: tuple[OneLine, ...] = ()
    l3_cache_schema: OneLine | None = None
    mem_bw_schema: BandwidthSchema | None = None
    enable_monitoring: bool = False


@frozen(kw_only=True, repr=False)
class MemoryPolicy(Model):
    """NUMA nodes to take memory from; set_mempolicy(2). Since 1.3.

    Attributes:
        mode: ``MPOL_BIND`` ...
        nodes: ``0-3,7``.
        flags: ``MPOL_F_STATIC_NODES`` ...
    """

    mode: MemoryMode
    nodes: NumberList | None = None
    flags: tuple[MemoryFlag, ...] = ()
