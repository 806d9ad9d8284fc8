"""The OCI runtime specification 1.3 as frozen data: the one contract inside the library.

Names are the specification's in snake_case, and each class links to its section. Every field is a value
or a tuple, so that a whole `Spec` is hashable and can be the key of a cache. Strings may hold undecodable
bytes (``surrogateescape``): call `os.fsencode` wherever bytes are needed.

What few containers set is in `pycgroups.oci.uncommon`, and found here, too; resources are in `pycgroups.oci.resources`.
`pycgroups.oci.reading` makes a `Spec` of a config.json, and `pycgroups.oci.writing` the reverse. What it means that a
config.json leaves a property out is the default of the field, unless its metadata has ``absent``.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md and ``config-linux.md``.
"""

from __future__ import annotations

from pycgroups.oci.model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from attrs import field, frozen

    from pycgroups.oci.kinds import (
        AbsolutePath,
        Arguments,
        Clock,
        Id,
        InterfaceName,
        NamespaceType,
        NotEmpty,
        OomScore,
        Propagation,
        RlimitType,
        UInt32,
        UInt64,
        Version,
    )
    from pycgroups.oci.resources import Resources
    from pycgroups.oci.uncommon import (
        ConsoleSize,
        CpuAffinity,
        Device,
        Hooks,
        IntelRdt,
        IoPriority,
        MemoryPolicy,
        NetDevice,
        Personality,
        Scheduler,
        TimeOffset,
    )
else:
    from pycgroups.frozen import field, frozen

_REQUIRED = {"absent": ...}


def __getattr__(name: str) -> Any:
    """Find the rest of the specification's classes in `pycgroups.oci.uncommon`, and load them now."""
    if name.startswith("_"):  # the import system asks for __path__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pycgroups.oci import uncommon

    return getattr(uncommon, name)


@frozen(repr=False)
class IdMapping(Model):
    """``size`` ids from ``container_id`` inside are those from ``host_id`` outside; user_namespaces(7)."""

    container_id: UInt32
    host_id: UInt32
    size: UInt32


@frozen(kw_only=True, repr=False)
class User(Model):
    """Who the process is; config.md, "POSIX-platform User"."""

    uid: Id = 0
    gid: Id = 0
    additional_gids: tuple[Id, ...] = ()
    umask: UInt32 | None = None


@frozen(repr=False)
class Rlimit(Model):
    """One resource limit, ``type`` as in ``RLIMIT_NOFILE``; getrlimit(2). Unlimited is ``2**64 - 1``."""

    type: RlimitType
    hard: UInt64
    soft: UInt64


@frozen(kw_only=True, repr=False)
class Capabilities(Model):
    """The five sets of capabilities(7), by name (``CAP_CHOWN``)."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@frozen(kw_only=True, repr=False, cache_hash=True)
class Process(Model):
    """The program; config.md, "Process". ``env`` holds ``KEY=VALUE`` strings.

    ``no_new_privileges`` is on by default; in a config.json, silence means off.
    """

    args: Arguments
    cwd: AbsolutePath = field(default="/", metadata=_REQUIRED)
    env: tuple[str, ...] = ()
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User()
    rlimits: tuple[Rlimit, ...] = ()
    capabilities: Capabilities = Capabilities()
    no_new_privileges: bool = field(default=True, metadata={"absent": False})
    oom_score_adj: OomScore | None = None
    apparmor_profile: str | None = None
    selinux_label: str | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
    exec_cpu_affinity: CpuAffinity | None = field(default=None, metadata={"json": "execCPUAffinity"})


@frozen(kw_only=True, repr=False)
class Root(Model):
    """The root file system; config.md, "Root"."""

    path: NotEmpty
    readonly: bool = False


@frozen(kw_only=True, repr=False)
class Mount(Model):
    """One mount, in the order of performing; config.md, "Mounts".

    A ``destination`` that is not absolute is below the root: old tools write such.
    """

    destination: NotEmpty
    type: str | None = None
    source: str | None = None
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@frozen(repr=False)
class NamespaceSpec(Model):
    """A namespace to make, or with ``path`` to join; ``type`` is OCI's (``network``, ``mount``, ...).

    config-linux.md, "Namespaces".
    """

    type: NamespaceType
    path: AbsolutePath | None = None


@frozen(kw_only=True, repr=False)
class SyscallArg(Model):
    """A condition on one argument; ``op`` as in ``SCMP_CMP_EQ``."""

    index: UInt32
    value: UInt64
    value_two: UInt64 = 0
    op: str


@frozen(kw_only=True, repr=False)
class SyscallRule(Model):
    """What happens to some system calls, by name; ``action`` as in ``SCMP_ACT_ERRNO``."""

    names: tuple[str, ...]
    action: str
    errno_ret: UInt32 | None = None
    args: tuple[SyscallArg, ...] = ()


@frozen(kw_only=True, repr=False, cache_hash=True)
class Seccomp(Model):
    """A filter of system calls; config-linux.md, "Seccomp".

    ``listener_path`` is the Unix socket that gets the descriptor for ``SCMP_ACT_NOTIFY``, with ``listener_metadata``.
    """

    default_action: str
    default_errno_ret: UInt32 | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str | None = None
    listener_metadata: str | None = None
    syscalls: tuple[SyscallRule, ...] = ()


@frozen(kw_only=True, repr=False, cache_hash=True)
class Linux(Model):
    """What only Linux has; config-linux.md."""

    namespaces: tuple[NamespaceSpec, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    time_offsets: tuple[tuple[Clock, TimeOffset], ...] = ()
    devices: tuple[Device, ...] = ()
    net_devices: tuple[tuple[InterfaceName, NetDevice], ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    resources: Resources | None = None
    cgroups_path: str | None = None
    rootfs_propagation: Propagation | None = None
    masked_paths: tuple[AbsolutePath, ...] = ()
    readonly_paths: tuple[AbsolutePath, ...] = ()
    seccomp: Seccomp | None = None
    mount_label: str | None = None
    personality: Personality | None = None
    intel_rdt: IntelRdt | None = None
    memory_policy: MemoryPolicy | None = None


@frozen(kw_only=True, repr=False, cache_hash=True)
class Spec(Model):
    """A container; config.md.

    ``extra`` keeps what a config.json has beyond the specification, or for other platforms: where, and the value as
    JSON. No one here looks at it; `to_json` puts it back, where its place still exists.
    """

    oci_version: Version = field(default="1.2.0", metadata=_REQUIRED)
    process: Process | None = None
    root: Root | None = field(default=None, metadata=_REQUIRED)
    hostname: str | None = None
    domainname: str | None = None
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks | None = None
    annotations: tuple[tuple[NotEmpty, str], ...] = ()
    linux: Linux = Linux()
    extra: tuple[tuple[tuple[str | int, ...], str], ...] = field(default=(), metadata={"json": None})

    def to_json(self) -> dict[str, Any]:
        """Return the config.json as plain dicts, lists and scalars."""
        result = super().to_json()
        if self.extra:
            from pycgroups.oci.json_text import put_back  # loads json

            put_back(result, self.extra)
        return result
